/** The codecs of src/postgres against a real PostgreSQL: what they write it understands, what it says they read. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, describe } from "node:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import {
  decodeCommandComplete,
  decodeCopyResponse,
  decodeErrorFields,
  decodeNegotiateProtocolVersion,
  decodeNotification,
  decodeParameterDescription,
  decodeReadyForQuery,
  decodeRowDescription,
} from "../../src/postgres/backend-message.ts";
import type { BackendPiece } from "../../src/postgres/backend-walker.ts";
import { ClientMessageError } from "../../src/postgres/error-states.ts";
import {
  decodeFrontendMessage,
  encodeFrontendMessage,
  type FrontendMessage,
} from "../../src/postgres/frontend-message.ts";
import { encodeMessage } from "../../src/postgres/message.ts";
import { encodePoisoned, type Refusable } from "../../src/postgres/poison.ts";
import { ResponseQueue } from "../../src/postgres/response-queue.ts";
import {
  formatScramVerifier,
  makeScramVerifier,
  parseScramVerifier,
  SCRAM_SHA_256,
  ScramClient,
  ScramServer,
} from "../../src/postgres/scram.ts";
import { encodeCancelRequest, encodeStartupMessage, parseSessionOptions } from "../../src/postgres/startup.ts";
import { type CertificateSet, makeCertificates } from "../support/certificates.ts";
import { below, chosen, damaged, type Random } from "../support/damage.ts";
import { e2e } from "../support/e2e-test.ts";
import { PostgresClient, PostgresError, type PostgresLogin, rowsIn } from "../support/postgres-client.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { randomFrom } from "../support/random.ts";

/** Pipelines in CI; QUERYCOP_TEST_PIPELINES says how many for a longer look. */
const PIPELINES = Number(process.env["QUERYCOP_TEST_PIPELINES"] ?? 300);
const DAMAGED = Number(process.env["QUERYCOP_TEST_PIPELINES"] ?? 1500);

let server: PostgresServer;
let certificates: CertificateSet;
const clients: PostgresClient[] = [];

after(async () => {
  for (const client of clients) client.close();
  certificates?.remove();
  await server?.stop();
});

const logIn = async (login: Omit<PostgresLogin, "port">): Promise<PostgresClient> => {
  const client = await PostgresClient.logIn({ port: server.port, ...login });
  clients.push(client);
  return client;
};

const superuser = (): Promise<PostgresClient> => logIn({ user: "postgres" });
const bytes = encodeUtf8;
const typeOf = (piece: BackendPiece): string => String.fromCharCode(piece.type);
const types = (pieces: readonly BackendPiece[]): string => pieces.map(typeOf).join("");
const bodyOf = (pieces: readonly BackendPiece[], type: string): Uint8Array => {
  const found = pieces.find((piece) => typeOf(piece) === type);
  assert.ok(found?.kind === "message", `${type} in ${types(pieces)}`);
  return found.body;
};
const errorOf = (pieces: readonly BackendPiece[]): string => decodeErrorFields(bodyOf(pieces, "E")).code;

async function refusedWith(state: string, login: Promise<unknown>): Promise<void> {
  await assert.rejects(login, (error) => error instanceof PostgresError && error.fields.code === state);
}

describe("the wire of a real PostgreSQL", () => {
  e2e("its server starts, with TLS", async () => {
    certificates = await makeCertificates();
    server = await startPostgres(certificates.leaves.goodRsa);
  });

  e2e("logins: trust, cleartext, md5, SCRAM, and SCRAM with channel binding over TLS", async () => {
    const asked: Record<string, readonly string[]> = {};
    for (const [name, account] of Object.entries(POSTGRES_ACCOUNTS)) {
      for (const isTls of [false, true]) {
        const client = await logIn({ ...account, isTls });
        asked[`${name}${isTls ? " tls" : ""}`] = client.asked.filter((step) => !step.startsWith("sasl-"));
        assert.deepEqual(await client.query("SELECT current_user"), [[account.user]]);
        client.close();
      }
    }
    assert.deepEqual(asked, {
      trust: [],
      "trust tls": [],
      scram: ["SCRAM-SHA-256"],
      "scram tls": ["SCRAM-SHA-256-PLUS"],
      prepared: ["SCRAM-SHA-256"],
      "prepared tls": ["SCRAM-SHA-256-PLUS"],
      md5: ["md5"],
      "md5 tls": ["md5"],
      cleartext: ["cleartext"],
      "cleartext tls": ["cleartext"],
    });
  });

  e2e("logins with another password are refused with 28P01", async () => {
    for (const account of ["scram", "md5", "cleartext"] as const) {
      await refusedWith("28P01", logIn({ user: POSTGRES_ACCOUNTS[account].user, password: "another" }));
    }
    await refusedWith("28P01", logIn({ user: "nobody_at_all", password: "x", isTls: true }));
  });

  e2e(
    "a verifier of ours is the server's, and the key of a client's proof logs in with it, bound to the server's certificate",
    async () => {
      const admin = await superuser();
      const verifier = makeScramVerifier(bytes("known to the client"));
      await admin.query(`CREATE ROLE keyed LOGIN PASSWORD '${formatScramVerifier(verifier)}'`);
      assert.deepEqual(await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'keyed'"), [
        [formatScramVerifier(verifier)],
      ]);
      const stored = await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_user'");
      assert.ok(parseScramVerifier(stored[0]?.[0] ?? "") !== undefined);
      // The client logs in to us …
      const secret = { password: bytes("known to the client") };
      const front = new ScramClient({ secret, mechanisms: [SCRAM_SHA_256], channelBinding: undefined });
      const ours = new ScramServer({ verifier, channelBinding: undefined });
      const { clientKey } = ours.final(front.final(ours.first(SCRAM_SHA_256, front.first())));
      // … and we to the server, without a password.
      for (const isTls of [false, true]) {
        const client = await logIn({ user: "keyed", secret: { clientKey, verifier }, isTls });
        assert.deepEqual(await client.query("SELECT current_user"), [["keyed"]]);
      }
      await assert.rejects(
        logIn({ user: "scram_user", secret: { clientKey, verifier } }),
        /verifier for this user is another/,
      );
    },
  );

  e2e("newer protocols and unknown options are answered with what the server speaks", async () => {
    const client = await PostgresClient.open({ port: server.port });
    clients.push(client);
    client.write(
      encodeStartupMessage({
        minor: 9999,
        user: "trust_user",
        database: "postgres",
        settings: new Map([["_pq_.x", "1"]]),
      }),
    );
    const pieces = await client.untilReady();
    assert.deepEqual(decodeNegotiateProtocolVersion(bodyOf(pieces, "v")), {
      minor: server.version < 18 ? 0 : 2,
      unknownOptions: ["_pq_.x"],
    });
    assert.equal(client.parameters.get("standard_conforming_strings"), "on");
    assert.equal(Number.parseInt(client.parameters.get("server_version") ?? "", 10), server.version);
  });

  e2e("session options mean to us what they mean to the server", async () => {
    const words = ["-c application_name=a", "-capplication_name=b", "--application-name=c", "--Application_Name=d\\ e"];
    const more = [
      "-c application_name=x=y",
      "\t-c\napplication_name=f\\\\g",
      "--application_name=",
      "-c application_name=h --application_name=i",
    ];
    for (const options of [...words, ...more]) {
      const client = await logIn({ user: "trust_user", settings: { options } });
      const [[shown] = []] = await client.query("SHOW application_name");
      const parsed = parseSessionOptions(options).findLast(({ name }) => name === "application_name");
      assert.equal(parsed?.value, shown, options);
      client.close();
    }
    for (const options of ["-c", "-c a", "a=b", "--", "-c =b", "--a"]) {
      assert.throws(() => parseSessionOptions(options), ClientMessageError, options);
      // `--` alone ends the options and is no error.
      if (options !== "--")
        await assert.rejects(logIn({ user: "trust_user", settings: { options } }), PostgresError, options);
    }
  });

  e2e("what a session says is decoded", async () => {
    const client = await superuser();
    const ask = async (sql: string): Promise<BackendPiece[]> => {
      client.send({ name: "Query", sql: bytes(sql) });
      return await client.untilReady();
    };
    await ask("CREATE TABLE wire (id int, name text)");
    const inserted = await ask("INSERT INTO wire VALUES (1, 'a'), (2, NULL)");
    assert.deepEqual(decodeCommandComplete(bodyOf(inserted, "C")), { tag: "INSERT 0 2", rows: 2 });
    const selected = await ask("SELECT id, name, 1 AS one FROM wire");
    const columns = decodeRowDescription(bodyOf(selected, "T"));
    assert.deepEqual(
      columns.map(({ name, columnNumber, typeOid, format }) => [name, columnNumber, typeOid, format]),
      [
        ["id", 1, 23, 0],
        ["name", 2, 25, 0],
        ["one", 0, 23, 0],
      ],
    );
    assert.ok((columns[0]?.tableOid ?? 0) > 0 && columns[2]?.tableOid === 0);
    assert.equal(types(selected), "TDCZ");
    assert.equal(decodeReadyForQuery(bodyOf(await ask("BEGIN"), "Z")), "T");
    assert.equal(decodeReadyForQuery(bodyOf(await ask("SELECT 1/0"), "Z")), "E");
    assert.equal(decodeReadyForQuery(bodyOf(await ask("ROLLBACK"), "Z")), "I");
    assert.equal(types(await ask(" ;; -- nothing")), "IZ");
    const notice = decodeErrorFields(bodyOf(await ask("DO $$BEGIN RAISE NOTICE 'told' USING HINT = 'so'; END$$"), "N"));
    assert.deepEqual(
      [notice.severity, notice.code, notice.message, notice.fields.get("H")],
      ["NOTICE", "00000", "told", "so"],
    );
    const told = decodeNotification(bodyOf(await ask("LISTEN c; NOTIFY c, 'p'"), "A"));
    assert.deepEqual([told.channel, told.payload, told.processId], ["c", "p", client.keyData?.processId]);
    assert.deepEqual(decodeCopyResponse(bodyOf(await ask("COPY wire TO STDOUT (FORMAT binary)"), "H")), {
      format: 1,
      columnFormats: [1, 1],
    });
    await ask("SET TimeZone = 'Asia/Tokyo'");
    assert.equal(client.parameters.get("TimeZone"), "Asia/Tokyo");
    client.send(
      {
        name: "Parse",
        statement: "s",
        sql: bytes("SELECT * FROM wire WHERE id = $1 OR name = $2"),
        parameterTypes: [],
      },
      { name: "Describe", target: "statement", of: "s" },
      {
        name: "Bind",
        portal: "p",
        statement: "s",
        parameterFormats: [0],
        values: [bytes("1"), null],
        resultFormats: [1],
      },
      { name: "Describe", target: "portal", of: "p" },
      { name: "Execute", portal: "p", rowsMax: 1 },
      { name: "Execute", portal: "p", rowsMax: 0 },
      { name: "Close", target: "statement", of: "s" },
      { name: "Sync" },
    );
    const extended = await client.untilReady();
    assert.equal(types(extended), "1tT2TDsC3Z");
    assert.deepEqual(decodeParameterDescription(bodyOf(extended, "t")), [23, 25]);
    client.send({ name: "FunctionCall", functionOid: 1598, argumentFormats: [], values: [], resultFormat: 0 });
    assert.equal(types(await client.untilReady()), "VZ");
  });

  e2e("a cancel request with the session's key stops its statement, and with another key nothing", async () => {
    const client = await superuser();
    const key = client.keyData;
    assert.ok(key !== undefined);
    const cancel = async (secretKey: Uint8Array): Promise<void> => {
      const socket = connect({ host: "127.0.0.1", port: server.port });
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.on("error", () => {});
      socket.on("data", () => {});
      socket.write(encodeCancelRequest({ processId: key.processId, secretKey }));
      await closed;
    };
    client.send({ name: "Query", sql: bytes("SELECT pg_sleep(600)") });
    await cancel(key.secretKey.map((byte) => byte ^ 1));
    const admin = await superuser();
    const running = `SELECT count(*) FROM pg_stat_activity WHERE pid = ${key.processId} AND wait_event = 'PgSleep'`;
    while ((await admin.query(running))[0]?.[0] !== "1");
    await cancel(key.secretKey);
    assert.equal(errorOf(await client.untilReady()), "57014");
  });

  e2e("two names of statements are one where 63 bytes of them are", async () => {
    const client = await superuser();
    const long = "n".repeat(63);
    const parse = (statement: string): FrontendMessage => ({
      name: "Parse",
      statement,
      sql: bytes("SELECT 1"),
      parameterTypes: [],
    });
    client.send(parse(`${long}a`), parse(`${long}b`), { name: "Sync" });
    const pieces = await client.untilReady();
    assert.equal(types(pieces), "1EZ");
    assert.equal(errorOf(pieces), "42P05");
  });

  e2e("what we refuse as malformed the server refuses with the same SQLSTATE", async () => {
    const raw = (type: string, text: string): Uint8Array =>
      encodeMessage(type, (body) => body.bytes(Buffer.from(text, "latin1")));
    const cases = [
      raw("Q", "SELECT 1"),
      raw("Q", "SELECT 1\0;\0"),
      raw("Q", "SELECT '\xff'\0"),
      raw("P", "\0SELECT 1\0\0\x02\0\0\0\x17"),
      raw("P", "\0SELECT 1\0"),
      raw("P", "\xff\0SELECT 1\0\0\0"),
      raw("P", "\0SELECT 1\0\0\0x"),
      raw("B", "\0\0\0\x02\0\0\0\x01\0\0\0\0"),
      raw("D", "X\0"),
      raw("C", "X\0"),
      raw("D", "S"),
      raw("E", "\0\0\0"),
      raw("E", "\0\0\0\0\0x"),
      raw("S", "x"),
      raw("H", "x"),
    ];
    for (const wire of cases) {
      const client = await superuser();
      client.send({ name: "Parse", statement: "", sql: bytes("SELECT 1"), parameterTypes: [] });
      client.write(wire);
      client.send({ name: "Sync" });
      const state = errorOf(await client.untilReady());
      assert.throws(
        () => decodeFrontendMessage(wire[0] as number, wire.subarray(5), "UTF8"),
        (error) => error instanceof ClientMessageError && error.messageState === state,
        `${state} for ${Buffer.from(wire).toString("latin1")}`,
      );
      client.close();
    }
  });

  e2e("what we take for well-formed the server does too", async () => {
    const random = randomFrom(5);
    const client = await superuser();
    const sources = [
      encodeFrontendMessage({
        name: "Parse",
        statement: "s1",
        sql: bytes("SELECT $1::int, 'ä'"),
        parameterTypes: [23],
      }),
      encodeFrontendMessage({
        name: "Bind",
        portal: "p",
        statement: "known",
        parameterFormats: [0, 1],
        values: [bytes("7"), null],
        resultFormats: [0, 1],
      }),
      encodeFrontendMessage({ name: "Describe", target: "portal", of: "pq" }),
      encodeFrontendMessage({ name: "Close", target: "statement", of: "s1" }),
      encodeFrontendMessage({ name: "Execute", portal: "p", rowsMax: 3 }),
    ];
    const known = {
      name: "Parse",
      statement: "known",
      sql: bytes("SELECT $1::int, $2::text"),
      parameterTypes: [],
    } as const;
    let sent = 0;
    for (let count = 0; count < DAMAGED; count++) {
      const body = damaged(random, Buffer.from(chosen(random, sources)).subarray(5));
      const type = chosen(random, ["P", "B", "D", "C", "E"]);
      try {
        decodeFrontendMessage(type.charCodeAt(0), body, "UTF8");
      } catch (error) {
        assert.ok(error instanceof ClientMessageError);
        continue;
      }
      sent += 1;
      client.send({ name: "Close", target: "statement", of: "known" }, known);
      client.write(encodeMessage(type, (writer) => writer.bytes(body)));
      client.send({ name: "Sync" });
      const pieces = await client.untilReady();
      const error = pieces.find((piece) => typeOf(piece) === "E");
      if (error?.kind !== "message") continue;
      const { severity, code, message } = decodeErrorFields(error.body);
      assert.equal(severity, "ERROR", message);
      // A statement may want another number of values: that is no question of layout.
      if (code === "08P01") assert.match(message, /^bind message (supplies|has)/, Buffer.from(body).toString("hex"));
      // Values are the server's to check: which of them are text it learns from the statement.
      if (type !== "B") assert.notEqual(code, "22021", Buffer.from(body).toString("hex"));
    }
    assert.ok(sent > DAMAGED / 20, `${sent} of ${DAMAGED} sent`);
  });
});

/** A message with the number that its text holds, and whether it goes out as poison. */
interface Step {
  readonly message: FrontendMessage;
  readonly unit: number;
  readonly isPoisoned: boolean;
}

/**
 * Messages that a client might send ahead. Every text holds the number of its unit, so that rows and errors tell which
 * unit they are of, whatever the queue says.
 */
class Pipeline {
  readonly steps: Step[] = [];
  readonly #random: Random;
  #unit: number;

  constructor(random: Random, firstUnit: number) {
    this.#random = random;
    this.#unit = firstUnit;
    for (let count = 2 + below(random, 8); count > 0; count--) {
      this.#unit += 1;
      chosen(random, [
        this.#query,
        this.#query,
        this.#extended,
        this.#extended,
        this.#extended,
        this.#copy,
        this.#call,
        this.#copyQuery,
      ]).call(this);
      if (below(random, 3) === 0) this.#add({ name: chosen(random, ["Sync", "Flush"] as const) });
    }
  }

  get lastUnit(): number {
    return this.#unit;
  }

  #add(message: FrontendMessage): void {
    const isRefusable = ["Query", "Parse", "Bind", "Execute", "FunctionCall"].includes(message.name);
    this.steps.push({ message, unit: this.#unit, isPoisoned: isRefusable && below(this.#random, 8) === 0 });
  }

  #text(): string {
    const mark = `unit_${this.#unit}_`;
    return chosen(this.#random, [
      `SELECT '${mark}'`,
      `SELECT '${mark}' FROM generate_series(1, 3)`,
      `INSERT INTO trace VALUES ('${mark}') RETURNING name`,
      `INSERT INTO checked VALUES (1, '${mark}')`,
      `SELECT ${mark}`,
      `SELEC ${mark}`,
      `SELECT (name || '${mark}')::int FROM seed`,
      `COPY (SELECT '${mark}' FROM generate_series(1, 2)) TO STDOUT`,
      "BEGIN",
      "COMMIT",
      "ROLLBACK",
    ]);
  }

  #query(): void {
    const texts = Array.from({ length: 1 + below(this.#random, 3) }, () => this.#text());
    this.#add({ name: "Query", sql: bytes(below(this.#random, 12) === 0 ? "" : texts.join("; ")) });
  }

  #bindAndExecute(): void {
    this.#add({ name: "Bind", portal: "", statement: "", parameterFormats: [], values: [], resultFormats: [] });
    if (below(this.#random, 3) === 0) this.#add({ name: "Describe", target: "portal", of: "" });
    const times = 1 + below(this.#random, 2);
    for (let count = 0; count < times; count++) {
      this.#add({ name: "Execute", portal: "", rowsMax: chosen(this.#random, [0, 0, 1]) });
    }
  }

  #extended(): void {
    this.#add({ name: "Parse", statement: "", sql: bytes(this.#text()), parameterTypes: [] });
    if (below(this.#random, 3) === 0) this.#add({ name: "Describe", target: "statement", of: "" });
    this.#bindAndExecute();
    if (below(this.#random, 4) === 0) this.#add({ name: "Close", target: "statement", of: "none" });
    if (below(this.#random, 4) > 0) this.#add({ name: "Sync" });
  }

  /** Into a table, into one that is not there, and into a view, which fails behind the CopyInResponse. */
  #copyText(): string {
    return `COPY ${chosen(this.#random, ["trace", "trace", "checked", "absent", "shown"])} FROM STDIN`;
  }

  #copyData(isSyncAmong: boolean): void {
    const count = below(this.#random, 4);
    for (let line = 0; line < count; line++) {
      this.#add({
        name: "CopyData",
        data: bytes(below(this.#random, 6) === 0 ? "too\tmany\tcolumns\n" : `unit_${this.#unit}_\n`),
      });
      if (isSyncAmong && below(this.#random, 8) === 0) this.#add({ name: "Sync" });
    }
    this.#add(below(this.#random, 5) === 0 ? { name: "CopyFail", reason: bytes("no more") } : { name: "CopyDone" });
  }

  #copyQuery(): void {
    this.steps.push({ message: { name: "Query", sql: bytes(this.#copyText()) }, unit: this.#unit, isPoisoned: false });
    this.#copyData(false);
  }

  #copy(): void {
    const isEarly = below(this.#random, 3) === 0;
    this.#add({ name: "Parse", statement: "", sql: bytes(this.#copyText()), parameterTypes: [] });
    this.#add({ name: "Bind", portal: "", statement: "", parameterFormats: [], values: [], resultFormats: [] });
    this.#add({ name: "Execute", portal: "", rowsMax: 0 });
    if (isEarly) this.#add({ name: "Sync" });
    this.#copyData(isEarly);
    this.#add({ name: "Sync" });
  }

  /** pi(), and a function that there is not. */
  #call(): void {
    const functionOid = chosen(this.#random, [1610, 999_999]);
    this.#add({ name: "FunctionCall", functionOid, argumentFormats: [], values: [], resultFormat: 0 });
  }
}

/** Of poison: by its text, its layout, its OID; a Bind of no statement, and a FunctionCall in a failed transaction. */
const REFUSAL_STATES: ReadonlySet<string> = new Set(["42601", "08P01", "42883", "26000", "25P02"]);

interface Seen {
  answers: number;
  marked: number;
  refusals: number;
  open: number;
}

/** Holds one of the server's pieces against what the queue says it answers. */
function check(queue: ResponseQueue<Step>, piece: BackendPiece, seen: Seen, what: string): void {
  const fields = piece.kind === "message" && typeOf(piece) === "E" ? decodeErrorFields(piece.body) : undefined;
  assert.ok(fields?.severity !== "FATAL", `${what}: ${fields?.message}`);
  const { to, isRefusal } = queue.answer(piece.type);
  seen.answers += 1;
  if ("NSA".includes(typeOf(piece))) return;
  if (to === undefined) seen.open += 1;
  const text = fields?.message ?? (typeOf(piece) === "D" ? rowsIn(piece.wire).join() : "");
  const mark = /unit_(\d+)_/.exec(text)?.[1];
  if (mark !== undefined && to !== undefined && typeOf(piece) !== "d") {
    seen.marked += 1;
    // The unnamed statement may be one of an earlier unit, never of a later one.
    const isOwn =
      to.tag.message.name === "Query" || to.tag.message.name === "Parse"
        ? Number(mark) === to.tag.unit
        : Number(mark) <= to.tag.unit;
    assert.ok(isOwn, `${what}: ${typeOf(piece)} of unit ${mark} for ${to.tag.message.name} of ${to.tag.unit}`);
  }
  if (isRefusal) {
    seen.refusals += 1;
    assert.ok(REFUSAL_STATES.has(fields?.code ?? ""), `${what}: ${fields?.code} ${fields?.message}`);
  } else if (fields?.code === "42601" && fields.message.endsWith('"!"')) {
    assert.equal(to, undefined, `${what}: a refusal was taken for an error of the client's`);
  }
}

describe("the response queue on a real PostgreSQL", () => {
  e2e(
    "accounts every answer to pipelines with errors, COPY, FunctionCall and refusals",
    async () => {
      const admin = await superuser();
      await admin.query(
        "CREATE TABLE trace (name text); CREATE VIEW shown AS SELECT * FROM trace; CREATE TABLE seed (name text)",
      );
      await admin.query("INSERT INTO seed VALUES ('x')");
      await admin.query("CREATE TABLE checked (id int, name text, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)");
      await admin.query("INSERT INTO checked VALUES (1, 'first')");
      const client = await superuser();
      const random = randomFrom(12);
      const seen = { answers: 0, marked: 0, refusals: 0, open: 0 };
      const refusedUnits: number[] = [];
      let unit = 0;
      for (let round = 0; round < PIPELINES; round++) {
        const pipeline = new Pipeline(random, unit);
        unit = pipeline.lastUnit;
        const queue = new ResponseQueue<Step>();
        const end = `end-${round}`;
        const plain = (message: FrontendMessage): Step => ({ message, unit: 0, isPoisoned: false });
        const ending = [
          { name: "Sync" },
          { name: "Query", sql: bytes("ROLLBACK") },
          { name: "Query", sql: bytes(`SELECT '${end}'`) },
        ] as const;
        const steps = [...pipeline.steps, ...ending.map(plain)];
        for (const step of steps) {
          queue.push(step.message, step, step.isPoisoned);
          if (step.isPoisoned && step.message.name === "Query") refusedUnits.push(step.unit);
        }
        client.write(
          ...steps.map(({ message, isPoisoned }) =>
            isPoisoned ? encodePoisoned(message as Refusable, "refused") : encodeFrontendMessage(message),
          ),
        );
        const what = `pipeline ${round}: ${steps.map(({ message, isPoisoned }) => (isPoisoned ? "!" : "") + message.name).join(" ")}`;
        for (let isEnd = false, isDone = false; !isDone; ) {
          const piece = await client.next();
          assert.ok(piece !== undefined, `the connection ended in ${what}`);
          check(queue, piece, seen, what);
          isEnd ||= typeOf(piece) === "D" && rowsIn(piece.wire).flat().includes(end);
          isDone = isEnd && typeOf(piece) === "Z";
        }
        if (queue.isCertain) assert.equal(queue.isIdle, true, what);
      }
      const traced = (await admin.query("SELECT name FROM trace")).map(([name]) =>
        Number(/unit_(\d+)_/.exec(name ?? "")?.[1]),
      );
      assert.deepEqual(
        traced.filter((number) => refusedUnits.includes(number)),
        [],
        "a refused statement has run",
      );
      assert.ok(
        seen.answers > 10 * PIPELINES && seen.marked > PIPELINES && seen.refusals > PIPELINES / 4,
        JSON.stringify(seen),
      );
      assert.ok(seen.open < seen.answers / 20, JSON.stringify(seen));
    },
    120_000 + 400 * PIPELINES,
  );

  e2e(
    "a poisoned message fails whatever the state, and leaves the session as the original's failure would",
    async () => {
      const client = await superuser();
      await client.query("CREATE TABLE poisoned (id int)");
      const insert = {
        name: "Parse",
        statement: "kept",
        sql: bytes("INSERT INTO poisoned VALUES (1)"),
        parameterTypes: [],
      } as const;
      const bind = {
        name: "Bind",
        portal: "",
        statement: "kept",
        parameterFormats: [],
        values: [],
        resultFormats: [],
      } as const;
      const execute = { name: "Execute", portal: "", rowsMax: 0 } as const;
      client.send(insert, { name: "Sync" });
      await client.untilReady();
      const status = async (count: number, ...parts: readonly Uint8Array[]): Promise<string> => {
        client.write(...parts);
        const pieces = await client.untilReady(count);
        return `${types(pieces)}${decodeReadyForQuery(bodyOf(pieces.slice(-1), "Z"))}`;
      };
      const send = encodeFrontendMessage;
      const sync = send({ name: "Sync" });
      const query = (sql: string): Uint8Array => send({ name: "Query", sql: bytes(sql) });
      const call = encodePoisoned({
        name: "FunctionCall",
        functionOid: 2624,
        argumentFormats: [],
        values: [bytes("x")],
        resultFormat: 0,
      });
      assert.equal(await status(1, encodePoisoned({ name: "Query", sql: bytes("x") }, "id-1")), "EZI");
      assert.equal(await status(1, encodePoisoned(insert), sync), "EZI");
      assert.equal(await status(1, encodePoisoned(bind), sync), "EZI");
      assert.equal(await status(1, send(bind), encodePoisoned(execute), sync), "2EZI");
      assert.equal(await status(1, call), "EZI");
      assert.equal(await status(2, query("BEGIN"), encodePoisoned({ name: "Query", sql: bytes("x") })), "CZEZE");
      // In a transaction that has failed.
      assert.equal(await status(1, encodePoisoned(bind), sync), "EZE");
      assert.equal(await status(1, encodePoisoned(insert), sync), "EZE");
      assert.equal(await status(1, encodePoisoned(execute), sync), "EZE");
      assert.equal(await status(1, call), "EZE");
      assert.equal(await status(1, query("COMMIT")), "CZI");
      // The first of a unit is undone with it.
      assert.equal(await status(1, send(bind), send(execute), encodePoisoned(bind), send(execute), sync), "2CEZI");
      assert.deepEqual(await client.query("SELECT count(*) FROM poisoned"), [["0"]]);
      // The statement is still there.
      assert.equal(await status(1, send(bind), send(execute), sync), "2CZI");
      assert.deepEqual(await client.query("SELECT count(*) FROM poisoned"), [["1"]]);
    },
  );
});
