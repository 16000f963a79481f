import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../../src/base/bytes.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import {
  type Capabilities,
  CLIENT_DEPRECATE_EOF,
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  CLIENT_PROTOCOL_41,
  CLIENT_SESSION_TRACK,
  MARIADB_CLIENT_CACHE_METADATA,
  MARIADB_CLIENT_PROGRESS,
} from "../../src/mysql/constants.ts";
import { encodeErrPacket, encodeOkPacket, encodeResultSetEnd } from "../../src/mysql/generic-response.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import { encodeStmtPrepareOk } from "../../src/mysql/prepared-statement.ts";
import { type ResponseEnd, type ResponseShape, ResponseTracker } from "../../src/mysql/response.ts";
import { ascii, hex, join, toHex } from "../support/hex.ts";

const FULL = 0xffffff;
const CLASSIC: Capabilities = { flags: CLIENT_PROTOCOL_41, mariadb: 0 };
const MODERN: Capabilities = { flags: CLIENT_PROTOCOL_41 | CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK, mariadb: 0 };
const BOTH = [CLASSIC, MODERN];
const MORE = 0x0008;
const CURSOR = 0x0040;

const OK = hex("00 00 00 0200 0000");
const ERR = encodeErrPacket({ errorNumber: 1064, sqlState: "42000", message: "syntax" });
const DEFINITION = join(hex("03"), ascii("def"), hex("00 00 00 01 61 00 0c 3f00 01000000 08 8100 00 0000"));

const okPacket = (statusFlags: number, affectedRows = 0): Uint8Array =>
  encodeOkPacket({ header: 0, affectedRows, lastInsertId: 0, statusFlags, warnings: 0, info: hex("") }, 0);

function isEofDeprecated({ flags }: Capabilities): boolean {
  return (flags & CLIENT_DEPRECATE_EOF) !== 0;
}

function eof(capabilities: Capabilities, statusFlags = 2): Uint8Array {
  return encodeResultSetEnd({ warnings: 0, statusFlags }, capabilities.flags);
}

/** The EOF_Packet behind definitions, where the capabilities have one. */
function definitionsEnd(capabilities: Capabilities, statusFlags = 2): Uint8Array[] {
  return isEofDeprecated(capabilities) ? [] : [eof(capabilities, statusFlags)];
}

function columnCount(columns: number): Uint8Array {
  return new ByteWriter().lenencInteger(columns).finish();
}

function resultSet(
  capabilities: Capabilities,
  columns: number,
  rows: readonly Uint8Array[],
  statusFlags = 2,
): Uint8Array[] {
  const definitions = Array.from({ length: columns }, () => DEFINITION);
  return [
    columnCount(columns),
    ...definitions,
    ...definitionsEnd(capabilities),
    ...rows,
    eof(capabilities, statusFlags),
  ];
}

/** Puts payloads on the wire with one running sequence id. */
function wire(payloads: readonly Uint8Array[], firstSequenceId = 1): Uint8Array {
  let sequenceId = firstSequenceId;
  const packets = payloads.map((payload) => {
    const packet = encodePacket(payload, sequenceId);
    sequenceId += 1 + Math.floor(payload.length / FULL);
    return packet;
  });
  return join(...packets);
}

function track(
  shape: ResponseShape,
  capabilities: Capabilities,
  bytes: Uint8Array,
  chunkBytes = bytes.length,
): { tracker: ResponseTracker; consumed: number; end: ResponseEnd | undefined } {
  const tracker = new ResponseTracker({ shape, capabilities });
  let consumed = 0;
  for (let at = 0; at < bytes.length; at += Math.max(1, chunkBytes)) {
    consumed += tracker.feed(bytes.subarray(at, at + Math.max(1, chunkBytes)));
  }
  return { tracker, consumed, end: tracker.end };
}

function endOf(shape: ResponseShape, capabilities: Capabilities, payloads: readonly Uint8Array[]): ResponseEnd {
  const bytes = wire(payloads);
  const { consumed, end } = track(shape, capabilities, bytes);
  assert.ok(end !== undefined, "the response ends");
  assert.equal(consumed, bytes.length);
  return end;
}

function assertViolation(
  shape: ResponseShape,
  capabilities: Capabilities,
  payloads: readonly Uint8Array[],
  text: RegExp = /./,
): void {
  const bytes = wire(payloads);
  for (const chunkBytes of [bytes.length, 1]) {
    assert.throws(
      () => track(shape, capabilities, bytes, chunkBytes),
      (thrown) => {
        assert.ok(thrown instanceof QuerycopError);
        assert.equal(thrown.code, "QC_BACKEND_PROTOCOL");
        assert.match(thrown.message, text);
        return true;
      },
    );
  }
}

describe("ResponseTracker on a query", () => {
  it("ends with an OK_Packet", () => {
    const end = endOf("query", MODERN, [
      encodeOkPacket(
        { header: 0, affectedRows: 7, lastInsertId: 2n ** 60n, statusFlags: 2, warnings: 3, info: ascii("hi") },
        MODERN.flags,
      ),
    ]);
    assert.equal(end.outcome, "ok");
    assert.equal(end.affectedRows, 7);
    assert.equal(end.lastInsertId, 2n ** 60n);
    assert.equal(end.warnings, 3);
    assert.equal(end.statusFlags, 2);
    assert.equal(end.lastSequenceId, 1);
  });

  it("ends with an ERR_Packet", () => {
    const end = endOf("query", CLASSIC, [ERR]);
    assert.equal(end.outcome, "err");
    assert.equal(end.errorNumber, 1064);
    assert.equal(end.sqlState, "42000");
    assert.equal(end.errorMessage, "syntax");
    assert.equal(end.statusFlags, undefined);
  });

  it("ends with the terminator of a result set", () => {
    for (const capabilities of BOTH) {
      const rows = [ascii("\u00011"), hex("fb"), hex("fc0500 6162636465"), hex("00")];
      const end = endOf("query", capabilities, resultSet(capabilities, 1, rows, 0x22));
      assert.equal(end.outcome, "ok");
      assert.equal(end.rows, 4);
      assert.equal(end.resultSets, 1);
      assert.equal(end.statusFlags, 0x22);
    }
  });

  it("ends with an ERR_Packet among the rows, the definitions or in place of the definitions' end", () => {
    for (const capabilities of BOTH) {
      const whole = resultSet(capabilities, 2, [hex("fbfb")]);
      for (let kept = 1; kept < whole.length; kept++) {
        const end = endOf("query", capabilities, [...whole.slice(0, kept), ERR]);
        assert.equal(end.outcome, "err", `after ${kept} packets`);
      }
    }
  });

  it("goes on while there are more results", () => {
    for (const capabilities of BOTH) {
      const payloads = [
        ...resultSet(capabilities, 1, [hex("fb")], MORE | 2),
        okPacket(MORE | 2, 5),
        ...resultSet(capabilities, 2, [hex("fbfb"), hex("fbfb")], MORE | 2),
        okPacket(2, 6),
      ];
      const end = endOf("query", capabilities, payloads);
      assert.equal(end.rows, 3);
      assert.equal(end.resultSets, 2);
      assert.equal(end.affectedRows, 11);
      const failed = endOf("query", capabilities, [...payloads.slice(0, -1), ERR]);
      assert.equal(failed.outcome, "err");
      assert.equal(failed.rows, 3);
    }
  });

  it("adds up counts beyond 2^53", () => {
    const many = encodeOkPacket(
      { header: 0, affectedRows: 2n ** 63n, lastInsertId: 0, statusFlags: MORE, warnings: 0, info: hex("") },
      0,
    );
    assert.equal(endOf("query", CLASSIC, [many, okPacket(2, 5)]).affectedRows, 2n ** 63n + 5n);
    const half = okPacket(MORE, Number.MAX_SAFE_INTEGER);
    assert.equal(endOf("query", CLASSIC, [half, okPacket(2, 1)]).affectedRows, 2n ** 53n);
  });

  it("reads the session state of every result, the later over the earlier", () => {
    const withState = (entries: string): Uint8Array => {
      const block = hex(entries);
      return join(hex("00 00 00 0a40 0000 00"), Uint8Array.of(block.length), block);
    };
    const last = join(hex("00 00 00 0240 0000 00"), hex("06 00 04 0161 0133"));
    const end = endOf("query", MODERN, [withState("00 08 0161 0131 0162 0132 01 02 0173"), last]);
    assert.deepEqual(
      [...(end.sessionState?.systemVariables ?? [])],
      [
        ["a", "3"],
        ["b", "2"],
      ],
    );
    assert.equal(end.sessionState?.schema, "s");
  });

  it("tells a request for a file from a result set of 251 columns", () => {
    const request = endOf("query", CLASSIC, [join(hex("fb"), ascii("/etc/passwd"))]);
    assert.equal(request.outcome, "local-infile");
    assert.equal(Buffer.from(request.fileName ?? hex("")).toString(), "/etc/passwd");
    for (const capabilities of BOTH) {
      const end = endOf("query", capabilities, resultSet(capabilities, 251, [new Uint8Array(251).fill(0xfb)]));
      assert.equal(end.outcome, "ok");
      assert.equal(end.rows, 1);
    }
  });

  it("asks for several files in one response", () => {
    const tracker = new ResponseTracker({ shape: "query", capabilities: CLASSIC });
    tracker.feed(wire([join(hex("fb"), ascii("one"))]));
    assert.equal(tracker.end?.outcome, "local-infile");
    tracker.resumeAfterLocalInfile(4);
    tracker.feed(wire([okPacket(MORE, 2), join(hex("fb"), ascii("two"))], 5));
    assert.equal(Buffer.from(tracker.end?.fileName ?? hex("")).toString(), "two");
    tracker.resumeAfterLocalInfile(255);
    tracker.feed(wire([okPacket(2, 3)], 0));
    const { end } = tracker;
    assert.equal(end?.outcome, "ok");
    assert.equal(end?.affectedRows, 5);
    assert.throws(() => tracker.resumeAfterLocalInfile(1), /did not ask for a file/);
  });

  it("takes 0xFB for a file request only where one may come", () => {
    for (const shape of ["result-set", "execute", "ok", "prepare"] as const) {
      assertViolation(shape, CLASSIC, [join(hex("fb"), ascii("/etc/passwd"))]);
    }
  });
});

describe("ResponseTracker on large and odd rows", () => {
  const large = (length: number, first: number): Uint8Array => {
    const row = new Uint8Array(length);
    row[0] = first;
    return row;
  };

  it("counts rows of every awkward size, whatever their fragments begin with", () => {
    for (const capabilities of BOTH) {
      for (const size of [1, FULL - 1, FULL, FULL + 1, 2 * FULL]) {
        for (const continued of size > FULL ? [0x00, 0xfb, 0xfe, 0xff] : [0]) {
          const row = large(size, 0xfd);
          if (size > FULL) row[FULL] = continued;
          const bytes = wire(resultSet(capabilities, 1, [row, hex("fb")]));
          for (const chunkBytes of [bytes.length, 65536]) {
            const { end, consumed } = track("query", capabilities, bytes, chunkBytes);
            assert.equal(end?.rows, 2, `${size} bytes, then ${continued}, chunks of ${chunkBytes}`);
            assert.equal(consumed, bytes.length);
            assert.equal(end?.bytes, bytes.length);
          }
        }
      }
    }
  });

  it("takes a row that begins with 0xFE for a row only when it is 16 MiB or more", () => {
    for (const capabilities of BOTH) {
      const row = large(FULL + 9, 0xfe);
      const bytes = wire(resultSet(capabilities, 1, [row]));
      assert.equal(track("query", capabilities, bytes, 1 << 20).end?.rows, 1);
    }
    assertViolation("query", CLASSIC, [...resultSet(CLASSIC, 1, []).slice(0, -1), large(9, 0xfe)], /neither a row nor/);
  });

  it("takes binary rows for rows although they begin like an OK_Packet", () => {
    for (const capabilities of BOTH) {
      const rows = [hex("00 00 07000000"), hex("00 04"), OK];
      const end = endOf("execute", capabilities, resultSet(capabilities, 1, rows));
      assert.equal(end.rows, 3);
      const bytes = wire(resultSet(capabilities, 1, [large(FULL, 0)]));
      assert.equal(track("execute", capabilities, bytes, 99_991).end?.rows, 1);
    }
  });

  it("reads a terminator longer than an EOF_Packet", () => {
    const state = new ByteWriter().bytes(hex("00 22")).lenencBytes(hex("05 6e616d6531")).finish();
    const terminator = new ByteWriter()
      .bytes(hex("fe 00 00 0240 0000 00"))
      .lenencBytes(join(hex("7f"), Uint8Array.of(state.length), state))
      .finish();
    const end = endOf("query", MODERN, [columnCount(1), DEFINITION, hex("fb"), terminator]);
    assert.equal(end.rows, 1);
    assert.equal(end.statusFlags, 0x4002);
  });

  it("reads an OK_Packet with much session state, and refuses one beyond 1 MiB", () => {
    const stateOf = (length: number): Uint8Array => {
      const value = new ByteWriter().lenencBytes(ascii("name")).lenencBytes(new Uint8Array(length).fill(0x41)).finish();
      const block = new ByteWriter().uint8(0).lenencBytes(value).finish();
      return new ByteWriter().bytes(hex("00 00 00 0240 0000 00")).lenencBytes(block).finish();
    };
    const bytes = wire([stateOf(900_000)]);
    assert.equal(track("query", MODERN, bytes, 10_000).end?.sessionState?.systemVariables.get("name")?.length, 900_000);
    assertViolation("query", MODERN, [stateOf(1024 * 1024)], /at most 1048576/);
    assertViolation(
      "query",
      MODERN,
      [...resultSet(MODERN, 1, []).slice(0, -1), join(hex("fe"), new Uint8Array(2 ** 20))],
      /at most 1048576/,
    );
  });

  it("knows wide result sets", () => {
    for (const columns of [250, 251, 252, 4096, 65535, 65536, 65537]) {
      const end = endOf("query", MODERN, resultSet(MODERN, columns, [hex("fb")]));
      assert.equal(end.rows, 1);
    }
  });

  it("follows sequence ids around many times", () => {
    for (const capabilities of BOTH) {
      const rows = Array.from({ length: 1000 }, () => hex("fb"));
      const bytes = wire(resultSet(capabilities, 3, rows));
      for (const chunkBytes of [bytes.length, 7, 64]) {
        const { end } = track("query", capabilities, bytes, chunkBytes);
        assert.equal(end?.rows, 1000);
        assert.equal(end?.lastSequenceId, (capabilities === CLASSIC ? 1006 : 1005) & 0xff);
      }
    }
  });
});

describe("ResponseTracker on prepared statements", () => {
  it("skips the definitions of parameters and columns", () => {
    for (const capabilities of BOTH) {
      for (const [parameters, columns] of [
        [0, 0],
        [2, 0],
        [0, 3],
        [2, 3],
        [300, 300],
      ] as const) {
        const prepared = { statementId: 9, columns, parameters, warnings: 1, hasDefinitions: true };
        const payloads = [encodeStmtPrepareOk(prepared, capabilities.flags)];
        for (const count of [parameters, columns]) {
          if (count === 0) continue;
          payloads.push(...Array.from({ length: count }, () => DEFINITION), ...definitionsEnd(capabilities));
        }
        const end = endOf("prepare", capabilities, payloads);
        assert.deepEqual(end.prepared, prepared);
        assert.equal(end.warnings, 1);
        assert.equal(end.resultSets, 0);
      }
    }
  });

  it("does not report a statement whose definitions end in an error", () => {
    const payloads = [
      encodeStmtPrepareOk({ statementId: 1, columns: 0, parameters: 2, warnings: 0, hasDefinitions: true }, 0),
      DEFINITION,
      ERR,
    ];
    const end = endOf("prepare", CLASSIC, payloads);
    assert.equal(end.outcome, "err");
    assert.equal(end.prepared, undefined);
  });

  it("ends where a cursor is opened, and reads its rows fetch by fetch", () => {
    const classic = endOf("execute", CLASSIC, [columnCount(1), DEFINITION, eof(CLASSIC, CURSOR | 2)]);
    assert.ok(classic.cursorExists);
    const modern = endOf("execute", MODERN, [columnCount(1), DEFINITION, eof(MODERN, CURSOR | 2)]);
    assert.ok(modern.cursorExists);
    for (const capabilities of BOTH) {
      const some = endOf("fetch", capabilities, [hex("0000"), hex("0000"), eof(capabilities, CURSOR)]);
      assert.equal(some.rows, 2);
      assert.ok(some.cursorExists);
      const last = endOf("fetch", capabilities, [eof(capabilities, 0x80)]);
      assert.equal(last.rows, 0);
      assert.ok(!last.cursorExists);
      assert.equal(endOf("fetch", capabilities, [ERR]).outcome, "err");
      // Flags that mean something elsewhere do not lengthen a fetch.
      assert.equal(endOf("fetch", capabilities, [eof(capabilities, MORE)]).outcome, "ok");
    }
  });

  it("does not take a cursor flag of a text result set for a cursor", () => {
    const payloads = [columnCount(1), DEFINITION, eof(CLASSIC, CURSOR | 2), hex("fb"), eof(CLASSIC, CURSOR | 2)];
    const end = endOf("query", CLASSIC, payloads);
    assert.equal(end.rows, 1);
    assert.ok(!end.cursorExists);
  });

  it("expects the OK_Packet behind OUT parameters", () => {
    const outParameters = 0x1000;
    const payloads = [
      ...resultSet(CLASSIC, 1, [hex("0000")], MORE | 2),
      columnCount(1),
      DEFINITION,
      eof(CLASSIC, MORE | outParameters | 2),
      hex("0000"),
      eof(CLASSIC, 2),
      OK,
    ];
    const end = endOf("execute", CLASSIC, payloads);
    assert.equal(end.rows, 2);
    assert.equal(end.resultSets, 2);
    assert.equal(end.statusFlags, 2);
  });
});

describe("ResponseTracker on the other commands", () => {
  it("ends COM_PING and its like with one packet", () => {
    assert.equal(endOf("ok", CLASSIC, [OK]).outcome, "ok");
    assert.equal(endOf("ok", CLASSIC, [okPacket(MORE)]).outcome, "ok");
    assert.equal(endOf("ok", CLASSIC, [ERR]).outcome, "err");
    assertViolation("ok", CLASSIC, [hex("fe00000200")], /instead of an OK_Packet/);
    assertViolation("ok", CLASSIC, [columnCount(1)], /instead of an OK_Packet/);
  });

  it("ends COM_SET_OPTION with an EOF_Packet or an OK_Packet", () => {
    assert.equal(endOf("eof", CLASSIC, [hex("fe00000200")]).statusFlags, 2);
    assert.equal(endOf("eof", MODERN, [hex("fe000002000000")]).statusFlags, 2);
    assert.equal(endOf("eof", MODERN, [hex("fe00000200")]).statusFlags, 2);
    assert.equal(endOf("eof", CLASSIC, [OK]).outcome, "ok");
    assert.equal(endOf("eof", CLASSIC, [ERR]).outcome, "err");
  });

  it("takes whatever COM_STATISTICS says", () => {
    assert.equal(endOf("statistics", CLASSIC, [ascii("Uptime: 7  Threads: 1")]).outcome, "text");
    assert.equal(endOf("statistics", CLASSIC, [hex("")]).outcome, "text");
    assert.equal(endOf("statistics", CLASSIC, [ERR]).outcome, "err");
    assert.equal(endOf("statistics", CLASSIC, [hex("fe00000200")]).outcome, "text");
  });

  it("reads the columns of a COM_FIELD_LIST without a count", () => {
    for (const capabilities of BOTH) {
      for (const columns of [0, 1, 300]) {
        const definitions = Array.from({ length: columns }, () => DEFINITION);
        const end = endOf("field-list", capabilities, [...definitions, eof(capabilities, MORE)]);
        assert.equal(end.outcome, "ok");
        assert.equal(end.rows, 0);
      }
      assert.equal(endOf("field-list", capabilities, [ERR]).outcome, "err");
    }
  });

  it("reads result sets whose definitions are left out", () => {
    const mysql = (capabilities: Capabilities): Capabilities => ({
      ...capabilities,
      flags: capabilities.flags | CLIENT_OPTIONAL_RESULTSET_METADATA,
    });
    const mariadb = (capabilities: Capabilities): Capabilities => ({
      ...capabilities,
      mariadb: MARIADB_CLIENT_CACHE_METADATA,
    });
    for (const base of BOTH) {
      for (const [capabilities, shape] of [
        [mysql(base), "query"],
        [mysql(base), "execute"],
        [mariadb(base), "execute"],
      ] as const) {
        const row = shape === "query" ? hex("fbfb") : hex("0000");
        const without = [hex("02 00"), ...definitionsEnd(capabilities), row, eof(capabilities)];
        assert.equal(endOf(shape, capabilities, without).rows, 1);
        const full = [hex("02 01"), DEFINITION, DEFINITION, ...definitionsEnd(capabilities), row, eof(capabilities)];
        assert.equal(endOf(shape, capabilities, full).rows, 1);
        assertViolation(shape, capabilities, [hex("02")]);
      }
    }
    assertViolation("query", CLASSIC, [hex("02 01")], /unexpected/);
  });

  it("passes over MariaDB's progress reports where they are agreed", () => {
    const progress = hex("ffffff 01 01 02 102700 05 436f707973");
    const agreed: Capabilities = { ...CLASSIC, mariadb: MARIADB_CLIENT_PROGRESS };
    const end = endOf("query", agreed, [progress, progress, OK]);
    assert.equal(end.outcome, "ok");
    assert.equal(end.errorNumber, undefined);
    const within = resultSet(agreed, 1, [hex("fb")]);
    assert.equal(endOf("query", agreed, [...within.slice(0, 3), progress, ...within.slice(3)]).rows, 1);
    assert.equal(endOf("query", CLASSIC, [progress]).outcome, "err");
  });
});

describe("ResponseTracker on a backend that breaks the protocol", () => {
  it("refuses sequence ids that do not continue", () => {
    const whole = resultSet(CLASSIC, 1, [hex("fb"), hex("fb")]);
    const packets = whole.map((payload, index) => encodePacket(payload, index + 1));
    for (let wrong = 0; wrong < packets.length; wrong++) {
      const bytes = join(
        ...packets.map((packet, index) => (index === wrong ? encodePacket(whole[index] ?? OK, index + 2) : packet)),
      );
      for (const chunkBytes of [bytes.length, 1]) {
        assert.throws(() => track("query", CLASSIC, bytes, chunkBytes), /expected sequence id/, `packet ${wrong}`);
      }
    }
    const fragments = join(
      hex("01000001 01"),
      encodePacket(DEFINITION, 2),
      encodePacket(eof(CLASSIC), 3),
      hex("ffffff04"),
      new Uint8Array(FULL),
      hex("00000004"),
    );
    assert.throws(() => track("query", CLASSIC, fragments), /expected sequence id 5, got 4/);
  });

  it("refuses counts that lie", () => {
    assertViolation("query", CLASSIC, [hex("fe0000000100000000")], /column count is 16777216/);
    assertViolation("query", CLASSIC, [hex("feffffffffffffffff")], /column count/);
    assertViolation("query", CLASSIC, [hex("fc0000")], /without columns/);
    assertViolation("query", CLASSIC, [hex("01 02")], /unexpected/);
    assertViolation("query", CLASSIC, [hex("fc01")], /expected 2 bytes/);
    // Fewer definitions than announced: the EOF_Packet comes too early.
    assertViolation("query", CLASSIC, [columnCount(2), DEFINITION, eof(CLASSIC)], /instead of a column definition/);
    // More definitions than announced: the next one stands where the EOF_Packet is due.
    assertViolation("query", CLASSIC, [columnCount(1), DEFINITION, DEFINITION], /instead of the EOF_Packet/);
  });

  it("refuses packets that no state expects", () => {
    assertViolation("query", CLASSIC, [hex("")], /empty packet/);
    assertViolation("query", CLASSIC, [columnCount(1), hex("")], /empty packet/);
    assertViolation("query", CLASSIC, [...resultSet(CLASSIC, 1, []).slice(0, -1), hex("")], /empty packet/);
    assertViolation("query", CLASSIC, [hex("fe00000200")]);
    assertViolation("query", CLASSIC, [columnCount(1), hex("fb")], /instead of a column definition/);
    assertViolation("execute", CLASSIC, [columnCount(1), DEFINITION, eof(CLASSIC), hex("05")], /instead of a row/);
    assertViolation("fetch", CLASSIC, [hex("01")], /instead of a row/);
    assertViolation("query", CLASSIC, [columnCount(1), DEFINITION, hex("fe0000")], /expected 2 bytes/);
    assertViolation(
      "query",
      CLASSIC,
      [...resultSet(CLASSIC, 1, []).slice(0, -1), hex("fe0000020000")],
      /EOF_Packet has 5 bytes/,
    );
    assertViolation("prepare", CLASSIC, [hex("0001000000")]);
    assertViolation("prepare", CLASSIC, [hex("01")], /expected 0/);
    assertViolation("query", CLASSIC, [hex("00 00")]);
  });

  it("refuses a first packet of 16 MiB", () => {
    const bytes = join(hex("ffffff01 03"), new Uint8Array(100));
    assert.throws(() => track("query", CLASSIC, bytes), /at most 1048576/);
  });

  it("says that the backend did it, and nothing of what it said", () => {
    try {
      track("query", CLASSIC, wire([join(hex("fe"), ascii("secret"))]));
      assert.fail("not refused");
    } catch (thrown) {
      assert.ok(thrown instanceof QuerycopError);
      assert.equal(thrown.origin, "backend");
      assert.ok(!thrown.message.includes("secret"));
    }
  });

  it("leaves what stands behind the end to the caller", () => {
    const bytes = join(wire([OK]), wire([OK]));
    const tracker = new ResponseTracker({ shape: "query", capabilities: CLASSIC });
    assert.equal(tracker.feed(bytes), 11);
    assert.equal(tracker.end?.bytes, 11);
    assert.equal(tracker.feed(bytes), 0);
    assert.equal(tracker.bytes, 11);
  });
});

describe("packetBoundary", () => {
  it("tells where another packet could be put", () => {
    const bytes = wire(resultSet(CLASSIC, 1, [hex("fb"), hex("fb")]));
    // Headers at 0 5 31 40 45 50, the end at 59.
    const tracker = new ResponseTracker({ shape: "query", capabilities: CLASSIC });
    assert.equal(tracker.packetBoundary, 0);
    assert.equal(tracker.lastSequenceId, 0);
    const sizeOfDefinition = DEFINITION.length + 4;
    tracker.feed(bytes.subarray(0, 3));
    assert.equal(tracker.packetBoundary, 0);
    tracker.feed(bytes.subarray(3, 4));
    assert.equal(tracker.packetBoundary, undefined);
    tracker.feed(bytes.subarray(4, 5 + sizeOfDefinition + 2));
    assert.equal(tracker.packetBoundary, 1 + sizeOfDefinition);
    assert.equal(tracker.lastSequenceId, 2);
    tracker.feed(bytes.subarray(5 + sizeOfDefinition + 2, 5 + sizeOfDefinition + 9 + 5));
    assert.equal(tracker.packetBoundary, 12);
    assert.equal(tracker.lastSequenceId, 4);
    assert.equal(tracker.rows, 1);
    tracker.feed(bytes.subarray(5 + sizeOfDefinition + 9 + 5));
    assert.equal(tracker.packetBoundary, 14);
    assert.equal(tracker.end?.lastSequenceId, 6);
  });

  it("is not between the fragments of one packet", () => {
    const bytes = wire(resultSet(MODERN, 1, [new Uint8Array(FULL + 1).fill(1)]));
    const tracker = new ResponseTracker({ shape: "query", capabilities: MODERN });
    const rowAt = 5 + DEFINITION.length + 4;
    tracker.feed(bytes.subarray(0, rowAt + 4 + FULL));
    assert.equal(tracker.packetBoundary, rowAt);
    tracker.feed(bytes.subarray(rowAt + 4 + FULL, rowAt + 4 + FULL + 2));
    assert.equal(tracker.packetBoundary, undefined);
    tracker.feed(bytes.subarray(rowAt + 4 + FULL + 2));
    assert.ok(tracker.end !== undefined);
  });

  it("lets a result be cut off with an ERR_Packet that another tracker understands", () => {
    const bytes = wire(
      resultSet(
        CLASSIC,
        1,
        Array.from({ length: 300 }, () => ascii("\u0003abc")),
      ),
    );
    for (const chunkBytes of [1, 13, 64, 500]) {
      const tracker = new ResponseTracker({ shape: "query", capabilities: CLASSIC });
      const sent: Uint8Array[] = [];
      for (let at = 0; tracker.rows < 150; at += chunkBytes) {
        const chunk = bytes.subarray(at, at + chunkBytes);
        tracker.feed(chunk);
        const isCut = tracker.rows >= 150;
        sent.push(isCut ? chunk.subarray(0, tracker.packetBoundary ?? 0) : chunk);
      }
      const error = encodePacket(ERR, (tracker.lastSequenceId + 1) & 0xff);
      const { end } = track("query", CLASSIC, join(...sent, error));
      assert.equal(end?.outcome, "err");
      assert.equal(end?.rows, tracker.rows);
    }
  });
});

interface Script {
  readonly shape: ResponseShape;
  readonly capabilities: Capabilities;
  readonly payloads: readonly Uint8Array[];
  readonly rows: number;
  readonly resultSets: number;
  readonly isErr: boolean;
}

/** Random whole responses, and what they hold. */
const scripts: fc.Arbitrary<Script> = fc
  .record({
    isBinary: fc.boolean(),
    flags: fc.constantFrom(0, CLIENT_DEPRECATE_EOF, CLIENT_SESSION_TRACK, CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK),
    results: fc.array(
      fc.oneof(
        fc.record({
          columns: fc.integer({ min: 1, max: 5 }),
          rows: fc.array(fc.uint8Array({ minLength: 1, maxLength: 30 }), { maxLength: 20 }),
        }),
        fc.constant(undefined),
      ),
      { minLength: 1, maxLength: 4 },
    ),
    isErr: fc.boolean(),
  })
  .map(({ isBinary, flags, results, isErr }) => {
    const capabilities: Capabilities = { flags: CLIENT_PROTOCOL_41 | flags, mariadb: 0 };
    const payloads: Uint8Array[] = [];
    let rows = 0;
    let resultSets = 0;
    results.forEach((result, index) => {
      const status = 2 | (isErr || index < results.length - 1 ? MORE : 0);
      if (result === undefined) {
        payloads.push(okPacket(status));
        return;
      }
      const legal = result.rows.map((row) => {
        const copy = row.slice();
        copy[0] = isBinary ? 0 : (copy[0] as number) % 0xfe;
        return copy;
      });
      payloads.push(...resultSet(capabilities, result.columns, legal, status));
      rows += legal.length;
      resultSets++;
    });
    if (isErr) payloads.push(ERR);
    return { shape: isBinary ? "execute" : "query", capabilities, payloads, rows, resultSets, isErr };
  });

describe("ResponseTracker on random responses", () => {
  it("ends with the last packet, in any chunks", () => {
    fc.assert(
      fc.property(
        scripts,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }),
        (script, sizes) => {
          const bytes = wire(script.payloads);
          const tracker = new ResponseTracker({ shape: script.shape, capabilities: script.capabilities });
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            assert.equal(tracker.end, undefined);
            const chunk = bytes.subarray(at, at + (sizes[turn % sizes.length] ?? 1));
            assert.equal(tracker.feed(chunk), chunk.length);
            at += chunk.length;
          }
          const { end } = tracker;
          assert.ok(end !== undefined);
          assert.equal(end.outcome, script.isErr ? "err" : "ok");
          assert.equal(end.rows, script.rows);
          assert.equal(end.resultSets, script.resultSets);
          assert.equal(end.bytes, bytes.length);
          assert.equal(end.lastSequenceId, script.payloads.length & 0xff);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("reads mutated responses the same in one chunk and byte by byte", () => {
    const mutation = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 3 });
    const outcomeOf = (script: Script, bytes: Uint8Array, chunkBytes: number): string => {
      try {
        const { end, consumed, tracker } = track(script.shape, script.capabilities, bytes, chunkBytes);
        return `${end?.outcome} ${consumed} ${tracker.rows} ${tracker.lastSequenceId}`;
      } catch (thrown) {
        assert.ok(thrown instanceof QuerycopError);
        assert.equal(thrown.code, "QC_BACKEND_PROTOCOL");
        return thrown.message.replace(/at offset \d+/g, "");
      }
    };
    fc.assert(
      fc.property(scripts, mutation, (script, changes) => {
        const bytes = wire(script.payloads);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const whole = outcomeOf(script, bytes, bytes.length);
        assert.equal(outcomeOf(script, bytes, 1), whole);
        assert.equal(outcomeOf(script, bytes, 7), whole);
      }),
      { numRuns: 2000 },
    );
  });

  it("answers arbitrary bytes with an end, a wait or QC_BACKEND_PROTOCOL", () => {
    const shape = fc.constantFrom<ResponseShape>(
      "query",
      "result-set",
      "execute",
      "fetch",
      "prepare",
      "field-list",
      "statistics",
      "eof",
      "ok",
    );
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.constantFrom(OK, ERR, DEFINITION, hex("01"), hex("fe00000200"), hex("0000")),
    );
    fc.assert(
      fc.property(
        shape,
        fc.constantFrom(...BOTH),
        fc.array(payload, { maxLength: 12 }),
        (anyShape, capabilities, payloads) => {
          try {
            track(anyShape, capabilities, wire(payloads), 5);
          } catch (thrown) {
            assert.ok(thrown instanceof QuerycopError);
            assert.equal(thrown.code, "QC_BACKEND_PROTOCOL");
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe("a response that continues another sequence", () => {
  it("begins with the sequence id it is told", () => {
    const tracker = new ResponseTracker({ shape: "ok", capabilities: CLASSIC, sequenceId: 0 });
    tracker.feed(wire([OK], 0));
    assert.equal(tracker.end?.lastSequenceId, 0);
    const other = new ResponseTracker({ shape: "ok", capabilities: CLASSIC, sequenceId: 3 });
    assert.equal(other.lastSequenceId, 2);
    assert.throws(() => other.feed(wire([OK], 1)), /expected sequence id 3, got 1/);
    assert.equal(toHex(OK), "00000002000000");
  });
});
