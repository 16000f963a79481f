import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MalformedPacketError } from "../../src/base/bytes.ts";
import {
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  CLIENT_PROTOCOL_41,
  CLIENT_QUERY_ATTRIBUTES,
} from "../../src/mysql/constants.ts";
import {
  decodeBoundParameters,
  decodeStmtPrepareOk,
  type ExecuteContext,
  encodeStmtPrepareOk,
  PARAMETER_COUNT_AVAILABLE,
} from "../../src/mysql/prepared-statement.ts";
import { ascii, hex, toHex } from "../support/hex.ts";

const context = (parameters: number, changes: Partial<ExecuteContext> = {}): ExecuteContext => ({
  parameters,
  capabilityFlags: CLIENT_PROTOCOL_41,
  executeFlags: 0,
  ...changes,
});
const NAMED = { capabilityFlags: CLIENT_PROTOCOL_41 | CLIENT_QUERY_ATTRIBUTES };

const valuesOf = (text: string, executeContext: ExecuteContext): unknown[] =>
  decodeBoundParameters(hex(text), executeContext).map(({ value }) =>
    value instanceof Uint8Array ? toHex(value) : value,
  );

/** One parameter of a type. */
const oneValue = (type: string, value: string): unknown => valuesOf(`00 01 ${type} ${value}`, context(1))[0];

describe("COM_STMT_PREPARE_OK", () => {
  it("is read with and without the metadata flag", () => {
    const prepared = { statementId: 1, columns: 2, parameters: 3, warnings: 4, hasDefinitions: true };
    assert.deepEqual(decodeStmtPrepareOk(hex("00 01000000 0200 0300 00 0400"), CLIENT_PROTOCOL_41), prepared);
    const flags = CLIENT_PROTOCOL_41 | CLIENT_OPTIONAL_RESULTSET_METADATA;
    assert.deepEqual(decodeStmtPrepareOk(hex("00 01000000 0200 0300 00 0400 01"), flags), prepared);
    assert.ok(!decodeStmtPrepareOk(hex("00 01000000 0200 0300 00 0400 00"), flags).hasDefinitions);
  });

  it("round-trips", () => {
    for (const flags of [CLIENT_PROTOCOL_41, CLIENT_PROTOCOL_41 | CLIENT_OPTIONAL_RESULTSET_METADATA]) {
      const prepared = {
        statementId: 0xffffffff,
        columns: 65535,
        parameters: 65535,
        warnings: 9,
        hasDefinitions: true,
      };
      assert.deepEqual(decodeStmtPrepareOk(encodeStmtPrepareOk(prepared, flags), flags), prepared);
    }
  });

  it("is refused when short or of another kind", () => {
    assert.throws(() => decodeStmtPrepareOk(hex("00 01000000 0200 0300 00 04"), 0), MalformedPacketError);
    assert.throws(() => decodeStmtPrepareOk(hex("fe 01000000 0200 0300 00 0400"), 0), /expected 0/);
  });
});

describe("decodeBoundParameters()", () => {
  it("reads nothing for a statement without parameters", () => {
    assert.deepEqual(decodeBoundParameters(hex(""), context(0)), []);
  });

  it("reads integers by width and sign", () => {
    assert.equal(oneValue("0100", "ff"), -1);
    assert.equal(oneValue("0180", "ff"), 255);
    assert.equal(oneValue("0200", "0080"), -32768);
    assert.equal(oneValue("0280", "0080"), 32768);
    assert.equal(oneValue("0300", "ffffffff"), -1);
    assert.equal(oneValue("0380", "ffffffff"), 4294967295);
    assert.equal(oneValue("0800", "ffffffffffffffff"), -1n);
    assert.equal(oneValue("0880", "ffffffffffffffff"), 2n ** 64n - 1n);
    assert.equal(oneValue("0100", "7f"), 127);
  });

  it("reads floating point, text, decimals and binary values", () => {
    assert.equal(oneValue("0400", "0000c03f"), 1.5);
    assert.equal(oneValue("0500", "6666666666662440"), 10.2);
    assert.equal(oneValue("fd00", "03 666f6f"), "666f6f");
    assert.equal(oneValue("f600", "04 2d312e35"), toHex(ascii("-1.5")));
    assert.equal(oneValue("fc00", `fc0001 ${"00".repeat(256)}`), "00".repeat(256));
    assert.equal(oneValue("fe00", "00"), "");
    assert.equal(oneValue("f500", "02 7b7d"), "7b7d");
  });

  it("reads temporal values of every length", () => {
    assert.equal(oneValue("0a00", "04 da07 0a 11"), "2010-10-17");
    assert.equal(oneValue("0a00", "00"), "0000-00-00");
    assert.equal(oneValue("0c00", "07 da07 0a 11 13 1b 1e"), "2010-10-17 19:27:30");
    assert.equal(oneValue("0700", "0b da07 0a 11 13 1b 1e 01000000"), "2010-10-17 19:27:30.000001");
    assert.equal(oneValue("0b00", "0c 01 78000000 13 1b 1e 01000000"), "-2899:27:30.000001");
    assert.equal(oneValue("0b00", "08 00 00000000 01 02 03"), "01:02:03");
    assert.equal(oneValue("0b00", "00"), "00:00:00");
  });

  it("reads NULL from the bitmap, beyond the first byte too", () => {
    const types = "0300".repeat(10);
    const expected = [7, ...Array.from({ length: 8 }, () => null), 9];
    assert.deepEqual(valuesOf(`fe01 01 ${types} 07000000 09000000`, context(10)), expected);
    assert.deepEqual(valuesOf("03 01 0600 0600", context(2)), [null, null]);
  });

  it("reads the types of an earlier execution when this one leaves them out", () => {
    const previousTypes = [
      { type: 3, isUnsigned: true },
      { type: 254, isUnsigned: false },
    ];
    assert.deepEqual(valuesOf("00 00 ffffffff 0141", context(2, { previousTypes })), [4294967295, "41"]);
    assert.throws(() => valuesOf("00 00 ffffffff 0141", context(2)), /parameter types are left out/);
    assert.throws(() => valuesOf("00 00 ff", context(3, { previousTypes })), /parameter types are left out/);
  });

  it("expects no value for a parameter sent as long data", () => {
    const executeContext = context(3, { longData: new Set([1]) });
    assert.deepEqual(valuesOf("00 01 0300 fc00 0300 01000000 02000000", executeContext), [1, "long-data", 2]);
    assert.deepEqual(valuesOf("02 01 0300 fc00 0300 01000000 02000000", executeContext), [1, "long-data", 2]);
  });

  it("reads names and query attributes behind the parameters", () => {
    const decoded = decodeBoundParameters(hex("02 00 01 0300 00 fe00 0161 07000000 0142"), context(1, NAMED));
    assert.deepEqual(decoded, [
      { type: 3, isUnsigned: false, name: "", value: 7 },
      { type: 254, isUnsigned: false, name: "a", value: hex("42") },
    ]);
    assert.throws(
      () => valuesOf("01 00 01 0300 00 07000000", context(2, NAMED)),
      /1 parameters for a statement that has 2/,
    );
  });

  it("reads attributes of a statement without parameters only when the flag says so", () => {
    const text = "01 00 01 fe00 0161 0142";
    assert.deepEqual(valuesOf(text, context(0, NAMED)), []);
    assert.deepEqual(valuesOf(text, context(0, { ...NAMED, executeFlags: PARAMETER_COUNT_AVAILABLE })), ["42"]);
    assert.deepEqual(valuesOf("00", context(0, { ...NAMED, executeFlags: PARAMETER_COUNT_AVAILABLE })), []);
    assert.deepEqual(valuesOf(text, context(0, { executeFlags: PARAMETER_COUNT_AVAILABLE })), []);
  });

  it("reads a datetime with its displacement from UTC", () => {
    const moment = "0d e407 01 02 03 04 05 06000000";
    assert.deepEqual(valuesOf(`00 01 0c00 ${moment} 4a01`, context(1)), ["2020-01-02 03:04:05.000006+05:30"]);
    assert.deepEqual(valuesOf(`00 01 0700 ${moment} c4ff`, context(1)), ["2020-01-02 03:04:05.000006-01:00"]);
    assert.deepEqual(valuesOf(`00 01 0c00 ${moment} 0000`, context(1)), ["2020-01-02 03:04:05.000006+00:00"]);
    assert.throws(
      () => valuesOf("00 01 0c00 0c e407 01 02 03 04 05 06000000 00", context(1)),
      /expected 0, 4, 7, 11 or 13/,
    );
  });

  it("refuses unknown types, cut values and counts that lie", () => {
    for (const text of [
      "",
      "00",
      "00 01",
      "00 01 03",
      "00 01 0300",
      "00 01 0300 070000",
      "00 01 6300 07",
      "00 01 fe00 05 41",
    ]) {
      assert.throws(() => valuesOf(text, context(1)), MalformedPacketError, text);
    }
    assert.throws(() => valuesOf(`${"00".repeat(8192)}01`, context(65535)), /65535 parameter types announced/);
    assert.throws(() => valuesOf("feffffffffffffffff", context(1, NAMED)), /at most 65535/);
  });

  it("answers arbitrary bytes with values or MalformedPacketError", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.nat(12),
        fc.boolean(),
        fc.nat(15),
        (bytes, parameters, isNamed, executeFlags) => {
          try {
            const decoded = decodeBoundParameters(
              bytes,
              context(parameters, { ...(isNamed ? NAMED : {}), executeFlags }),
            );
            assert.ok(decoded.length >= parameters);
          } catch (thrown) {
            assert.ok(thrown instanceof MalformedPacketError);
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});
