import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ByteWriter, equalBytes, MalformedPacketError } from "../../src/base/bytes.ts";
import {
  type ChangeUser,
  COMMANDS,
  type Command,
  decodeCommand,
  encodeChangeUser,
  encodeQuery,
} from "../../src/mysql/command.ts";
import * as constants from "../../src/mysql/constants.ts";
import {
  type Capabilities,
  CLIENT_CONNECT_ATTRS,
  CLIENT_PROTOCOL_41,
  CLIENT_QUERY_ATTRIBUTES,
} from "../../src/mysql/constants.ts";
import { ascii, hex, join, toHex } from "../support/hex.ts";

const PLAIN: Capabilities = { flags: CLIENT_PROTOCOL_41, mariadb: 0 };
const ATTRIBUTES: Capabilities = { flags: CLIENT_PROTOCOL_41 | CLIENT_QUERY_ATTRIBUTES, mariadb: 0 };

function decodeAs<Name extends Command["name"]>(name: Name, payload: Uint8Array, capabilities = PLAIN) {
  const command = decodeCommand(payload, capabilities);
  assert.equal(command.name, name);
  return command as Extract<Command, { name: Name }>;
}

describe("COMMANDS", () => {
  it("has a row or nothing for each of the 256 bytes", () => {
    assert.equal(COMMANDS.length, 256);
    COMMANDS.forEach((row, byte) => {
      if (row !== undefined) assert.equal(row.byte, byte);
    });
  });

  it("has a row under its own name for every COM_ constant", () => {
    const named = Object.entries(constants).filter(([name]) => name.startsWith("COM_"));
    assert.equal(named.length, 35);
    for (const [name, byte] of named) assert.equal(COMMANDS[byte as number]?.name, name);
    assert.equal(COMMANDS.filter((row) => row !== undefined).length, named.length);
  });

  it("lets pass only what is listed here, everything else is refused", () => {
    const byDisposition = (disposition: string) =>
      COMMANDS.filter((row) => row?.disposition === disposition).map((row) => row?.name);
    assert.deepEqual(byDisposition("judge"), [
      "COM_INIT_DB",
      "COM_QUERY",
      "COM_FIELD_LIST",
      "COM_PROCESS_INFO",
      "COM_PROCESS_KILL",
      "COM_STMT_PREPARE",
      "COM_STMT_EXECUTE",
      "COM_SET_OPTION",
      "COM_STMT_BULK_EXECUTE",
    ]);
    assert.deepEqual(byDisposition("forward"), [
      "COM_QUIT",
      "COM_STATISTICS",
      "COM_PING",
      "COM_STMT_SEND_LONG_DATA",
      "COM_STMT_CLOSE",
      "COM_STMT_RESET",
      "COM_STMT_FETCH",
      "COM_RESET_CONNECTION",
    ]);
    assert.deepEqual(byDisposition("local"), ["COM_CHANGE_USER"]);
  });

  it("knows which commands have no response", () => {
    const silent = COMMANDS.filter((row) => row !== undefined && !row.hasResponse && row.disposition !== "refuse");
    assert.deepEqual(
      silent.map((row) => row?.name),
      ["COM_QUIT", "COM_STMT_SEND_LONG_DATA", "COM_STMT_CLOSE"],
    );
  });
});

describe("decodeCommand()", () => {
  it("reads a COM_QUERY as bytes, empty ones too", () => {
    assert.equal(toHex(decodeAs("COM_QUERY", join(hex("03"), ascii("select 1"))).sql), toHex(ascii("select 1")));
    assert.equal(decodeAs("COM_QUERY", hex("03")).sql.length, 0);
    assert.equal(toHex(decodeAs("COM_QUERY", hex("03 00 ff fe")).sql), "00fffe");
  });

  it("gives the statement as a view of the packet", () => {
    const payload = join(hex("03"), ascii("select 1"));
    assert.equal(decodeAs("COM_QUERY", payload).sql.buffer, payload.buffer);
  });

  it("reads commands that are their name", () => {
    for (const [byte, name] of [
      [0x01, "COM_QUIT"],
      [0x09, "COM_STATISTICS"],
      [0x0a, "COM_PROCESS_INFO"],
      [0x0e, "COM_PING"],
      [0x1f, "COM_RESET_CONNECTION"],
      [0x08, "COM_SHUTDOWN"],
    ] as const) {
      assert.deepEqual(decodeCommand(Uint8Array.of(byte), PLAIN), { name });
    }
  });

  it("takes an empty payload for COM_SLEEP, and unknown bytes for what they are", () => {
    assert.deepEqual(decodeCommand(hex(""), PLAIN), { name: "COM_SLEEP" });
    assert.deepEqual(decodeCommand(hex("00"), PLAIN), { name: "COM_SLEEP" });
    for (const byte of [0x22, 0x7f, 0xf9, 0xfb, 0xff]) {
      assert.deepEqual(decodeCommand(Uint8Array.of(byte, 1, 2), PLAIN), { name: "unknown", byte });
    }
  });

  it("refuses every command below its least length", () => {
    for (const row of COMMANDS) {
      if (row === undefined) continue;
      for (let length = 1; length < row.payloadBytesMin; length++) {
        const payload = new Uint8Array(length);
        payload[0] = row.byte;
        assert.throws(() => decodeCommand(payload, PLAIN), MalformedPacketError, `${row.name} of ${length} bytes`);
      }
    }
  });

  it("reads the schema of a COM_INIT_DB", () => {
    assert.equal(toHex(decodeAs("COM_INIT_DB", join(hex("02"), ascii("shop"))).schema), toHex(ascii("shop")));
    assert.equal(decodeAs("COM_INIT_DB", hex("02")).schema.length, 0);
    assert.equal(toHex(decodeAs("COM_INIT_DB", hex("02 e9")).schema), "e9");
    assert.throws(() => decodeCommand(hex("02 73 00"), PLAIN), /holds a NUL/);
    assert.throws(() => decodeCommand(join(hex("02"), ascii("s".repeat(257))), PLAIN), /257 bytes/);
  });

  it("reads the table of a COM_FIELD_LIST", () => {
    const command = decodeAs("COM_FIELD_LIST", join(hex("04"), ascii("orders\0%a")));
    assert.equal(toHex(command.table), toHex(ascii("orders")));
    assert.equal(toHex(command.wildcard), toHex(ascii("%a")));
    assert.throws(() => decodeCommand(join(hex("04"), ascii("orders")), PLAIN), /NUL-terminated/);
  });

  it("reads the numbers of the other commands", () => {
    assert.equal(decodeAs("COM_PROCESS_KILL", hex("0c ffffffff")).connectionId, 0xffffffff);
    assert.equal(decodeAs("COM_SET_OPTION", hex("1b 0100")).option, 1);
    assert.deepEqual(decodeCommand(hex("19 04030201"), PLAIN), { name: "COM_STMT_CLOSE", statementId: 0x01020304 });
    assert.deepEqual(decodeCommand(hex("1a 04030201"), PLAIN), { name: "COM_STMT_RESET", statementId: 0x01020304 });
    const fetch = decodeAs("COM_STMT_FETCH", hex("1c 01000000 e8030000"));
    assert.deepEqual([fetch.statementId, fetch.rowCount], [1, 1000]);
    const longData = decodeAs("COM_STMT_SEND_LONG_DATA", hex("18 01000000 0200 414243"));
    assert.deepEqual([longData.statementId, longData.parameter, toHex(longData.data)], [1, 2, "414243"]);
    assert.equal(decodeAs("COM_STMT_SEND_LONG_DATA", hex("18 01000000 0200")).data.length, 0);
  });

  it("reads a COM_STMT_EXECUTE up to its parameters", () => {
    const execute = decodeAs("COM_STMT_EXECUTE", hex("17 ffffffff 01 01000000 00 01 0300"));
    assert.equal(execute.statementId, 0xffffffff);
    assert.equal(execute.flags, 1);
    assert.equal(toHex(execute.parameterBytes), "00010300");
  });

  it("reads a COM_STMT_PREPARE, which has no attributes", () => {
    const payload = join(hex("16"), ascii("select ?"));
    for (const capabilities of [PLAIN, ATTRIBUTES]) {
      assert.equal(toHex(decodeAs("COM_STMT_PREPARE", payload, capabilities).sql), toHex(ascii("select ?")));
    }
  });

  it("answers arbitrary bytes with a command or MalformedPacketError", () => {
    fc.assert(
      fc.property(
        fc.nat(255),
        fc.uint8Array({ maxLength: 60 }),
        fc.constantFrom(PLAIN, ATTRIBUTES),
        (byte, rest, capabilities) => {
          try {
            decodeCommand(join(Uint8Array.of(byte), rest), capabilities);
          } catch (thrown) {
            assert.ok(thrown instanceof MalformedPacketError);
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe("query attributes", () => {
  const sql = ascii("select 1");

  it("are stepped over to the first byte of the statement", () => {
    const none = decodeAs("COM_QUERY", join(hex("03 00 01"), sql), ATTRIBUTES);
    assert.equal(toHex(none.sql), toHex(sql));
    assert.deepEqual(none.attributes, []);
    // The example of page_protocol_com_query.
    const example = hex(
      "03 01 01 00 01 fe00 0161 0131 73656c65637420404076657273696f6e5f636f6d6d656e74206c696d69742031",
    );
    const one = decodeAs("COM_QUERY", example, ATTRIBUTES);
    assert.equal(Buffer.from(one.sql).toString(), "select @@version_comment limit 1");
    assert.deepEqual(one.attributes, [{ type: 254, isUnsigned: false, name: ascii("a"), wireValue: hex("0131") }]);
  });

  it("do not exist for a client that has not agreed to them", () => {
    assert.equal(toHex(decodeAs("COM_QUERY", join(hex("03 00 01"), sql)).sql), toHex(join(hex("00 01"), sql)));
  });

  it("cannot hide the statement behind a decoy", () => {
    const decoy = ascii("select 1 /* approved */");
    const payload = join(hex("03 01 01 00 01 fe00 00"), Uint8Array.of(decoy.length), decoy, ascii("drop table t"));
    assert.equal(Buffer.from(decodeAs("COM_QUERY", payload, ATTRIBUTES).sql).toString(), "drop table t");
  });

  it("may be NULL and of every type", () => {
    const types: [string, string][] = [
      ["0100", "07"],
      ["0280", "0700"],
      ["0300", "07000000"],
      ["0880", "0700000000000000"],
      ["0400", "0000803f"],
      ["0500", "000000000000f03f"],
      ["0a00", "04 e207 01 02"],
      ["0c00", "0b e207 01 02 03 04 05 01000000"],
      ["0700", "07 e207 01 02 03 04 05"],
      ["0b00", "0c 01 01000000 02 03 04 01000000"],
      ["0b00", "00"],
      ["f600", "03 312e35"],
      ["fd00", `fcfb00${"41".repeat(251)}`],
      ["fc00", "00"],
    ];
    const names = types.map((_, index) => `02 61${(0x61 + index).toString(16)}`);
    const payload = hex(
      `03 0f 01 0040 01 ${types.map(([type], index) => type + names[index]).join("")} 0600 00 ${types.map(([, value]) => value).join("")} 53`,
    );
    const command = decodeAs("COM_QUERY", payload, ATTRIBUTES);
    assert.equal(toHex(command.sql), "53");
    assert.equal(command.attributes.length, 15);
    assert.equal(command.attributes[14]?.wireValue, undefined);
    assert.equal(toHex(encodeQuery(command.sql, ATTRIBUTES.flags, command.attributes)), toHex(payload));
  });

  const refused: [string, string][] = [
    ["nothing at all", "03"],
    ["no set count", "03 00"],
    ["no sets", "03 00 00 53"],
    ["two sets", "03 00 02 53"],
    ["the NULL marker as count", "03 fb 01 53"],
    ["0xFF as count", "03 ff 01 53"],
    ["a longer form of zero", "03 fc0000 01 53"],
    ["a longer form of the set count", "03 00 fc0100 53"],
    ["more attributes than anyone sends", "03 fcffff 01 53"],
    ["2^64 - 1 attributes", "03 feffffffffffffffff 01"],
    ["bits for attributes that do not exist", "03 01 01 02 01 fe00 0161 0131 53"],
    ["no types", "03 01 01 00 00 53"],
    ["a bind flag other than 1", "03 01 01 00 02 fe00 0161 0131 53"],
    ["an unknown type", "03 01 01 00 01 6300 0161 0131 53"],
    ["MYSQL_TYPE_BOOL, which servers refuse", "03 01 01 00 01 f400 0161 01 53"],
    ["MYSQL_TYPE_INT24, which servers read as text", "03 01 01 00 01 0900 0161 07000000 53"],
    ["MYSQL_TYPE_YEAR, which servers read as text", "03 01 01 00 01 0d00 0161 0700 53"],
    ["MYSQL_TYPE_NULL with a value", "03 01 01 00 01 0600 0161 00 53"],
    ["a type beyond one byte", "03 01 01 00 01 fe01 0161 0131 53"],
    ["a name that overruns", "03 01 01 00 01 fe00 ff"],
    ["a longer form of a name's length", "03 01 01 00 01 fe00 fc010061 0131 53"],
    ["a value that overruns, which servers cut short", "03 01 01 00 01 fe00 0161 0931 53"],
    ["a length of which servers read four bytes", "03 01 01 00 01 fe00 0161 fe0100000001000000 31 53"],
    ["a longer form of a value's length", "03 01 01 00 01 fe00 0161 fc010031 53"],
    ["the NULL marker as a value's length, 251 for servers", `03 01 01 00 01 fe00 0161 fb ${"41".repeat(252)}`],
    ["a date of 5 bytes", "03 01 01 00 01 0a00 0161 05 e207010203 53"],
    ["a time of 7 bytes", "03 01 01 00 01 0b00 0161 07 01010000000203 53"],
    ["a number cut short", "03 01 01 00 01 0300 0161 0700"],
  ];
  for (const [what, text] of refused) {
    it(`are refused with ${what}`, () => {
      assert.throws(() => decodeCommand(hex(text), ATTRIBUTES), MalformedPacketError);
    });
  }

  it("are accepted only in the very form that would be written", () => {
    const base = hex("03 02 01 00 01 fe00 0161 0300 0162 03414243 07000000 73656c6563742031");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: base.length - 1 }), fc.nat(255)), { maxLength: 4 }),
        fc.uint8Array({ maxLength: 40 }),
        (changes, noise) => {
          const mutated = base.slice();
          for (const [at, value] of changes) mutated[at] = value;
          for (const payload of [mutated, join(hex("03"), noise), join(hex("03 01 01 00 01"), noise)]) {
            try {
              const command = decodeAs("COM_QUERY", payload, ATTRIBUTES);
              assert.ok(equalBytes(encodeQuery(command.sql, ATTRIBUTES.flags, command.attributes), payload));
            } catch (thrown) {
              if (!(thrown instanceof MalformedPacketError)) throw thrown;
            }
          }
        },
      ),
      { numRuns: 5000 },
    );
  });

  it("are left out for a leg that has not agreed to them", () => {
    const command = decodeAs("COM_QUERY", hex("03 01 01 00 01 fe00 0161 0131 5345"), ATTRIBUTES);
    assert.equal(toHex(encodeQuery(command.sql, PLAIN.flags, command.attributes)), "035345");
    assert.equal(toHex(encodeQuery(command.sql, ATTRIBUTES.flags)), "0300015345");
  });
});

describe("COM_CHANGE_USER", () => {
  const WITH_ATTRIBUTES: Capabilities = { flags: CLIENT_PROTOCOL_41 | CLIENT_CONNECT_ATTRS, mariadb: 0 };

  it("reads every part", () => {
    const payload = join(
      hex("11"),
      ascii("app\0"),
      hex("03 aabbcc"),
      ascii("shop\0"),
      hex("2d00"),
      ascii("mysql_native_password\0"),
      hex("09 026f73 056c696e7578"),
    );
    assert.deepEqual(decodeAs("COM_CHANGE_USER", payload, WITH_ATTRIBUTES).changeUser, {
      user: "app",
      authResponse: hex("aabbcc"),
      schema: "shop",
      characterSet: 45,
      authPluginName: "mysql_native_password",
      connectAttributes: new Map([["os", "linux"]]),
    });
  });

  it("reads the shorter forms of old clients", () => {
    const short = join(hex("11"), ascii("app\0"), hex("00"), ascii("\0"));
    assert.deepEqual(decodeAs("COM_CHANGE_USER", short).changeUser, {
      user: "app",
      authResponse: hex(""),
      authPluginName: "",
    });
    const withCharacterSet = join(short, hex("ff00"));
    assert.equal(decodeAs("COM_CHANGE_USER", withCharacterSet).changeUser.characterSet, 255);
    assert.throws(() => decodeCommand(join(short, hex("ff")), PLAIN), MalformedPacketError);
  });

  it("keeps the one-byte length whatever the capabilities say", () => {
    const payload = join(hex("11"), ascii("u\0"), hex("fc"), new Uint8Array(252).fill(0x41), ascii("\0"));
    assert.equal(decodeAs("COM_CHANGE_USER", payload).changeUser.authResponse.length, 252);
  });

  it("refuses what does not hold together", () => {
    for (const tail of ["617070", "61707000 05 41 00", "61707000 00 64", `${"61".repeat(97)}00 00 00`, "e900 00 00"]) {
      assert.throws(() => decodeCommand(join(hex("11"), hex(tail)), PLAIN), MalformedPacketError, tail);
    }
  });

  it("refuses names that a server would read as others", () => {
    const josé = join(hex("11"), hex("6a6f73c3a9 00 00 00"));
    assert.equal(decodeAs("COM_CHANGE_USER", join(josé, hex("2d00"))).changeUser.user, "josé");
    for (const tail of ["", "3f00", "1100"]) {
      assert.throws(() => decodeCommand(join(josé, hex(tail)), PLAIN), /cannot be read/);
    }
    const sent = decodeAs("COM_CHANGE_USER", join(hex("11"), hex("6a6f73e9 00 00 64e900 0800"))).changeUser;
    assert.deepEqual([sent.user, sent.schema], ["josé", "dé"]);
    assert.equal(toHex(encodeChangeUser(sent, 0)), "116a6f73e9000064e900080000");
  });

  it("round-trips", () => {
    const name = fc.string({ unit: fc.constantFrom(..."abcXYZ019_é"), maxLength: 20 });
    const changeUser: fc.Arbitrary<ChangeUser> = fc.record(
      {
        user: name,
        authResponse: fc.uint8Array({ maxLength: 255 }),
        schema: name.filter((text) => text !== ""),
        characterSet: fc.constantFrom(33, 255, 309, 2304),
        authPluginName: fc.constantFrom("", "caching_sha2_password"),
        connectAttributes: fc.array(fc.tuple(name, name), { maxLength: 3 }).map((entries) => new Map(entries)),
      },
      {
        requiredKeys: ["user", "authResponse", "characterSet", "authPluginName", "connectAttributes"],
        noNullPrototype: true,
      },
    );
    fc.assert(
      fc.property(changeUser, (sent) => {
        const payload = encodeChangeUser(sent, WITH_ATTRIBUTES.flags);
        const received = decodeAs("COM_CHANGE_USER", payload, WITH_ATTRIBUTES).changeUser;
        assert.deepEqual(
          { ...received, authResponse: toHex(received.authResponse) },
          {
            ...sent,
            authResponse: toHex(sent.authResponse),
          },
        );
      }),
      { numRuns: 300 },
    );
  });

  it("writes the short form without a character set, and no attributes that were not agreed", () => {
    const user = { user: "u", authResponse: hex("aa"), authPluginName: "" };
    assert.equal(toHex(encodeChangeUser(user, WITH_ATTRIBUTES.flags)), "11750001aa00");
    assert.equal(toHex(encodeChangeUser({ ...user, characterSet: 8 }, PLAIN.flags)), "11750001aa00080000");
    assert.equal(toHex(encodeChangeUser({ ...user, characterSet: 8 }, WITH_ATTRIBUTES.flags)), "11750001aa0008000000");
    assert.throws(() => encodeChangeUser({ ...user, authResponse: new Uint8Array(256) }, PLAIN.flags), RangeError);
    assert.throws(() => encodeChangeUser({ ...user, user: "a\0b" }, PLAIN.flags), RangeError);
  });
});

describe("large statements", () => {
  it("cost no copy", () => {
    const payload = new ByteWriter(2 ** 24)
      .uint8(3)
      .zeros(2 ** 24)
      .finish();
    const command = decodeAs("COM_QUERY", payload);
    assert.equal(command.sql.length, 2 ** 24);
    assert.equal(command.sql.buffer, payload.buffer);
  });
});
