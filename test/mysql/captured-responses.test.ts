/** What real servers answered (capture-responses.ts), read by the tracker. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { MARIADB_CLIENT_PROGRESS } from "../../src/mysql/constants.ts";
import { type ResponseEnd, ResponseTracker } from "../../src/mysql/response.ts";
import { hex, join } from "../support/hex.ts";
import type { Capture } from "./capture-responses.ts";

const { captures } = JSON.parse(
  readFileSync(new URL("../golden/captured-responses.json", import.meta.url), "utf8"),
) as { captures: readonly Capture[] };

interface Expectation {
  readonly outcome: ResponseEnd["outcome"];
  readonly rows?: number;
  readonly resultSets?: number;
  readonly affectedRows?: number;
  readonly errorNumber?: number;
  readonly cursorExists?: boolean;
  readonly prepared?: { readonly columns: number; readonly parameters: number };
}

const ok = (rest: Partial<Expectation> = {}): Expectation => ({ outcome: "ok", ...rest });
const err = (errorNumber: number, rest: Partial<Expectation> = {}): Expectation => ({
  outcome: "err",
  errorNumber,
  ...rest,
});

/** By label: what the statement does, whatever the server and the capabilities. */
const EXPECTED: Readonly<Record<string, Expectation>> = {
  ok: ok({ rows: 0, resultSets: 0 }),
  error: err(1146),
  "syntax error": err(1064),
  rows: ok({ rows: 3, resultSets: 1 }),
  "no rows": ok({ rows: 0, resultSets: 1 }),
  "long and NULL values": ok({ rows: 3, resultSets: 1 }),
  "update with info": ok({ affectedRows: 1 }),
  "several results": ok({ rows: 2, resultSets: 2, affectedRows: 1 }),
  "error in the second statement": err(1146, { rows: 1, resultSets: 1 }),
  "251 columns": ok({ rows: 1, resultSets: 1 }),
  "set variables": ok(),
  "tracked sql_mode": ok(),
  "tracked schema": ok(),
  "tracked transaction": ok(),
  begin: ok(),
  "select in transaction": ok({ rows: 1, resultSets: 1 }),
  commit: ok(),
  "call with results": ok({ rows: 5, resultSets: 2 }),
  "call that fails": err(1146, { rows: 1, resultSets: 1 }),
  "init db": ok(),
  "init db error": err(1049),
  ping: ok(),
  statistics: { outcome: "text" },
  "field list": ok({ rows: 0 }),
  "field list error": err(1146),
  "field list without metadata": ok({ rows: 0 }),
  "set option": ok(),
  prepare: ok({ prepared: { columns: 3, parameters: 2 } }),
  execute: ok({ rows: 2, resultSets: 1 }),
  "execute again": ok({ rows: 1, resultSets: 1 }),
  "execute with cursor": ok({ rows: 0, resultSets: 1, cursorExists: true }),
  "fetch some": ok({ rows: 2, cursorExists: true }),
  "fetch the last": ok({ rows: 1, cursorExists: false }),
  "fetch too much": err(1421),
  "reset statement": ok(),
  "prepare without columns": ok({ prepared: { columns: 0, parameters: 1 } }),
  "execute without result set": ok({ resultSets: 0, affectedRows: 0 }),
  "prepare without parameters": ok({ prepared: { columns: 2, parameters: 0 } }),
  "execute without parameters": ok({ rows: 1, resultSets: 1 }),
  "prepare without both": ok({ prepared: { columns: 0, parameters: 0 } }),
  "prepare error": err(1146),
  "prepare a call": ok({ prepared: { columns: 0, parameters: 3 } }),
  "execute a call with out parameters": ok({ rows: 2, resultSets: 2 }),
  "execute an unknown statement": err(1243),
  "turn metadata off": ok(),
  "turn metadata on": ok(),
  "rows without metadata": ok({ rows: 3, resultSets: 1 }),
  "execute without metadata": ok({ rows: 2, resultSets: 1 }),
  "prepare without metadata": ok({ prepared: { columns: 2, parameters: 1 } }),
  "local infile request": { outcome: "local-infile" },
  "reset connection": ok(),
};

function trackerOf(capture: Capture): ResponseTracker {
  return new ResponseTracker({ shape: capture.shape, capabilities: capture.capabilities });
}

function check(end: ResponseEnd | undefined, expected: Expectation): void {
  assert.ok(end !== undefined, "the response has an end");
  const { prepared, ...plain } = expected;
  for (const [key, value] of Object.entries(plain)) assert.equal(end[key as keyof ResponseEnd], value, key);
  assert.equal(end.prepared?.columns, prepared?.columns);
  assert.equal(end.prepared?.parameters, prepared?.parameters);
}

describe("ResponseTracker on the answers of real servers", () => {
  it("has an answer to every question from every server", () => {
    assert.ok(captures.length > 400);
    assert.deepEqual(new Set(captures.map((capture) => capture.server)), new Set(["mysql", "mariadb", "mariadb11"]));
    for (const label of Object.keys(EXPECTED))
      assert.ok(
        captures.some((capture) => capture.label === label),
        label,
      );
  });

  for (const server of ["mysql", "mariadb", "mariadb11"]) {
    const own = captures.filter((capture) => capture.server === server);
    for (const variant of new Set(own.map((capture) => capture.variant))) {
      it(`ends exactly with each response of ${server}, ${variant}`, () => {
        for (const capture of own.filter((candidate) => candidate.variant === variant)) {
          const response = hex(capture.response);
          const expected = EXPECTED[capture.label];
          assert.ok(expected !== undefined, capture.label);
          const tracker = trackerOf(capture);
          // Bytes behind the end belong to somebody else: here, the same response again.
          const consumed = tracker.feed(join(response, response));
          assert.equal(consumed, response.length, capture.label);
          assert.equal(tracker.end?.bytes, response.length);
          assert.equal(tracker.packetBoundary, response.length);
          check(tracker.end, expected);
        }
      });

      it(`reads the same at every cut and byte by byte from ${server}, ${variant}`, () => {
        for (const capture of own.filter((candidate) => candidate.variant === variant)) {
          const response = hex(capture.response);
          const whole = trackerOf(capture);
          whole.feed(response);
          const cuts = Array.from({ length: Math.min(response.length, 400) }, (_, n) => n);
          for (const cut of cuts) {
            const tracker = trackerOf(capture);
            assert.equal(tracker.feed(response.subarray(0, cut)), cut);
            assert.equal(tracker.end, undefined, `${capture.label} does not end at ${cut}`);
            assert.equal(tracker.feed(response.subarray(cut)), response.length - cut);
            assert.deepEqual(tracker.end, whole.end, `${capture.label} cut at ${cut}`);
          }
          const dribble = trackerOf(capture);
          for (let at = 0; at < response.length; at++) assert.equal(dribble.feed(response.subarray(at, at + 1)), 1);
          assert.deepEqual(dribble.end, whole.end, `${capture.label} byte by byte`);
        }
      });
    }
  }

  it("goes on after a LOCAL INFILE request", () => {
    const requests = captures.filter((capture) => capture.afterFile !== undefined);
    assert.ok(requests.length >= 9);
    for (const capture of requests) {
      const tracker = trackerOf(capture);
      tracker.feed(hex(capture.response));
      assert.equal(Buffer.from(tracker.end?.fileName ?? hex("")).toString(), "a file");
      tracker.resumeAfterLocalInfile(2);
      assert.ok(tracker.end === undefined);
      const rest = hex(capture.afterFile ?? "");
      assert.equal(tracker.feed(rest), rest.length);
      const end = tracker.end as ResponseEnd | undefined;
      assert.equal(end?.outcome, "ok");
      assert.equal(end?.affectedRows, 0);
      // With MARIADB_CLIENT_PROGRESS a report comes first.
      const hasProgress = (capture.capabilities.mariadb & MARIADB_CLIENT_PROGRESS) !== 0;
      assert.equal(end?.lastSequenceId, hasProgress ? 4 : 3);
    }
  });

  it("tells what the servers report of the session", () => {
    const endOf = (server: string, variant: string, label: string): ResponseEnd | undefined => {
      const capture = captures.find((one) => one.server === server && one.variant === variant && one.label === label);
      assert.ok(capture !== undefined);
      const tracker = trackerOf(capture);
      tracker.feed(hex(capture.response));
      return tracker.end;
    };
    for (const server of ["mysql", "mariadb"]) {
      const variant = "deprecate-eof, session-track";
      const sqlMode = endOf(server, variant, "tracked sql_mode");
      assert.equal(sqlMode?.sessionState?.systemVariables.get("sql_mode"), "ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
      assert.equal((sqlMode?.statusFlags ?? 0) & 0x200, 0x200);
      assert.equal(endOf(server, variant, "tracked schema")?.sessionState?.schema, "captures");
      assert.equal(endOf(server, variant, "init db")?.sessionState?.schema, "captures");
      assert.equal((endOf(server, variant, "begin")?.statusFlags ?? 0) & 1, 1);
      // Reported by the terminator of a result set.
      assert.equal(endOf(server, variant, "select in transaction")?.sessionState?.transactionState, "T_R__sS_");
    }
  });
});
