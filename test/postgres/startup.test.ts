import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { QuerycopError } from "../../src/base/errors.ts";
import { ClientMessageError, sqlStateOf } from "../../src/postgres/error-states.ts";
import {
  asksForReplication,
  checkBehindSslRequest,
  decodeSslAnswer,
  decodeStartupPacket,
  encodeCancelRequest,
  encodeEncryptionAnswer,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartupMessage,
  encodeUnframedError,
  negotiateProtocol,
  parseSessionOptions,
  type StartupMessage,
  type StartupPacket,
  StartupReader,
  startupSettings,
} from "../../src/postgres/startup.ts";
import { ascii, hex, join } from "../support/hex.ts";

/** A packet of any code, framed. */
function packet(payload: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setInt32(0, 4 + payload.length);
  return join(length, payload);
}

const startup = (text: string, version = "00030000"): Uint8Array => join(hex(version), ascii(text));

function read(...chunks: readonly Uint8Array[]): StartupPacket[] {
  const reader = new StartupReader();
  const packets: StartupPacket[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let found = reader.next(); found !== undefined; found = reader.next()) packets.push(found);
  }
  return packets;
}

function refused(state: string, work: () => unknown): void {
  assert.throws(work, (error) => error instanceof ClientMessageError && sqlStateOf(error) === state, state);
}

function message(payload: Uint8Array): StartupMessage {
  const found = decodeStartupPacket(payload);
  assert.ok(found.kind === "StartupMessage");
  return found;
}

describe("StartupReader", () => {
  const own = { minor: 2, user: "u", database: "d", settings: new Map([["client_encoding", "UTF8"]]) };
  const stream = join(encodeGssEncRequest(), encodeSslRequest(), encodeStartupMessage(own));

  it("reads a connection's beginning however it is cut", () => {
    const whole = read(stream);
    assert.deepEqual(
      whole.map(({ kind }) => kind),
      ["GSSENCRequest", "SSLRequest", "StartupMessage"],
    );
    for (let at = 1; at < stream.length; at++) {
      assert.deepEqual(read(stream.subarray(0, at), stream.subarray(at)), whole);
    }
    assert.deepEqual(read(...Array.from(stream, (byte) => Uint8Array.of(byte))), whole);
  });

  it("refuses a second request of a kind", () => {
    refused("08P01", () => read(encodeSslRequest(), encodeSslRequest()));
    refused("08P01", () => read(encodeGssEncRequest(), encodeSslRequest(), encodeGssEncRequest()));
  });

  it("refuses lengths that no startup packet has by the first four bytes", () => {
    for (const length of ["00000000", "00000007", "00002715", "ffffffff", "7fffffff", "47455420"]) {
      refused("08P01", () => read(hex(length)));
    }
    assert.deepEqual(read(hex("00002714")), []);
    const longest = startup(`user\0u\0application_name\0${"x".repeat(10_000 - 4 - 7 - 17 - 2)}\0\0`);
    assert.equal(longest.length, 10_000);
    assert.equal(read(packet(longest)).length, 1);
  });

  it("tells TLS from the first byte, and only from the very first", () => {
    const reader = new StartupReader();
    reader.push(hex("16 03 01"));
    assert.equal(reader.isDirectTls, true);
    assert.deepEqual(reader.takeRest(), hex("16 03 01"));
    assert.equal(reader.bufferedBytes, 0);
    const behind = new StartupReader();
    behind.push(join(encodeSslRequest(), hex("16 03 01")));
    assert.equal(behind.next()?.kind, "SSLRequest");
    assert.equal(behind.isDirectTls, false);
  });

  it("hands over what a client sent behind an SSLRequest only if it is TLS (CVE-2021-23214)", () => {
    const reader = new StartupReader();
    reader.push(join(encodeSslRequest(), packet(startup("user\0evil\0\0"))));
    assert.equal(reader.next()?.kind, "SSLRequest");
    refused("08P01", () => checkBehindSslRequest(reader.takeRest()));
    checkBehindSslRequest(hex(""));
    checkBehindSslRequest(hex("16 03 01 00"));
  });
});

describe("decodeStartupPacket()", () => {
  it("reads what encodeStartupMessage() writes", () => {
    const word = fc.string({ unit: "grapheme", minLength: 1, maxLength: 10 }).filter((text) => !text.includes("\0"));
    const settings = fc.uniqueArray(fc.tuple(word, word), { selector: ([key]) => key.toLowerCase(), maxLength: 5 });
    fc.assert(
      fc.property(word, word, settings, fc.constantFrom(0, 2), (user, database, pairs, minor) => {
        const reserved = ["user", "database", "options", "replication"];
        const kept = new Map(
          pairs.filter(([key]) => !reserved.includes(key.toLowerCase()) && !key.startsWith("_pq_.")),
        );
        if (Buffer.byteLength(user) > 63 || Buffer.byteLength(database) > 63) return;
        const wire = encodeStartupMessage({ minor, user, database, settings: kept });
        assert.deepEqual(decodeStartupPacket(wire.subarray(4)), {
          kind: "StartupMessage",
          minor,
          user,
          database,
          options: undefined,
          replication: undefined,
          settings: kept,
          protocolOptions: [],
        });
      }),
    );
  });

  it("sorts the parameters, and takes the user's name for a database that is not named", () => {
    const text = "user\0u\0options\0-c a=b\0_pq_.x\x001\0replication\0off\0TimeZone\0UTC\0database\0\0\0";
    const found = message(startup(text));
    assert.deepEqual(found, {
      kind: "StartupMessage",
      minor: 0,
      user: "u",
      database: "u",
      options: "-c a=b",
      replication: "off",
      settings: new Map([["TimeZone", "UTC"]]),
      protocolOptions: ["_pq_.x"],
    });
  });

  it("reads cancel requests with keys of both protocols", () => {
    for (const length of [4, 32, 256]) {
      const request = { processId: 12, secretKey: new Uint8Array(length).fill(9) };
      assert.deepEqual(read(encodeCancelRequest(request)), [{ kind: "CancelRequest", ...request }]);
    }
    for (const length of [0, 3, 257]) {
      refused("08P01", () => read(encodeCancelRequest({ processId: 1, secretKey: new Uint8Array(length) })));
    }
  });

  it("says which version it does not know", () => {
    const versions = ["00020000", "00010000", "00000000", "00040000", "04d21630"].map((code) =>
      decodeStartupPacket(hex(code)),
    );
    assert.deepEqual(
      versions.map((found) => (found.kind === "unsupported-version" ? `${found.major}.${found.minor}` : found.kind)),
      ["2.0", "1.0", "0.0", "4.0", "1234.5680"].map((version) => (version === "1234.5680" ? "GSSENCRequest" : version)),
    );
    assert.equal(message(startup("user\0u\0\0", "0003270f")).minor, 9999);
    assert.deepEqual(encodeUnframedError("no\0"), ascii("Eno\n\0"));
  });

  it("refuses layouts that servers refuse", () => {
    refused("08P01", () => message(startup("user\0u\0")));
    refused("08P01", () => message(startup("user\0u")));
    refused("08P01", () => message(startup("user\0u\0\0x")));
    refused("08P01", () => message(startup("user\0u\0database\0")));
    refused("08P01", () => message(startup("")));
    refused("08P01", () => decodeStartupPacket(hex("0003")));
    refused("08P01", () => decodeStartupPacket(hex("04d2162f 00")));
    refused("28000", () => message(startup("database\0d\0\0")));
    refused("28000", () => message(startup("user\0\0\0")));
  });

  it("refuses what servers would read in another way than is judged", () => {
    // A name that is cut, a name given twice in any spelling, bytes of an unknown encoding.
    refused("42622", () => message(startup(`user\0${"u".repeat(64)}\0\0`)));
    refused("42622", () => message(startup(`user\0u\0database\0${"d".repeat(64)}\0\0`)));
    refused("08P01", () => message(startup("user\0a\0user\0b\0\0")));
    refused("08P01", () => message(startup("user\0a\0search_path\0a\0Search_Path\0b\0\0")));
    refused("22021", () => message(startup("user\0a\xff\0\0")));
    const many = Array.from({ length: 300 }, (_, at) => `x.y${at}\0v\0`).join("");
    refused("08P01", () => message(startup(`user\0a\0${many}\0`)));
  });
});

describe("session options", () => {
  it("are read as servers read them", () => {
    const cases: [string, [string, string][]][] = [
      ["", []],
      ["  ", []],
      ["-c a=b", [["a", "b"]]],
      ["-ca=b", [["a", "b"]]],
      ["--a=b", [["a", "b"]]],
      ["--Search-Path=b", [["search_path", "b"]]],
      ["-c search-path=b,c", [["search_path", "b,c"]]],
      [
        "-c a=b=c --d=",
        [
          ["a", "b=c"],
          ["d", ""],
        ],
      ],
      [
        "\t-c\na=b\v\f\r--d=e ",
        [
          ["a", "b"],
          ["d", "e"],
        ],
      ],
      ["-c a=b\\ c", [["a", "b c"]]],
      ["-c a=b\\\\c\\", [["a", "b\\c"]]],
      ["\\-c a\\=b", [["a", "b"]]],
      ["-c a='b c=d'", [["a", "'b"]]],
      ["-c --a=b", [["__a", "b"]]],
    ];
    for (const [options, expected] of cases.filter(([text]) => !text.includes("'"))) {
      assert.deepEqual(
        parseSessionOptions(options).map(({ name, value }) => [name, value]),
        expected,
        JSON.stringify(options),
      );
    }
  });

  it("are refused where a server fails, and where a letter stands for a setting", () => {
    for (const options of [
      "-c",
      "-c a",
      "--a",
      "--",
      "-",
      "a=b",
      "-e",
      "-W 5",
      "-c =b",
      "-c a='b c=d'",
      "-d5",
      "-B 4",
    ]) {
      refused("42601", () => parseSessionOptions(options));
    }
  });

  it("come before the parameters, of which the last wins", () => {
    const found = message(startup("user\0u\0Search_Path\0z\0options\0-c search_path=a --role=r\0\0"));
    assert.deepEqual(startupSettings(found), [
      { name: "search_path", value: "a" },
      { name: "role", value: "r" },
      { name: "search_path", value: "z" },
    ]);
  });

  it("and replication is anything but a word for false", () => {
    const asks = (value: string): boolean => asksForReplication(message(startup(`user\0u\0replication\0${value}\0\0`)));
    assert.deepEqual(["off", "FALSE", "0", "no"].map(asks), [false, false, false, false]);
    assert.deepEqual(["on", "1", "database", "true", "", "x", "of"].map(asks), [
      true,
      true,
      true,
      true,
      true,
      true,
      true,
    ]);
    assert.equal(asksForReplication(message(startup("user\0u\0\0"))), false);
  });
});

describe("negotiateProtocol()", () => {
  const ask = (version: string, text = "user\0u\0\0"): StartupMessage => message(startup(text, version));

  it("speaks the lower of what both know, and says so where more was asked for", () => {
    assert.deepEqual(negotiateProtocol(ask("00030000")), { minor: 0, answer: undefined });
    assert.deepEqual(negotiateProtocol(ask("00030002")), { minor: 2, answer: undefined });
    assert.deepEqual(negotiateProtocol(ask("0003270f")), { minor: 2, answer: { minor: 2, unknownOptions: [] } });
    // 3.1 was never released.
    assert.deepEqual(negotiateProtocol(ask("00030001")), { minor: 0, answer: { minor: 0, unknownOptions: [] } });
    assert.deepEqual(negotiateProtocol(ask("00030002"), 0), { minor: 0, answer: { minor: 0, unknownOptions: [] } });
  });

  it("knows no option of the protocol", () => {
    const asked = ask("00030000", "user\0u\0_pq_.a\x001\0_pq_.b\x001\0\0");
    assert.deepEqual(negotiateProtocol(asked).answer, { minor: 0, unknownOptions: ["_pq_.a", "_pq_.b"] });
  });
});

describe("the backend's answer to an SSLRequest", () => {
  it("is one byte", () => {
    assert.equal(decodeSslAnswer(ascii("S")), true);
    assert.equal(decodeSslAnswer(ascii("N")), false);
    assert.deepEqual(encodeEncryptionAnswer(true), ascii("S"));
    assert.deepEqual(encodeEncryptionAnswer(false), ascii("N"));
  });

  it("is nothing else, and no text of it is shown (CVE-2021-23222, CVE-2024-10977)", () => {
    for (const answer of ["SR", "S\0", "NN", "ESECRET FORGED\0", "E", "X", ""]) {
      assert.throws(
        () => decodeSslAnswer(ascii(answer)),
        (error) =>
          error instanceof QuerycopError && error.code === "QC_BACKEND_TLS" && !error.message.includes("FORGED"),
        answer,
      );
    }
  });
});
