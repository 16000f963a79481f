/**
 * No list of messages talks a PostgreSQL session out of what its policy denies: lists from a seed change the session's state in
 * every way there is and then send what that may have made another statement, through the executable. QUERYCOP_LISTS says how many,
 * QUERYCOP_LISTS_SEED which, QUERYCOP_TEST_POSTGRES on which server; those before 18 do not report their search_path.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import {
  DifferentialStage,
  differentialSettings,
  type SessionList,
  SessionLists,
} from "../support/postgres-differential.ts";
import { type PostgresServer, type PostgresVersion, startPostgres } from "../support/postgres-server.ts";
import { randomFrom } from "../support/random.ts";

const LISTS = Number(process.env["QUERYCOP_LISTS"] ?? 320);
const SEED = Number(process.env["QUERYCOP_LISTS_SEED"] ?? 12);
const DIRECT_LISTS = 48;
const TIMEOUT_MS = 120 * 60_000;
const FINDINGS_MAX = 5;

const named = process.env["QUERYCOP_TEST_POSTGRES"];
const VERSIONS: readonly PostgresVersion[] = named === undefined ? [15, 18] : [Number(named) as PostgresVersion];

const folder = mkdtempSync(join(tmpdir(), "querycop-lists-"));

after(() => rmSync(folder, { recursive: true }));

/** So many sessions at a time: what they change is looked at behind all of them, and where something is, one by one. */
const AT_A_TIME = 8;

interface Tally {
  readonly counts: Record<string, number>;
  readonly findings: { readonly effect: "read" | "changed"; readonly list: SessionList }[];
}

async function effectOf(
  stage: DifferentialStage,
  port: number,
  list: SessionList,
): Promise<"read" | "changed" | undefined> {
  const outcome = await stage.run(port, list);
  const isIntact = await stage.isIntact([list]);
  return outcome === "read" ? "read" : isIntact ? undefined : "changed";
}

async function search(stage: DifferentialStage, port: number, lists: SessionLists, count: number): Promise<Tally> {
  const tally: Tally = { counts: {}, findings: [] };
  for (let done = 0; done < count && tally.findings.length < FINDINGS_MAX; done += AT_A_TIME) {
    const batch = lists.batch(AT_A_TIME);
    const outcomes = await Promise.all(batch.map((list) => stage.run(port, list)));
    for (const outcome of outcomes) tally.counts[outcome] = (tally.counts[outcome] ?? 0) + 1;
    const isIntact = await stage.isIntact(batch);
    const suspects = isIntact ? batch.filter((_, index) => outcomes[index] === "read") : batch;
    for (const list of suspects) {
      const effect = await effectOf(stage, port, list);
      if (effect !== undefined) tally.findings.push({ effect, list });
    }
    // What came of several sessions at once and of none alone is a finding too.
    const [first] = suspects;
    if (first !== undefined && tally.findings.length === 0) {
      tally.findings.push({ effect: isIntact ? "read" : "changed", list: first });
    }
  }
  return tally;
}

/** Without one step after the other, as long as the effect stays. */
async function shrink(stage: DifferentialStage, port: number, list: SessionList): Promise<SessionList> {
  let kept = list;
  for (let at = list.steps.length - 1; at >= 0; at--) {
    const candidate = { ...kept, steps: kept.steps.toSpliced(at, 1) };
    if ((await effectOf(stage, port, candidate)) !== undefined) kept = candidate;
  }
  return kept;
}

for (const version of VERSIONS) {
  describe(`PostgreSQL ${version}: lists of messages`, () => {
    let server: PostgresServer;
    let stage: DifferentialStage;

    after(async () => {
      await endStage();
      stage?.close();
      await server?.stop();
    });

    e2e("have the effects that are denied straight on the server", async () => {
      server = await startPostgres(undefined, "host all app,reader,guarded,free 127.0.0.1/32 trust\n", version);
      stage = await DifferentialStage.on(server);
      const lists = new SessionLists(randomFrom(SEED + 1));
      let read = 0;
      let changed = 0;
      for (let done = 0; done < DIRECT_LISTS; done += AT_A_TIME) {
        const batch = lists.batch(AT_A_TIME);
        const outcomes = await Promise.all(batch.map((list) => stage.run(server.port, list)));
        read += outcomes.filter((outcome) => outcome === "read").length;
        if (!(await stage.isIntact(batch))) changed++;
      }
      assert.ok(
        read >= DIRECT_LISTS / 8 && changed >= 2,
        `${read} read, ${changed} of so many at a time changed something`,
      );
    });

    e2e(
      "have none of them through the executable",
      async () => {
        const querycop = await startStaged(differentialSettings(server, folder));
        const { counts, findings } = await search(stage, querycop.port, new SessionLists(randomFrom(SEED)), LISTS);
        const told: string[] = [];
        for (const { effect, list } of findings) {
          told.push(`${effect}: ${JSON.stringify(await shrink(stage, querycop.port, list))}`);
        }
        assert.deepEqual(told, []);
        // Sessions that the server or querycop ends early prove nothing: COPY with another message in it, a wall set back.
        assert.ok((counts["lost"] ?? 0) < LISTS / 8, JSON.stringify(counts));
        assert.ok((counts["nothing"] ?? 0) > LISTS / 2, JSON.stringify(counts));
        if (process.env["QUERYCOP_LISTS"] !== undefined) process.stderr.write(`${version} ${JSON.stringify(counts)}\n`);
      },
      TIMEOUT_MS,
    );
  });
}
