/** A session of src/session/postgres between real clients' bytes and a real PostgreSQL: as direct, but for what is refused. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, describe } from "node:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { BackendTls, ClientTls } from "../../src/net/tls.ts";
import { type BackendKeyData, decodeErrorFields } from "../../src/postgres/backend-message.ts";
import type { BackendPiece } from "../../src/postgres/backend-walker.ts";
import type { FrontendMessage } from "../../src/postgres/frontend-message.ts";
import { formatScramVerifier, makeScramVerifier } from "../../src/postgres/scram.ts";
import { encodeCancelRequest } from "../../src/postgres/startup.ts";
import { UserDirectory } from "../../src/session/accounts/user-directory.ts";
import { HeldPassword, type PasswordSource } from "../../src/token/password.ts";
import type { TokenSource } from "../../src/token/token.ts";
import { TokenManager } from "../../src/token/token-manager.ts";
import { isTokenFor, signToken } from "../support/aws-token.ts";
import { type CertificateSet, makeCertificates } from "../support/certificates.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type LdapResponder, startLdapResponder } from "../support/ldap-responder.ts";
import { PostgresClient, PostgresError, type PostgresLogin, rowsIn } from "../support/postgres-client.ts";
import {
  type PostgresProxy,
  type PostgresProxyOptions,
  startPostgresProxy,
  WORD_JUDGE,
} from "../support/postgres-proxy.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { memoryLogger, NO_DATA_LIMITS } from "../support/session-harness.ts";

let server: PostgresServer;
let certificates: CertificateSet;
let proxy: PostgresProxy;
/** Takes a token for a password, as the module of RDS does. */
let directory: LdapResponder;
const ENDPOINT = { host: "db.test", port: 5432 } as const;
const opened: { close(): unknown }[] = [];

after(async () => {
  await Promise.all(opened.map((one) => one.close()));
  certificates?.remove();
  await server?.stop();
});

async function proxyWith(options: Omit<PostgresProxyOptions, "backendPort"> = {}): Promise<PostgresProxy> {
  const started = await startPostgresProxy({ backendPort: server.port, ...options });
  opened.unshift(started);
  return started;
}

async function logIn(login: Omit<PostgresLogin, "port">, port = proxy.port): Promise<PostgresClient> {
  const client = await PostgresClient.logIn({ port, ...login });
  opened.unshift(client);
  return client;
}

const bytes = encodeUtf8;
const typesOf = (pieces: readonly BackendPiece[]): string =>
  pieces.map(({ type }) => String.fromCharCode(type)).join("");
const errorOf = (pieces: readonly BackendPiece[]) => {
  const found = pieces.find(({ type }) => type === 0x45);
  assert.ok(found?.kind === "message", `an error in ${typesOf(pieces)}`);
  return decodeErrorFields(found.body);
};

async function refusedWith(state: string, text: RegExp, login: Promise<unknown>): Promise<void> {
  await assert.rejects(login, (error) => {
    assert.ok(error instanceof PostgresError, String(error));
    assert.match(error.message, text);
    assert.deepEqual([error.fields.severity, error.fields.code], ["FATAL", state]);
    return true;
  });
}

/** TLS on both legs, verified towards the server. */
function bothTls() {
  const { certFile, keyFile } = certificates.leaves.goodRsa;
  const read = (file: string): string => readFileSync(file, "latin1");
  return {
    listener: { clientTls: new ClientTls({ cert: read(certFile), key: read(keyFile) }), clientTlsMode: "allow" },
    backend: {
      tls: new BackendTls({
        mode: "verify-full",
        ca: read(certificates.caFile),
        serverName: "localhost",
        minVersion: "TLSv1.2",
      }),
    },
  } as const;
}

const query = (sql: string): FrontendMessage => ({ name: "Query", sql: bytes(sql) });
const parse = (statement: string, sql: string): FrontendMessage => ({
  name: "Parse",
  statement,
  sql: bytes(sql),
  parameterTypes: [],
});
const bind = (portal: string, statement: string, values: readonly string[] = []): FrontendMessage => ({
  name: "Bind",
  portal,
  statement,
  parameterFormats: [],
  values: values.map((value) => bytes(value)),
  resultFormats: [],
});
const execute = (portal: string, rowsMax = 0): FrontendMessage => ({ name: "Execute", portal, rowsMax });
const describing = (target: "statement" | "portal", of: string): FrontendMessage => ({ name: "Describe", target, of });
const SYNC: FrontendMessage = { name: "Sync" };

/** All that comes, behind a last Sync that ends whatever was begun. Process ids differ from connection to connection. */
async function answersTo(client: PostgresClient, messages: readonly FrontendMessage[]): Promise<string> {
  client.send(...messages, query("SELECT 'the end'"));
  const answers: string[] = [];
  for (;;) {
    const piece = await client.next();
    assert.ok(piece !== undefined, `the connection ended behind ${answers.join(" ")}`);
    const isNotification = piece.type === 0x41;
    answers.push(Buffer.from(isNotification ? piece.wire.subarray(9) : piece.wire).toString("latin1"));
    if (piece.type === 0x44 && rowsIn(piece.wire)[0]?.[0] === "the end") break;
  }
  await client.untilReady();
  return answers.join("");
}

function firstDifference(got: string, wanted: string): string {
  let at = 0;
  while (at < got.length && got[at] === wanted[at]) at++;
  return JSON.stringify([at, got.slice(at, at + 80), wanted.slice(at, at + 80)]);
}

function cancel(key: BackendKeyData): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: proxy.port }, () => socket.write(encodeCancelRequest(key)));
    socket.on("close", () => resolve());
    socket.on("error", reject);
    socket.resume();
  });
}

describe("a PostgreSQL session", () => {
  e2e("its server starts, with TLS", async () => {
    certificates = await makeCertificates();
    directory = await startLdapResponder((name, token) => isTokenFor(token, { ...ENDPOINT, user: name }));
    opened.push(directory);
    const ldap = `ldap ldapserver=127.0.0.1 ldapport=${directory.port} ldapprefix=""`;
    const hba = `hostssl all iam_user,other_iam all ${ldap}\nhostnossl all iam_user all reject\n`;
    server = await startPostgres(certificates.leaves.goodRsa, hba);
    proxy = await proxyWith();
  });

  e2e("passes logins on where the client's answer is worth the same on the other leg", async () => {
    const { trust, cleartext, md5, scram } = POSTGRES_ACCOUNTS;
    for (const account of [trust, md5, scram]) {
      const client = await logIn(account);
      assert.deepEqual(await client.query("SELECT current_user, 1 + 1"), [[account.user, "2"]]);
    }
    await refusedWith("28000", /over TLS on both legs/, logIn(cleartext));
    await refusedWith("28P01", /password authentication failed/, logIn({ ...scram, password: "wrong" }));
    const secure = await proxyWith(bothTls());
    for (const account of [trust, md5, cleartext]) {
      const client = await logIn({ ...account, isTls: true }, secure.port);
      assert.deepEqual(
        await client.query("SELECT current_user, ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
        [[account.user, "true"]],
      );
    }
    // The client of the tests binds to its channel, as libpq does.
    await refusedWith("28000", /GATEKEEPER_CLIENT_AUTH=password/, logIn({ ...scram, isTls: true }, secure.port));
    const halfSecure = await proxyWith({ listener: bothTls().listener });
    const client = await logIn({ ...scram, isTls: true }, halfSecure.port);
    assert.deepEqual(await client.query("SELECT 1"), [["1"]]);
  });

  e2e("proves clients by the verifier that the server keeps, and logs in with the key of their proof", async () => {
    const password = "only the client knows it";
    const verifier = makeScramVerifier(bytes(password));
    const admin = await logIn({ user: "postgres" }, server.port);
    await admin.query(`CREATE ROLE proved LOGIN PASSWORD '${formatScramVerifier(verifier)}'`);
    await admin.query("CREATE ROLE other LOGIN PASSWORD 'another'");
    const users = new UserDirectory(
      new Map([
        ["proved", { scram: formatScramVerifier(verifier) }],
        ["other", { scram: formatScramVerifier(verifier) }],
      ]),
    );
    const { listener, backend } = bothTls();
    const proving = await proxyWith({ listener: { ...listener, clientAuth: "password", users }, backend });
    for (const isTls of [true, false]) {
      const client = await logIn({ user: "proved", password, isTls }, proving.port);
      assert.deepEqual(client.asked.slice(0, 1), [isTls ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256"]);
      assert.deepEqual(await client.query("SELECT current_user"), [["proved"]]);
    }
    const asked: string[] = [];
    for (const user of ["proved", "nobody_of_this_name"]) {
      await refusedWith("28P01", /password authentication failed/, logIn({ user, password: "wrong" }, proving.port));
      asked.push(proving.of("refuse").at(-1)?.errorCode ?? "");
    }
    assert.deepEqual(asked, ["QC_AUTH_REFUSED", "QC_AUTH_REFUSED"]);
    await refusedWith("28000", /login to the database failed/, logIn({ user: "other", password }, proving.port));
    assert.deepEqual(
      proving.of("login").map(({ clientAuth, authPlugin }) => [clientAuth, authPlugin]),
      [
        ["password", "SCRAM-SHA-256-PLUS"],
        ["password", "SCRAM-SHA-256-PLUS"],
      ],
    );
    assert.ok(!JSON.stringify([proving.events, proving.log]).includes(password));
  });

  e2e("logs in with tokens that it mints, and with a fresh one where the server refuses an old one", async () => {
    const admin = await logIn({ user: "postgres" }, server.port);
    await admin.query("CREATE ROLE iam_user LOGIN; CREATE ROLE other_iam LOGIN");
    const minted: string[] = [];
    let signs: (user: string) => string = (user) => signToken({ ...ENDPOINT, user });
    const source: TokenSource = {
      name: "test",
      async mint({ user }) {
        const token = signs(user);
        minted.push(token);
        return { value: Buffer.from(token), credentialsExpireAtMs: undefined };
      },
    };
    const log = memoryLogger([]);
    const tokens = new TokenManager({ source, logger: log, users: ["iam_*"], forceFreshAgeMs: 0 });
    opened.push(tokens);
    const { listener, backend } = bothTls();
    const trusting = { ...listener, clientAuth: "trust" } as const;
    const token = { host: ENDPOINT.host, port: ENDPOINT.port };
    const iam = await proxyWith({ listener: trusting, backend: { ...backend, token }, services: { tokens } });
    for (let round = 0; round < 2; round++) {
      const client = await logIn({ user: "iam_user" }, iam.port);
      assert.deepEqual(client.asked, []);
      assert.deepEqual(await client.query("SELECT current_user"), [["iam_user"]]);
    }
    assert.equal(minted.length, 1);
    assert.deepEqual(
      iam.of("login").map(({ authPlugin, tokenUsed }) => [authPlugin, tokenUsed]),
      [
        ["password", true],
        ["password", true],
      ],
    );
    await refusedWith("28000", /not in the list of users/, logIn({ user: "other_iam" }, iam.port));
    // The token in the cache is none any more: its credentials were replaced.
    const before = directory.binds.length;
    signs = (user) => signToken({ ...ENDPOINT, user, secretAccessKey: "another" });
    tokens.close();
    const stale = new TokenManager({ source, logger: log, forceFreshAgeMs: 0 });
    opened.push(stale);
    const renewing = await proxyWith({
      listener: trusting,
      backend: { ...backend, token },
      services: { tokens: stale },
    });
    await refusedWith("28000", /LDAP authentication failed/, logIn({ user: "iam_user" }, renewing.port));
    signs = (user) => signToken({ ...ENDPOINT, user });
    const client = await logIn({ user: "iam_user" }, renewing.port);
    assert.deepEqual(await client.query("SELECT 1"), [["1"]]);
    assert.deepEqual(
      directory.binds.slice(before).map(({ isTaken }) => isTaken),
      [false, false, true],
    );
    // Nobody gets a token who has not shown a certificate, and it stands in no record.
    const blind = await proxyWith({
      listener: trusting,
      backend: { token, tls: new BackendTls({ mode: "require", serverName: "localhost", minVersion: "TLSv1.2" }) },
      services: { tokens: stale },
    });
    await refusedWith("28000", /verify-full/, logIn({ user: "iam_user" }, blind.port));
    for (const { events, log: lines } of [iam, renewing, blind]) {
      const said = JSON.stringify([events, lines]);
      for (const secret of minted) assert.ok(!said.includes(secret.slice(-40)));
    }
  });

  e2e("logs in with a password that it holds, whatever the server asks for", async () => {
    const { scram, md5, cleartext } = POSTGRES_ACCOUNTS;
    const { listener, backend } = bothTls();
    for (const account of [scram, md5, cleartext]) {
      const accepted: string[] = [];
      const passwords: PasswordSource = {
        current: async () => new HeldPassword(account.user, "1", Buffer.from("the one before")),
        otherThan: async (refused) =>
          refused.has("2") ? undefined : new HeldPassword(account.user, "2", Buffer.from(account.password)),
        accepted: ({ version }) => void accepted.push(version),
      };
      const holding = await proxyWith({
        listener: { ...listener, clientAuth: "trust" },
        backend,
        services: { passwords },
      });
      const client = await logIn({ user: "somebody" }, holding.port);
      assert.deepEqual(await client.query("SELECT session_user"), [[account.user]]);
      assert.deepEqual(accepted, ["2"]);
      assert.ok(!JSON.stringify([holding.events, holding.log]).includes(account.password));
    }
  });

  e2e("begins no session that replicates, changes how texts are read, or is blocked in what it sets", async () => {
    const { trust } = POSTGRES_ACCOUNTS;
    const begin = (settings: Record<string, string>) => logIn({ ...trust, settings });
    await refusedWith("0A000", /Replication/, begin({ replication: "database" }));
    await refusedWith("42501", /standard_conforming_strings/, begin({ standard_conforming_strings: "off" }));
    await refusedWith("42501", /standard_conforming_strings/, begin({ options: "-c standard_conforming_strings=off" }));
    await refusedWith("42501", /standard_conforming_strings/, begin({ options: "--standard-conforming-strings=off" }));
    await refusedWith("42501", /search_path/, begin({ options: "-c search_path=secret" }));
    await refusedWith("22023", /client_encoding/, begin({ client_encoding: "SJIS" }));
    await refusedWith("08P01", /twice/, begin({ DateStyle: "ISO", datestyle: "German" }));
    const client = await begin({ application_name: "a 'b\\", options: "-c statement_timeout=7s", DateStyle: "German" });
    assert.deepEqual(await client.query("SHOW statement_timeout"), [["7s"]]);
    assert.deepEqual(await client.query("SHOW datestyle"), [["German, DMY"]]);
    assert.equal(client.parameters.get("application_name"), "a 'b\\");
  });

  e2e("answers as the server does, byte for byte", async () => {
    const conversations: (readonly FrontendMessage[])[] = [
      [query("SELECT 1; SELECT repeat('x', 100000), NULL; SELECT 2")],
      [query("")],
      [query("SELEC 1")],
      [query("DO $$ BEGIN RAISE NOTICE 'heard'; END $$; SET application_name TO 'changed'")],
      [query("BEGIN; SELECT 1/0; COMMIT"), query("SELECT 1"), query("ROLLBACK")],
      [parse("", "SELECT $1::int + 1"), bind("", "", ["41"]), describing("portal", ""), execute(""), SYNC],
      [parse("s", "SELECT g FROM generate_series(1, 9) g"), bind("p", "s"), execute("p", 4), execute("p", 4), SYNC],
      [bind("", "s"), execute("", 2), SYNC, describing("statement", "s"), SYNC],
      [
        parse("", "SELECT 1/0"),
        bind("", ""),
        execute(""),
        parse("lost", "SELECT 1"),
        query("SELECT 3"),
        SYNC,
        query("SELECT 4"),
      ],
      [bind("", "lost"), execute(""), SYNC],
      [{ name: "Close", target: "statement", of: "s" }, SYNC, bind("", "s"), SYNC],
      [query("LISTEN here; NOTIFY here, 'message'"), query("SELECT 5"), query("UNLISTEN *")],
      [query("COPY (SELECT g FROM generate_series(1, 5000) g) TO STDOUT")],
      [{ name: "CopyData", data: bytes("lost") }, { name: "CopyDone" }, query("SELECT 6")],
    ];
    const direct = await logIn(POSTGRES_ACCOUNTS.trust, server.port);
    const guarded = await logIn(POSTGRES_ACCOUNTS.trust);
    for (const messages of conversations) {
      const wanted = await answersTo(direct, messages);
      const got = await answersTo(guarded, messages);
      assert.ok(got === wanted, `${JSON.stringify(messages.map(({ name }) => name))}: ${firstDifference(got, wanted)}`);
    }
  });

  e2e("refuses in every state of a transaction, and the server's state is the client's", async () => {
    const client = await logIn(POSTGRES_ACCOUNTS.trust);
    await client.query("CREATE TABLE refused (x int)");
    const refusals: { readonly messages: readonly FrontendMessage[]; readonly types: string }[] = [
      { messages: [query("SELECT 'secret'")], types: "EZ" },
      { messages: [parse("", "SELECT 'secret'"), bind("", ""), execute(""), SYNC], types: "EZ" },
      {
        messages: [parse("", "INSERT INTO refused VALUES (1)"), bind("", ""), execute(""), parse("", "secret"), SYNC],
        types: "12CEZ",
      },
      {
        messages: [{ name: "FunctionCall", functionOid: 2624, argumentFormats: [], values: [], resultFormat: 0 }],
        types: "EZ",
      },
    ];
    for (const { messages, types } of refusals) {
      for (const [before, status] of [
        ["COMMIT", "I"],
        ["BEGIN", "E"],
        ["BEGIN; SELECT 1/0", "E"],
      ] as const) {
        await client.query("ROLLBACK");
        client.send(query(before));
        await client.untilReady();
        client.send(...messages);
        const pieces = await client.untilReady();
        if (before !== "BEGIN; SELECT 1/0") assert.equal(typesOf(pieces), types);
        const { code, message, severity } = errorOf(pieces);
        if (before !== "BEGIN; SELECT 1/0" || types === "EZ") {
          assert.deepEqual([severity, code], ["ERROR", "42501"]);
          assert.match(message, /querycop/);
        }
        const ready = pieces.at(-1);
        assert.equal(ready?.kind === "message" && String.fromCharCode(...ready.body), status, `${before}, ${types}`);
      }
    }
    await client.query("ROLLBACK");
    assert.deepEqual(await client.query("SELECT count(*) FROM refused"), [["0"]]);
    const blocked = proxy.of("statement-blocked").map(({ command, text }) => [command, text]);
    assert.deepEqual(blocked.slice(0, 1), [["Query", "SELECT 'secret'"]]);
    assert.ok(!server.log().includes("'secret'"), "nothing of a refused text reaches the server");
  });

  e2e("warns in front of the result", async () => {
    const client = await logIn(POSTGRES_ACCOUNTS.trust);
    client.send(query("SELECT 'careful'"), parse("", "SELECT 'careful'"), bind("", ""), execute(""), SYNC);
    assert.equal(typesOf(await client.untilReady(2)), "NTDCZN1N2DCZ");
  });

  e2e("holds what needs an approval, and runs it when it is given, refused, cancelled or lost", async () => {
    const client = await logIn(POSTGRES_ACCOUNTS.trust);
    const pending = () => proxy.approvals.list().find(({ state }) => state === "pending");
    const asked = (): Promise<string> => eventually("a request waits", () => pending()?.id);
    const answer = { approver: "alice@corp", reason: undefined };
    await client.query("CREATE TABLE held (x int)");
    const insert = [parse("", "INSERT INTO held VALUES (1) -- approve"), bind("", ""), execute(""), SYNC];
    client.send(...insert, query("SELECT 'behind'"));
    // A Parse does nothing yet. The client is told that it waits, and nothing behind has overtaken it.
    assert.equal((await proxy.approvals.approve(await asked(), answer)).kind, "taken");
    assert.equal(typesOf(await client.untilReady(2)), "N12CZTDCZ");
    client.send(query("INSERT INTO held VALUES (2) -- approve"));
    proxy.approvals.deny(await asked(), { ...answer, reason: "no" });
    const denied = errorOf(await client.untilReady());
    assert.equal(denied.code, "42501");
    assert.match(denied.message, /denied by alice@corp: no/);
    client.send(query("INSERT INTO held VALUES (3) -- approve"));
    await asked();
    await cancel(client.keyData ?? assert.fail("no key"));
    assert.equal(errorOf(await client.untilReady()).code, "57014");
    await client.query("BEGIN");
    client.send(query("INSERT INTO held VALUES (4) -- approve"));
    assert.match(errorOf(await client.untilReady()).message, /inside a transaction/);
    await client.query("ROLLBACK");
    // To be sent again.
    const permit = "INSERT INTO held VALUES (5) -- permit";
    await assert.rejects(client.query(permit), /send the same statement again \[request/);
    await proxy.approvals.approve(await asked(), answer);
    await client.query(permit);
    await assert.rejects(client.query(permit), /send the same statement again/);
    proxy.approvals.deny(await asked(), { ...answer, reason: "no" });
    assert.deepEqual(await client.query("SELECT array_agg(x ORDER BY x) FROM held"), [["{1,5}"]]);
    // Whoever goes away takes its request along.
    client.send(query("INSERT INTO held VALUES (6) -- approve"));
    await asked();
    client.close();
    await eventually("the request is given up", () => pending() === undefined);
    const verdicts = proxy.of("approval").map(({ verdict }) => verdict);
    assert.deepEqual(verdicts, ["approved", "denied", "cancelled", "approved", "denied", "cancelled"]);
  });

  e2e("finds out what a name runs, whoever gave it", async () => {
    const client = await logIn(POSTGRES_ACCOUNTS.trust);
    // What was discarded did not become the meaning of the name.
    client.send(parse("n", "SELECT 'secret 1'"), SYNC, parse("m", "SELECT 1"), SYNC);
    assert.equal(typesOf(await client.untilReady(2)), "EZ1Z");
    client.send(bind("", "n"), execute(""), SYNC);
    assert.equal(errorOf(await client.untilReady()).code, "26000");
    await client.query("PREPARE by_sql AS SELECT 2");
    client.send(bind("", "by_sql"), execute(""), SYNC);
    assert.equal(typesOf(await client.untilReady()), "2DCZ");
    assert.ok(proxy.of("statement-intent").some(({ text }) => text === 'EXECUTE "by_sql"'));
    await client.query("BEGIN; DECLARE c CURSOR FOR SELECT 3");
    client.send(execute("c"), SYNC);
    assert.equal(typesOf(await client.untilReady()), "DCZ");
    assert.ok(proxy.of("statement-intent").some(({ text }) => text === 'FETCH ALL FROM "c"'));
    client.send(bind("", ""), execute(""), SYNC);
    assert.equal(errorOf(await client.untilReady()).code, "26000");
  });

  e2e("copies in both directions, with a Sync on the way and errors at its beginning and its end", async () => {
    const client = await logIn(POSTGRES_ACCOUNTS.trust);
    await client.query("CREATE TABLE copied (x int); CREATE VIEW copied_view AS SELECT * FROM copied");
    const copy = "COPY copied FROM STDIN";
    const data = (text: string): FrontendMessage => ({ name: "CopyData", data: bytes(text) });
    const done: FrontendMessage = { name: "CopyDone" };
    client.send(query(copy), data("1\n2\n"), done, query("SELECT count(*) FROM copied"));
    assert.equal(typesOf(await client.untilReady(2)), "GCZTDCZ");
    client.send(parse("", copy), bind("", ""), execute(""), SYNC);
    assert.equal(typesOf([await client.next(), await client.next(), await client.next()] as BackendPiece[]), "12G");
    client.send(data("3\n"), done, SYNC, query("SELECT sum(x) FROM copied"));
    assert.equal(typesOf(await client.untilReady(2)), "CZTDCZ");
    client.send(parse("", "COPY copied_view FROM STDIN"), bind("", ""), execute(""), SYNC, query("SELECT 1"));
    assert.equal(typesOf(await client.untilReady(2)), "12GEZTDCZ");
    client.send(parse("", "COPY (SELECT 1) TO STDOUT"), bind("", ""), execute(""), execute(""), SYNC);
    assert.match(typesOf(await client.untilReady()), /^12HdcC/);
    client.send(
      query("COPY copied FROM STDIN; COPY copied FROM STDIN; SELECT 7"),
      data("4\n"),
      done,
      data("5\n"),
      done,
    );
    assert.equal(typesOf(await client.untilReady()), "GCGCTDCZ");
    client.send(query(copy), { name: "CopyFail", reason: bytes("no more") });
    assert.equal(typesOf(await client.untilReady()), "GEZ");
    assert.deepEqual(await client.query("SELECT sum(x) FROM copied"), [["15"]]);
  });

  e2e("cancels what runs for the key that it gave, and for no other", async () => {
    for (const minor of [0, 2]) {
      const client = await logIn({ ...POSTGRES_ACCOUNTS.trust, minor });
      const { keyData } = client;
      assert.ok(keyData !== undefined);
      assert.equal(keyData.secretKey.length, minor === 0 ? 4 : 32);
      const [[pid]] = (await client.query("SELECT pg_backend_pid()")) as [[string]];
      assert.notEqual(Number(pid), keyData.processId);
      const waiting = client.query("SELECT pg_sleep(60)");
      waiting.catch(() => undefined);
      await eventually("the statement has come", () =>
        proxy.of("statement-intent").some(({ text }) => text?.includes("pg_sleep") === true),
      );
      await cancel({ ...keyData, secretKey: keyData.secretKey.map((byte) => byte ^ 1) });
      await cancel({ ...keyData, secretKey: keyData.secretKey.subarray(1) });
      await cancel({ ...keyData, processId: Number(pid) });
      const watcher = await logIn({ user: "postgres" }, server.port);
      const running =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(6%' AND state = 'active' AND pid <> pg_backend_pid()";
      await eventually("the server sleeps", async () => (await watcher.query(running))[0]?.[0] === "1");
      await cancel(keyData);
      await assert.rejects(waiting, (error) => error instanceof PostgresError && error.fields.code === "57014");
      assert.deepEqual(await client.query("SELECT 1"), [["1"]]);
      client.close();
    }
    await eventually("keys are given up with their sessions", () => proxy.cancelKeys.size <= proxy.sessions.size);
  });

  e2e("records each statement once, before it is sent, and how it ended", async () => {
    const recorded = await proxyWith();
    const client = await logIn(POSTGRES_ACCOUNTS.trust, recorded.port);
    await client.query("CREATE TABLE recorded (x int); INSERT INTO recorded SELECT generate_series(1, 5)");
    client.send(parse("", "SELECT * FROM recorded"), bind("", ""), execute("", 2), execute(""), SYNC);
    await client.untilReady();
    client.send(parse("", "SELECT 1/0"), bind("", ""), execute(""), parse("", "SELECT 'skipped'"), SYNC);
    await client.untilReady();
    client.close();
    await eventually("the session is over", () => recorded.of("disconnect").length === 1);
    assert.deepEqual(
      recorded.events.map(({ type }) => type).filter((type) => !type.startsWith("statement")),
      ["connect", "login", "disconnect"],
    );
    const outcomes = new Map(recorded.of("statement-outcome").map((event) => [event.ordinal, event]));
    assert.equal(outcomes.size, recorded.of("statement-outcome").length);
    assert.deepEqual(
      recorded.of("statement-intent").map(({ ordinal, command, text }) => {
        const { outcome, rows, affectedRows, sqlState } = outcomes.get(ordinal) ?? {};
        return [command, text?.slice(0, 16), outcome, rows, affectedRows, sqlState];
      }),
      [
        ["Query", "CREATE TABLE rec", "ok", 0, 5, undefined],
        ["Parse", "SELECT * FROM re", "ok", 0, 0, undefined],
        ["Bind", "SELECT * FROM re", "ok", 5, 0, undefined],
        ["Parse", "SELECT 1/0", "ok", 0, 0, undefined],
        ["Bind", "SELECT 1/0", "error", 0, 0, "22012"],
        ["Parse", "SELECT 'skipped'", "skipped", 0, 0, undefined],
      ],
    );
  });

  e2e("sends nothing that cannot be recorded", async () => {
    const client = await logIn(POSTGRES_ACCOUNTS.trust);
    proxy.failing.add("statement-intent");
    await assert.rejects(client.query("CREATE TABLE unrecorded (x int)"), /58000 querycop: the audit log/);
    proxy.failing.delete("statement-intent");
    await assert.rejects(client.query("SELECT * FROM unrecorded"), /42P01/);
  });

  e2e("cuts off what is more than a client may get, and stops the statement", async () => {
    const limits = { ...NO_DATA_LIMITS, responseRowsMax: 1000, responseBytesMax: 5_000_000 };
    const guarded = await proxyWith({ listener: { dataGuard: limits } });
    const client = await logIn(POSTGRES_ACCOUNTS.trust, guarded.port);
    const endless = "SELECT generate_series(1, 100000000)";
    const conversations: readonly (readonly FrontendMessage[])[] = [
      [query(endless)],
      [parse("", endless), bind("", ""), execute(""), parse("", "SELECT 1"), SYNC],
      [query("COPY (SELECT repeat('x', 10000), generate_series(1, 100000000)) TO STDOUT")],
    ];
    for (const messages of conversations) {
      client.send(...messages);
      const pieces = await client.untilReady();
      const { code, message } = errorOf(pieces);
      assert.equal(code, "54000");
      assert.match(message, /querycop: data guard: response exceeds/);
      const rows = pieces.flatMap((piece) => (piece.type === 0x44 ? rowsIn(piece.wire) : [])).length;
      assert.equal(rows, typesOf(pieces).includes("H") ? 0 : 1000);
      assert.ok(pieces.reduce((sum, { wire }) => sum + wire.length, 0) < 5_001_000);
      assert.deepEqual(await client.query("SELECT count(*) FROM generate_series(1, 1000)"), [["1000"]]);
    }
    assert.deepEqual(new Set(guarded.of("data-guard").map(({ action }) => action)), new Set(["warned", "cut-off"]));
    const cut = guarded.of("statement-outcome").filter(({ outcome }) => outcome === "cut-off");
    assert.deepEqual(
      cut.map(({ limit }) => limit),
      ["max_response_rows", "max_response_rows", "max_response_mb"],
    );
    // Where the server was through with it before it could be stopped, what it says then would be read as a success.
    client.send(query("SELECT repeat('x', 6000000)"));
    const late = await client.untilReady();
    const isStopped = typesOf(late) === "TEZ";
    assert.deepEqual(
      [typesOf(late), errorOf(late).severity, errorOf(late).code],
      isStopped ? ["TEZ", "ERROR", "54000"] : ["TE", "FATAL", "54000"],
    );
    const ending = await proxyWith({ listener: { dataGuard: { ...limits, limitAction: "terminate" } } });
    const other = await logIn(POSTGRES_ACCOUNTS.trust, ending.port);
    other.send(query(endless));
    const last = await other.untilReady();
    assert.deepEqual([errorOf(last).severity, errorOf(last).code], ["FATAL", "54000"]);
    const spent = await proxyWith({ listener: { dataGuard: { ...NO_DATA_LIMITS, windowBytesMax: 100_000 } } });
    const third = await logIn(POSTGRES_ACCOUNTS.trust, spent.port);
    await assert.rejects(third.query(endless), /54000 querycop: data guard: connection exceeds/);
    await assert.rejects(third.query("SELECT 1"), /54000 querycop: data guard: connection exceeds/);
  });

  e2e("goes through ten thousand statements that were written ahead", async () => {
    const client = await logIn(POSTGRES_ACCOUNTS.trust);
    const count = 10_000;
    for (let index = 0; index < count; index++) {
      client.send(
        parse("", `SELECT ${index}${index % 1000 === 7 ? " 'secret'" : ""}`),
        bind("", ""),
        execute(""),
        SYNC,
      );
    }
    const pieces = await client.untilReady(count);
    assert.equal(typesOf(pieces).replaceAll("12DCZ", "").replaceAll("EZ", ""), "");
    assert.equal(pieces.filter(({ type }) => type === 0x45).length, count / 1000);
  });

  e2e(
    "ends with either side: the client's statement is stopped, the server's last words reach the client",
    async () => {
      const watcher = await logIn({ user: "postgres" }, server.port);
      const client = await logIn(POSTGRES_ACCOUNTS.trust);
      client.send(query("SELECT pg_sleep(61)"));
      const running =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61%' AND state = 'active' AND pid <> pg_backend_pid()";
      await eventually("the server sleeps", async () => (await watcher.query(running))[0]?.[0] === "1");
      client.close();
      await eventually("the server has stopped", async () => (await watcher.query(running))[0]?.[0] === "0");
      const other = await logIn(POSTGRES_ACCOUNTS.trust);
      const [[pid]] = (await other.query("SELECT pg_backend_pid()")) as [[string]];
      await watcher.query(`SELECT pg_terminate_backend(${pid})`);
      const last = await other.untilReady();
      assert.deepEqual([errorOf(last).severity, errorOf(last).code], ["FATAL", "57P01"]);
    },
  );

  e2e("ends a session that breaks the protocol, and says so", async () => {
    for (const wire of [
      Uint8Array.of(0x51, 0, 0, 0, 3),
      Uint8Array.of(0x79, 0, 0, 0, 4),
      Uint8Array.of(0x70, 0, 0, 0, 4),
    ]) {
      const client = await logIn(POSTGRES_ACCOUNTS.trust);
      client.write(wire);
      const { severity, code } = errorOf(await client.untilReady());
      assert.deepEqual([severity, code], ["FATAL", "08P01"]);
    }
  });

  e2e("what is judged beside the main thread is hashed in slices, whether it runs or not", async () => {
    const beside = await proxyWith({ judge: { judge: async (statement) => await WORD_JUDGE.judge(statement) } });
    const client = await logIn(POSTGRES_ACCOUNTS.trust, beside.port);
    await answersTo(client, [query("SELECT 1"), query("SELECT 'secret'")]);
    const hashes = [...beside.of("statement-intent"), ...beside.of("statement-blocked")].map(
      ({ textHash }) => textHash,
    );
    assert.deepEqual(new Set(hashes), new Set(["hash of a long text"]));
    assert.equal(beside.of("statement-blocked").length, 1);
  });
});
