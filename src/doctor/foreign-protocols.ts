/** What answers where another server should be, told by its first bytes. */
import type { BackendEngine } from "../config/schema.ts";
import { Leg } from "../net/leg.ts";
import { network } from "../net/network.ts";
import { LOGIN_PACKET_BYTES_MAX } from "../session/mysql/login/backend-login.ts";
import type { ListenerContext } from "./check.ts";

const FIRST_WORDS: ReadonlyArray<readonly [start: string, name: string]> = [
  ["SSH-", "an SSH server"],
  ["HTTP/", "an HTTP server"],
  ["<!DOCTYPE", "an HTTP server"],
  ["<html", "an HTTP server"],
  ["-ERR ", "a Redis server"],
  ["-NOAUTH", "a Redis server"],
  ["-DENIED", "a Redis server"],
  ["220 ", "a mail or FTP server"],
  ["220-", "a mail or FTP server"],
  ["* OK", "an IMAP server"],
  ["+OK", "a POP3 server"],
  ["RFB ", "a VNC server"],
];

/** A notice of MySQL's X protocol: four bytes of length, then the type of a message. */
const X_NOTICE = 11;
const TLS_ALERT = 0x15;

/** Undefined for nothing, and for what could be any protocol. */
export function nameOfProtocol(first: Uint8Array): string | undefined {
  const text = Buffer.from(first.subarray(0, 16)).toString("latin1");
  const word = FIRST_WORDS.find(([start]) => text.startsWith(start));
  if (word !== undefined) return word[1];
  if (first[0] === TLS_ALERT && first[1] === 3) return "a server that speaks TLS from the first byte";
  if (first.length >= 5 && first[1] === 0 && first[2] === 0 && first[3] === 0 && first[4] === X_NOTICE) {
    return "MySQL's X protocol, which has a port of its own (33060): the classic one is mostly 3306";
  }
  return undefined;
}

const FIRST_BYTES_MS = 2_000;
/** Servers that wait for the client's first words answer this with words of their own; none takes it for a login. */
const QUESTION = new TextEncoder().encode("\r\n\r\n");

/**
 * Who is there, by one connection to the first address that was found. To be called when no right answer came: a
 * MySQL server that did greet would count the connection as a broken one. Undefined for who cannot be told. Never rejects.
 */
export async function protocolThere(
  { listener, probe }: ListenerContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { engine } = listener.backend;
  const address = probe.addresses[0]?.address ?? listener.backend.host;
  const until = AbortSignal.any([signal, AbortSignal.timeout(2 * FIRST_BYTES_MS)]);
  try {
    const leg = new Leg(
      "backend",
      await network.connect(address, listener.backend.port, until),
      LOGIN_PACKET_BYTES_MAX,
    );
    try {
      // One read for both: a second would come behind the first, which is still waiting.
      const first = leg.readChunk();
      const unasked = await inTime(first);
      if (unasked !== undefined) return nameOfProtocol(unasked) ?? nameOfOtherEngine(unasked, engine);
      leg.write(QUESTION);
      const asked = await inTime(first);
      return asked === undefined ? SILENT[engine] : nameOfProtocol(asked);
    } finally {
      leg.destroy();
    }
  } catch {
    return undefined;
  }
}

const WAITING = "something that waits for its client to speak first";
/** Who says nothing to somebody who asks nothing that is understood. */
const SILENT: Readonly<Record<BackendEngine, string | undefined>> = {
  mysql: `${WAITING}, as PostgreSQL and TLS servers do`,
  postgresql: `${WAITING} and knows no SSLRequest, as TLS servers do`,
  dsql: undefined,
};

/** The first packet of a MySQL server has three bytes of length, number 0, and protocol version 10 or an error. */
function nameOfOtherEngine(first: Uint8Array, engine: BackendEngine): string | undefined {
  const isMySql = first.length > 4 && first[3] === 0 && (first[4] === 10 || first[4] === 0xff);
  return engine !== "mysql" && isMySql ? "a MySQL server" : undefined;
}

/** Undefined when nothing comes in time. */
async function inTime(chunk: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), FIRST_BYTES_MS);
  });
  try {
    return await Promise.race([chunk, late]);
  } finally {
    clearTimeout(timer);
  }
}
