import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QuerycopError } from "../../../src/base/errors.ts";
import {
  CLIENT_DEPRECATE_EOF,
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  MARIADB_CLIENT_CACHE_METADATA,
} from "../../../src/mysql/constants.ts";
import { Leg } from "../../../src/net/leg.ts";
import type { Transport } from "../../../src/net/transport.ts";
import { BackendGate } from "../../../src/session/backend-gate.ts";
import { queryText, type TextAnswer } from "../../../src/session/mysql/statements/text-query.ts";
import { errPayload, OK_PAYLOAD } from "../../support/fake-peers.ts";
import {
  columnCount,
  columnDefinition,
  eof,
  fileRequest,
  resultSet,
  rowsEnd,
  textRow,
  wireOf,
} from "../../support/wire-replies.ts";

const MODERN = { flags: CLIENT_DEPRECATE_EOF, mariadb: 0 };
const CLASSIC = { flags: 0, mariadb: 0 };
const ERR = errPayload({ errorNumber: 1146, sqlState: "42S02", message: "no such table" });

interface Asked {
  readonly answer: TextAnswer;
  readonly sent: Buffer;
  /** Bytes of the backend's that were not read. */
  readonly hasUnread: boolean;
}

/** Asks a backend that says this and no more. */
async function ask(payloads: readonly Uint8Array[], capabilities = MODERN, rowsMax = 3): Promise<Asked> {
  const sent: Uint8Array[] = [];
  const transport: Transport = {
    remoteAddress: undefined,
    needsDrain: false,
    unsentBytes: 0,
    attach: (listener) => listener.receive(wireOf(payloads)),
    write: (bytes) => sent.push(bytes) > 0,
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
    startTls: () => Promise.reject(new Error("not here")),
  };
  const leg = new Leg("backend", transport, 64 * 1024);
  leg.receiveEnd();
  const query = { sql: Buffer.from("SELECT 1"), purpose: "a question", capabilities, rowsMax, timeoutMs: 60_000 };
  const answer = await queryText(new BackendGate(leg, 1000), query);
  return { answer, sent: Buffer.concat(sent), hasUnread: leg.hasUnread };
}

async function assertRefused(payloads: readonly Uint8Array[], message: RegExp, code = "QC_BACKEND_PROTOCOL") {
  await assert.rejects(ask(payloads), (thrown) => {
    assert.ok(thrown instanceof QuerycopError);
    assert.equal(thrown.code, code);
    assert.match(thrown.message, message);
    return true;
  });
}

const TWO_COLUMNS = [columnCount(2), columnDefinition("Id"), columnDefinition("name")];

describe("queryText()", () => {
  it("sends one COM_QUERY and reads its rows, NULL as undefined", async () => {
    const rows = [textRow("1", null), textRow("", "zwei ü")];
    const { answer, sent, hasUnread } = await ask([...TWO_COLUMNS, ...rows, rowsEnd()]);
    assert.deepEqual(answer, {
      kind: "rows",
      columns: ["id", "name"],
      rows: [
        ["1", undefined],
        ["", "zwei ü"],
      ],
    });
    assert.equal(sent.toString("hex"), `09000000${Buffer.from("\x03SELECT 1").toString("hex")}`);
    assert.equal(hasUnread, false);
  });

  it("reads the EOF_Packets of a connection without CLIENT_DEPRECATE_EOF", async () => {
    const { answer, hasUnread } = await ask([...TWO_COLUMNS, eof(), textRow("1", "a"), eof()], CLASSIC);
    assert.deepEqual(answer, { kind: "rows", columns: ["id", "name"], rows: [["1", "a"]] });
    assert.equal(hasUnread, false);
  });

  it("reads rows without their definitions, where the session has turned those off", async () => {
    for (const capabilities of [
      { flags: CLIENT_DEPRECATE_EOF | CLIENT_OPTIONAL_RESULTSET_METADATA, mariadb: 0 },
      { flags: CLIENT_DEPRECATE_EOF, mariadb: MARIADB_CLIENT_CACHE_METADATA },
    ]) {
      const { answer } = await ask([Uint8Array.of(2, 0), textRow("1", "a"), rowsEnd()], capabilities);
      assert.deepEqual(answer, { kind: "rows", columns: [], rows: [["1", "a"]] });
      const [, ...definitions] = TWO_COLUMNS;
      const full = await ask([Uint8Array.of(2, 1), ...definitions, textRow("1", "a"), rowsEnd()], capabilities);
      assert.deepEqual(full.answer, { kind: "rows", columns: ["id", "name"], rows: [["1", "a"]] });
    }
  });

  it("takes an OK_Packet for an answer without columns and rows", async () => {
    assert.deepEqual((await ask([OK_PAYLOAD])).answer, { kind: "rows", columns: [], rows: [] });
  });

  it("hands on the server's refusal, at once and behind rows", async () => {
    const refused = { kind: "refused", errorNumber: 1146, message: "no such table" };
    assert.deepEqual((await ask([ERR])).answer, refused);
    assert.deepEqual((await ask([...TWO_COLUMNS, textRow("1", "a"), ERR])).answer, refused);
  });

  it("accepts as many rows as it was told, and refuses one more", async () => {
    const rows = Array.from({ length: 4 }, (_, index) => textRow(String(index)));
    const { answer } = await ask(resultSet(rows.slice(1)));
    assert.equal(answer.kind === "rows" && answer.rows.length, 3);
    await assertRefused(resultSet(rows), /The answer to a question has more than 3 rows/);
  });

  it("refuses what is no short answer in text", async () => {
    await assertRefused([columnCount(65)], /column count: it is 65, at most 64/);
    await assertRefused([fileRequest("/etc/passwd")], /column count/);
    await assertRefused([columnCount(1), Buffer.from([3, 100])], /column definition/);
    await assertRefused(resultSet([Buffer.from([9, 97])]), /row of a question/);
    await assertRefused([...TWO_COLUMNS, textRow("1")], /row of a question/);
  });

  it("says what it waited for when the backend goes away", async () => {
    const awaiting = /closed the connection while waiting for the answer to a question/;
    await assertRefused(TWO_COLUMNS, awaiting, "QC_BACKEND_CLOSED");
  });
});
