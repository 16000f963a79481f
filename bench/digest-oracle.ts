/**
 * Compares our digest with a MySQL server's: `bun bench/digest-oracle.ts [--cases <n>] [--seed <n>] [--pairs] [--charset <name>]
 * [<corpora folder>]`.
 * First the statements of the folder's digest*.jsonl.gz as they are, then mutations of them in every sql_mode that
 * changes tokens: <n> in utf8mb4 and a tenth of that, with bytes above 0x7f, in every client charset. Ends with status 1
 * when the tokens of any text differ.
 */
import { parseArgs } from "node:util";
import {
  compare,
  Dice,
  everyByte,
  everyPair,
  LEXER_MODES,
  type LexerMode,
  makeText,
  ORACLE_SERVER_OPTIONS,
  Oracle,
  ownDigest,
  rulesOf,
  SEEDS,
} from "../test/support/digest-oracle.ts";
import { RawClient } from "../test/support/raw-client.ts";
import { startServer } from "../test/support/servers.ts";
import { readSamples } from "./corpus.ts";

const BATCH = 2000;
const SHOWN_MAX = 12;
const SEED_BYTES_MAX = 600;

interface Counts {
  texts: number;
  accepted: number;
  same: number;
  printing: number;
  different: number;
}

const seen = new Map<string, string[]>();

function show(what: string, sql: Uint8Array, own: string, server: string): void {
  const shown = seen.get(what) ?? [];
  seen.set(what, shown);
  if (shown.length < SHOWN_MAX) shown.push(`${escaped(sql)}\n  own    ${own}\n  server ${server}`);
}

/** Bytes that a terminal would not show as hexadecimal. */
function escaped(sql: Uint8Array): string {
  const text = Buffer.from(sql).toString("latin1");
  return text.replaceAll(/[^ -~]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

async function run(oracle: Oracle, mode: LexerMode, charset: string, texts: Iterable<Uint8Array>): Promise<Counts> {
  await oracle.use(mode, charset);
  const rules = rulesOf(mode, charset);
  const counts = { texts: 0, accepted: 0, same: 0, printing: 0, different: 0 };
  const judge = async (batch: readonly Uint8Array[]): Promise<void> => {
    const answers = await oracle.ask(batch);
    for (const [index, answer] of answers.entries()) {
      counts.texts++;
      const sql = batch[index];
      if (answer === undefined || sql === undefined) continue;
      counts.accepted++;
      const own = ownDigest(sql, rules);
      const verdict = compare(own, answer);
      counts[verdict]++;
      if (verdict !== "same") show(`${mode || "default"} ${charset}: ${verdict}`, sql, own.text, answer);
    }
  };
  let batch: Uint8Array[] = [];
  for (const text of texts) {
    batch.push(text);
    if (batch.length < BATCH) continue;
    await judge(batch);
    batch = [];
  }
  await judge(batch);
  return counts;
}

function report(name: string, { texts, accepted, same, printing, different }: Counts): void {
  const share = accepted === 0 ? 0 : (100 * same) / accepted;
  const columns = [texts, accepted, same, printing, different].map((count) => String(count).padStart(9)).join("");
  console.log(`${name.padEnd(36)}${columns}${share.toFixed(3).padStart(9)} %`);
}

function* mutations(count: number, seed: number, seeds: readonly string[], isHigh: boolean): Iterable<Uint8Array> {
  const dice = new Dice(seed);
  for (let i = 0; i < count; i++) yield makeText(dice, seeds, isHigh);
}

/** Every charset that the server takes from a client; the function itself does not take `binary`. */
async function clientCharsets(rootQuery: (sql: string) => Promise<string[][]>): Promise<string[]> {
  const rows = await rootQuery("SELECT character_set_name FROM information_schema.character_sets ORDER BY 1");
  return rows.map(([name]) => name ?? "").filter((name) => !/^(?:binary|ucs2|utf16|utf16le|utf32)$/.test(name));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      cases: { type: "string" },
      seed: { type: "string" },
      pairs: { type: "boolean" },
      charset: { type: "string", multiple: true },
    },
  });
  const cases = Number(values.cases ?? 20_000);
  const seed = Number(values.seed ?? 1);
  const corpus = readSamples(positionals[0], "digest").map(({ sql }) => sql);
  const seeds = [...SEEDS, ...corpus.filter((sql) => sql.length <= SEED_BYTES_MAX)];
  const server = await startServer({ kind: "mysql", options: ORACLE_SERVER_OPTIONS });
  let different = 0;
  try {
    const client = await RawClient.connect(server.host, server.port);
    const admin = server.accounts["admin"];
    if (admin === undefined) throw new Error("the server has no admin account");
    await client.login(admin);
    const oracle = new Oracle(client);
    const heads = ["texts", "accepted", "same", "printing", "different"].map((name) => name.padStart(9)).join("");
    console.log(`${"".padEnd(36)}${heads}`);
    const note = (name: string, counts: Counts): void => {
      report(name, counts);
      different += counts.different;
    };
    if (corpus.length > 0 && values.charset === undefined)
      note(
        "corpus",
        await run(
          oracle,
          "",
          "utf8mb4",
          corpus.map((sql) => Buffer.from(sql)),
        ),
      );
    for (const mode of values.charset === undefined ? LEXER_MODES : []) {
      note(`${mode || "default"} utf8mb4`, await run(oracle, mode, "utf8mb4", mutations(cases, seed, seeds, false)));
    }
    for (const [index, charset] of (await clientCharsets((sql) => server.rootQuery(sql))).entries()) {
      if (values.charset?.includes(charset) === false) continue;
      note(`default ${charset}, every byte`, await run(oracle, "", charset, everyByte()));
      for (const mode of LEXER_MODES) {
        const texts = mutations(Math.ceil(cases / 10), seed + index + 1, seeds, true);
        note(`${mode || "default"} ${charset}, high bytes`, await run(oracle, mode, charset, texts));
      }
      if (values.pairs) note(`default ${charset}, every pair`, await run(oracle, "", charset, everyPair()));
    }
    client.quit();
  } finally {
    await server.stop();
  }
  for (const [what, texts] of seen) console.log(`\n${what}\n${texts.join("\n")}`);
  process.exitCode = different === 0 ? 0 : 1;
}

await main();
