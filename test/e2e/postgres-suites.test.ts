/**
 * PostgreSQL's own tests through the executable, with the policy watching: what they print is what they print directly.
 *
 *   QUERYCOP_TEST_SCALE   "full" for all 200 scripts of the regression suite and all tests of libpq_pipeline
 */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import {
  makeRegressionDatabase,
  pipelineProgram,
  regressionScripts,
  runScript,
  statementsOf,
} from "../support/postgres-suites.ts";
import type { Querycop } from "../support/querycop.ts";

const IS_FULL = process.env["QUERYCOP_TEST_SCALE"] === "full";
const TIMEOUT_MS = 60 * 60_000;
/** What they set up, and some of what a proxy may get wrong: portals, COPY, transactions, prepared statements, settings. */
const FEW = ["test_setup", "portals", "copy2", "transactions", "prepare", "guc", "copydml"];
/** psql's \lo_import speaks FunctionCall, which is refused. */
const OTHERWISE: ReadonlySet<string> = new Set(["largeobject"]);
const FEW_PIPELINES = ["pipeline_abort", "simple_pipeline", "transaction", "prepared", "nosync"];
/** They write for as long as the socket takes it: what comes between is a matter of time. */
const UNTRACED: ReadonlySet<string> = new Set(["pipelined_insert", "uniqviol"]);

const folder = mkdtempSync(join(tmpdir(), "querycop-suites-"));
// The server, another user, writes its part of what a script writes there.
chmodSync(folder, 0o777);
let direct: PostgresServer;
let behind: PostgresServer;
let querycop: Querycop;

after(async () => {
  await endStage();
  await Promise.all([direct?.stop(), behind?.stop()]);
  rmSync(folder, { recursive: true });
});

/** What a test prints, without the numbers that no two runs share. */
const steady = (text: string): string =>
  text.replaceAll(/^psql:[^:]*:\d+: /gm, "").replaceAll(/\b(?:PID|pid|process) \d+/g, "process N");

describe("PostgreSQL's own tests through the executable", () => {
  e2e("two servers stand, one of them behind querycop", async () => {
    [direct, behind] = await Promise.all([startPostgres(), startPostgres()]);
    const policyFile = join(folder, "policy.yaml");
    writeFileSync(policyFile, "version: 1\nmode: observe\n", { mode: 0o600 });
    querycop = await startStaged({
      GATEKEEPER_BACKEND_ENGINE: "postgresql",
      GATEKEEPER_BACKEND_HOST: "127.0.0.1",
      GATEKEEPER_BACKEND_PORT: String(behind.port),
      GATEKEEPER_BACKEND_TLS_MODE: "disable",
      GATEKEEPER_PROXY_TLS_MODE: "off",
      GATEKEEPER_POLICY_FILE: policyFile,
    });
    await Promise.all([direct, behind].map(({ port }) => makeRegressionDatabase(port)));
  });

  e2e(
    "scripts of the regression suite print what they print directly",
    async () => {
      const scripts = IS_FULL ? (await regressionScripts()).filter((script) => !OTHERWISE.has(script)) : FEW;
      const different: string[] = [];
      let statements = 0;
      for (const script of scripts) {
        const [wanted, got] = await Promise.all(
          [direct.port, querycop.port].map((port) => runScript(port, script, folder)),
        );
        assert.ok(wanted !== undefined && got !== undefined && wanted.stdout.length > 100, script);
        statements += await statementsOf(script);
        const isSame =
          steady(wanted.stdout) === steady(got.stdout) &&
          steady(wanted.stderr) === steady(got.stderr) &&
          wanted.code === got.code;
        if (!isSame) different.push(script);
        if (IS_FULL)
          process.stderr.write(`${script} ${isSame ? "same" : "DIFFERENT"}, ${statements} statements so far\n`);
      }
      assert.deepEqual(different, []);
    },
    TIMEOUT_MS,
  );

  e2e(
    "libpq_pipeline passes, message for message as directly",
    async () => {
      const program = await pipelineProgram();
      const files = [join(folder, "direct.trace"), join(folder, "behind.trace")] as const;
      for (const test of IS_FULL ? program.tests : FEW_PIPELINES) {
        const [directFile, behindFile] = UNTRACED.has(test) ? [] : files;
        const wanted = await program.run(direct.port, test, directFile);
        const got = await program.run(querycop.port, test, behindFile);
        assert.deepEqual([got.code, wanted.code], [0, 0], `${test}: ${got.stderr}`);
        if (directFile !== undefined && behindFile !== undefined) {
          assert.ok(readFileSync(directFile).equals(readFileSync(behindFile)), `the trace of ${test}`);
        }
        if (IS_FULL) process.stderr.write(`${test} same\n`);
      }
    },
    TIMEOUT_MS,
  );
});
