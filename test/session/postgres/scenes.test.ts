/**
 * Scenes of PostgreSQL's sessions as pages to read: logins by every method, what is held, cut off, cancelled and ended.
 * test/support/postgres-stage.ts says how they are told; test/golden/postgres-scenes.txt holds them.
 */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { ByteWriter, encodeUtf8 } from "../../../src/base/bytes.ts";
import { BackendTls, ClientTls } from "../../../src/net/tls.ts";
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeErrorResponse,
  encodeNegotiateProtocolVersion,
  encodeNoticeResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
} from "../../../src/postgres/backend-message.ts";
import { tlsServerEndPoint } from "../../../src/postgres/channel-binding.ts";
import { encodeMessage } from "../../../src/postgres/message.ts";
import { formatScramVerifier, makeScramVerifier } from "../../../src/postgres/scram.ts";
import {
  encodeCancelRequest,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartupMessage,
} from "../../../src/postgres/startup.ts";
import { UserDirectory } from "../../../src/session/accounts/user-directory.ts";
import { UserSlots } from "../../../src/session/limits/user-slots.ts";
import { HeldPassword, type PasswordSource } from "../../../src/token/password.ts";
import { TokenManager } from "../../../src/token/token-manager.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { type CertificateSet, makeCertificates } from "../../support/certificates.ts";
import { BRIEF, judged, WORD_JUDGE } from "../../support/postgres-proxy.ts";
import {
  bind,
  COPY_DONE,
  closing,
  data,
  describing,
  execute,
  FLUSH,
  PostgresStage,
  parse,
  query,
  type StageOptions,
  SYNC,
} from "../../support/postgres-stage.ts";
import { memoryLogger, NO_DATA_LIMITS } from "../../support/session-harness.ts";
import { TimersLeft } from "../../support/timers-left.ts";

const TIMEOUT_MS = 120_000;
let certificates: CertificateSet;

before(async () => {
  certificates = await makeCertificates();
});
after(() => certificates.remove());

function scene(title: string, options: () => StageOptions, play: (stage: PostgresStage) => Promise<void>): void {
  test(title, { timeout: TIMEOUT_MS }, async () => {
    const stage = await PostgresStage.open(options());
    const timers = new TimersLeft();
    try {
      await play(stage);
    } finally {
      await stage.close();
      stage.lines.push(...(await timers.stop()));
    }
    assertGoldenPart("postgres-scenes.txt", title, stage.lines);
  });
}

const pem = (file: string): string => readFileSync(file, "latin1");
const certificate = () => {
  const { certFile, keyFile } = certificates.leaves.goodRsa;
  return { cert: pem(certFile), key: pem(keyFile) };
};
const bindingOf = () =>
  tlsServerEndPoint(new X509Certificate(certificate().cert).raw) ?? assert.fail("a certificate that binds nothing");
const verifyFull = () =>
  new BackendTls({ mode: "verify-full", ca: pem(certificates.caFile), serverName: "localhost", minVersion: "TLSv1.2" });
const backendTls = (mode: "prefer" | "require") =>
  new BackendTls({ mode, serverName: "localhost", minVersion: "TLSv1.2" });
const clientTls = () => ({ clientTls: new ClientTls(certificate()), clientTlsMode: "allow" }) as const;
const PASSWORD = "a pass of words";
const alice = { approver: "alice@corp", reason: undefined };

/** Bytes of a client that is none, what comes back, and the end. */
async function raw(stage: PostgresStage, what: string, ...parts: readonly Uint8Array[]): Promise<void> {
  await stage.leave();
  stage.note(`> ${what}`);
  const socket = connect({ host: "127.0.0.1", port: stage.proxy.port, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  socket.write(Buffer.concat(parts));
  await new Promise<void>((resolve) => socket.once("end", resolve).once("close", resolve));
  socket.destroy();
  await stage.ended();
  stage.note(`< ${JSON.stringify(Buffer.concat(chunks).toString("latin1"))}`);
  stage.flush();
}

const startup = (settings: Record<string, string> = {}, user = "app"): Uint8Array =>
  encodeStartupMessage({ minor: 0, user, database: "shop", settings: new Map(Object.entries(settings)) });

describe("logins that are passed on go as test/golden/postgres-scenes.txt holds", () => {
  for (const method of ["trust", "cleartext", "md5", "scram", "gss"] as const) {
    const model = { method, password: PASSWORD };
    scene(
      `passed on by ${method}`,
      () => ({ model }),
      async (stage) => {
        await stage.logIn({ password: PASSWORD });
        await stage.logIn({ password: "wrong" });
        await stage.logIn({ password: PASSWORD, minor: 2, settings: { application_name: "a 'b", DateStyle: "ISO" } });
      },
    );
    const secure = () => {
      const tls = certificate();
      return {
        model: { ...model, tls, channelBinding: bindingOf() },
        listener: clientTls(),
        backend: { tls: verifyFull() },
      };
    };
    scene(`passed on by ${method} over TLS`, secure, async (stage) => {
      await stage.logIn({ password: PASSWORD, isTls: true });
      await stage.logIn({ password: PASSWORD });
    });
  }

  scene(
    "a backend that offers no TLS where it is preferred",
    () => ({ backend: { tls: backendTls("prefer") } }),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 1"));
    },
  );
  scene(
    "a backend that offers no TLS where it must",
    () => ({ backend: { tls: backendTls("require") } }),
    async (stage) => {
      await stage.logIn();
    },
  );
  scene(
    "a backend whose certificate is not known",
    () => ({
      model: { tls: certificate() },
      backend: { tls: new BackendTls({ mode: "verify-full", serverName: "localhost", minVersion: "TLSv1.2" }) },
    }),
    async (stage) => {
      await stage.logIn();
    },
  );
  scene(
    "a backend that is not there",
    () => ({ backend: { port: 1 } }),
    async (stage) => {
      await stage.logIn();
    },
  );
});

describe("clients that querycop proves go as test/golden/postgres-scenes.txt holds", () => {
  const verifier = makeScramVerifier(encodeUtf8(PASSWORD), new Uint8Array(16).fill(5));
  const users = () =>
    new UserDirectory(
      new Map([
        ["app", { scram: formatScramVerifier(verifier) }],
        ["native", { native: `*${"A".repeat(40)}` }],
      ]),
    );
  for (const method of ["scram", "md5", "trust", "cleartext"] as const) {
    const options = () => ({
      model: { method, password: PASSWORD },
      listener: { clientAuth: "password" as const, users: users() },
    });
    scene(`proved by SCRAM where the backend asks for ${method}`, options, async (stage) => {
      await stage.logIn({ password: PASSWORD });
      await stage.logIn({ password: "wrong" });
      await stage.logIn({ password: PASSWORD, user: "nobody" });
      await stage.logIn({ password: PASSWORD, user: "native" });
      await stage.logIn({ password: PASSWORD, settings: { search_path: "secret" } });
    });
  }
  scene(
    "proved by SCRAM over TLS on both legs",
    () => ({
      model: { method: "scram", password: PASSWORD, tls: certificate(), channelBinding: bindingOf() },
      listener: { clientAuth: "password", users: users(), ...clientTls() },
      backend: { tls: verifyFull() },
    }),
    async (stage) => {
      await stage.logIn({ password: PASSWORD, isTls: true, minor: 2 });
      await stage.logIn({ password: PASSWORD });
    },
  );
  scene(
    "another password at the backend",
    () => ({
      model: { method: "scram", password: "another" },
      listener: { clientAuth: "password", users: users() },
    }),
    async (stage) => {
      await stage.logIn({ password: PASSWORD });
    },
  );
  scene(
    "a user who is taken out while the backend answers",
    () => {
      const directory = users();
      return {
        model: {
          instead: () => {
            directory.reload(new Map());
            return [encodeAuthentication({ kind: "ok" }), encodeReadyForQuery("I")];
          },
        },
        listener: { clientAuth: "password", users: directory },
      };
    },
    async (stage) => {
      await stage.logIn({ password: PASSWORD });
    },
  );
  scene(
    "a certificate that nobody has shown",
    () => ({
      listener: { clientAuth: "certificate", ...clientTls() },
    }),
    async (stage) => {
      await stage.logIn();
      await stage.logIn({ isTls: true });
    },
  );
});

describe("logins that querycop makes alone go as test/golden/postgres-scenes.txt holds", () => {
  const held = (...values: readonly string[]): { passwords: PasswordSource } => {
    const version = (index: number): HeldPassword =>
      new HeldPassword("owner", String(index), Buffer.from(values[index] ?? ""));
    return {
      passwords: {
        current: async () => version(0),
        otherThan: async (refused) => (refused.size < values.length ? version(refused.size) : undefined),
        accepted: () => undefined,
      },
    };
  };
  for (const method of ["scram", "md5", "cleartext", "trust", "gss"] as const) {
    const model = { method, password: PASSWORD };
    scene(
      `with a password where the backend asks for ${method}`,
      () => ({
        model: { ...model, tls: certificate() },
        listener: { clientAuth: "trust" },
        backend: { tls: verifyFull(), loginTimeoutMs: 1_000 },
        services: held("old", PASSWORD),
      }),
      async (stage) => {
        await stage.logIn();
      },
    );
    scene(
      `with a password and no TLS where the backend asks for ${method}`,
      () => ({
        model,
        listener: { clientAuth: "trust" },
        services: held(PASSWORD),
      }),
      async (stage) => {
        await stage.logIn();
      },
    );
    scene(
      `with a token where the backend asks for ${method}`,
      () => {
        let minted = 0;
        const source = {
          name: "test",
          mint: async () => {
            const value = Buffer.from(++minted === 1 ? `${PASSWORD} of old` : PASSWORD);
            return { value, credentialsExpireAtMs: undefined };
          },
        };
        return {
          model: { ...model, tls: certificate() },
          listener: { clientAuth: "trust" },
          backend: { tls: verifyFull() },
          services: {
            tokens: new TokenManager({ source, logger: memoryLogger([]), users: ["app"], forceFreshAgeMs: 0 }),
          },
        };
      },
      async (stage) => {
        await stage.logIn();
        await stage.logIn();
        await stage.logIn({ user: "stranger" });
      },
    );
  }
});

describe("beginnings that are no login go as test/golden/postgres-scenes.txt holds", () => {
  scene(
    "what a client may not begin with",
    () => ({}),
    async (stage) => {
      await stage.logIn({ settings: { replication: "database" } });
      await stage.logIn({ settings: { standard_conforming_strings: "off" } });
      await stage.logIn({ settings: { standard_conforming_strings: "on" } });
      await stage.logIn({ settings: { options: "-c backslash_quote=on" } });
      await stage.logIn({ settings: { client_encoding: "S-J-I-S" } });
      await stage.logIn({ settings: { client_encoding: "LATIN1" } });
      await stage.logIn({ settings: { search_path: "secret" } });
      await stage.logIn({ settings: { search_path: "careful" } });
      await stage.logIn({ settings: { search_path: "approve" } });
      await stage.logIn({ settings: { "no name": "x" } });
      await stage.logIn({ settings: { "a.b": "x", "_pq_.c": "1" }, minor: 9 });
      await raw(stage, "two requests for TLS", encodeSslRequest(), encodeSslRequest());
      await raw(stage, "GSS and what stands behind it", encodeGssEncRequest(), startup());
      await raw(stage, "a length of 3", Uint8Array.of(0, 0, 0, 3, 0, 3, 0, 0));
      await raw(stage, "version 2", Uint8Array.of(0, 0, 0, 8, 0, 2, 0, 0));
      await raw(stage, "version 4", Uint8Array.of(0, 0, 0, 8, 0, 4, 0, 0));
      await raw(stage, "TLS at once", Uint8Array.of(0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5));
      await raw(stage, "a startup without a user", startup({}, ""));
      await raw(
        stage,
        "a cancel of nobody",
        encodeCancelRequest({ processId: 7, secretKey: Uint8Array.of(1, 2, 3, 4) }),
      );
    },
  );
  scene(
    "TLS that must be",
    () => ({ listener: { ...clientTls(), clientTlsMode: "require", handshakeTimeoutMs: 2_000 } }),
    async (stage) => {
      await stage.logIn();
      await stage.logIn({ isTls: true });
      await raw(stage, "bytes behind a request for TLS", encodeSslRequest(), startup());
      await raw(stage, "garbage in TLS", encodeSslRequest());
    },
  );
  scene(
    "a client that says nothing",
    () => ({ listener: { handshakeTimeoutMs: 300 } }),
    async (stage) => {
      await raw(stage, "nothing");
      await raw(stage, "half a length", Uint8Array.of(0, 0));
    },
  );
  scene(
    "a client that does not answer",
    () => ({
      model: { method: "md5" },
      listener: { handshakeTimeoutMs: 300 },
    }),
    async (stage) => {
      await raw(stage, "a startup and no password", startup());
    },
  );
  scene(
    "a backend that does not answer",
    () => ({
      model: { instead: () => [] },
      backend: { loginTimeoutMs: 300 },
    }),
    async (stage) => {
      await stage.logIn();
    },
  );
  scene(
    "a place of a user's that is given back",
    () => ({ services: { userSlots: new UserSlots(1) } }),
    async (stage) => {
      for (const user of ["app", "app", "other", "app"]) {
        await stage.logIn({ user });
        await stage.say(query("SELECT 1"));
      }
    },
  );
  scene(
    "more sessions of a user than may be",
    () => {
      const userSlots = new UserSlots(1);
      userSlots.take("app");
      return { services: { userSlots } };
    },
    async (stage) => {
      await stage.logIn();
    },
  );
  scene(
    "a connect that cannot be recorded",
    () => ({}),
    async (stage) => {
      stage.proxy.failing.add("connect");
      await stage.logIn();
      stage.proxy.failing.delete("connect");
      stage.proxy.failing.add("login");
      await stage.logIn();
      stage.proxy.failing.clear();
      stage.proxy.failing.add("disconnect");
      await stage.logIn();
    },
  );
});

describe("answers of a backend to a login go as test/golden/postgres-scenes.txt holds", () => {
  const OK = encodeAuthentication({ kind: "ok" });
  const READY = encodeReadyForQuery("I");
  const notice = encodeNoticeResponse({ severity: "NOTICE", code: "00000", message: "hello" });
  const status = encodeParameterStatus({ parameter: "a", value: "b" });
  const refusal = encodeErrorResponse({ severity: "FATAL", code: "53300", message: "too many clients" });
  const key = encodeBackendKeyData({ processId: 9, secretKey: new Uint8Array(32) });
  const version = (minor: number): Uint8Array => encodeNegotiateProtocolVersion({ minor, unknownOptions: ["_pq_.x"] });
  const answers: Record<string, readonly Uint8Array[]> = {
    "notices and parameters": [notice, OK, status, notice, key, READY],
    "no key": [OK, READY],
    "a transaction that has begun": [OK, encodeReadyForQuery("T")],
    "ready too early": [READY],
    "a parameter too early": [status, OK, READY],
    "a key too early": [key, OK, READY],
    "OK twice": [OK, OK, READY],
    "an older protocol": [version(0), OK, READY],
    "a newer protocol": [version(2), OK, READY],
    "a protocol too late": [OK, version(0), READY],
    "a refusal": [refusal],
    "a refusal behind OK": [OK, refusal],
    "a row": [OK, encodeMessage("D", (body) => body.uint16BE(0)), READY],
    "an answer to nothing": [OK, encodeMessage("1"), READY],
    "nothing known": [OK, encodeMessage("y"), READY],
    "an unknown method": [encodeMessage("R", (body) => body.int32BE(77)), OK, READY],
    "a malformed method": [encodeMessage("R", (body) => body.uint16BE(1)), OK, READY],
    "no state of a transaction": [OK, encodeMessage("Z", (body) => body.uint8(88))],
    "SASL without a mechanism": [encodeAuthentication({ kind: "sasl", mechanisms: [] }), OK, READY],
    "SASL of others": [encodeAuthentication({ kind: "sasl", mechanisms: ["PLAIN"] }), OK, READY],
    "too many requests": [
      ...Array.from({ length: 9 }, () => encodeAuthentication({ kind: "sasl-final", data: OK })),
      OK,
      READY,
    ],
    "eight requests": [
      ...Array.from({ length: 7 }, () => encodeAuthentication({ kind: "sasl-final", data: OK })),
      OK,
      READY,
    ],
    "many notices": [
      ...Array.from({ length: 12 }, () =>
        encodeNoticeResponse({ severity: "NOTICE", code: "00000", message: "x".repeat(100_000) }),
      ),
      OK,
      READY,
    ],
  };
  for (const [what, parts] of Object.entries(answers)) {
    scene(
      `the backend answers ${what}`,
      () => ({ model: { instead: () => parts } }),
      async (stage) => {
        await stage.logIn({ password: PASSWORD });
      },
    );
  }
  for (const setting of ["on", "off", undefined]) {
    for (const server_version of ["13.4", "15.2", "none"]) {
      const parameters = [
        encodeParameterStatus({ parameter: "server_version", value: server_version }),
        ...(setting === undefined
          ? []
          : [encodeParameterStatus({ parameter: "default_transaction_read_only", value: setting })]),
      ];
      scene(
        `a wall that is ${setting} on ${server_version}`,
        () => ({
          judge: {
            judge: ({ sql }) =>
              judged("allow", { text: Buffer.from(sql).toString(), textForm: "raw", isReadOnly: true }),
          },
          model: { instead: () => [OK, ...parameters, READY] },
        }),
        async (stage) => {
          await stage.logIn({ settings: { default_transaction_read_only: "off" } });
        },
      );
    }
  }
});

describe("statements that wait go as test/golden/postgres-scenes.txt holds", () => {
  scene(
    "held, and approved, denied, cancelled",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      stage.send(query("INSERT INTO t VALUES (1) -- approve"), query("SELECT 'behind'"));
      const first = await stage.asked();
      stage.view();
      await stage.proxy.approvals.approve(first, alice);
      await stage.read(2);
      stage.view();
      stage.send(parse("", "UPDATE t SET a = $1 -- approve"), bind("", "", ["7"]), execute(), SYNC);
      stage.proxy.approvals.deny(await stage.asked(), { ...alice, reason: "no" });
      await stage.read();
      stage.send(query("INSERT INTO t VALUES (2) -- approve"));
      await stage.asked();
      const { keyData } = stage.client;
      assert.ok(keyData !== undefined);
      await raw2(stage, encodeCancelRequest(keyData));
      await stage.read();
      await stage.say(query("BEGIN"));
      await stage.say(query("INSERT INTO t VALUES (3) -- approve"));
      await stage.say(query("ROLLBACK"));
      stage.send(query("INSERT INTO t VALUES (4) -- approve"));
      stage.proxy.approvals.cancel(await stage.asked(), "not-recorded");
      await stage.read();
    },
  );
  for (const inTransaction of ["hold", "block"] as const) {
    scene(
      `held in a transaction: ${inTransaction}`,
      () => ({
        judge: {
          judge: (statement) => {
            const said = WORD_JUDGE.judge(statement);
            assert.ok(!(said instanceof Promise));
            const settings = { ...BRIEF.settings, inTransaction, timeoutMs: 90_000, transactionTimeoutMs: 30 };
            return said.approval === undefined ? said : { ...said, approval: { ...BRIEF, settings } };
          },
        },
      }),
      async (stage) => {
        await stage.logIn();
        await stage.say(query("BEGIN"));
        await stage.say(query("INSERT INTO t VALUES (3) -- approve"));
        await stage.say(query("ROLLBACK"));
        // What has run in this unit is a transaction too.
        await stage.say(
          parse("", "UPDATE t SET a = 1"),
          bind("", ""),
          execute(),
          query("DELETE FROM t -- approve"),
          SYNC,
        );
      },
    );
  }
  scene(
    "held for so long",
    () => ({
      judge: {
        judge: ({ sql }) => {
          const text = Buffer.from(sql).toString();
          const settings = { ...BRIEF.settings, timeoutMs: 20 };
          return judged("require-approval", { text, textForm: "raw", approval: { ...BRIEF, settings } });
        },
      },
    }),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 1"));
      await stage.say(parse("", "SELECT 2"), SYNC);
      await stage.say(bind("", ""), execute(), SYNC);
    },
  );
  scene(
    "that nobody can approve",
    () => ({
      judge: {
        judge: ({ sql }) => {
          const text = Buffer.from(sql).toString();
          const digest = text.includes("long") ? "x".repeat(64 * 1024 + 1) : "x".repeat(64 * 1024);
          return judged("require-approval", {
            text: text.slice(0, 20),
            textForm: "raw",
            ...(text.includes("none") ? {} : { approval: { ...BRIEF, digest } }),
          });
        },
      },
      approvalsOpenMax: 0,
    }),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 'none'"));
      await stage.say(query("SELECT 'long'"));
      await stage.say(query(`SELECT '${"x".repeat(10)}'`));
      stage.client.send(query(`SELECT '${"y".repeat(1024 * 1024)}'`));
      await stage.read();
    },
  );
  scene(
    "to be sent again",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      const permit = query("INSERT INTO t VALUES (5) -- permit");
      await stage.say(permit);
      await stage.say(permit);
      await stage.proxy.approvals.approve(await stage.asked(), alice);
      await stage.say(permit);
      await stage.say(permit);
      stage.proxy.approvals.deny(await stage.asked(), { ...alice, reason: "no" });
      await stage.say(permit);
      await stage.say(query("INSERT INTO t VALUES (6) -- permit"));
      await stage.proxy.approvals.approve(await stage.asked(), alice);
      await stage.say(query("INSERT INTO t VALUES (7) -- permit"));
      stage.proxy.failing.add("hold");
      await stage.say(query("INSERT INTO t VALUES (8) -- permit"));
      await stage.say(query("INSERT INTO t VALUES (9) -- approve"));
    },
  );
  scene(
    "whose client leaves",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      stage.send(query("INSERT INTO t VALUES (6) -- approve"));
      await stage.asked();
      await stage.readTo("N");
      stage.client.close();
      await stage.ended();
    },
  );
  scene(
    "whose backend leaves",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      stage.send(query("SELECT 'VANISH'"), query("INSERT INTO t VALUES (6) -- approve"));
      await stage.read(1);
    },
  );
  scene(
    "whose session is ended",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      stage.send(query("INSERT INTO t VALUES (6) -- approve"));
      await stage.asked();
      for (const session of stage.proxy.sessions) session.kill("olga");
      await stage.read(1);
      await stage.logIn();
      stage.send(query("INSERT INTO t VALUES (6) -- approve"));
      await stage.asked();
      for (const session of stage.proxy.sessions) session.close("shutdown");
      await stage.read(1);
      await stage.logIn();
      stage.send(query("INSERT INTO t VALUES (7) -- approve"));
      await stage.asked();
      for (const session of stage.proxy.sessions) session.cancelHold();
      await stage.read(1);
    },
  );
  scene(
    "with too much behind them",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      stage.send(query("INSERT INTO t VALUES (6) -- approve"));
      await stage.asked();
      for (let count = 0; count < 64; count++) stage.client.send(query(`SELECT '${"z".repeat(64 * 1024)}'`));
      await stage.read(65);
      stage.client.close();
      await stage.ended();
      stage.lines.splice(stage.lines.findIndex((line) => line.startsWith("< ")) + 1);
      stage.model.seen.splice(0);
      stage.proxy.events.splice(0);
      stage.proxy.log.splice(0);
    },
  );
});

/** A connection that only asks. */
function raw2(stage: PostgresStage, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: stage.proxy.port }, () => socket.write(bytes));
    socket.on("close", () => resolve());
    socket.on("error", reject);
    socket.resume();
  });
}

describe("commands go as test/golden/postgres-scenes.txt holds", () => {
  scene(
    "copies",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("COPY t FROM STDIN"), data("1\n"), data("2\n"), COPY_DONE, query("SELECT 1"));
      stage.send(parse("", "COPY t FROM STDIN"), bind("", ""), execute(), SYNC);
      await stage.readTo("G");
      await stage.say(data("3\n"), COPY_DONE, SYNC);
      await stage.say(query("COPY t FROM STDIN"), { name: "CopyFail", reason: Buffer.from("no") });
      await stage.say(query("COPY t TO STDOUT"), query("SELECT 2"));
      await stage.say(query("COPY secret FROM STDIN"), query("SELECT 3"));
      await stage.say(query("COPY t FROM STDIN -- FAIL"), query("SELECT 4"));
      await stage.say(query("SELECT 'copy of stdin'"), query("SELECT 5"));
      await stage.say(parse("c", "COPY t FROM STDIN"), SYNC);
      stage.send(bind("", "c"), execute(), SYNC);
      await stage.readTo("G");
      await stage.say(data("4\n"), { name: "CopyFail", reason: Buffer.from("no") }, SYNC);
    },
  );
  scene(
    "names and what they stand for",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      await stage.say(parse("n", "SELECT 'secret 1'"), SYNC, parse("m", "SELECT 1"), SYNC);
      await stage.say(bind("", "n"), execute(), SYNC, bind("", "m"), execute(), SYNC);
      await stage.say(query("PREPARE by_sql AS SELECT 2"));
      await stage.say(bind("", "by_sql"), execute(), SYNC, bind("", "m"), execute(), SYNC);
      await stage.say(bind("", ""), execute(), SYNC);
      await stage.say(execute("cursor"), SYNC, execute('se"cret'), SYNC);
      await stage.say(parse("m", "SELECT 'FAIL'"), SYNC, closing("statement", "m"), SYNC, bind("", "m"), SYNC);
      await stage.say(
        parse("d", "SELECT 1"),
        describing("statement", "d"),
        bind("p", "d"),
        describing("portal", "p"),
        SYNC,
      );
      await stage.say(query("BEGIN"));
      await stage.say(bind("p", "d"), execute("p", 2), SYNC, execute("p", 2), SYNC);
      await stage.say(query("COMMIT"), execute("p", 2), SYNC);
      const many = Array.from({ length: 10 }, (_, index) => [parse("same", `SELECT ${index}`), SYNC]).flat();
      await stage.say(...many, bind("", "same"), execute(), SYNC);
      await stage.say(parse("s1", "SELECT 'careful'"), bind("", "s1"), execute(), SYNC, query("SELECT 'careful'"));
    },
  );
  scene(
    "binary values",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      await stage.say(parse("v", "SELECT $1, $2, $3"), SYNC);
      for (const parameterFormats of [[], [0], [1], [0, 1, 0]]) {
        const values = [Buffer.from("a"), Buffer.from("b"), null];
        await stage.say(
          { name: "Bind", portal: "", statement: "v", parameterFormats, values, resultFormats: [1] },
          execute(),
          SYNC,
        );
      }
    },
  );
  scene(
    "as many statements as may be",
    () => ({ listener: { preparedStatementsMax: 2 } }),
    async (stage) => {
      await stage.logIn();
      await stage.say(parse("1", "SELECT 1"), parse("2", "SELECT 2"), parse("3", "SELECT 3"), SYNC);
      await stage.say(closing("statement", "1"), SYNC, parse("3", "SELECT 3"), SYNC);
      await stage.say(parse("2", "SELECT 22"), SYNC);
    },
  );
  scene(
    "that cannot be recorded",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      stage.proxy.failing.add("statement-intent");
      await stage.say(query("SELECT 1"));
      await stage.say(parse("", "SELECT 1"), bind("", ""), execute(), SYNC);
      stage.proxy.failing.delete("statement-intent");
      stage.proxy.failing.add("statement-blocked");
      await stage.say(query("SELECT 'secret'"));
      await stage.say({ name: "FunctionCall", functionOid: 1, argumentFormats: [], values: [], resultFormat: 0 });
    },
  );
  scene(
    "that are judged later",
    () => ({
      judge: { judge: async (statement) => await WORD_JUDGE.judge(statement) },
    }),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 1"), query("SELECT 'secret'"), query("SELECT 'careful'"), query("SELECT 2"));
      await stage.say(parse("", "SELECT 1"), bind("", ""), execute(), SYNC);
    },
  );
  for (const limitAction of ["cut", "terminate", "warn"] as const) {
    const limits = { ...NO_DATA_LIMITS, limitAction };
    for (const [what, limit] of [
      ["rows", { responseRowsMax: 2 }],
      ["bytes", { responseBytesMax: 20 }],
      ["bytes in a while", { windowBytesMax: 40 }],
      ["rows of a user", { userWindowRowsMax: 4 }],
    ] as const) {
      scene(
        `${what}, ${limitAction}`,
        () => ({
          listener: { dataGuard: { ...limits, ...limit } },
          services: { clock: { wallMs: () => 0, monotonicMs: () => 0 } },
        }),
        async (stage) => {
          await stage.logIn();
          await stage.say(query("SELECT 1"));
          if (stage.proxy.sessions.size === 0) return;
          await stage.say(parse("", "SELECT 1"), bind("", ""), execute("", 1), execute("", 1), SYNC);
        },
      );
    }
    scene(
      `cut while it runs, ${limitAction}`,
      () => ({
        listener: { dataGuard: { ...limits, responseRowsMax: 2 } },
      }),
      async (stage) => {
        await stage.logIn();
        await stage.say(query(limitAction === "warn" ? "SELECT 1; SELECT 2" : "SELECT 1; SELECT 'SLOW'"));
        if (stage.proxy.sessions.size > 0) await stage.say(query("UPDATE t SET a = 1"));
      },
    );
  }
  scene(
    "cancelled by the key that was given",
    () => ({}),
    async (stage) => {
      for (const minor of [0, 2]) {
        const client = await stage.logIn({ minor });
        const { keyData } = client ?? {};
        assert.ok(keyData !== undefined);
        stage.send(query("SELECT 'SLOW'"));
        await stage.seen(/SLOW/);
        await raw2(stage, encodeCancelRequest({ ...keyData, secretKey: keyData.secretKey.map((byte) => byte ^ 1) }));
        await raw2(stage, encodeCancelRequest({ ...keyData, secretKey: keyData.secretKey.subarray(1) }));
        await raw2(stage, encodeCancelRequest({ ...keyData, processId: 4711 }));
        stage.note(`cancelled by others: ${stage.model.seen.some((line) => line.startsWith("cancel"))}`);
        await raw2(stage, encodeCancelRequest(keyData));
        await stage.read();
      }
      stage.note(`${stage.proxy.cancelKeys.size} keys`);
    },
  );
});

describe("ends of a session go as test/golden/postgres-scenes.txt holds", () => {
  scene(
    "the server's last words",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 'DIE'"));
      await stage.logIn();
      await stage.say(query("SELECT 'VANISH'"));
    },
  );
  scene(
    "a client that leaves while a statement runs",
    () => ({ listener: { leftTimeoutMs: 30 } }),
    async (stage) => {
      await stage.logIn();
      stage.send(query("SELECT 'SLOW'"));
      await stage.seen(/SLOW/);
      stage.view();
      stage.client.close();
      await stage.seen(/cancel 4711/);
      await stage.ended();
    },
  );
  scene(
    "a client that leaves while a COPY may begin",
    () => ({ listener: { leftTimeoutMs: 30 } }),
    async (stage) => {
      await stage.logIn();
      stage.send(query("COPY t FROM STDIN -- SLOW"), query("SELECT 1"));
      await stage.seen(/SLOW/);
      stage.client.close();
      await stage.seen(/cancel 4711/);
      await stage.ended();
    },
  );
  scene(
    "a client that says goodbye behind its last statement",
    () => ({}),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 1"), { name: "Terminate" });
      await stage.ended();
    },
  );
  scene(
    "a client that says goodbye behind a statement that takes too long",
    () => ({ listener: { leftTimeoutMs: 30 } }),
    async (stage) => {
      await stage.logIn();
      stage.send(query("SELECT 'SLOW'"), { name: "Terminate" });
      await stage.seen(/cancel 4711/);
      await stage.ended();
    },
  );
  scene(
    "a protocol that is broken",
    () => ({}),
    async (stage) => {
      const broken = {
        "a length of 3": Uint8Array.of(0x51, 0, 0, 0, 3),
        "an unknown type": Uint8Array.of(0x79, 0, 0, 0, 4),
        "a password": Uint8Array.of(0x70, 0, 0, 0, 4),
        "a text without an end": Uint8Array.of(0x51, 0, 0, 0, 5, 65),
        "no UTF-8": Uint8Array.of(0x51, 0, 0, 0, 6, 0xff, 0),
        "more than may be": new ByteWriter().uint8(0x51).int32BE(0x7fffffff).finish(),
      };
      for (const [what, wire] of Object.entries(broken)) {
        await stage.logIn();
        stage.note(`> ${what}`);
        stage.client.write(wire);
        await stage.read();
      }
    },
  );
  for (const reason of ["shutdown", "timeout", "killed"] as const) {
    scene(
      `ended by ${reason}`,
      () => ({}),
      async (stage) => {
        await stage.logIn();
        await stage.say(query("SELECT 1"));
        const end = (): void => {
          for (const session of stage.proxy.sessions) {
            if (reason === "killed") session.kill("olga");
            else session.close(reason);
            session.kill("another");
          }
        };
        end();
        await stage.read();
        await stage.logIn();
        stage.send(query("SELECT 'SLOW'"));
        await stage.seen(/SLOW/);
        end();
        await stage.seen(/cancel 4711/);
        await stage.read();
      },
    );
  }
  scene(
    "a wall that falls",
    () => ({
      judge: {
        judge: (statement) => {
          const said = WORD_JUDGE.judge(statement);
          assert.ok(!(said instanceof Promise));
          return { ...said, isReadOnly: !Buffer.from(statement.sql).includes("writer") };
        },
      },
      model: { parameters: { default_transaction_read_only: "off" } },
    }),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 1"));
      await stage.say(query("SET default_transaction_read_only = 'off' -- writer"));
      await stage.say(query("SELECT 2 -- writer"));
      await stage.say(query("SELECT 3"), FLUSH);
    },
  );
});
