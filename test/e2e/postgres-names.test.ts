/** What EXECUTE and Bind run by a name, whoever gave it: through the executable, by effect on a real PostgreSQL. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { decodeErrorFields } from "../../src/postgres/backend-message.ts";
import type { FrontendMessage } from "../../src/postgres/frontend-message.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { PostgresClient, rowsIn } from "../support/postgres-client.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import type { Querycop } from "../support/querycop.ts";

const TENANT = POSTGRES_ACCOUNTS.trust;
const OWNER = { user: "postgres", password: "" } as const;
const POLICY = `version: 1
mode: enforce
profiles:
  - name: tenant
    match: { users: [${TENANT.user}] }
    tenants: [{ tables: [public.docs], column: tenant_id, value: 7 }]
`;

const folder = mkdtempSync(join(tmpdir(), "querycop-names-"));
let server: PostgresServer;
let querycop: Querycop;
const clients: PostgresClient[] = [];

after(async () => {
  for (const client of clients) client.close();
  await endStage();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

async function logIn(): Promise<PostgresClient> {
  const client = await PostgresClient.logIn({ port: querycop.port, ...TENANT });
  clients.push(client);
  return client;
}

const parse = (statement: string, sql: string): FrontendMessage => ({
  name: "Parse",
  statement,
  sql: encodeUtf8(sql),
  parameterTypes: [],
});

/** The rows, or the SQLSTATE of the error and the rule that it names. */
async function told(client: PostgresClient, ...messages: readonly FrontendMessage[]): Promise<string> {
  client.send(...messages);
  const pieces = await client.untilReady();
  for (const piece of pieces) {
    if (piece.kind !== "message" || piece.type !== 0x45) continue;
    const { code, message } = decodeErrorFields(piece.body);
    return `${code} ${/rule ([a-z.-]+)/.exec(message)?.[1] ?? message}`;
  }
  return pieces.flatMap((piece) => (piece.type === 0x44 ? rowsIn(piece.wire) : [])).join(";");
}

const query = (client: PostgresClient, sql: string): Promise<string> =>
  told(client, { name: "Query", sql: encodeUtf8(sql) });

const run = (client: PostgresClient, statement: string, ...values: readonly string[]): Promise<string> =>
  told(
    client,
    {
      name: "Bind",
      portal: "",
      statement,
      parameterFormats: [],
      values: values.map((value) => encodeUtf8(value)),
      resultFormats: [],
    },
    { name: "Execute", portal: "", rowsMax: 0 },
    { name: "Sync" },
  );

const prepared = (client: PostgresClient, statement: string, sql: string): Promise<string> =>
  told(client, parse(statement, sql), { name: "Sync" });

const OF_TENANT = "SELECT body FROM docs WHERE tenant_id =";

describe("names of prepared statements in front of a real PostgreSQL", () => {
  e2e("the server has rows of two tenants", async () => {
    server = await startPostgres();
    const owner = await PostgresClient.logIn({ port: server.port, ...OWNER });
    clients.push(owner);
    await owner.query("CREATE TABLE docs (tenant_id int, body text, UNIQUE (tenant_id, body))");
    await owner.query("INSERT INTO docs VALUES (7, 'seven'), (8, 'eight'); GRANT ALL ON docs TO PUBLIC");
    const file = join(folder, "policy.yaml");
    writeFileSync(file, POLICY, { mode: 0o600 });
    querycop = await startStaged({
      GATEKEEPER_BACKEND_ENGINE: "postgresql",
      GATEKEEPER_BACKEND_HOST: "127.0.0.1",
      GATEKEEPER_BACKEND_PORT: String(server.port),
      GATEKEEPER_BACKEND_TLS_MODE: "disable",
      GATEKEEPER_PROXY_TLS_MODE: "off",
      GATEKEEPER_POLICY_FILE: file,
    });
  });

  e2e("EXECUTE is judged by what the wire or PREPARE has given the name, whose values nobody knows", async () => {
    const client = await logIn();
    assert.equal(await prepared(client, "either", `${OF_TENANT} $1`), "");
    assert.equal(await run(client, "either", "7"), "seven");
    assert.equal(await run(client, "either", "8"), "42501 acc.tenant");
    assert.equal(await query(client, "EXECUTE either(8)"), "42501 acc.tenant");
    assert.equal(await query(client, "EXPLAIN EXECUTE either(8)"), "42501 acc.tenant");
    assert.equal(await prepared(client, "own", `${OF_TENANT} 7`), "");
    assert.equal(await query(client, "EXECUTE own"), "seven");
    assert.equal(await query(client, `PREPARE "by text" AS ${OF_TENANT} 7`), "");
    assert.equal(await query(client, 'EXECUTE "by text"'), "seven");
    assert.equal(await run(client, "by text"), "seven");
    assert.equal(await query(client, `PREPARE other AS ${OF_TENANT} 8`), "42501 acc.tenant");
  });

  e2e("a name that nobody has seen given is not run, and one in other letters is another name", async () => {
    const client = await logIn();
    assert.equal(await query(client, "EXECUTE unseen"), "42501 dyn.opaque");
    assert.equal(await run(client, "unseen"), "42501 dyn.opaque");
    assert.equal(await query(client, 'PREPARE x AS SELECT 1; EXECUTE "X"'), "42501 dyn.opaque");
    assert.equal(await query(client, "PREPARE x AS SELECT 1; EXECUTE x"), "1");
  });

  e2e(
    "a name that was given anew stands for either text, and only what may give names unseen makes them doubtful",
    async () => {
      const client = await logIn();
      assert.equal(await prepared(client, "n", `${OF_TENANT} 7`), "");
      assert.equal(
        await query(client, "INSERT INTO docs (tenant_id, body) VALUES (7, 'seven') ON CONFLICT DO NOTHING"),
        "",
      );
      assert.equal(await query(client, "DO $$ BEGIN PERFORM 1; END $$"), "");
      assert.equal(await run(client, "n"), "seven");
      assert.equal(await query(client, "DEALLOCATE n; PREPARE n AS SELECT 1"), "");
      assert.equal(await query(client, "EXECUTE n"), "1");
      assert.equal(await run(client, "n"), "1");
      assert.equal(await query(client, "CREATE PROCEDURE p() LANGUAGE sql AS ''"), "");
      assert.equal(await query(client, "CALL p()"), "");
      assert.equal(await run(client, "n"), "42501 dyn.opaque");
    },
  );
});
