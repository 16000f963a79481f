import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { ClientMessageError, sqlStateOf } from "../../src/postgres/error-states.ts";
import {
  decodeFrontendMessage,
  encodeFrontendMessage,
  FRONTEND_MESSAGES,
  type FrontendMessage,
  type TextEncoding,
} from "../../src/postgres/frontend-message.ts";
import { typeByte } from "../../src/postgres/message.ts";
import { encodePoisoned, type Refusable } from "../../src/postgres/poison.ts";
import { hex, join } from "../support/hex.ts";

const body = (wire: Uint8Array): Uint8Array => wire.subarray(5);
const decode = (type: string, bytes: Uint8Array, encoding: TextEncoding = "UTF8"): FrontendMessage =>
  decodeFrontendMessage(typeByte(type), bytes, encoding);

function refused(state: string, type: string, bytes: Uint8Array, encoding: TextEncoding = "UTF8"): void {
  assert.throws(
    () => decode(type, bytes, encoding),
    (error) => {
      assert.ok(error instanceof ClientMessageError, String(error));
      assert.equal(sqlStateOf(error), state, error.message);
      return true;
    },
    `${type} ${Buffer.from(bytes).toString("hex")}`,
  );
}

const name = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => {
  const bytes = encodeUtf8(text);
  return !bytes.includes(0) && bytes.length < 64 && text.isWellFormed();
});
const text = name.map(encodeUtf8);
const value = fc.option(fc.uint8Array({ maxLength: 40 }));
const format = fc.integer({ min: 0, max: 1 });
const oid = fc.integer({ min: 0, max: 0xffffffff });
const target = fc.constantFrom("statement" as const, "portal" as const);
/** As many codes as values, one for all, or none. */
const valued = fc.array(value, { maxLength: 6 }).chain((values) => {
  const all = fc.array(format, { minLength: values.length, maxLength: values.length });
  return fc.record({ values: fc.constant(values), formats: fc.oneof(fc.constant([]), fc.tuple(format), all) });
});
const bind = fc
  .record({ portal: name, statement: name, valued, resultFormats: fc.array(format, { maxLength: 4 }) })
  .map(({ portal, statement, valued: { values, formats }, resultFormats }) => ({
    name: "Bind" as const,
    portal,
    statement,
    parameterFormats: formats,
    values,
    resultFormats,
  }));
const functionCall = fc
  .record({ functionOid: oid, valued, resultFormat: format })
  .map(({ functionOid, valued: { values, formats }, resultFormat }) => ({
    name: "FunctionCall" as const,
    functionOid,
    argumentFormats: formats,
    values,
    resultFormat,
  }));
const ANY_MESSAGE: fc.Arbitrary<FrontendMessage> = fc.oneof(
  fc.record({ name: fc.constant("Query" as const), sql: text }),
  fc.record({ name: fc.constant("Parse" as const), statement: name, sql: text, parameterTypes: fc.array(oid) }),
  bind,
  fc.record({ name: fc.constantFrom("Describe" as const, "Close" as const), target, of: name }),
  fc.record({ name: fc.constant("Execute" as const), portal: name, rowsMax: fc.nat() }),
  functionCall,
  fc.record({
    name: fc.constantFrom("CopyData" as const, "AuthenticationResponse" as const),
    data: fc.uint8Array({ maxLength: 60 }),
  }),
  fc.record({ name: fc.constant("CopyFail" as const), reason: text }),
  fc.record({ name: fc.constantFrom("Flush" as const, "Sync" as const, "CopyDone" as const, "Terminate" as const) }),
);

// Records of fast-check have no prototype, which strict equality sees.
const MESSAGES = ANY_MESSAGE.map((message): FrontendMessage => ({ ...message }));

describe("frontend messages", () => {
  it("come back from their bytes as they were", () => {
    fc.assert(
      fc.property(MESSAGES, (message) => {
        const wire = encodeFrontendMessage(message);
        assert.equal(new DataView(wire.buffer, wire.byteOffset).getInt32(1), wire.length - 1);
        const row = FRONTEND_MESSAGES[wire[0] as number];
        assert.equal(row?.name, message.name);
        assert.deepEqual(decodeFrontendMessage(wire[0] as number, body(wire), "UTF8"), message);
      }),
      { numRuns: 2000 },
    );
  });

  it("are refused when they are one byte longer, or shorter where that is missed", () => {
    fc.assert(
      fc.property(MESSAGES, (message) => {
        if (message.name === "CopyData" || message.name === "AuthenticationResponse") return;
        const wire = encodeFrontendMessage(message);
        const type = String.fromCharCode(wire[0] as number);
        refused("08P01", type, join(body(wire), new Uint8Array(1)));
        for (let end = 0; end < wire.length - 5; end++) refused("08P01", type, body(wire).subarray(0, end));
      }),
      { numRuns: 300 },
    );
  });

  it("have each a row with what a server allows for it", () => {
    const rows = FRONTEND_MESSAGES.filter((row) => row !== undefined);
    assert.equal(rows.map(({ type }) => type).join(""), "BCDEFHPQSXcdfp");
    const large = rows.filter(({ lengthMax }) => lengthMax > 1_000_000).map(({ name: of }) => of);
    assert.deepEqual(large, ["Bind", "FunctionCall", "Parse", "Query", "CopyData"]);
    const judged = rows.filter(({ disposition }) => disposition === "judge").map(({ name: of }) => of);
    assert.deepEqual(judged, ["Bind", "Execute", "Parse", "Query"]);
    const refusedRows = rows.filter(({ disposition }) => disposition === "refuse").map(({ name: of }) => of);
    assert.deepEqual(refusedRows, ["FunctionCall"]);
  });
});

describe("decodeFrontendMessage()", () => {
  it("refuses a Query with a NUL inside, without one at its end, and with text that is no UTF-8", () => {
    refused("08P01", "Q", hex("73 00 74 00"));
    refused("08P01", "Q", hex("73 74"));
    refused("08P01", "Q", hex(""));
    refused("22021", "Q", hex("c3 28 00"));
    // Overlong, a surrogate, above U+10FFFF.
    refused("22021", "Q", hex("c0 af 00"));
    refused("22021", "Q", hex("ed a0 80 00"));
    refused("22021", "Q", hex("f4 90 80 80 00"));
    assert.deepEqual(decode("Q", hex("c3 28 00"), "other"), { name: "Query", sql: hex("c3 28") });
  });

  it("refuses a Parse whose types are more than there are", () => {
    refused("08P01", "P", hex("00 73 00 00 02 00 00 00 01"));
    refused("08P01", "P", hex("00 73 00 ff ff"));
    refused("22021", "P", hex("00 ff 00 00 00"));
    refused("22021", "P", hex("ff 00 73 00 00 00"), "other");
  });

  it("refuses a Bind whose counts, lengths and formats do not add up", () => {
    const head = hex("00 00");
    // Two formats for one value; a format that is neither text nor binary; lengths below -1 and beyond the end.
    refused("08P01", "B", join(head, hex("0002 0000 0001 0001 ffffffff 0000")));
    refused("08P01", "B", join(head, hex("0001 0002 0000 0000")));
    refused("08P01", "B", join(head, hex("0000 0001 fffffffe 0000")));
    refused("08P01", "B", join(head, hex("0000 0001 80000000 0000")));
    refused("08P01", "B", join(head, hex("0000 0001 00000009 61 0000")));
    refused("08P01", "B", join(head, hex("0000 ffff")));
    refused("08P01", "B", join(head, hex("0000 0000 0001 0007")));
  });

  it("reads 65,535 values, which a count of 16 bits without a sign can say", () => {
    const values = Array.from({ length: 65_535 }, () => null);
    const message = {
      name: "Bind",
      portal: "",
      statement: "s",
      parameterFormats: [],
      values,
      resultFormats: [],
    } as const;
    assert.deepEqual(decode("B", body(encodeFrontendMessage(message))), message);
    assert.throws(() => encodeFrontendMessage({ ...message, values: [...values, null] }), RangeError);
  });

  it("refuses Describe and Close of anything but statements and portals", () => {
    for (const type of ["D", "C"]) {
      refused("08P01", type, hex("58 61 00"));
      refused("08P01", type, hex(""));
      refused("08P01", type, hex("53 61"));
    }
  });

  it("refuses names that a server would not tell from others", () => {
    const long = join(encodeUtf8("n".repeat(64)), hex("00"));
    refused("42622", "E", join(long, hex("00000000")));
    refused("42622", "D", join(hex("53"), long));
    refused("42622", "P", join(long, hex("73 00 0000")));
    const message = { name: "Execute", portal: "n".repeat(63), rowsMax: 0 } as const;
    assert.deepEqual(decode("E", body(encodeFrontendMessage(message))), message);
  });

  it("takes a negative row limit for none, as servers do", () => {
    assert.deepEqual(decode("E", hex("00 ffffffff")), { name: "Execute", portal: "", rowsMax: 0 });
  });

  it("refuses types that no message has", () => {
    for (const type of ["\0", "A", "R", "Z", "q", "\xff"]) refused("08P01", type, hex(""));
  });
});

describe("encodePoisoned()", () => {
  const bindMessage = {
    name: "Bind",
    portal: "p",
    statement: "s",
    parameterFormats: [],
    values: [encodeUtf8("1")],
    resultFormats: [],
  } as const;

  it("keeps the kind of the message and takes nothing of a reference but plain characters", () => {
    const messages: Refusable[] = [
      { name: "Query", sql: encodeUtf8("DROP TABLE t") },
      { name: "Parse", statement: "s", sql: encodeUtf8("DROP TABLE t"), parameterTypes: [23] },
      bindMessage,
      { name: "Execute", portal: "p", rowsMax: 5 },
      { name: "FunctionCall", functionOid: 2624, argumentFormats: [], values: [encodeUtf8("x")], resultFormat: 0 },
    ];
    for (const message of messages) {
      const wire = encodePoisoned(message, "d-1; DROP\0TABLE é");
      assert.equal(FRONTEND_MESSAGES[wire[0] as number]?.name, message.name);
      assert.equal(new DataView(wire.buffer, wire.byteOffset).getInt32(1), wire.length - 1);
      if (message.name === "Query" || message.name === "Parse") {
        const poisoned = decodeFrontendMessage(wire[0] as number, body(wire), "UTF8");
        assert.deepEqual("sql" in poisoned && Buffer.from(poisoned.sql).toString(), "!d-1DROPTABLE");
      }
    }
  });

  it("makes a Bind and an Execute that are refused by their layout alone", () => {
    refused("08P01", "B", body(encodePoisoned(bindMessage)));
    refused("08P01", "E", body(encodePoisoned({ name: "Execute", portal: "p", rowsMax: 0 })));
  });
});
