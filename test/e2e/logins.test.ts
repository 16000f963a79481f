/** Logins that querycop checks by itself, through the executable: who is taken out stays out. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach } from "node:test";
import { fileURLToPath } from "node:url";
import { awsEnvironment, iamSettings } from "../support/aws-token.ts";
import { clusterBackend } from "../support/backend-settings.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type Querycop, runQuerycop } from "../support/querycop.ts";
import type { RawClient, RawLogin } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const certificates = await makeCertificates();
const server = await startServer({
  kind: "mysql",
  certificate: { ...certificates.leaves.chain, clientCaFile: certificates.caFile },
});
server.setIam(iamSettings(CLUSTER_HOST, server.port));
afterEach(endStage);
after(async () => {
  await server.stop();
  certificates.remove();
});

const USER = { user: "iam_user", password: "the user's own pass phrase" };
const usersFile = join(certificates.folder, "users");
const hashed = await runQuerycop(["hash-password", `--user=${USER.user}`], {}, `${USER.password}\n`);
assert.equal(hashed.code, 0, hashed.stderr);
const OTHERS = hashed.stdout.replace(/^iam_user/, "somebody_else");
assert.notEqual(OTHERS, hashed.stdout);

async function start(): Promise<Querycop> {
  writeFileSync(usersFile, hashed.stdout, { mode: 0o600 });
  return await startStaged({
    ...awsEnvironment(),
    ...clusterBackend(server, certificates),
    GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
    GATEKEEPER_CLIENT_AUTH: "password",
    GATEKEEPER_USERS_FILE: usersFile,
  });
}

async function logIn(querycop: Querycop, more: Partial<RawLogin> = {}): Promise<RawClient> {
  const client = await connectStaged(querycop.port);
  await client.login({ ...USER, plugin: "caching_sha2_password", ...more });
  return client;
}

e2e(
  "a user that is taken out while its login waits for the whole password stays out, then and afterwards",
  async () => {
    const querycop = await start();
    let changes = 0;
    const change = async (content: string): Promise<void> => {
      writeFileSync(usersFile, content, { mode: 0o600 });
      querycop.signal("SIGHUP");
      changes++;
      await eventually("the users are in force", () => {
        const told = querycop
          .logs()
          .filter(({ event, what }) => event === "change in force" && /users/.test(String(what)));
        return told.length >= changes;
      });
    };
    let asked = 0;
    const counting = { beforePassword: async () => void asked++ };
    const takenOut = { beforePassword: async () => await change(OTHERS) };
    await assert.rejects(logIn(querycop, takenOut), /1045/);
    await assert.rejects(logIn(querycop, counting), /1045/);
    assert.equal(asked, 1, "nothing was learned: it is asked for all of its password");
    await change(hashed.stdout);
    await logIn(querycop, counting);
    await logIn(querycop, counting);
    assert.equal(asked, 2, "the second login is the short one");
    await change(OTHERS);
    await assert.rejects(logIn(querycop, counting), /1045/);
  },
);

const GUESSER = fileURLToPath(new URL("../support/wrong-passwords.ts", import.meta.url));
const GUESSERS = 8;
const ROUNDS = 6;
const STATEMENTS = 30;
/** Where a whole password is checked in one piece, a statement waits for all that have come. */
const SLOWER_MAX = 10;

e2e("sessions are served while somebody tries wrong passwords without end", async () => {
  const querycop = await start();
  const client = await logIn(querycop);
  const guessing = spawn(process.execPath, [GUESSER, String(querycop.port), USER.user, String(GUESSERS)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  guessing.stdout.on("data", (bytes: Buffer) => {
    said += bytes;
  });
  const untilGuessed = async (): Promise<void> => {
    const { length } = said;
    await eventually("passwords are tried", () => said.length > length);
  };
  const statements = async (): Promise<number> => {
    const beganMs = performance.now();
    for (let index = 0; index < STATEMENTS; index++) {
      const [first] = await client.query("SELECT 1");
      assert.notEqual(first?.payload[0], 0xff);
    }
    return performance.now() - beganMs;
  };
  try {
    const slower: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      guessing.kill("SIGCONT");
      await untilGuessed();
      const beside = await statements();
      guessing.kill("SIGSTOP");
      slower.push(beside / (await statements()));
    }
    assert.ok(!said.includes("let in"));
    const told = slower.map((ratio) => ratio.toFixed(1)).join(", ");
    assert.ok(Math.min(...slower) <= SLOWER_MAX, `a statement beside wrong passwords takes ${told} times as long`);
  } finally {
    guessing.kill("SIGKILL");
  }
});
