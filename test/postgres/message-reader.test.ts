import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { encodeErrorResponse, encodeReadyForQuery } from "../../src/postgres/backend-message.ts";
import { type BackendPiece, BackendWalker, PassingBytes } from "../../src/postgres/backend-walker.ts";
import { ClientMessageError, sqlStateOf } from "../../src/postgres/error-states.ts";
import { encodeFrontendMessage } from "../../src/postgres/frontend-message.ts";
import { encodeMessage, type Message, typeByte } from "../../src/postgres/message.ts";
import { MessageReader } from "../../src/postgres/message-reader.ts";
import { below } from "../support/damage.ts";
import { hex, join, toHex } from "../support/hex.ts";
import { randomFrom } from "../support/random.ts";

const LENGTH_MAX = 1024 * 1024;
const query = (sql: string): Uint8Array => encodeFrontendMessage({ name: "Query", sql: encodeUtf8(sql) });
const CLIENT_STREAM = join(
  query("SELECT 1"),
  encodeFrontendMessage({ name: "Sync" }),
  encodeFrontendMessage({ name: "CopyData", data: new Uint8Array(0) }),
  encodeFrontendMessage({ name: "CopyData", data: encodeUtf8("some data") }),
  encodeFrontendMessage({ name: "Terminate" }),
);
const of = (type: string, bytes: Uint8Array): Uint8Array => encodeMessage(type, (body) => body.bytes(bytes));
const BACKEND_STREAM = join(
  of("1", hex("")),
  of("D", hex("0001 00000001 61")),
  of("D", hex("0000")),
  of("D", hex("")),
  of("C", encodeUtf8("SELECT 2\0")),
  of("d", encodeUtf8("copied")),
  of("V", hex("ffffffff")),
  encodeErrorResponse({ severity: "ERROR", code: "42601", message: "syntax error" }),
  encodeReadyForQuery("I"),
);

function readAll(reader: MessageReader, chunks: readonly Uint8Array[]): Pick<Message, "type" | "wire" | "body">[] {
  const messages: Pick<Message, "type" | "wire" | "body">[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let message = reader.next(); message !== undefined; message = reader.next()) {
      const { type, wire, body } = message;
      messages.push({ type, wire, body });
    }
  }
  return messages;
}

function walkAll(chunks: readonly Uint8Array[]): BackendPiece[] {
  const walker = new BackendWalker();
  const pieces: BackendPiece[] = [];
  for (const chunk of chunks) {
    walker.push(chunk);
    for (let piece = walker.next(); piece !== undefined; piece = walker.next()) pieces.push(piece);
  }
  assert.equal(walker.isBetweenMessages, true);
  return pieces;
}

/** What must not depend on how the stream was cut: the bytes in order, the held messages, the counts by type. */
function summary(pieces: readonly BackendPiece[]): unknown {
  const counts = new Map<string, [number, number]>();
  for (const piece of pieces) {
    if (piece.kind !== "passing") continue;
    const type = String.fromCharCode(piece.type);
    const [begun, ended] = counts.get(type) ?? [0, 0];
    counts.set(type, [begun + piece.begun, ended + piece.ended]);
  }
  return {
    wire: toHex(join(...pieces.map(({ wire }) => wire))),
    held: pieces.flatMap((piece) => (piece.kind === "message" ? [`${piece.type} ${toHex(piece.body)}`] : [])),
    counts: [...counts],
  };
}

/** Whole, in two pieces at every place, byte by byte, and in three at random. */
function cuts(stream: Uint8Array): Uint8Array[][] {
  const ways = [[stream], Array.from(stream, (_, at) => stream.subarray(at, at + 1))];
  for (let at = 1; at < stream.length; at++) ways.push([stream.subarray(0, at), stream.subarray(at)]);
  const random = randomFrom(11);
  for (let count = 0; count < 500; count++) {
    const [from = 0, to = 0] = [below(random, stream.length), below(random, stream.length)].sort((a, b) => a - b);
    ways.push([stream.subarray(0, from), stream.subarray(from, to), stream.subarray(to)]);
  }
  return ways;
}

describe("MessageReader", () => {
  it("gives the same messages however the stream is cut", () => {
    const whole = readAll(new MessageReader({ lengthMax: LENGTH_MAX }), [CLIENT_STREAM]);
    assert.equal(whole.map(({ type }) => String.fromCharCode(type)).join(""), "QSddX");
    assert.deepEqual(join(...whole.map(({ wire }) => wire)), CLIENT_STREAM);
    for (const chunks of cuts(CLIENT_STREAM)) {
      assert.deepEqual(readAll(new MessageReader({ lengthMax: LENGTH_MAX }), chunks), whole);
    }
  });

  it("does not write into what it has given out, when a chunk comes behind a message that is taken", () => {
    const reader = new MessageReader({ lengthMax: LENGTH_MAX });
    const given: Message[] = [];
    const expected: string[] = [];
    const random = randomFrom(3);
    for (let count = 0; count < 200; count++) {
      const wire = query("x".repeat(below(random, 3000)));
      expected.push(toHex(wire));
      const at = below(random, wire.length);
      reader.push(wire.subarray(0, at));
      reader.push(wire.subarray(at));
      // Every third time two messages are taken at once.
      if (count % 3 === 0) continue;
      for (let message = reader.next(); message !== undefined; message = reader.next()) given.push(message);
    }
    for (let message = reader.next(); message !== undefined; message = reader.next()) given.push(message);
    assert.deepEqual(
      given.map(({ wire }) => toHex(wire)),
      expected,
    );
    assert.equal(reader.bufferedBytes, 0);
  });

  it("takes a large message byte by byte in steps that do not grow with what has come", () => {
    const wire = query("x".repeat(200_000));
    const reader = new MessageReader({ lengthMax: LENGTH_MAX });
    let count = 0;
    for (let at = 0; at < wire.length; at++) {
      reader.push(wire.subarray(at, at + 1));
      if (reader.next() !== undefined) count++;
    }
    assert.equal(count, 1);
  });

  const refused = (state: string, code: string, bytes: string, lengthMax = LENGTH_MAX): void => {
    assert.throws(
      () => readAll(new MessageReader({ lengthMax }), [hex(bytes)]),
      (error) => error instanceof ClientMessageError && sqlStateOf(error) === state && error.code === code,
      bytes,
    );
  };

  it("refuses a type that no message has by its first byte", () => {
    for (const type of ["00", "16", "47", "52", "80", "ff"]) refused("08P01", "QC_CLIENT_UNKNOWN_COMMAND", type);
  });

  it("refuses lengths that no server takes before the rest has come", () => {
    for (const length of ["00000000", "00000003", "ffffffff", "80000000", "40000000"]) {
      refused("08P01", "QC_CLIENT_PROTOCOL", `51 ${length}`);
    }
    // 10,001 bytes of a Sync or Execute.
    refused("08P01", "QC_CLIENT_PROTOCOL", "53 00002711");
    refused("08P01", "QC_CLIENT_PROTOCOL", "45 00002711");
    assert.deepEqual(readAll(new MessageReader({ lengthMax: LENGTH_MAX }), [hex("45 00002710")]), []);
  });

  it("refuses what is above the limit of its owner with 54000, and takes what is at it", () => {
    refused("54000", "QC_CLIENT_PACKET_TOO_LARGE", "51 00000101", 256);
    assert.deepEqual(readAll(new MessageReader({ lengthMax: 256 }), [hex("51 00000100")]), []);
  });
});

describe("BackendWalker", () => {
  it("gives the same bytes, held messages and counts however the stream is cut", () => {
    const whole = walkAll([BACKEND_STREAM]);
    assert.deepEqual(join(...whole.map(({ wire }) => wire)), BACKEND_STREAM);
    for (const chunks of cuts(BACKEND_STREAM)) assert.deepEqual(summary(walkAll(chunks)), summary(whole));
  });

  it("gives rows that follow each other as one piece", () => {
    const rows = join(...Array.from({ length: 50 }, () => of("D", hex("0001 00000001 61"))));
    const pieces = walkAll([join(rows, encodeReadyForQuery("T"))]);
    assert.deepEqual(
      pieces.map(({ kind, wire }) => [kind, wire.length]),
      [
        ["passing", rows.length],
        ["message", 6],
      ],
    );
  });

  it("holds nothing of a row or copied data of a gigabyte", () => {
    for (const type of ["D", "d", "V"]) {
      const walker = new BackendWalker();
      const begin = join(Uint8Array.of(typeByte(type)), hex("3fffffff 0001"));
      walker.push(begin);
      assert.deepEqual(
        walker.next(),
        new PassingBytes(typeByte(type), { bytes: begin, start: 0, end: begin.length }, 1, 0),
      );
      assert.equal(walker.isBetweenMessages, false);
    }
  });

  it("passes an error on that is longer than it would hold", () => {
    const long = encodeErrorResponse({ severity: "ERROR", code: "P0001", message: "x".repeat(2 * LENGTH_MAX) });
    const half = long.length >> 1;
    for (const chunks of [
      [long],
      [long.subarray(0, half), long.subarray(half)],
      [long.subarray(0, 3), long.subarray(3)],
    ]) {
      const pieces = walkAll(chunks);
      assert.ok(pieces.every(({ kind }) => kind === "passing"));
      assert.equal(
        pieces.reduce((sum, piece) => sum + (piece.kind === "passing" ? piece.begun : 0), 0),
        1,
      );
      assert.deepEqual(join(...pieces.map(({ wire }) => wire)), long);
    }
  });

  it("holds a message of most bytes byte by byte without starting over", () => {
    const long = encodeErrorResponse({ severity: "ERROR", code: "P0001", message: "x".repeat(200_000) });
    const pieces = walkAll(Array.from(long, (_, at) => long.subarray(at, at + 1)));
    assert.deepEqual(
      pieces.map(({ kind, wire }) => [kind, wire.length]),
      [["message", long.length]],
    );
  });

  it("refuses types and lengths that no PostgreSQL sends", () => {
    const bad = [
      "00 00000004 00",
      "51 00000004",
      "44 00000003",
      "44 ffffffff",
      "44 40000004",
      "5a 00007531",
      "54 00100001",
    ];
    for (const bytes of bad) {
      for (const chunks of [[hex(bytes)], Array.from(hex(bytes), (byte) => Uint8Array.of(byte))]) {
        assert.throws(
          () => walkAll(chunks),
          (error) => error instanceof QuerycopError && error.code === "QC_BACKEND_PROTOCOL",
          bytes,
        );
      }
    }
  });

  it("takes no chunk while the last one still has pieces", () => {
    const walker = new BackendWalker();
    walker.push(BACKEND_STREAM);
    assert.throws(() => walker.push(BACKEND_STREAM), /still has pieces/);
  });
});
