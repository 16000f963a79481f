import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QuerycopError } from "../../src/base/errors.ts";
import {
  type Authentication,
  BACKEND_MESSAGES,
  decodeAuthentication,
  decodeBackendKeyData,
  decodeCommandComplete,
  decodeCopyResponse,
  decodeErrorFields,
  decodeNegotiateProtocolVersion,
  decodeNotification,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
  decodeRowDescription,
  encodeAuthentication,
  encodeBackendKeyData,
  encodeErrorResponse,
  encodeNegotiateProtocolVersion,
  encodeNoticeResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
} from "../../src/postgres/backend-message.ts";
import { ascii, hex, join } from "../support/hex.ts";

const body = (wire: Uint8Array): Uint8Array => wire.subarray(5);

function refused(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  assert.throws(
    () => decode(bytes),
    (error) => error instanceof QuerycopError && error.code === "QC_BACKEND_PROTOCOL",
    Buffer.from(bytes).toString("hex"),
  );
}

describe("backend messages", () => {
  it("have each a row", () => {
    const rows = BACKEND_MESSAGES.filter((row) => row !== undefined);
    assert.equal(rows.map(({ type }) => type).join(""), "123ACDEGHIKNRSTVWZcdnstv");
    assert.deepEqual(
      rows.filter(({ isAnytime }) => isAnytime).map(({ name }) => name),
      ["NotificationResponse", "NoticeResponse", "ParameterStatus"],
    );
    assert.deepEqual(
      rows.filter(({ holding }) => holding === "pass").map(({ name }) => name),
      ["DataRow", "FunctionCallResponse", "CopyData"],
    );
  });

  it("of the login come back as they were", () => {
    const requests: Exclude<Authentication, { kind: "unsupported" }>[] = [
      { kind: "ok" },
      { kind: "cleartext" },
      { kind: "md5", salt: hex("01020304") },
      { kind: "sasl", mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] },
      { kind: "sasl-continue", data: ascii("r=x") },
      { kind: "sasl-final", data: ascii("v=x") },
    ];
    for (const request of requests)
      assert.deepEqual(decodeAuthentication(body(encodeAuthentication(request))), request);
    for (const code of [2, 6, 7, 8, 9, 13]) {
      assert.deepEqual(decodeAuthentication(hex(`000000${code.toString(16).padStart(2, "0")} 0102`)), {
        kind: "unsupported",
        code,
      });
    }
    refused(decodeAuthentication, hex("00000005 010203"));
    refused(decodeAuthentication, hex("00000005 0102030405"));
    refused(decodeAuthentication, hex("00000000 00"));
    refused(decodeAuthentication, hex("0000000a 61"));
    refused(decodeAuthentication, hex("0000"));
    refused(decodeAuthentication, join(hex("0000000a"), ascii("x\0".repeat(100)), hex("00")));
  });

  it("of the session's beginning come back as they were", () => {
    for (const length of [4, 32, 256]) {
      const data = { processId: -5, secretKey: new Uint8Array(length).fill(7) };
      assert.deepEqual(decodeBackendKeyData(body(encodeBackendKeyData(data))), data);
    }
    refused(decodeBackendKeyData, hex("00000001 010203"));
    refused(decodeBackendKeyData, new Uint8Array(4 + 257));
    for (const status of ["I", "T", "E"] as const) {
      assert.equal(decodeReadyForQuery(body(encodeReadyForQuery(status))), status);
    }
    refused(decodeReadyForQuery, hex("58"));
    refused(decodeReadyForQuery, hex("49 49"));
    const status = { parameter: "TimeZone", value: "UTC" };
    assert.deepEqual(decodeParameterStatus(body(encodeParameterStatus(status))), status);
    refused(decodeParameterStatus, ascii("TimeZone\0UTC"));
    const negotiation = { minor: 2, unknownOptions: ["_pq_.a", "_pq_.b"] };
    assert.deepEqual(decodeNegotiateProtocolVersion(body(encodeNegotiateProtocolVersion(negotiation))), negotiation);
    // The minor version alone, as the manual has it.
    assert.deepEqual(decodeNegotiateProtocolVersion(hex("00000000 00000000")), { minor: 0, unknownOptions: [] });
    refused(decodeNegotiateProtocolVersion, hex("00040000 00000000"));
    refused(decodeNegotiateProtocolVersion, hex("00030000 7fffffff"));
    refused(decodeNegotiateProtocolVersion, hex("00030000 ffffffff"));
  });

  it("of errors and notices are read by letter, in any order, and with letters that are new", () => {
    const error = encodeErrorResponse({ severity: "ERROR", code: "42501", message: "no\0t so", hint: "ask" });
    const read = decodeErrorFields(body(error));
    assert.equal(String.fromCharCode(error[0] as number), "E");
    assert.deepEqual([read.severity, read.code, read.message], ["ERROR", "42501", "no\ufffdt so"]);
    assert.equal(read.fields.get("H"), "ask");
    assert.equal(read.fields.has("D"), false);
    const notice = encodeNoticeResponse({ severity: "WARNING", code: "01000", message: "m", detail: "d" });
    assert.equal(String.fromCharCode(notice[0] as number), "N");
    // A server of another language names the severity in V alone; one before 9.6 has no V, and a bouncer no C.
    assert.equal(decodeErrorFields(ascii("SFEHLER\0VERROR\0C42601\0Mx\0\0")).severity, "ERROR");
    assert.deepEqual(
      { ...decodeErrorFields(ascii("zwhat\0SFATAL\0Mx\0\0")), fields: 0 },
      { severity: "FATAL", code: "", message: "x", fields: 0 },
    );
    refused(decodeErrorFields, ascii("SERROR\0"));
    refused(decodeErrorFields, ascii("SERROR\0\0x"));
    refused(decodeErrorFields, ascii("SERROR"));
    refused(decodeErrorFields, hex(""));
    refused(
      decodeErrorFields,
      join(
        Uint8Array.from({ length: 200 }, (_, at) => (at % 2 === 0 ? 1 + at : 0)),
        hex("00"),
      ),
    );
  });

  it("of results are counted", () => {
    const rows = (tag: string): number | undefined => decodeCommandComplete(ascii(`${tag}\0`)).rows;
    assert.deepEqual(
      ["INSERT 0 3", "SELECT 5", "UPDATE 0", "COPY 12", "CREATE TABLE", "BEGIN", "", "SELECT 5x", "X -1"].map(rows),
      [3, 5, 0, 12, undefined, undefined, undefined, undefined, undefined],
    );
    refused(decodeCommandComplete, ascii("SELECT 1"));
    refused(decodeCommandComplete, ascii("SELECT 1\0\0"));
    const column = join(ascii("id\0"), hex("00000010 0001 00000017 0004 ffffffff 0001"));
    assert.deepEqual(decodeRowDescription(join(hex("0001"), column)), [
      { name: "id", tableOid: 16, columnNumber: 1, typeOid: 23, format: 1 },
    ]);
    refused(decodeRowDescription, join(hex("0002"), column));
    refused(decodeRowDescription, hex("ffff"));
    assert.deepEqual(decodeParameterDescription(hex("0002 00000017 ffffffff")), [23, 0xffffffff]);
    refused(decodeParameterDescription, hex("0002 00000017"));
    assert.deepEqual(decodeCopyResponse(hex("01 0002 0001 0001")), { format: 1, columnFormats: [1, 1] });
    refused(decodeCopyResponse, hex("01 0003 0001 0001"));
    assert.deepEqual(decodeNotification(join(hex("0000002a"), ascii("c\0p\0"))), {
      processId: 42,
      channel: "c",
      payload: "p",
    });
    refused(decodeNotification, ascii("\0\0\0\0c\0p"));
  });
});
