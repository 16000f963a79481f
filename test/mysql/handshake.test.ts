import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { equalBytes, MalformedPacketError } from "../../src/base/bytes.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import * as flag from "../../src/mysql/constants.ts";
import {
  attributeText,
  canonicalHandshakeResponse,
  decodeAuthPacket,
  decodeHandshakeResponse41,
  decodeHandshakeV10,
  decodeInitialPacket,
  decodeSslRequest,
  encodeAuthMoreData,
  encodeAuthNextFactor,
  encodeAuthSwitchRequest,
  encodeConnectAttributes,
  encodeHandshakeResponse41,
  encodeHandshakeV10,
  encodeSslRequest,
  type HandshakeResponse41,
  type HandshakeV10,
  isSslRequest,
} from "../../src/mysql/handshake.ts";
import { encodePacket, PacketReader } from "../../src/mysql/packet.ts";
import { ascii, hex, join, toHex } from "../support/hex.ts";

const REQUIRED = flag.CLIENT_PROTOCOL_41 | flag.CLIENT_SECURE_CONNECTION | flag.CLIENT_PLUGIN_AUTH;
const MYSQL = REQUIRED | flag.CLIENT_LONG_PASSWORD;

interface Captured {
  readonly greetings: Readonly<Record<string, string>>;
}
const captured = JSON.parse(
  readFileSync(new URL("../golden/captured-responses.json", import.meta.url), "utf8"),
) as Captured;

function greetingOf(server: string): Uint8Array {
  return hex(captured.greetings[server] ?? "").subarray(4);
}

function isOldAuth(thrown: unknown): boolean {
  return thrown instanceof QuerycopError && thrown.code === "QC_CLIENT_OLD_AUTH";
}

const greeting = (changes: Partial<HandshakeV10> = {}): HandshakeV10 => ({
  serverVersion: "8.0.46",
  connectionId: 42,
  authPluginData: Uint8Array.from({ length: 20 }, (_, n) => n + 1),
  capabilities: { flags: 0xdfffffff, mariadb: 0 },
  characterSet: 255,
  statusFlags: 2,
  authPluginName: "caching_sha2_password",
  ...changes,
});

const response = (changes: Partial<HandshakeResponse41> = {}): HandshakeResponse41 => ({
  capabilities: { flags: MYSQL >>> 0, mariadb: 0 },
  maxPacketSize: 0x1000000,
  characterSet: 45,
  user: "app",
  authResponse: ascii("s".repeat(20)),
  authPluginName: "mysql_native_password",
  ...changes,
});

/** By hand, so that encoder and decoder cannot be wrong together. */
function rawResponse(flags: number, tail: Uint8Array, characterSet = 45): Uint8Array {
  const head = new Uint8Array(32);
  const view = new DataView(head.buffer);
  view.setUint32(0, flags, true);
  view.setUint32(4, 0x40000000, true);
  head[8] = characterSet;
  return join(head, tail);
}

describe("decodeHandshakeV10()", () => {
  it("reads the greetings of real servers", () => {
    const mysql = decodeHandshakeV10(greetingOf("mysql"));
    assert.match(mysql.serverVersion, /^9\.7\./);
    assert.equal(mysql.authPluginName, "caching_sha2_password");
    assert.equal(mysql.authPluginData.length, 20);
    assert.ok(!mysql.authPluginData.includes(0));
    assert.equal(mysql.capabilities.mariadb, 0);
    assert.ok((mysql.capabilities.flags & flag.CLIENT_LONG_PASSWORD) !== 0);
    const mariadb = decodeHandshakeV10(greetingOf("mariadb"));
    assert.match(mariadb.serverVersion, /^5\.5\.5-10\.11\..*MariaDB/);
    assert.equal(mariadb.authPluginName, "mysql_native_password");
    assert.equal(mariadb.capabilities.flags & flag.CLIENT_LONG_PASSWORD, 0);
    assert.equal(mariadb.capabilities.mariadb, 0x1d);
  });

  it("is encoded back to the very bytes of real servers", () => {
    for (const server of ["mysql", "mariadb", "mariadb11"]) {
      const payload = greetingOf(server);
      assert.equal(toHex(encodeHandshakeV10(decodeHandshakeV10(payload))), toHex(payload), server);
    }
  });

  it("does not take MySQL's reserved bytes for extended capabilities", () => {
    const payload = encodeHandshakeV10(greeting({ capabilities: { flags: 0xdffffffe, mariadb: 0x1d } }));
    assert.equal(decodeHandshakeV10(payload).capabilities.mariadb, 0x1d);
    const asMysql = payload.slice();
    const flagsAt = 1 + "8.0.46".length + 1 + 4 + 8 + 1;
    asMysql[flagsAt] = 0xff;
    assert.deepEqual(decodeHandshakeV10(asMysql).capabilities, { flags: 0xdfffffff, mariadb: 0 });
  });

  it("round-trips", () => {
    const handshake = fc.record({
      serverVersion: fc.string({ unit: fc.constantFrom(..."0123456789.-MariaDBubuntu~"), maxLength: 60 }),
      connectionId: fc.nat(0xffffffff),
      authPluginData: fc.uint8Array({ minLength: 20, maxLength: 20 }),
      capabilities: fc.record({ flags: fc.nat(0xffffffff), mariadb: fc.nat(0xffffffff) }).map(({ flags, mariadb }) => ({
        flags: (flags | REQUIRED) >>> 0,
        mariadb: (flags & 1) === 0 ? mariadb : 0,
      })),
      characterSet: fc.nat(255),
      statusFlags: fc.nat(0xffff),
      authPluginName: fc.constantFrom("mysql_native_password", "parsec", ""),
    });
    fc.assert(
      fc.property(handshake, (sent) => {
        const received = decodeHandshakeV10(encodeHandshakeV10(sent));
        assert.deepEqual(
          { ...received, authPluginData: toHex(received.authPluginData) },
          {
            ...sent,
            authPluginData: toHex(sent.authPluginData),
          },
        );
      }),
      { numRuns: 300 },
    );
  });

  it("refuses servers it cannot speak with", () => {
    assert.throws(() => decodeHandshakeV10(hex("09 00")), /protocol version is 9/);
    for (const missing of [flag.CLIENT_PROTOCOL_41, flag.CLIENT_SECURE_CONNECTION, flag.CLIENT_PLUGIN_AUTH]) {
      const flags = (0xdfffffff & ~missing) >>> 0;
      const payload = encodeHandshakeV10(greeting({ capabilities: { flags, mariadb: 0 } }));
      assert.throws(() => decodeHandshakeV10(payload), /the server lacks/);
    }
  });

  it("refuses authPluginData of another length", () => {
    const payload = encodeHandshakeV10(greeting());
    const lengthAt = 1 + 7 + 4 + 8 + 1 + 2 + 1 + 2 + 2;
    assert.equal(payload[lengthAt], 21);
    const tooLong = payload.slice();
    tooLong[lengthAt] = 255;
    assert.throws(() => decodeHandshakeV10(tooLong), /authPluginData has 255 bytes/);
    assert.throws(() => decodeHandshakeV10(payload.subarray(0, lengthAt + 11 + 5)), MalformedPacketError);
  });

  it("refuses version and plugin names that are more than names", () => {
    for (const serverVersion of ["8.0\u001b[31m", "é", "8".repeat(256)]) {
      assert.throws(() => decodeHandshakeV10(encodeHandshakeV10(greeting({ serverVersion }))), /server version/);
    }
    for (const authPluginName of ["../../x", "a b", "a/b", "auth.so", "ä", "a".repeat(65)]) {
      assert.throws(() => decodeHandshakeV10(encodeHandshakeV10(greeting({ authPluginName }))), /plugin name/);
    }
  });

  it("reads a plugin name whose NUL is missing", () => {
    const payload = encodeHandshakeV10(greeting());
    assert.equal(decodeHandshakeV10(payload.subarray(0, -1)).authPluginName, "caching_sha2_password");
  });

  it("refuses every other cut", () => {
    const payload = encodeHandshakeV10(greeting());
    const nameAt = payload.length - "caching_sha2_password".length - 1;
    for (let cut = 0; cut < nameAt; cut++) {
      assert.throws(() => decodeHandshakeV10(payload.subarray(0, cut)), MalformedPacketError, `cut at ${cut}`);
    }
  });

  it("answers arbitrary and mutated bytes with a value or MalformedPacketError", () => {
    const base = encodeHandshakeV10(greeting());
    const mutation = fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(mutation, fc.uint8Array({ maxLength: 100 }), (changes, noise) => {
        const mutated = base.slice();
        for (const [at, value] of changes) mutated[at] = value;
        for (const payload of [mutated, join(Uint8Array.of(10), noise), noise]) {
          try {
            decodeInitialPacket(payload);
          } catch (thrown) {
            assert.ok(thrown instanceof MalformedPacketError);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("decodeInitialPacket()", () => {
  it("knows a greeting from an error without SQLSTATE", () => {
    assert.equal(decodeInitialPacket(encodeHandshakeV10(greeting())).kind, "HandshakeV10");
    const refused = decodeInitialPacket(join(hex("ff 6904"), ascii("Host is blocked")));
    assert.ok(refused.kind === "ERR_Packet");
    assert.deepEqual(refused.err, { errorNumber: 1129, message: "Host is blocked" });
  });

  it("refuses a command's OK in place of a greeting", () => {
    assert.throws(() => decodeInitialPacket(hex("00000002000000")), MalformedPacketError);
    assert.throws(() => decodeInitialPacket(hex("")), MalformedPacketError);
  });
});

describe("encodeHandshakeV10()", () => {
  it("refuses other lengths than 20 bytes of authPluginData", () => {
    for (const length of [0, 8, 21, 32]) {
      assert.throws(() => encodeHandshakeV10(greeting({ authPluginData: new Uint8Array(length) })), RangeError);
    }
  });
});

describe("SSLRequest", () => {
  const flags = (MYSQL | flag.CLIENT_SSL) >>> 0;

  it("is the first 32 bytes of the response", () => {
    const sent = canonicalHandshakeResponse(response({ capabilities: { flags, mariadb: 0 } }));
    const payload = encodeSslRequest(sent);
    assert.equal(payload.length, 32);
    assert.equal(toHex(payload), toHex(encodeHandshakeResponse41(sent).subarray(0, 32)));
    assert.ok(isSslRequest(payload));
    assert.deepEqual(decodeSslRequest(payload), {
      capabilities: { flags, mariadb: 0 },
      maxPacketSize: 0x1000000,
      characterSet: 45,
    });
  });

  it("carries MariaDB's extended capabilities only with bit 0 clear", () => {
    const mariadb = (flags & ~1) >>> 0;
    const sent = { capabilities: { flags: mariadb, mariadb: 0x15 }, maxPacketSize: 1, characterSet: 8 };
    assert.deepEqual(decodeSslRequest(encodeSslRequest(sent)), sent);
    const asMysql = { ...sent, capabilities: { flags, mariadb: 0x15 } };
    assert.equal(decodeSslRequest(encodeSslRequest(asMysql)).capabilities.mariadb, 0);
  });

  it("reads the four bytes of an old Connector/J", () => {
    assert.ok(isSslRequest(hex("0daa0b00")));
    assert.deepEqual(decodeSslRequest(hex("0daa0b00")), {
      capabilities: { flags: 0x000baa0d, mariadb: 0 },
      maxPacketSize: 0x1000000,
      characterSet: 0,
    });
  });

  it("is not taken for a response, nor a response for it", () => {
    assert.ok(!isSslRequest(encodeHandshakeResponse41(canonicalHandshakeResponse(response()))));
    assert.ok(!isSslRequest(rawResponse(MYSQL, hex(""))));
    assert.ok(!isSslRequest(hex("")));
    assert.ok(!isSslRequest(hex("000800")));
    assert.throws(() => decodeSslRequest(rawResponse(flags, hex("00"))), /unexpected/);
    assert.throws(() => decodeSslRequest(hex("000800")), MalformedPacketError);
  });
});

describe("decodeHandshakeResponse41()", () => {
  const tail = (text: string) => ascii(text);

  it("reads the shortest one", () => {
    const decoded = decodeHandshakeResponse41(rawResponse(MYSQL, tail("app\0\0mysql_native_password\0")));
    assert.deepEqual(decoded, {
      capabilities: { flags: MYSQL >>> 0, mariadb: 0 },
      maxPacketSize: 0x40000000,
      characterSet: 45,
      user: "app",
      authResponse: hex(""),
      authPluginName: "mysql_native_password",
    });
  });

  it("reads every optional part", () => {
    const flags =
      MYSQL |
      flag.CLIENT_CONNECT_WITH_DB |
      flag.CLIENT_CONNECT_ATTRS |
      flag.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA |
      flag.CLIENT_ZSTD_COMPRESSION_ALGORITHM;
    const secret = "t".repeat(300);
    const whole = rawResponse(
      flags,
      join(
        tail("app\0"),
        hex("fc2c01"),
        tail(secret),
        tail("shop\0"),
        tail("mysql_clear_password\0"),
        hex("09 026f73 05 6c696e7578"),
        hex("03"),
      ),
    );
    const decoded = decodeHandshakeResponse41(whole);
    assert.equal(decoded.authResponse.length, 300);
    assert.equal(decoded.schema, "shop");
    assert.equal(decoded.authPluginName, "mysql_clear_password");
    assert.deepEqual([...(decoded.connectAttributes ?? [])], [["os", "linux"]]);
    assert.equal(decoded.zstdCompressionLevel, 3);
  });

  it("reads MariaDB's extended capabilities from the last four filler bytes", () => {
    const payload = rawResponse(REQUIRED, tail("app\0\0\0"));
    payload[28] = 0x1d;
    assert.deepEqual(decodeHandshakeResponse41(payload).capabilities, { flags: REQUIRED >>> 0, mariadb: 0x1d });
  });

  it("does not take the schema for the plugin when the flag is missing", () => {
    const decoded = decodeHandshakeResponse41(rawResponse(MYSQL, tail("app\0\0mysql_native_password\0")));
    assert.equal(decoded.schema, undefined);
    const withFlag = decodeHandshakeResponse41(
      rawResponse(MYSQL | flag.CLIENT_CONNECT_WITH_DB, tail("app\0\0db\0mysql_native_password\0")),
    );
    assert.equal(withFlag.schema, "db");
    assert.equal(withFlag.authPluginName, "mysql_native_password");
  });

  it("takes an empty schema for none, a missing plugin for an empty one, and drops what is left over", () => {
    const flags = MYSQL | flag.CLIENT_CONNECT_WITH_DB;
    const decoded = decodeHandshakeResponse41(rawResponse(flags, tail("app\0\0\0")));
    assert.equal(decoded.schema, undefined);
    assert.equal(decoded.authPluginName, "");
    assert.equal(decodeHandshakeResponse41(rawResponse(MYSQL, tail("app\0\0p\0rubbish"))).authPluginName, "p");
  });

  it("tells clients of old authentication apart from broken ones", () => {
    assert.throws(() => decodeHandshakeResponse41(hex("0d8500 000000 61707000")), isOldAuth);
    for (const missing of [flag.CLIENT_PROTOCOL_41, flag.CLIENT_SECURE_CONNECTION]) {
      assert.throws(() => decodeHandshakeResponse41(rawResponse(MYSQL & ~missing, tail("app\0\0\0"))), isOldAuth);
    }
    assert.throws(() => decodeHandshakeResponse41(hex("00")), MalformedPacketError);
    assert.throws(
      () => decodeHandshakeResponse41(ascii("GET / HTTP/1.1\r\n\r\n")),
      (thrown) => {
        return thrown instanceof MalformedPacketError || isOldAuth(thrown);
      },
    );
  });

  it("takes clients that know no plugins, as servers do", () => {
    const flags = MYSQL & ~flag.CLIENT_PLUGIN_AUTH;
    assert.equal(decodeHandshakeResponse41(rawResponse(flags, tail("app\0\0"))).authPluginName, "");
  });

  it("refuses names that servers would shorten or read differently", () => {
    const withUser = (user: Uint8Array) => rawResponse(MYSQL, join(user, hex("00 00 00")));
    assert.equal(decodeHandshakeResponse41(withUser(ascii("u".repeat(96)))).user.length, 96);
    assert.throws(() => decodeHandshakeResponse41(withUser(ascii("u".repeat(97)))), /user name has 97 bytes/);
    assert.throws(() => decodeHandshakeResponse41(withUser(hex("6a6f73e9"))), /user name cannot be read/);
    assert.equal(decodeHandshakeResponse41(withUser(hex("6a6f73c3a9"))).user, "josé");
    // The same bytes are the user "josÃ©" to a server that is told latin1.
    assert.equal(decodeHandshakeResponse41(rawResponse(MYSQL, hex("6a6f73c3a9 00 00 00"), 8)).user, "josÃ©");
    for (const characterSet of [11, 63, 0, 17]) {
      const payload = rawResponse(MYSQL, hex("6a6f73c3a9 00 00 00"), characterSet);
      assert.throws(() => decodeHandshakeResponse41(payload), /cannot be read/);
      assert.equal(decodeHandshakeResponse41(rawResponse(MYSQL, ascii("jose\0\0\0"), characterSet)).user, "jose");
    }
    const flags = MYSQL | flag.CLIENT_CONNECT_WITH_DB;
    const withSchema = (schema: Uint8Array) => rawResponse(flags, join(ascii("u\0\0"), schema, hex("00 00")));
    assert.throws(() => decodeHandshakeResponse41(withSchema(ascii("d".repeat(257)))), /schema name has 257 bytes/);
    assert.equal(decodeHandshakeResponse41(withSchema(hex("ff"))).schema, "\ufffd");
  });

  it("keeps names and attributes as they were sent", () => {
    const flags = MYSQL | flag.CLIENT_CONNECT_WITH_DB | flag.CLIENT_CONNECT_ATTRS;
    const gbk = 28;
    const sent = rawResponse(flags, hex("bfcdbba7 00 00 c9cccfb5 00 00 05 016b02ff80"), gbk);
    const response = decodeHandshakeResponse41(sent);
    assert.deepEqual([response.user, response.schema], ["客户", "商系"]);
    assert.equal(attributeText(response, "k"), "\ufffd\ufffd");
    assert.equal(toHex(encodeHandshakeResponse41(canonicalHandshakeResponse(response))), toHex(sent));
    const other = encodeHandshakeResponse41(canonicalHandshakeResponse({ ...response, user: "else" }));
    assert.equal(decodeHandshakeResponse41(other).user, "else");
  });

  it("refuses lengths that lie", () => {
    const lenenc = MYSQL | flag.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;
    for (const length of ["ff", "fb", "fcffff", "fdffffff", "feffffffffffffffff", "fe0000000000000080"]) {
      assert.throws(
        () => decodeHandshakeResponse41(rawResponse(lenenc, join(ascii("u\0"), hex(length), ascii("x")))),
        MalformedPacketError,
      );
    }
    assert.throws(
      () => decodeHandshakeResponse41(rawResponse(MYSQL, join(ascii("u\0"), hex("15"), ascii("short")))),
      MalformedPacketError,
    );
    assert.throws(() => decodeHandshakeResponse41(rawResponse(MYSQL, ascii("no end"))), MalformedPacketError);
  });

  it("bounds connection attributes", () => {
    const flags = MYSQL | flag.CLIENT_CONNECT_ATTRS;
    const withAttributes = (block: Uint8Array) => rawResponse(flags, join(ascii("u\0\0p\0"), block));
    const large = encodeConnectAttributes(new Map([["k", "v".repeat(70_000)]]));
    const lengthOf = (block: Uint8Array) =>
      join(Uint8Array.of(0xfd, block.length & 0xff, (block.length >> 8) & 0xff, block.length >> 16), block);
    assert.throws(() => decodeHandshakeResponse41(withAttributes(lengthOf(large))), /at most 65535/);
    const many = new Map(Array.from({ length: 1100 }, (_, n) => [`k${n}`, ""] as const));
    assert.throws(
      () => decodeHandshakeResponse41(withAttributes(lengthOf(encodeConnectAttributes(many)))),
      /more than 1024 attributes/,
    );
    assert.throws(() => decodeHandshakeResponse41(withAttributes(hex("02 0161"))), MalformedPacketError);
    assert.deepEqual([...(decodeHandshakeResponse41(withAttributes(hex("00"))).connectAttributes ?? [1])], []);
    assert.deepEqual([...(decodeHandshakeResponse41(withAttributes(hex(""))).connectAttributes ?? [1])], []);
    const twice = decodeHandshakeResponse41(withAttributes(hex("08 0161 0131 0161 0132")));
    assert.deepEqual([...(twice.connectAttributes ?? [])], [["a", "2"]]);
  });

  it("survives 100 000 mutated responses", () => {
    const flags =
      (MYSQL | flag.CLIENT_CONNECT_WITH_DB | flag.CLIENT_CONNECT_ATTRS | flag.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) >>>
      0;
    const base = encodeHandshakeResponse41(
      canonicalHandshakeResponse(
        response({
          capabilities: { flags, mariadb: 0 },
          schema: "shop",
          connectAttributes: new Map([["_os", "linux"]]),
        }),
      ),
    );
    let seed = 20261121;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % limit;
    };
    let accepted = 0;
    for (let run = 0; run < 100_000; run++) {
      const mutated = base.slice(0, random(10) === 0 ? random(base.length + 1) : base.length);
      for (let count = random(4); count >= 0 && mutated.length > 0; count--)
        mutated[random(mutated.length)] = random(256);
      try {
        const decoded = decodeHandshakeResponse41(mutated);
        assert.ok(!decoded.user.includes("\0"));
        // Whatever is accepted can be written, and is then read as the same.
        const canonical = canonicalHandshakeResponse(decoded);
        const again = decodeHandshakeResponse41(encodeHandshakeResponse41(canonical));
        assert.equal(again.user, decoded.user);
        assert.ok(equalBytes(again.authResponse, decoded.authResponse));
        accepted++;
      } catch (thrown) {
        if (!(thrown instanceof MalformedPacketError) && !isOldAuth(thrown)) throw thrown;
      }
    }
    assert.ok(accepted > 10_000 && accepted < 90_000, `${accepted} accepted`);
  });
});

describe("encodeHandshakeResponse41()", () => {
  it("round-trips through canonicalHandshakeResponse()", () => {
    const name = fc.string({ unit: fc.constantFrom(..."abcXYZ019_.@-é"), maxLength: 20 });
    const anyResponse: fc.Arbitrary<HandshakeResponse41> = fc
      .record(
        {
          flags: fc.nat(0xffffffff),
          mariadb: fc.nat(0xffffffff),
          maxPacketSize: fc.nat(0xffffffff),
          characterSet: fc.constantFrom(33, 45, 224, 255),
          user: name,
          authResponse: fc.uint8Array({ maxLength: 255 }),
          schema: name.filter((text) => text !== ""),
          authPluginName: fc.constantFrom("", "mysql_native_password"),
          connectAttributes: fc.array(fc.tuple(name, name), { maxLength: 5 }).map((entries) => new Map(entries)),
          zstdCompressionLevel: fc.nat(22),
        },
        {
          requiredKeys: ["flags", "mariadb", "maxPacketSize", "characterSet", "user", "authResponse", "authPluginName"],
        },
      )
      .map(({ flags, mariadb, ...rest }) => ({
        ...rest,
        capabilities: { flags, mariadb: (flags & 1) === 0 ? mariadb : 0 },
      }));
    fc.assert(
      fc.property(anyResponse, (any) => {
        const sent = canonicalHandshakeResponse(any);
        assert.deepEqual(canonicalHandshakeResponse(sent), sent);
        const received = decodeHandshakeResponse41(encodeHandshakeResponse41(sent));
        assert.deepEqual(
          { ...received, authResponse: toHex(received.authResponse) },
          {
            ...sent,
            authResponse: toHex(sent.authResponse),
          },
        );
      }),
      { numRuns: 500 },
    );
  });

  it("refuses flags that announce other parts than there are", () => {
    const flags = (MYSQL | flag.CLIENT_CONNECT_WITH_DB) >>> 0;
    assert.throws(() => encodeHandshakeResponse41(response({ capabilities: { flags, mariadb: 0 } })), RangeError);
    assert.throws(() => encodeHandshakeResponse41(response({ schema: "shop" })), RangeError);
  });

  it("refuses a long authResponse for a server without CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA", () => {
    const long = response({ authResponse: new Uint8Array(256) });
    assert.throws(() => encodeHandshakeResponse41(canonicalHandshakeResponse(long)), RangeError);
    const flags = (MYSQL | flag.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) >>> 0;
    const lenenc = canonicalHandshakeResponse({ ...long, capabilities: { flags, mariadb: 0 } });
    assert.equal(decodeHandshakeResponse41(encodeHandshakeResponse41(lenenc)).authResponse.length, 256);
  });

  it("writes a first answer byte for byte", () => {
    const sent = canonicalHandshakeResponse(
      response({ user: "u", authResponse: hex("aabb"), schema: "d", authPluginName: "p" }),
    );
    assert.equal(
      toHex(encodeHandshakeResponse41(sent)),
      `${"09820800"}${"00000001"}2d${"00".repeat(23)}7500${"02aabb"}6400${"7000"}`,
    );
  });
});

describe("decodeAuthPacket()", () => {
  it("reads an AuthSwitchRequest with its data as sent", () => {
    const nonce = ascii("01234567890123456789\0");
    const decoded = decodeAuthPacket(join(hex("fe"), ascii("mysql_native_password\0"), nonce), MYSQL);
    assert.ok(decoded.kind === "AuthSwitchRequest");
    assert.equal(decoded.authPluginName, "mysql_native_password");
    assert.equal(toHex(decoded.authPluginData), toHex(nonce));
    assert.equal(
      toHex(encodeAuthSwitchRequest(decoded)),
      toHex(join(hex("fe"), ascii("mysql_native_password\0"), nonce)),
    );
  });

  it("reads the request of an IAM login, which has no data", () => {
    const decoded = decodeAuthPacket(join(hex("fe"), ascii("mysql_clear_password\0")), MYSQL);
    assert.ok(decoded.kind === "AuthSwitchRequest");
    assert.equal(decoded.authPluginData.length, 0);
  });

  it("names the plugin of MySQL 4.0 that a lone 0xFE asks for", () => {
    const decoded = decodeAuthPacket(hex("fe"), MYSQL);
    assert.ok(decoded.kind === "AuthSwitchRequest");
    assert.equal(decoded.authPluginName, "mysql_old_password");
  });

  it("reads the other packets of the exchange", () => {
    assert.deepEqual(decodeAuthPacket(hex("0104"), MYSQL), { kind: "AuthMoreData", data: hex("04") });
    assert.deepEqual(decodeAuthPacket(encodeAuthMoreData(hex("03")), MYSQL), { kind: "AuthMoreData", data: hex("03") });
    const factor = { authPluginName: "mysql_clear_password", authPluginData: hex("") };
    assert.deepEqual(decodeAuthPacket(encodeAuthNextFactor(factor), MYSQL), { kind: "AuthNextFactor", ...factor });
    assert.equal(decodeAuthPacket(hex("00000002000000"), MYSQL).kind, "OK_Packet");
    assert.equal(decodeAuthPacket(join(hex("ff1504"), ascii("#28000Access denied")), MYSQL).kind, "ERR_Packet");
  });

  it("refuses everything else", () => {
    for (const text of ["", "03", "0a00", "fb41", "fd"]) {
      assert.throws(() => decodeAuthPacket(hex(text), MYSQL), MalformedPacketError, text);
    }
    assert.throws(() => decodeAuthPacket(join(hex("fe"), ascii("../x\0")), MYSQL), /plugin name/);
  });

  it("answers arbitrary bytes with a value or MalformedPacketError", () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2, 0xfe, 0xff), fc.uint8Array({ maxLength: 60 }), (first, noise) => {
        try {
          decodeAuthPacket(join(Uint8Array.of(first), noise), MYSQL | flag.CLIENT_SESSION_TRACK);
        } catch (thrown) {
          assert.ok(thrown instanceof MalformedPacketError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("a connection phase in pieces", () => {
  it("is read the same whatever the chunks", () => {
    const wire = encodePacket(encodeHandshakeV10(greeting()), 0);
    for (let size = 1; size <= wire.length; size++) {
      const reader = new PacketReader({ sender: "backend", payloadBytesMax: 65536 });
      let payload: Uint8Array | undefined;
      for (let at = 0; at < wire.length; at += size) {
        reader.push(wire.subarray(at, at + size));
        payload ??= reader.next()?.payload;
      }
      assert.equal(decodeHandshakeV10(payload ?? hex("")).connectionId, 42);
    }
  });
});
