/** Damaged bytes: whatever comes, it is understood or refused with an error of ours, and in bounded time. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import * as backend from "../../src/postgres/backend-message.ts";
import { BackendWalker } from "../../src/postgres/backend-walker.ts";
import { sqlStateOf } from "../../src/postgres/error-states.ts";
import { decodeFrontendMessage, encodeFrontendMessage } from "../../src/postgres/frontend-message.ts";
import { encodeMessage, typeByte } from "../../src/postgres/message.ts";
import { MessageReader } from "../../src/postgres/message-reader.ts";
import { encodeStartupMessage, StartupReader, startupSettings } from "../../src/postgres/startup.ts";
import { below, chosen, damaged, type Random } from "../support/damage.ts";
import { hex } from "../support/hex.ts";
import { randomFrom } from "../support/random.ts";

/** In CI; QUERYCOP_TEST_DAMAGE says how many for a longer look. */
const COUNT = Number(process.env["QUERYCOP_TEST_DAMAGE"] ?? 100_000);

const sql = encodeUtf8("SELECT $1, 'ä' FROM t");
const FRONTEND = [
  encodeFrontendMessage({ name: "Query", sql }),
  encodeFrontendMessage({ name: "Parse", statement: "s1", sql, parameterTypes: [23, 25] }),
  encodeFrontendMessage({
    name: "Bind",
    portal: "p1",
    statement: "s1",
    parameterFormats: [0, 1],
    values: [sql, null],
    resultFormats: [1],
  }),
  encodeFrontendMessage({ name: "Describe", target: "statement", of: "s1" }),
  encodeFrontendMessage({ name: "Execute", portal: "p1", rowsMax: 100 }),
  encodeFrontendMessage({ name: "Close", target: "portal", of: "p1" }),
  encodeFrontendMessage({
    name: "FunctionCall",
    functionOid: 952,
    argumentFormats: [1],
    values: [sql],
    resultFormat: 0,
  }),
  encodeFrontendMessage({ name: "CopyData", data: sql }),
  encodeFrontendMessage({ name: "CopyFail", reason: sql }),
  encodeFrontendMessage({ name: "Sync" }),
];

type Decoder = (body: Uint8Array) => unknown;

const DECODERS: Readonly<Record<string, Decoder>> = {
  R: backend.decodeAuthentication,
  K: backend.decodeBackendKeyData,
  v: backend.decodeNegotiateProtocolVersion,
  S: backend.decodeParameterStatus,
  Z: backend.decodeReadyForQuery,
  E: backend.decodeErrorFields,
  N: backend.decodeErrorFields,
  A: backend.decodeNotification,
  t: backend.decodeParameterDescription,
  T: backend.decodeRowDescription,
  C: backend.decodeCommandComplete,
  G: backend.decodeCopyResponse,
};

const of = (type: string, bytes: Uint8Array): Uint8Array => encodeMessage(type, (body) => body.bytes(bytes));
const BACKEND = [
  backend.encodeAuthentication({ kind: "sasl", mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] }),
  backend.encodeBackendKeyData({ processId: 7, secretKey: new Uint8Array(32) }),
  backend.encodeNegotiateProtocolVersion({ minor: 2, unknownOptions: ["_pq_.a"] }),
  backend.encodeParameterStatus({ parameter: "TimeZone", value: "UTC" }),
  backend.encodeErrorResponse({ severity: "ERROR", code: "42601", message: "syntax error", hint: "none" }),
  backend.encodeReadyForQuery("T"),
  of("A", encodeUtf8("\0\0\0\x07channel\0payload\0")),
  of("t", hex("0002 00000017 00000019")),
  of("T", hex("0001 6964 00 00000010 0001 00000017 0004 ffffffff 0001")),
  of("C", encodeUtf8("INSERT 0 3\0")),
  of("G", hex("00 0002 0000 0000")),
  of("D", hex("0001 00000002 6162")),
  of("d", encodeUtf8("a\tb\n")),
];

const STARTUP = Buffer.from(
  encodeStartupMessage({
    minor: 2,
    user: "alice",
    database: "app",
    settings: new Map([
      ["options", "-c search_path=a --role=r\\ s"],
      ["_pq_.x", "1"],
      ["replication", "off"],
    ]),
  }),
);

/** A stream of one to three messages, damaged one to three times. */
function damagedStream(random: Random, from: readonly Uint8Array[]): Buffer {
  const parts = Array.from({ length: 1 + below(random, 3) }, () => chosen(random, from));
  let stream: Buffer = Buffer.concat(parts);
  for (let times = 1 + below(random, 3); times > 0 && stream.length >= 5; times--) {
    // The damage to lengths is MySQL's; PostgreSQL's stand behind the type.
    if (below(random, 4) === 0)
      stream.writeUInt32BE(chosen(random, [0, 3, 4, 5, 200, 10_001, 0x7fffffff, 0xffffffff]), 1);
    else stream = damaged(random, stream);
  }
  return stream;
}

function cut(random: Random, stream: Buffer): Buffer[] {
  const at = below(random, stream.length + 1);
  return [stream.subarray(0, at), stream.subarray(at)];
}

interface Counts {
  understood: number;
  refused: number;
}

function attempt(counts: Counts, work: () => void): void {
  try {
    work();
    counts.understood += 1;
  } catch (error) {
    if (!(error instanceof QuerycopError)) throw error;
    assert.match(sqlStateOf(error), /^[0-9A-Z]{5}$/);
    counts.refused += 1;
  }
}

function bothHappen({ understood, refused }: Counts): void {
  assert.ok(understood > COUNT / 50 && refused > COUNT / 50, `${understood} understood, ${refused} refused`);
}

describe("damaged messages", () => {
  it("of clients are read and decoded, or refused", { timeout: 120_000 }, () => {
    const random = randomFrom(1);
    const counts = { understood: 0, refused: 0 };
    for (let count = 0; count < COUNT * 0.4; count++) {
      const chunks = cut(random, damagedStream(random, FRONTEND));
      attempt(counts, () => {
        const reader = new MessageReader({ lengthMax: 4096 });
        for (const chunk of chunks) {
          reader.push(chunk);
          for (let message = reader.next(); message !== undefined; message = reader.next()) {
            decodeFrontendMessage(message.type, message.body, count % 2 === 0 ? "UTF8" : "other");
          }
        }
      });
    }
    bothHappen(counts);
  });

  it("of backends are walked and decoded, or refused, and no byte is lost", { timeout: 120_000 }, () => {
    const random = randomFrom(2);
    const counts = { understood: 0, refused: 0 };
    for (let count = 0; count < COUNT * 0.4; count++) {
      const stream = damagedStream(random, BACKEND);
      attempt(counts, () => {
        const walker = new BackendWalker();
        let bytes = 0;
        for (const chunk of cut(random, stream)) {
          walker.push(chunk);
          for (let piece = walker.next(); piece !== undefined; piece = walker.next()) {
            bytes += piece.wire.length;
            if (piece.kind === "message") DECODERS[String.fromCharCode(piece.type)]?.(piece.body);
          }
        }
        if (walker.isBetweenMessages) assert.equal(bytes, stream.length);
      });
    }
    bothHappen(counts);
  });

  it("of a connection's beginning are read, or refused", { timeout: 120_000 }, () => {
    const random = randomFrom(3);
    const counts = { understood: 0, refused: 0 };
    for (let count = 0; count < COUNT * 0.2; count++) {
      let stream: Buffer = Buffer.from(STARTUP);
      if (below(random, 4) === 0) stream.writeUInt32BE(chosen(random, [0, 7, 8, 16, 200, 10_005, 0x16030100]), 0);
      else stream = damaged(random, stream);
      attempt(counts, () => {
        const reader = new StartupReader();
        for (const chunk of cut(random, stream)) {
          reader.push(chunk);
          const packet = reader.next();
          if (packet?.kind !== "StartupMessage") continue;
          startupSettings(packet);
        }
      });
    }
    bothHappen(counts);
  });

  it("has decoders for all that is decoded", () => {
    for (const type of Object.keys(DECODERS))
      assert.notEqual(backend.BACKEND_MESSAGES[typeByte(type)], undefined, type);
  });
});
