/**
 * What is not known is the worst that it could be: a text is judged no milder for a session of which nothing is known than
 * for any of which something is. Asked of statements of every form, of the attempts of test/bypass, and of the same texts
 * with a letter of one word beyond ASCII, which servers may take for the plain one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decision } from "../../src/policy/decide.ts";
import { type MysqlContext, SQL_MODE } from "../../src/sql/facts.ts";
import { STATEMENT_TEXTS } from "../support/statement-texts.ts";
import { readBypassCases } from "./bypass-cases.ts";
import { decideText, policyFrom } from "./policy-fixture.ts";

const TIMEOUT_MS = 120_000;

const POLICIES = [true, false].map((isReadOnly) =>
  policyFrom(`read_only: ${isReadOnly}
deny: { tables: [secret, t], columns: [t.a, u.b], functions: [danger, f], statements: [drop-schema] }
tenants: [{ tables: [v], column: tenant_id, value: 7 }]`),
);

const NOTHING_KNOWN = { charset: "unknown", connectionCharset: "unknown", sqlMode: "unknown" } as const;
const PLAIN = { charset: "utf8mb4", connectionCharset: "utf8mb4", sqlMode: 0 } as const;
const KNOWN = [
  PLAIN,
  { ...PLAIN, charset: "latin1", connectionCharset: "latin1" },
  { ...PLAIN, charset: "gbk", connectionCharset: "gbk" },
  { ...PLAIN, sqlMode: SQL_MODE.ANSI_QUOTES },
  { ...PLAIN, sqlMode: SQL_MODE.NO_BACKSLASH_ESCAPES },
] as const;

/** Names in which much depends on not being taken for another. */
const NAMED = [
  "CALL sys.execute_prepared_stmt('SELECT data FROM secret')",
  "CALL execute_prepared_stmt(@x)",
  "CALL sys.create_synonym_db('a', 'b')",
  "CALL mysql.rds_kill(5)",
  "CALL mysql.rds_set_configuration('x', 1)",
  "CALL mysql.lambda_async('arn', '{}')",
  "SET SESSION sql_log_bin = 0, transaction_read_only = 0",
  "SET @@tx_read_only = 0",
  "SET session_track_schema = OFF",
  "SELECT s.danger(1), danger(2)",
  "SELECT data FROM secret s JOIN u ON s.b = u.b",
  "UPDATE v SET tenant_id = 3 WHERE tenant_id = 7",
  "HANDLER secret OPEN",
  "GRANT role TO secret",
];

const ACCENTED: Readonly<Record<string, string>> = Object.fromEntries(
  [
    "aä",
    "bḃ",
    "cç",
    "dď",
    "eé",
    "fḟ",
    "gğ",
    "hḧ",
    "ií",
    "jĵ",
    "kķ",
    "lĺ",
    "mḿ",
    "nñ",
    "oó",
    "pṕ",
    "rŕ",
    "sś",
    "tţ",
    "uú",
  ]
    .concat(["vṽ", "wẁ", "xẍ", "yý", "zž"])
    .map(([plain = "", accented = ""]) => [plain, accented]),
);

/** The text with the first or the middle letter of one word accented: so many as it has words. */
function accentedOf(text: string): string[] {
  return [...text.matchAll(/[A-Za-z_]+/g)].flatMap(({ 0: word, index }, turn) => {
    const at = index + (turn % 2 === 0 ? 0 : word.length >> 1);
    const accented = ACCENTED[(text[at] as string).toLowerCase()];
    return accented === undefined ? [] : [text.slice(0, at) + accented + text.slice(at + 1)];
  });
}

const SEVERITY = ["allow", "warn", "require-approval", "block"];

/**
 * `obf.literal` counts names that make no sense, as some charsets make them of others; `acc.xschema` compares with a
 * default schema, of which such names are none.
 */
const GUESSED: ReadonlySet<string> = new Set(["obf.literal", "acc.xschema"]);

function milder(unknown: Decision, known: Decision): string | undefined {
  if (SEVERITY.indexOf(unknown.enforcedAction) < SEVERITY.indexOf(known.enforcedAction)) return known.enforcedAction;
  if (unknown.enforcedAction === "block") return undefined;
  const found = new Set(unknown.rules.map(({ id }) => id));
  return known.rules.find(({ id }) => !found.has(id) && !GUESSED.has(id))?.id;
}

type Text = string | Uint8Array;

function assertNoMilder(text: Text, context: Partial<MysqlContext>, knowns: readonly Partial<MysqlContext>[]): void {
  for (const policy of POLICIES) {
    const decided = (more: Partial<MysqlContext>) =>
      decideText(text, { policy, context: { ...context, ...more }, subject: { schema: "app" } });
    const unknown = decided(NOTHING_KNOWN);
    for (const known of knowns) {
      const lost = milder(unknown, decided(known));
      assert.equal(lost, undefined, `${JSON.stringify(known)} ${Buffer.from(text as string).toString()}`);
    }
  }
}

const TEXTS: readonly (readonly [title: string, context: Partial<MysqlContext>, texts: readonly Text[]])[] = [
  ...STATEMENT_TEXTS.map(({ title, context, texts }) => [title, context, texts] as const),
  ["names", {}, NAMED],
  ["names on MariaDB", { dialect: "mariadb", serverVersion: 101119 }, NAMED],
  ["attempts", {}, readBypassCases().map(({ sql }) => sql)],
];

for (const [title, context, texts] of TEXTS) {
  test(`a session of which nothing is known is judged no milder than a known one: ${title}`, {
    timeout: TIMEOUT_MS,
  }, () => {
    for (const text of texts) {
      assertNoMilder(text, context, KNOWN);
      if (typeof text === "string") for (const other of accentedOf(text)) assertNoMilder(other, context, [PLAIN]);
    }
  });
}
