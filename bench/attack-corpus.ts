/**
 * Writes attacks and neutralised texts for bench/detection.ts:
 * `bun bench/attack-corpus.ts <folder> [--cases <n>] [--seed <n>] [--server mysql|mariadb|mariadb11]`.
 * A server tells which of the generated texts it can parse. Attacks are those with another digest than what the
 * application meant; a text that it has escaped and that has the same digest is neutralised.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { contextFor } from "../src/policy/tools/tool-context.ts";
import { analyze } from "../src/sql/mysql/analyze.ts";
import type { ServerKind } from "../test/support/accounts.ts";
import { ORACLE_SERVER_OPTIONS, Oracle } from "../test/support/digest-oracle.ts";
import { RawClient } from "../test/support/raw-client.ts";
import { startServer } from "../test/support/servers.ts";
import { type GeneratedAttack, generateAttacks } from "./attack-generator.ts";

type Digests = readonly (string | undefined)[];
type Ask = (texts: readonly string[]) => Promise<Digests>;

const ER_PARSE_ERROR = 1064;

/** Digests of what the server can parse: MySQL tells its own, MariaDB only whether it can prepare the text. */
async function askOf(client: RawClient, kind: ServerKind): Promise<Ask> {
  if (kind === "mysql") {
    const oracle = new Oracle(client);
    await oracle.use("", "utf8mb4");
    return (texts) => oracle.ask(texts.map((text) => Buffer.from(text)));
  }
  const context = contextFor({ dialect: "mariadb" });
  return async (texts) => {
    const digests: (string | undefined)[] = [];
    for (const text of texts) {
      const literal = text.replaceAll("\\", "\\\\").replaceAll("'", "''").replaceAll("\0", "\\0");
      const answer = (await client.query(`PREPARE s FROM '${literal}'`)).at(-1)?.payload;
      const isRefused = answer === undefined || (answer[0] === 0xff && answer.readUInt16LE(1) === ER_PARSE_ERROR);
      digests.push(isRefused ? undefined : Buffer.from(analyze(Buffer.from(text), context).digest).toString("latin1"));
    }
    return digests;
  };
}

async function withServer<T>(kind: ServerKind, use: (ask: Ask) => Promise<T>): Promise<T> {
  const server = await startServer({ kind, options: kind === "mysql" ? ORACLE_SERVER_OPTIONS : [] });
  try {
    const admin = server.accounts["admin"];
    if (admin === undefined) throw new Error("the server has no admin account");
    const client = await RawClient.connect(server.host, server.port);
    await client.login(admin);
    await client.query("USE mysql");
    const result = await use(await askOf(client, kind));
    client.quit();
    return result;
  } finally {
    await server.stop();
  }
}

function kindOf(name: string | undefined): ServerKind {
  if (name === "mariadb" || name === "mariadb11") return name;
  return "mysql";
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { cases: { type: "string" }, seed: { type: "string" }, server: { type: "string" } },
  });
  const folder = positionals[0];
  if (folder === undefined) throw new Error("usage: bun bench/attack-corpus.ts <folder> [--cases <n>] [--seed <n>]");
  const kind = kindOf(values.server);
  const made = new Map<string, GeneratedAttack>();
  for (const one of generateAttacks(Number(values.cases ?? 20_000), Number(values.seed ?? 1))) made.set(one.sql, one);
  const all = [...made.values()];
  const meant = [...new Set(all.map((one) => one.meant))];
  const { digests, own } = await withServer(kind, async (ask) => ({
    digests: await ask(all.map(({ sql }) => sql)),
    own: new Set(await ask(meant)),
  }));
  const accepted = all
    .map((attack, index) => ({
      ...attack,
      src: `generated ${kind}`,
      dialect: kind === "mysql" ? "mysql" : "mariadb",
      digest: digests[index],
    }))
    .filter(({ digest }) => digest !== undefined);
  console.log(`${all.length} texts, of which ${kind} parses ${accepted.length}`);
  mkdirSync(folder, { recursive: true });
  const write = (name: string, samples: readonly object[]): void => {
    const lines = samples.map((sample) => JSON.stringify(sample)).join("\n");
    writeFileSync(join(folder, `${name}.${kind}.jsonl.gz`), gzipSync(lines));
    console.log(`${samples.length} in ${name}.${kind}.jsonl.gz`);
  };
  write(
    "attacks",
    accepted.filter(({ digest }) => !own.has(digest)),
  );
  write(
    "neutralised",
    accepted.filter(({ digest, isEscaped }) => isEscaped && own.has(digest)),
  );
}

await main();
