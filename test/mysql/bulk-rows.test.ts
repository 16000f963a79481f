import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ByteWriter, MalformedPacketError } from "../../src/base/bytes.ts";
import { parameterTypeCode } from "../../src/mysql/binary-value.ts";
import { type BulkContext, decodeBulkRows } from "../../src/mysql/bulk-rows.ts";
import {
  MYSQL_TYPE_DATETIME,
  MYSQL_TYPE_DOUBLE,
  MYSQL_TYPE_LONG,
  MYSQL_TYPE_LONGLONG,
  MYSQL_TYPE_TIME,
  MYSQL_TYPE_TINY,
  MYSQL_TYPE_VAR_STRING,
  MYSQL_TYPE_YEAR,
} from "../../src/mysql/constants.ts";
import { randomFrom } from "../support/random.ts";

const TYPES_SENT = 0x80;
const VALUE = 0;
const NULL = 1;
const DEFAULT = 2;
const IGNORE = 3;

const long = { type: MYSQL_TYPE_LONG, isUnsigned: false };
const text = { type: MYSQL_TYPE_VAR_STRING, isUnsigned: false };

function bulk(
  types: readonly { type: number; isUnsigned: boolean }[],
  write: (writer: ByteWriter) => void,
): Uint8Array {
  const writer = new ByteWriter(64);
  for (const type of types) writer.uint16(parameterTypeCode(type));
  write(writer);
  return writer.finish();
}

function rowsOf(bytes: Uint8Array, context: BulkContext): unknown[] {
  const rows = decodeBulkRows(bytes, context);
  const values = [...rows.values()].map((row) =>
    row.map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value)),
  );
  assert.equal(values.length, rows.count);
  return values;
}

describe("decodeBulkRows()", () => {
  it("reads values, NULLs, defaults and columns left alone, row by row", () => {
    const bytes = bulk([long, text], (writer) => {
      writer.uint8(VALUE).uint32(7).uint8(VALUE).lenencBytes(Buffer.from("seven"));
      writer.uint8(NULL).uint8(DEFAULT);
      writer.uint8(IGNORE).uint8(VALUE).lenencBytes(new Uint8Array(0));
    });
    const rows = rowsOf(bytes, { parameters: 2, bulkFlags: TYPES_SENT });
    assert.deepEqual(rows, [
      [7, "seven"],
      [null, undefined],
      [undefined, ""],
    ]);
  });

  it("repeats the types sent before where the packet has none", () => {
    const bytes = bulk([], (writer) => writer.uint8(VALUE).uint32(7).uint8(VALUE).uint32(8));
    assert.deepEqual(rowsOf(bytes, { parameters: 1, bulkFlags: 0, previousTypes: [long] }), [[7], [8]]);
    assert.throws(() => decodeBulkRows(bytes, { parameters: 1, bulkFlags: 0 }), /left out/);
  });

  const whole = bulk([long, text], (writer) =>
    writer.uint8(VALUE).uint32(7).uint8(VALUE).lenencBytes(Buffer.from("x")),
  );
  const refusals: readonly [what: string, bytes: Uint8Array, parameters: number, flags: number][] = [
    ["a flag that no server knows", whole, 2, TYPES_SENT | 0x100],
    ["a statement without parameters", whole, 0, TYPES_SENT],
    ["no row", whole.subarray(0, 4), 2, TYPES_SENT],
    ["types cut short", whole.subarray(0, 3), 2, TYPES_SENT],
    ["an indicator that no server knows", bulk([long], (writer) => writer.uint8(4)), 1, TYPES_SENT],
    [
      "a type that servers read in two ways",
      bulk([{ ...long, type: MYSQL_TYPE_YEAR }], (w) => w.uint8(0).uint16(1)),
      1,
      TYPES_SENT,
    ],
    ["a length longer than it need be", bulk([text], (w) => w.uint8(0).uint8(0xfc).uint16(1).uint8(65)), 1, TYPES_SENT],
  ];
  for (const [what, bytes, parameters, bulkFlags] of refusals) {
    it(`refuses ${what}`, () => {
      assert.throws(() => decodeBulkRows(bytes, { parameters, bulkFlags }), MalformedPacketError);
    });
  }

  it("refuses a packet that ends anywhere inside a row", () => {
    for (let length = 5; length < whole.length; length++) {
      assert.throws(
        () => decodeBulkRows(whole.subarray(0, length), { parameters: 2, bulkFlags: TYPES_SENT }),
        MalformedPacketError,
      );
    }
  });

  it("counts the rows that it reads, whatever is in them", () => {
    const next = randomFrom(7);
    const random = (below: number): number => Math.floor(next() * below);
    const types = [
      MYSQL_TYPE_TINY,
      MYSQL_TYPE_LONGLONG,
      MYSQL_TYPE_DOUBLE,
      MYSQL_TYPE_DATETIME,
      MYSQL_TYPE_TIME,
      MYSQL_TYPE_VAR_STRING,
    ].map((type) => ({ type, isUnsigned: false }));
    for (let round = 0; round < 200; round++) {
      const bytes = bulk(types, (writer) => {
        for (let left = random(120); left >= 0; left--) writer.uint8(random(3) === 0 ? random(256) : random(2));
      });
      try {
        rowsOf(bytes, { parameters: types.length, bulkFlags: TYPES_SENT });
      } catch (thrown) {
        assert.ok(thrown instanceof MalformedPacketError);
      }
    }
  });
});
