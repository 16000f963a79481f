/**
 * The lexer against MySQL's own, by the digests of mutated statements. QUERYCOP_TEST_SCALE=full asks about as many as
 * bench/digest-oracle.ts, which also shows what differs.
 */
import assert from "node:assert/strict";
import { after } from "node:test";
import {
  compare,
  Dice,
  everyByte,
  LEXER_MODES,
  type LexerMode,
  makeText,
  ORACLE_SERVER_OPTIONS,
  Oracle,
  ownDigest,
  rulesOf,
  SEEDS,
} from "../support/digest-oracle.ts";
import { e2e } from "../support/e2e-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const CASES = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 100_000 : 3_000;
/** Every charset whose bytes the lexer treats in a way of their own, and the two that most clients use. */
const CHARSETS = [
  ..."utf8mb4 latin1 gbk gb18030 big5 sjis cp932 euckr ujis gb2312 hp8 cp1250 latin7 cp850 hebrew macroman keybcs2 swe7".split(
    " ",
  ),
];

const server = await startServer({ kind: "mysql", options: ORACLE_SERVER_OPTIONS });
const client = await RawClient.connect(server.host, server.port);
const { admin } = server.accounts;
assert.ok(admin);
await client.login(admin);
const oracle = new Oracle(client);

after(async () => {
  client.quit();
  await server.stop();
});

/** Fails with the texts that the server splits otherwise. Returns how many it accepted. */
async function check(mode: LexerMode, charset: string, texts: readonly Uint8Array[]): Promise<number> {
  await oracle.use(mode, charset);
  const rules = rulesOf(mode, charset);
  const differing: string[] = [];
  let accepted = 0;
  const answers = await oracle.ask(texts);
  for (const [index, sql] of texts.entries()) {
    const answer = answers[index];
    if (answer === undefined) continue;
    accepted++;
    const own = ownDigest(sql, rules);
    if (compare(own, answer) !== "different") continue;
    differing.push(`${JSON.stringify(Buffer.from(sql).toString("latin1"))}: ${own.text} for the server's ${answer}`);
  }
  assert.deepEqual(differing, []);
  return accepted;
}

function mutations(count: number, seed: number, isHigh: boolean): Uint8Array[] {
  const dice = new Dice(seed);
  return Array.from({ length: count }, () => makeText(dice, SEEDS, isHigh));
}

for (const mode of LEXER_MODES) {
  e2e(`splits mutated statements as MySQL does with sql_mode "${mode}"`, async () => {
    const accepted = await check(mode, "utf8mb4", mutations(CASES, 1, false));
    assert.ok(accepted > CASES / 5, `${accepted} accepted`);
  });
}

for (const [index, charset] of CHARSETS.entries()) {
  e2e(`splits every byte and mutated statements as MySQL does for a ${charset} client`, async () => {
    // Below 0x80 they differ in swe7 alone.
    const first = charset === "utf8mb4" || charset === "swe7" ? 0 : 0x80;
    assert.ok((await check("", charset, [...everyByte(first)])) > 1000);
    const accepted = await check("", charset, mutations(CASES / 10, index, true));
    assert.ok(accepted > CASES / 200, `${accepted} accepted`);
  });
}
