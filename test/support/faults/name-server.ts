/** A name server that knows one address for every name, or lets its askers down in one of the usual ways. */
import { createSocket } from "node:dgram";

const HEADER_BYTES = 12;
const NXDOMAIN = 3;
const TYPE_A = 1;

type Mode = "answers" | "silent" | "knows no name";

export interface NameServer {
  turn(mode: Mode): void;
  close(): void;
}

/** Answers with A records; a name has no others. */
function answerTo(query: Buffer, address: string, mode: Mode): Buffer {
  let at = HEADER_BYTES;
  while ((query[at] ?? 0) > 0) at += (query[at] ?? 0) + 1;
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(HEADER_BYTES, at + 5);
  const hasAnswer = mode === "answers" && type === TYPE_A;
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8180 | (mode === "answers" ? 0 : NXDOMAIN), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(hasAnswer ? 1 : 0, 6);
  if (!hasAnswer) return Buffer.concat([header, question]);
  // The name by a pointer to the question, A, IN, no time to live, four bytes.
  const record = Buffer.from([
    0xc0,
    HEADER_BYTES,
    0,
    TYPE_A,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    4,
    ...address.split(".").map(Number),
  ]);
  return Buffer.concat([header, question, record]);
}

export async function startNameServer(address: string): Promise<NameServer> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(53, "127.0.0.1", resolve));
  let mode: Mode = "answers";
  socket.on("message", (query, { port, address: asker }) => {
    if (mode !== "silent") socket.send(answerTo(query, address, mode), port, asker);
  });
  return {
    turn(to) {
      mode = to;
    },
    close: () => socket.close(),
  };
}
