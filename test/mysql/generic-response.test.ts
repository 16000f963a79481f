import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ByteWriter, MalformedPacketError } from "../../src/base/bytes.ts";
import { CLIENT_DEPRECATE_EOF, CLIENT_PROTOCOL_41, CLIENT_SESSION_TRACK } from "../../src/mysql/constants.ts";
import {
  decodeEofPacket,
  decodeErrPacket,
  decodeOkPacket,
  ERROR_TEXT_BYTES_MAX,
  encodeEofPacket,
  encodeErrPacket,
  encodeOkPacket,
  encodeResultSetEnd,
  type OkPacket,
  type SessionState,
  sanitizeErrorText,
} from "../../src/mysql/generic-response.ts";
import { ascii, hex, join, toHex } from "../support/hex.ts";

const TRACK = CLIENT_PROTOCOL_41 | CLIENT_SESSION_TRACK;

const plainOk = (changes: Partial<OkPacket> = {}): OkPacket => ({
  header: 0,
  affectedRows: 0,
  lastInsertId: 0,
  statusFlags: 2,
  warnings: 0,
  info: hex(""),
  ...changes,
});

describe("decodeOkPacket()", () => {
  it("reads the shortest OK_Packet", () => {
    for (const flags of [CLIENT_PROTOCOL_41, TRACK]) {
      assert.deepEqual(decodeOkPacket(hex("00 00 00 0200 0000"), flags), plainOk());
    }
  });

  it("reads the header of a result set's end", () => {
    assert.equal(decodeOkPacket(hex("fe 00 00 2200 0100"), TRACK).header, 0xfe);
    assert.equal(decodeOkPacket(hex("fe 00 00 2200 0100"), TRACK).warnings, 1);
  });

  it("reads counts of every size, as bigint above 2^53", () => {
    const ok = decodeOkPacket(hex("00 fc2c01 feffffffffffffffff 0200 0000"), TRACK);
    assert.equal(ok.affectedRows, 300);
    assert.equal(ok.lastInsertId, 2n ** 64n - 1n);
  });

  it("reads info with its length, as servers send it whatever was agreed", () => {
    const payload = hex("00 01 00 0200 0000 03 414243");
    assert.equal(toHex(decodeOkPacket(payload, TRACK).info), "414243");
    assert.equal(toHex(decodeOkPacket(payload, CLIENT_PROTOCOL_41).info), "414243");
  });

  it("reads info without length where session tracking is not agreed, as the manual has it", () => {
    assert.equal(toHex(decodeOkPacket(hex("00 01 00 0200 0000 414243"), CLIENT_PROTOCOL_41).info), "414243");
  });

  it("reads the session state that a MySQL 9.7 sent for a SET", () => {
    // Captured: sql_mode, then statement_id, which that server reports with every statement.
    const state = "002a 0873716c5f6d6f6465 20 414e53495f51554f5445532c4e4f5f4241434b534c4153485f45534341504553";
    const payload = hex(`00 00 00 0242 0000 00 2c ${state}`);
    const ok = decodeOkPacket(payload, TRACK);
    assert.equal(ok.statusFlags, 0x4202);
    assert.deepEqual([...(ok.sessionState?.systemVariables ?? [])], [["sql_mode", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"]]);
  });

  it("reads every kind of session state and skips unknown ones", () => {
    const entries = [
      "00 0f 0a6175746f636f6d6d6974 034f4646", // autocommit=OFF
      "01 05 0474657374", // schema test
      "02 01 31", // state changed, as both servers send it
      "03 05 00 03 676964", // gtids
      "04 04 03 424547", // transaction characteristics
      "05 09 08 545f5f5f5f5f5f5f", // transaction state
      "7f 02 aabb",
    ].join("");
    const block = hex(entries);
    const payload = join(hex("00 00 00 0240 0000 00"), Uint8Array.of(block.length), block);
    assert.deepEqual(decodeOkPacket(payload, TRACK).sessionState, {
      systemVariables: new Map([["autocommit", "OFF"]]),
      schema: "test",
      isStateChanged: true,
      gtids: "gid",
      transactionCharacteristics: "BEG",
      transactionState: "T_______",
    });
  });

  it("reads several variables in one entry, as MariaDB sends them", () => {
    const payload = hex("00 00 00 0240 0000 00 0a 00 08 0161 0131 0162 0132");
    assert.deepEqual(
      [...(decodeOkPacket(payload, TRACK).sessionState?.systemVariables ?? [])],
      [
        ["a", "1"],
        ["b", "2"],
      ],
    );
  });

  it("reads no session state when the flag is set and nothing follows", () => {
    const ok = decodeOkPacket(hex("00 00 00 0240 0000 01 41"), TRACK);
    assert.equal(ok.sessionState, undefined);
  });

  it("refuses lengths that lie, at every cut", () => {
    const whole = hex("00 fc0100 00 0240 0000 03414243 0d 00 0b 056e616d6531 0476616c31");
    assert.equal(decodeOkPacket(whole, TRACK).sessionState?.systemVariables.get("name1"), "val1");
    for (let cut = 0; cut < whole.length; cut++) {
      // Two prefixes are whole packets by themselves: without info, and with info alone.
      if (cut === 9 || cut === 13) continue;
      assert.throws(() => decodeOkPacket(whole.subarray(0, cut), TRACK), MalformedPacketError, `cut at ${cut}`);
    }
    assert.throws(() => decodeOkPacket(hex("00 00 00 0240 0000 00 03 01 05 0474"), TRACK), MalformedPacketError);
    assert.throws(() => decodeOkPacket(hex("01 00 00 0200 0000"), TRACK), /first byte is 1/);
  });

  it("bounds the number of system variables", () => {
    const entries = new ByteWriter();
    for (let n = 0; n < 1100; n++) {
      const name = ascii(`v${n}`);
      entries.uint8(0).lenencBytes(join(Uint8Array.of(name.length), name, hex("00")));
    }
    const payload = new ByteWriter().bytes(hex("00 00 00 0240 0000 00")).lenencBytes(entries.finish()).finish();
    assert.throws(() => decodeOkPacket(payload, TRACK), /more than 1024 system variables/);
  });

  it("answers arbitrary bytes with a value or MalformedPacketError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(CLIENT_PROTOCOL_41, TRACK), (bytes, flags) => {
        for (const decode of [decodeOkPacket, decodeErrPacket, decodeEofPacket]) {
          for (const first of [bytes[0] ?? 0, 0x00, 0xfe, 0xff]) {
            const payload = bytes.slice();
            if (payload.length > 0) payload[0] = first;
            try {
              decode(payload, flags);
            } catch (thrown) {
              assert.ok(thrown instanceof MalformedPacketError);
            }
          }
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("encodeOkPacket()", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 20 });
  const sessionState: fc.Arbitrary<SessionState> = fc.record(
    {
      systemVariables: fc.array(fc.tuple(text, text), { maxLength: 4 }).map((entries) => new Map(entries)),
      schema: text,
      transactionState: text,
      transactionCharacteristics: text,
      gtids: text,
      isStateChanged: fc.boolean(),
    },
    { requiredKeys: ["systemVariables"], noNullPrototype: true },
  );
  const count = fc.oneof(
    fc.nat(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.constantFrom(250, 251, 65535, 65536, 0xffffff, 0x1000000),
  );

  it("round-trips with session tracking", () => {
    const okPacket = fc.record(
      {
        header: fc.constantFrom(0, 0xfe),
        affectedRows: count,
        lastInsertId: count,
        statusFlags: fc.nat(0xffff),
        warnings: fc.nat(0xffff),
        info: fc.uint8Array({ maxLength: 300 }),
        sessionState,
      },
      { requiredKeys: ["header", "affectedRows", "lastInsertId", "statusFlags", "warnings", "info"] },
    );
    fc.assert(
      fc.property(okPacket, (ok) => {
        const flag = ok.sessionState === undefined ? 0 : 0x4000;
        const expected = { ...ok, statusFlags: (ok.statusFlags & ~0x4000) | flag };
        assert.deepEqual(decodeOkPacket(encodeOkPacket(ok, TRACK), TRACK), { ...expected });
      }),
      { numRuns: 500 },
    );
  });

  it("leaves the session state out for a client that cannot read it", () => {
    const ok = plainOk({
      statusFlags: 0x4002,
      info: ascii("hi"),
      sessionState: { systemVariables: new Map([["a", "b"]]) },
    });
    assert.equal(toHex(encodeOkPacket(ok, CLIENT_PROTOCOL_41)), "0000000200000002" + "6869");
    assert.equal(toHex(encodeOkPacket(ok, TRACK)), "00000002400000" + "026869" + "06" + "0004" + "01610162");
  });
});

describe("decodeErrPacket()", () => {
  it("reads an error with SQLSTATE", () => {
    // The example of page_protocol_basic_err_packet.
    const payload = hex("ff 4804 23 4859303030 4e6f207461626c65732075736564");
    assert.deepEqual(decodeErrPacket(payload), { errorNumber: 1096, sqlState: "HY000", message: "No tables used" });
  });

  it("reads the error of a server that knows nothing of its client yet", () => {
    const payload = join(hex("ff 1004"), ascii("Too many connections"));
    assert.deepEqual(decodeErrPacket(payload), { errorNumber: 1040, message: "Too many connections" });
  });

  it("reads whatever is left of a short one", () => {
    assert.deepEqual(decodeErrPacket(hex("ff")), { errorNumber: 2000, message: "" });
    assert.deepEqual(decodeErrPacket(hex("ff10")), { errorNumber: 2000, message: "" });
    assert.deepEqual(decodeErrPacket(hex("ff1004")), { errorNumber: 1040, message: "" });
    assert.deepEqual(decodeErrPacket(hex("ff1004 23")), { errorNumber: 1040, message: "#" });
    assert.deepEqual(decodeErrPacket(hex("ff1004 23 48593030")), { errorNumber: 1040, message: "#HY00" });
    assert.deepEqual(decodeErrPacket(hex("ff1004 23 4859303030")), {
      errorNumber: 1040,
      sqlState: "HY000",
      message: "",
    });
    assert.throws(() => decodeErrPacket(hex("")), MalformedPacketError);
    assert.throws(() => decodeErrPacket(hex("00 1004")), /first byte is 0/);
  });

  it("does not pass on a SQLSTATE that is none", () => {
    assert.equal(decodeErrPacket(hex("ff1004 23 1b5b306d41 41")).sqlState, "HY000");
  });

  it("makes the text safe for logs and terminals", () => {
    const payload = join(hex("ff1004"), ascii("a\u001b[31m\nb\u0000c\u007f"));
    assert.equal(decodeErrPacket(payload).message, "a?[31m?b?c?");
  });
});

describe("encodeErrPacket()", () => {
  it("writes SQLSTATE only when it is given", () => {
    assert.equal(toHex(encodeErrPacket({ errorNumber: 1040, message: "no" })), "ff10046e6f");
    assert.equal(
      toHex(encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "no" })),
      "ff1504" + "23" + "3238303030" + "6e6f",
    );
    assert.throws(() => encodeErrPacket({ errorNumber: 1, sqlState: "123", message: "" }), RangeError);
  });

  it("round-trips any text once it is safe", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 700 }), fc.nat(0xffff), (text, errorNumber) => {
        const payload = encodeErrPacket({ errorNumber, sqlState: "HY000", message: text });
        assert.ok(payload.length <= 9 + ERROR_TEXT_BYTES_MAX);
        const err = decodeErrPacket(payload);
        assert.equal(err.errorNumber, errorNumber);
        assert.equal(err.message, sanitizeErrorText(text));
        assert.equal(sanitizeErrorText(err.message), err.message);
      }),
      { numRuns: 300 },
    );
  });
});

describe("sanitizeErrorText()", () => {
  it("cuts between characters, never inside one", () => {
    assert.equal(sanitizeErrorText("é".repeat(300)), "é".repeat(256));
    assert.equal(sanitizeErrorText(`${"a".repeat(511)}é`), "a".repeat(511));
    assert.equal(sanitizeErrorText("😀".repeat(200)), "😀".repeat(128));
  });

  it("replaces what could forge a line or turn the reading direction", () => {
    assert.equal(sanitizeErrorText("a\r\nb\u2028c\u202ed\u2066e\u0085f\ufeffg\ud800h"), "a??b?c?d?e?f?g?h");
    assert.equal(sanitizeErrorText("Ünïcode ✓ 漢字"), "Ünïcode ✓ 漢字");
  });
});

describe("EOF_Packet", () => {
  it("round-trips", () => {
    assert.equal(toHex(encodeEofPacket({ warnings: 1, statusFlags: 0x0a })), "fe01000a00");
    assert.deepEqual(decodeEofPacket(hex("fe00000a00")), { warnings: 0, statusFlags: 10 });
  });

  it("is refused at any other length", () => {
    for (const text of ["fe", "fe0000", "fe00000a", "fe00000a0000", "0000000a00"]) {
      assert.throws(() => decodeEofPacket(hex(text)), MalformedPacketError, text);
    }
  });
});

describe("encodeResultSetEnd()", () => {
  it("follows what the leg has agreed on", () => {
    const end = { warnings: 1, statusFlags: 2 };
    assert.equal(toHex(encodeResultSetEnd(end, CLIENT_PROTOCOL_41)), "fe01000200");
    assert.equal(toHex(encodeResultSetEnd(end, CLIENT_PROTOCOL_41 | CLIENT_DEPRECATE_EOF)), "fe000002000100");
  });
});
