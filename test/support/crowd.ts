/**
 * Crowds for the executable: a backend that keeps nothing of what it is sent and answers as much as it is asked for, and
 * clients that stop wherever a test wants them to.
 */
import { connect, createServer, type Socket } from "node:net";
import { encodeHandshakeV10 } from "../../src/mysql/handshake.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import { GREETING, OK_PAYLOAD, type PacketPeer } from "./fake-peers.ts";
import { fileRequest, prepareOk, wireOf } from "./wire-replies.ts";

const HEADER_BYTES = 4;
const FULL = 0xffffff;
/** A statement that begins like this is answered with rows of so many mebibytes. */
const ROWS = /^SELECT (\d+) MIB/;
/** One that begins like this is never answered. */
const ENDLESS = "SELECT SLEEP";
const KILL = "KILL QUERY";

export interface CrowdBackend {
  readonly port: number;
  /** Connections open now. */
  readonly open: number;
  /** Statements answered. */
  readonly answered: number;
  /** Of them, those that were to stop others. */
  readonly kills: number;
  /** From here on statements that are to stop others are not answered until `answerKills()`: their connections stay. */
  holdKills(): void;
  /** Answers those that have waited, and all that come, at once. */
  answerKills(): void;
  close(): void;
}

/** Reads packet headers off a stream and throws the rest away. */
class Swallower {
  readonly #onPacket: (head: Uint8Array, lastSequenceId: number) => void;
  #header: number[] = [];
  #left = 0;
  #head: number[] = [];

  constructor(onPacket: (head: Uint8Array, lastSequenceId: number) => void) {
    this.#onPacket = onPacket;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#header.length < HEADER_BYTES) {
        this.#header.push(chunk[at++] as number);
        if (this.#header.length < HEADER_BYTES) continue;
        const [low = 0, middle = 0, high = 0] = this.#header;
        this.#left = low | (middle << 8) | (high << 16);
      } else {
        const taken = Math.min(this.#left, chunk.length - at);
        if (this.#head.length < 64) this.#head.push(...chunk.subarray(at, at + Math.min(taken, 64)));
        this.#left -= taken;
        at += taken;
      }
      if (this.#left === 0) this.#endFragment();
    }
  }

  #endFragment(): void {
    const [low = 0, middle = 0, high = 0, sequenceId = 0] = this.#header;
    this.#header = [];
    if ((low | (middle << 8) | (high << 16)) === FULL) return;
    const head = Uint8Array.from(this.#head);
    this.#head = [];
    this.#onPacket(head, sequenceId);
  }
}

const COM_QUERY = 3;
const COM_STMT_PREPARE = 0x16;
/** COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE. */
const UNANSWERED = [0x18, 0x19];

/** What a statement or command of a client that has logged in is answered with. */
function answerOf(socket: Socket, head: Uint8Array, lastSequenceId: number): "file" | "answered" {
  const [command = 0] = head;
  const text = Buffer.from(head.subarray(1)).toString("latin1");
  const mebibytes = ROWS.exec(text)?.[1];
  if (text.startsWith(ENDLESS)) return "answered";
  if (mebibytes !== undefined) void sendRows(socket, Number(mebibytes), lastSequenceId);
  else if (command === COM_QUERY && text.startsWith("LOAD DATA")) {
    socket.write(wireOf([fileRequest("f.csv")], lastSequenceId + 1));
    return "file";
  } else if (command === COM_STMT_PREPARE) socket.write(wireOf(prepareOk(1, 1), lastSequenceId + 1));
  else if (!UNANSWERED.includes(command)) socket.write(wireOf([OK_PAYLOAD], lastSequenceId + 1));
  return "answered";
}

function isKill(head: Uint8Array): boolean {
  return head[0] === COM_QUERY && Buffer.from(head.subarray(1)).toString("latin1").startsWith(KILL);
}

/**
 * Greets, takes any login, answers every statement with OK or with the rows it asks for, prepares anything, and takes
 * files of any length.
 */
export function startCrowdBackend(): Promise<CrowdBackend> {
  const sockets = new Set<Socket>();
  const counts = { answered: 0, kills: 0 };
  let heldKills: (() => void)[] | undefined;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.write(encodePacket(encodeHandshakeV10(GREETING), 0));
    let state: "login" | "command" | "file" = "login";
    const swallower = new Swallower((head, sequenceId) => {
      if (state === "file" && head.length > 0) return;
      if (state === "command") {
        const answer = (): void => {
          counts.answered++;
          state = answerOf(socket, head, sequenceId) === "file" ? "file" : "command";
        };
        if (!isKill(head)) return answer();
        const kill = (): void => {
          counts.kills++;
          answer();
        };
        if (heldKills === undefined) kill();
        else heldKills.push(kill);
        return;
      }
      state = "command";
      socket.write(encodePacket(OK_PAYLOAD, (sequenceId + 1) & 0xff));
    });
    socket.on("data", (chunk: Buffer) => swallower.push(chunk));
  });
  return new Promise((resolve) => {
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      resolve({
        port,
        get open() {
          return sockets.size;
        },
        get answered() {
          return counts.answered;
        },
        get kills() {
          return counts.kills;
        },
        holdKills: () => {
          heldKills ??= [];
        },
        answerKills: () => {
          const waiting = heldKills ?? [];
          heldKills = undefined;
          for (const kill of waiting) kill();
        },
        close: () => {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      });
    });
  });
}

const ROW_BYTES = 60_000;

async function sendRows(socket: Socket, mebibytes: number, lastSequenceId: number): Promise<void> {
  let sequenceId = lastSequenceId;
  const next = (): number => (sequenceId = (sequenceId + 1) & 0xff);
  socket.write(encodePacket(Uint8Array.of(1), next()));
  const column = [3, 100, 101, 102, 0, 0, 0, 1, 99, 0, 12, 45, 0, 255, 255, 0, 0, 252, 0, 0, 0, 0, 0];
  socket.write(encodePacket(Uint8Array.from(column), next()));
  const row = new Uint8Array(3 + ROW_BYTES).fill(97);
  row.set([0xfc, ROW_BYTES & 0xff, ROW_BYTES >>> 8]);
  for (let sent = 0; sent < mebibytes * 1024 * 1024 && !socket.destroyed; sent += ROW_BYTES) {
    if (socket.write(encodePacket(row, next()))) continue;
    await new Promise<void>((resolve) => {
      const goOn = (): void => {
        socket.off("drain", goOn).off("close", goOn);
        resolve();
      };
      socket.on("drain", goOn).on("close", goOn);
    });
  }
  const end = Uint8Array.of(0xfe, 0, 0, 2, 0, 0, 0);
  if (!socket.destroyed) socket.write(encodePacket(end, next()));
}

/** A COM_QUERY of so many bytes as far as it goes before its client falls silent. */
export function beginStatement(peer: PacketPeer, payloadBytes: number, sentBytes: number): void {
  const wire = encodePacket(statementOf(payloadBytes), 0);
  peer.socket.write(wire.subarray(0, sentBytes));
}

/** One INSERT of literals, of so many bytes. */
export function statementOf(payloadBytes: number): Uint8Array {
  const payload = new Uint8Array(payloadBytes).fill(0x61);
  payload.set([3, ...Buffer.from("INSERT INTO t VALUES ('")]);
  payload.set(Buffer.from("')"), payloadBytes - 2);
  return payload;
}

/** A socket that connects and says nothing. */
export function connectSilently(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  socket.resume();
  return socket;
}
