/**
 * Logins of MySQL as pages to read: what a client is asked and told (<), what the server saw (=), what is recorded (!) and
 * told to the log (#). The two sides are test/support/mysql-login-model.ts; test/golden/mysql-logins.txt holds the pages.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Slots } from "../../../src/base/slots.ts";
import { hashCachingSha2Password } from "../../../src/mysql/caching-sha2-password.ts";
import { CLIENT_PLUGIN_AUTH, CLIENT_SESSION_TRACK } from "../../../src/mysql/constants.ts";
import { encodeErrPacket } from "../../../src/mysql/generic-response.ts";
import {
  decodeHandshakeV10,
  encodeAuthMoreData,
  encodeAuthNextFactor,
  encodeAuthSwitchRequest,
} from "../../../src/mysql/handshake.ts";
import { hashNativePassword } from "../../../src/mysql/native-password.ts";
import type { Packet } from "../../../src/mysql/packet.ts";
import { BackendTls, ClientTls } from "../../../src/net/tls.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../../src/policy/mysql/mysql-engine.ts";
import { UserDirectory } from "../../../src/session/accounts/user-directory.ts";
import { UserSlots } from "../../../src/session/limits/user-slots.ts";
import type { BackendOptions, ListenerOptions } from "../../../src/session/listener-options.ts";
import { PolicyJudge } from "../../../src/session/mysql/judging/policy-judge.ts";
import { MYSQL_WING } from "../../../src/session/mysql/mysql-wing.ts";
import type { SessionServices } from "../../../src/session/session-services.ts";
import { HeldPassword, type PasswordSource } from "../../../src/token/password.ts";
import { TokenManager } from "../../../src/token/token-manager.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { NOON, policyFrom } from "../../policy/policy-fixture.ts";
import { type CertificateSet, makeCertificates } from "../../support/certificates.ts";
import {
  connectPeer,
  GREETING,
  loginPayload,
  OK_PAYLOAD,
  type PacketPeer,
  sslRequest,
} from "../../support/fake-peers.ts";
import { ModelSession } from "../../support/model-server.ts";
import {
  type ClientLoginOptions,
  LoginClient,
  LoginModel,
  type LoginModelOptions,
  MODEL_KEY,
  MODEL_PEM,
} from "../../support/mysql-login-model.ts";
import { memoryLogger, NO_DATA_LIMITS, type ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { TimersLeft } from "../../support/timers-left.ts";
import { counted, countedSince, eventLine, fields } from "../../support/transcript-lines.ts";
import { columnCount, columnDefinition, rowsEnd, textRow } from "../../support/wire-replies.ts";

const TIMEOUT_MS = 120_000;
/** For what comes some time, on a busy machine too. */
const PATIENCE_MS = 30_000;
const PASSWORD = "a pass of words";
let certificates: CertificateSet;

before(async () => {
  certificates = await makeCertificates();
});
after(async () => {
  await closeStages();
  certificates.remove();
});

const pem = (file: string): string => readFileSync(file, "latin1");
const certificate = () => {
  const { certFile, keyFile } = certificates.leaves.goodEc;
  return { cert: pem(certFile), key: pem(keyFile) };
};
const tlsOf = (mode: "require" | "prefer" | "verify-full") =>
  new BackendTls({ mode, ca: pem(certificates.caFile), serverName: "localhost", minVersion: "TLSv1.2" });
const offered = () => ({ clientTls: new ClientTls(certificate()), clientTlsMode: "allow" }) as const;

interface Page {
  readonly model: LoginModelOptions;
  readonly listener?: Partial<ListenerOptions>;
  readonly backend?: Partial<BackendOptions>;
  readonly services?: Partial<SessionServices>;
}

class Stage {
  readonly lines: string[] = [];
  readonly proxy: ProxyHarness;
  readonly model: LoginModel;
  constructor(proxy: ProxyHarness, model: LoginModel) {
    this.proxy = proxy;
    this.model = model;
  }

  /** Logs in, leaves, and tells of it. */
  async logIn(login: ClientLoginOptions = {}, behind?: (client: LoginClient) => Promise<unknown>): Promise<void> {
    const { user = "app", password = "", isTls = false, authPluginName = "the greeting's" } = login;
    this.lines.push(`> ${user} ${JSON.stringify(password)} by ${authPluginName}${isTls ? " over TLS" : ""}`);
    const client = new LoginClient();
    if (await client.logIn(this.proxy.port, login)) await behind?.(client);
    client.peer?.socket.destroy();
    await this.proxy.registry.whenEmpty();
    await this.model.served.ended();
    this.lines.push(...client.lines);
    this.flush();
  }

  flush(): void {
    const { events, log } = this.proxy;
    this.lines.push(...this.model.seen.splice(0).map((line) => `= ${line}`));
    this.lines.push(...events.splice(0).map(eventLine));
    this.lines.push(...log.splice(0).map(({ level, event, fields: more }) => `# ${level} ${event} ${fields(more)}`));
  }
}

/** Without what is of one run alone, and printable. */
function steady(line: string): string {
  return line
    .replace(/session [\w-]*\d/g, "session …")
    .replace(/within \d+ ms/g, "within … ms")
    .replace(/[^ -~…]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function page(title: string, given: () => Page, play: (stage: Stage) => Promise<void>): void {
  test(title, { timeout: TIMEOUT_MS }, async () => {
    const { model: options, ...more } = given();
    const model = new LoginModel(options);
    const { proxy } = await openStage(model.script, more);
    const counts = counted(proxy.metrics.render());
    const stage = new Stage(proxy, model);
    const timers = new TimersLeft();
    await play(stage);
    stage.lines.push(...(await timers.stop()));
    await model.served.ended();
    stage.flush();
    const lines = [...stage.lines, ...countedSince(counts, proxy.metrics.render())].map(steady);
    assertGoldenPart("mysql-logins.txt", title, lines);
  });
}

const PLUGINS = [
  "mysql_native_password",
  "caching_sha2_password",
  "sha256_password",
  "mysql_clear_password",
  "client_ed25519",
  "mysql_old_password",
];
const LEGS = {
  neither: [false, false],
  "the client's": [true, false],
  "the backend's": [false, true],
  both: [true, true],
} as const;

/** What is offered on both legs. */
function legs([client, backend]: readonly [boolean, boolean]): Pick<Page, "listener" | "backend"> & {
  readonly tls?: LoginModelOptions["tls"];
} {
  return {
    listener: client ? offered() : {},
    backend: backend ? { tls: tlsOf("verify-full") } : {},
    ...(backend ? { tls: certificate() } : {}),
  };
}

const withTls = (options: LoginModelOptions, tls: LoginModelOptions["tls"]): LoginModelOptions =>
  tls === undefined ? options : { ...options, tls };

async function usual(stage: Stage, isTls: boolean, plugin: string): Promise<void> {
  await stage.logIn({ password: PASSWORD, isTls, schema: "shop" });
  await stage.logIn({ password: "wrong", isTls });
  await stage.logIn({ isTls });
  await stage.logIn({ password: PASSWORD, isTls, authPluginName: plugin, serverKey: MODEL_KEY });
}

describe("logins go as test/golden/mysql-logins.txt holds", () => {
  for (const plugin of PLUGINS) {
    for (const [which, both] of Object.entries(LEGS)) {
      for (const greets of plugin === "caching_sha2_password"
        ? [plugin, "mysql_native_password"]
        : ["caching_sha2_password"]) {
        page(
          `passed on, ${plugin} behind ${greets}, TLS on ${which}`,
          () => {
            const { tls, ...rest } = legs(both);
            return { ...rest, model: withTls({ plugin, greets, password: PASSWORD }, tls) };
          },
          (stage) => usual(stage, both[0], plugin),
        );
      }
    }
  }
  page(
    "passed on, a plugin of the server's greeting",
    () => ({ model: { plugin: "mysql_native_password", password: PASSWORD } }),
    (stage) => usual(stage, false, "caching_sha2_password"),
  );
  page(
    "passed on, a password that the server has in its cache",
    () => ({
      model: { plugin: "caching_sha2_password", password: PASSWORD, isFast: true },
    }),
    (stage) => usual(stage, false, "mysql_native_password"),
  );
  page(
    "passed on, a second factor",
    () => ({
      model: { plugin: "mysql_native_password", password: PASSWORD, factor: "client_ed25519" },
    }),
    (stage) => usual(stage, false, "mysql_native_password"),
  );
  page(
    "passed on, a client without plugins",
    () => ({ model: { plugin: "caching_sha2_password", greets: "mysql_native_password", password: PASSWORD } }),
    async (stage) => {
      const flags = (GREETING.capabilities.flags & ~CLIENT_PLUGIN_AUTH) >>> 0;
      await stage.logIn({ password: PASSWORD, flags, authPluginName: "mysql_native_password", schema: "shop" });
    },
  );
  for (const [what, key] of [
    ["the right", () => MODEL_KEY],
    ["another", () => createPublicKey(certificate().cert)],
  ] as const) {
    for (const plugin of ["caching_sha2_password", "sha256_password"]) {
      page(
        `passed on, ${what} key pinned for ${plugin}`,
        () => ({
          model: { plugin, greets: "caching_sha2_password", password: PASSWORD },
          listener: offered(),
          backend: { publicKey: key() as KeyObject },
        }),
        async (stage) => {
          await stage.logIn({ password: PASSWORD });
          if (what === "the right") await stage.logIn({ password: PASSWORD, isTls: true });
        },
      );
    }
  }

  const users = () =>
    new UserDirectory(
      new Map([
        ["app", { cachingSha2: hashCachingSha2Password(Buffer.from(PASSWORD), Buffer.from("12345678901234567890")) }],
        [
          "both",
          {
            cachingSha2: hashCachingSha2Password(Buffer.from(PASSWORD), Buffer.from("12345678901234567890")),
            native: hashNativePassword(Buffer.from(PASSWORD)),
          },
        ],
        ["native", { native: hashNativePassword(Buffer.from(PASSWORD)) }],
        ["scram", { scram: "SCRAM-SHA-256$1:AA==$AA==:AA==" }],
      ]),
    );
  const tokens = (users_: readonly string[] = [], refusedFirst = false): { tokens: TokenManager } => {
    let minted = 0;
    const source = {
      name: "test",
      mint: async () => {
        const value = Buffer.from(++minted === 1 && refusedFirst ? "a token of before" : PASSWORD);
        return { value, credentialsExpireAtMs: undefined };
      },
    };
    return {
      tokens: new TokenManager({
        source,
        logger: memoryLogger([]),
        forceFreshAgeMs: 0,
        ...(users_.length > 0 ? { users: users_ } : {}),
      }),
    };
  };
  const clear = () => ({
    plugin: "mysql_clear_password",
    greets: "caching_sha2_password",
    password: PASSWORD,
    tls: certificate(),
  });

  for (const isTls of [true, false]) {
    page(
      `proved by a password, ${isTls ? "with" : "without"} TLS`,
      () => ({
        model: clear(),
        listener: { clientAuth: "password", users: users(), ...(isTls ? offered() : {}) },
        backend: { tls: tlsOf("verify-full") },
        services: tokens(),
      }),
      async (stage) => {
        for (const user of ["app", "both", "native", "scram", "nobody"]) {
          for (const authPluginName of [
            "caching_sha2_password",
            "mysql_native_password",
            "mysql_clear_password",
            "dialog",
          ]) {
            await stage.logIn({ user, password: PASSWORD, isTls, authPluginName });
            await stage.logIn({ user, password: "wrong", isTls, authPluginName });
          }
          await stage.logIn({ user, isTls });
          await stage.logIn({ user, isTls, authResponse: new Uint8Array(0), password: PASSWORD });
        }
      },
    );
  }
  page(
    "proved by a password, and then somebody else",
    () => ({
      model: clear(),
      listener: { clientAuth: "password", users: users() },
      backend: { tls: tlsOf("verify-full") },
      services: tokens(),
    }),
    async (stage) => {
      await stage.logIn({ password: PASSWORD }, async (client) => {
        await client.changeUser({ user: "native", password: PASSWORD, schema: "pay" });
        await client.changeUser({ user: "both", password: PASSWORD, authPluginName: "mysql_native_password" });
        await client.changeUser({ user: "native", password: "wrong" });
      });
      await stage.logIn({ password: PASSWORD }, (client) => client.changeUser({ user: "nobody", password: PASSWORD }));
    },
  );
  page(
    "proved by a certificate that nobody shows",
    () => ({
      model: clear(),
      listener: { clientAuth: "certificate", ...offered() },
      backend: { tls: tlsOf("verify-full") },
      services: tokens(),
    }),
    async (stage) => {
      await stage.logIn();
      await stage.logIn({ isTls: true });
    },
  );
  for (const refusedFirst of [true, false]) {
    page(
      `with a token${refusedFirst ? " that is refused" : ""}`,
      () => ({
        model: clear(),
        listener: { clientAuth: "trust" },
        backend: { tls: tlsOf("verify-full") },
        services: tokens(["app", "other"], refusedFirst),
      }),
      async (stage) => {
        await stage.logIn({ password: "x", schema: "shop" });
        await stage.logIn({}, async (client) => {
          await client.changeUser({ user: "other", schema: "pay" });
          await client.changeUser({ user: "stranger" });
        });
        await stage.logIn({ user: "stranger" });
      },
    );
  }
  page(
    "with a token and no TLS",
    () => {
      const { tls: _, ...model } = clear();
      return { model, listener: { clientAuth: "trust" }, services: tokens() };
    },
    (stage) => stage.logIn(),
  );
  for (const plugin of PLUGINS) {
    page(
      `with a token where the account has ${plugin}`,
      () => ({
        model: { ...clear(), plugin },
        listener: { clientAuth: "trust" },
        backend: { tls: tlsOf("require") },
        services: tokens(),
      }),
      (stage) => stage.logIn({ password: PASSWORD }),
    );
    for (const [which, tls] of [
      ["verified", "verify-full"],
      ["not verified", "require"],
      ["none", undefined],
    ] as const) {
      page(
        `with a held password, ${plugin}, TLS ${which}`,
        () => {
          const passwords: PasswordSource = {
            current: async () => new HeldPassword("owner", "1", Buffer.from("the one before")),
            otherThan: async (refused) =>
              refused.has("2") ? undefined : new HeldPassword("owner", "2", Buffer.from(PASSWORD)),
            accepted: () => undefined,
          };
          return {
            model: withTls(
              { plugin, greets: "caching_sha2_password", password: PASSWORD },
              tls === undefined ? undefined : certificate(),
            ),
            listener: { clientAuth: "trust" },
            backend: { loginTimeoutMs: 1_500, ...(tls === undefined ? {} : { tls: tlsOf(tls) }) },
            services: { passwords },
          };
        },
        (stage) => stage.logIn({ user: "app", schema: "shop" }, (client) => client.changeUser({ user: "other" })),
      );
    }
  }
});

describe("logins that fail, and crowds, go as test/golden/mysql-logins.txt holds", () => {
  const plain: LoginModelOptions = { plugin: "mysql_native_password", password: PASSWORD };
  const good = { password: PASSWORD };
  page(
    "what a client may not say of itself",
    () => ({ model: plain, listener: offered() }),
    async (stage) => {
      await stage.logIn({ ...good, user: "'app'" });
      await stage.logIn({ ...good, user: "'" });
      for (const characterSet of [35, 33, 54, 60, 128, 255, 8, 28, 1]) await stage.logIn({ ...good, characterSet });
      await stage.logIn({ ...good, flags: (GREETING.capabilities.flags & ~CLIENT_SESSION_TRACK) >>> 0 });
    },
  );
  page(
    "names that stand for others",
    () => ({
      model: plain,
      listener: {
        clientNames: new Map([
          ["reports", "app"],
          ["", "app"],
        ]),
      },
    }),
    async (stage) => {
      await stage.logIn({ ...good, user: "reports" }, (client) => client.changeUser({ user: "reports", ...good }));
      await stage.logIn({ ...good, user: "app" });
    },
  );
  page(
    "TLS that must be",
    () => ({ model: plain, listener: { ...offered(), clientTlsMode: "require" } }),
    async (stage) => {
      await stage.logIn(good);
      await stage.logIn({ ...good, isTls: true });
    },
  );
  for (const mode of ["prefer", "require"] as const) {
    page(
      `a backend without TLS where it is ${mode}`,
      () => ({ model: plain, backend: { tls: tlsOf(mode) } }),
      (stage) => stage.logIn(good),
    );
  }
  page(
    "a backend that is not there",
    () => ({ model: plain, backend: { port: 1 } }),
    (stage) => stage.logIn(good),
  );
  const request = (authPluginName: string): Uint8Array =>
    encodeAuthSwitchRequest({ authPluginName, authPluginData: new Uint8Array(0) });
  const answers: Record<string, readonly Uint8Array[]> = {
    "an error": [encodeErrPacket({ errorNumber: 1040, sqlState: "08004", message: "Too many connections" })],
    "an old hash": [Uint8Array.of(0xfe)],
    "a name without an end": [Uint8Array.of(0xfe, 65)],
    "nothing known": [Uint8Array.of(7, 7)],
    nothing: [],
    "a lone state": [encodeAuthMoreData(Uint8Array.of(9))],
    "OK and more": [OK_PAYLOAD, OK_PAYLOAD],
    "too many questions": Array.from({ length: 40 }, () => request("client_ed25519")),
  };
  for (const [what, instead] of Object.entries(answers)) {
    page(
      `the backend answers ${what}`,
      () => ({
        model: { ...plain, instead },
        backend: { loginTimeoutMs: 1_000 },
        listener: { handshakeTimeoutMs: 1_000 },
      }),
      (stage) => stage.logIn(good),
    );
  }
  page(
    "more sessions of a user than may be",
    () => {
      const userSlots = new UserSlots(1);
      userSlots.take("app");
      return { model: plain, services: { userSlots } };
    },
    async (stage) => {
      await stage.logIn(good);
      await stage.logIn({ ...good, user: "other" }, (client) => client.changeUser({ user: "app", ...good }));
    },
  );
  page(
    "a place of a user's that is given back",
    () => ({ model: plain, services: { userSlots: new UserSlots(1) } }),
    async (stage) => {
      await stage.logIn(good);
      await stage.logIn({ ...good, password: "wrong" });
      await stage.logIn(good, async (client) => {
        await client.changeUser({ user: "other", ...good });
        await client.changeUser({ user: "app", ...good });
      });
      await stage.logIn({ ...good, user: "other" }, (client) => client.changeUser({ user: "app", ...good }));
      await stage.logIn(good);
    },
  );
  page(
    "what cannot be recorded",
    () => ({ model: plain }),
    async (stage) => {
      for (const type of ["connect", "login", "disconnect"] as const) {
        stage.proxy.failing.add(type);
        await stage.logIn(good);
        stage.proxy.failing.clear();
      }
    },
  );
  for (const plugin of ["mysql_native_password", "caching_sha2_password"]) {
    page(
      `a crowd that is silent, ${plugin}`,
      () => ({
        model: { ...plain, plugin, greets: "caching_sha2_password" },
        services: { loginSlots: new Slots(1, 8) },
      }),
      async (stage) => {
        await stage.logIn({ ...good, password: PASSWORD });
        const silent = await connectPeer(stage.proxy.port);
        await silent.expect();
        // The one place is taken: the next is greeted with what is known of the backend, and asked again.
        const waiting = new LoginClient();
        const held = waiting.logIn(stage.proxy.port, good);
        setTimeout(() => silent.socket.destroy(), 400).unref();
        stage.lines.push(`let in: ${await held}`, ...waiting.lines.splice(0));
        await waiting.changeUser({ user: "other", ...good });
        stage.lines.push(...waiting.lines);
        waiting.peer?.socket.destroy();
        await stage.proxy.registry.whenEmpty();
      },
    );
  }
});

describe("side logins go as test/golden/mysql-logins.txt holds", () => {
  const clear = () => ({
    plugin: "mysql_clear_password",
    greets: "caching_sha2_password",
    password: PASSWORD,
    tls: certificate(),
  });
  const minting = (): { tokens: TokenManager } => ({
    tokens: new TokenManager({
      source: { name: "test", mint: async () => ({ value: Buffer.from(PASSWORD), credentialsExpireAtMs: undefined }) },
      logger: memoryLogger([]),
      forceFreshAgeMs: 0,
    }),
  });
  page(
    "of an operator's kill",
    () => ({
      model: { ...clear(), answer: (payload) => (Buffer.from(payload).includes("SLEEP") ? [] : undefined) },
      listener: { clientAuth: "trust", dataGuard: { ...NO_DATA_LIMITS, discardTimeoutMs: 2_000 } },
      backend: { tls: tlsOf("verify-full") },
      services: minting(),
    }),
    async (stage) => {
      const kill = (): void => {
        for (const session of stage.proxy.registry) {
          session.kill("olga");
          session.kill("another");
        }
      };
      await stage.logIn({}, async ({ peer, lines }) => {
        kill();
        lines.push(
          `< ${Buffer.from((await peer?.read())?.payload ?? []).toString("latin1")}`,
          `< ${await peer?.read()}`,
        );
      });
      await stage.logIn({}, async ({ peer, lines }) => {
        peer?.write(Buffer.from("\x03SELECT SLEEP(9)"), 0);
        await stage.proxy.untilEvent((event) => event.type === "statement-intent");
        for (const session of stage.proxy.registry) {
          const { isIdle, isAtRest, isLoggingIn, holdsLoginPlace, greetedConnectionId } = session;
          const { statement, ...view } = session.view();
          const told = {
            ...view,
            ...statement,
            since: 0,
            isIdle,
            isAtRest,
            isLoggingIn,
            holdsLoginPlace,
            greetedConnectionId,
          };
          lines.push(`  ${fields(told)}`);
        }
        kill();
        lines.push(
          `< ${Buffer.from((await peer?.read())?.payload ?? []).toString("latin1")}`,
          `< ${await peer?.read()}`,
        );
      });
    },
  );

  /** Rows without an end, which a KILL QUERY of another connection brings. */
  const endless = (rows: number, kill: "stops it" | "comes too late" | "is refused") => {
    let running: PacketPeer | undefined;
    return (payload: Uint8Array, peer: PacketPeer): readonly Uint8Array[] | undefined => {
      const said = Buffer.from(payload.subarray(1)).toString();
      if (said.startsWith("SELECT many")) {
        running = peer;
        return [columnCount(1), columnDefinition("a"), ...Array.from({ length: rows }, () => textRow("1"))];
      }
      if (!said.startsWith("KILL")) return undefined;
      const stopped = encodeErrPacket({ errorNumber: 1317, sqlState: "70100", message: "stopped" });
      if (kill === "stops it") running?.write(stopped, rows + 3);
      // The statement has come to its end by itself.
      else void peer.closed().then(() => running?.write(rowsEnd(), rows + 3));
      if (kill === "is refused")
        return [encodeErrPacket({ errorNumber: 1095, sqlState: "HY000", message: "not yours" })];
      return [OK_PAYLOAD];
    };
  };
  for (const kill of ["stops it", "comes too late", "is refused"] as const) {
    for (const limitAction of ["cut", "terminate"] as const) {
      page(
        `of a response that is cut off: ${limitAction}, the kill ${kill}`,
        () => ({
          model: { ...clear(), answer: endless(5, kill) },
          listener: {
            clientAuth: "trust",
            dataGuard: { ...NO_DATA_LIMITS, responseRowsMax: 2, limitAction, discardTimeoutMs: 3_000 },
          },
          backend: { tls: tlsOf("verify-full") },
          services: minting(),
        }),
        async (stage) => {
          await stage.logIn({}, async ({ peer, lines }) => {
            peer?.write(Buffer.from("\x03SELECT many"), 0);
            let packet = await peer?.read();
            for (; packet !== undefined; packet = await peer?.read()) {
              lines.push(`< ${packet.sequenceId} ${Buffer.from(packet.payload).toString("latin1")}`);
              if (packet.payload[0] === 0xff) break;
            }
            peer?.write(Buffer.from("\x03UPDATE t SET a = 1"), 0);
            packet = await peer?.read();
            lines.push(`< ${packet?.sequenceId} ${Buffer.from(packet?.payload ?? []).toString("hex")}`);
          });
        },
      );
    }
  }

  const ESTIMATES: Record<string, readonly (readonly string[])[] | undefined> = {
    few: [["1", "3", "100"]],
    many: [
      ["1", "30", "50"],
      ["1", "20", "100"],
      ["2", "7", "100"],
    ],
    "no number": [["1", "x", "100"]],
    none: undefined,
  };
  const planned = (steps: readonly (readonly string[])[] | undefined): readonly Uint8Array[] => {
    if (steps === undefined) return [encodeErrPacket({ errorNumber: 1064, sqlState: "42000", message: "no plan" })];
    const names = ["id", "rows", "filtered"].map((name) => columnDefinition(name));
    return [columnCount(3), ...names, ...steps.map((step) => textRow(...step)), rowsEnd()];
  };
  for (const [what, steps] of Object.entries(ESTIMATES)) {
    page(
      `of an estimate: ${what}`,
      () => {
        const sessions = new WeakMap<PacketPeer, ModelSession>();
        const judge = new Judge({
          engines: { mysql: MYSQL_ENGINE },
          policy: policyFrom(
            "impact: { estimated_rows: { warn: 5, block: 100 }, no_estimate: block }\nmulti_statements: true",
          ),
          clock: { wallMs: () => NOON, monotonicMs: () => 0 },
          idPrefix: "t",
          cacheBytesMax: 1 << 20,
        });
        return {
          model: {
            ...clear(),
            answer: (payload, peer) => {
              if (Buffer.from(payload.subarray(1)).toString().startsWith("EXPLAIN FORMAT=TRAD")) return planned(steps);
              const session = sessions.get(peer) ?? new ModelSession({});
              sessions.set(peer, session);
              return session.answer(payload);
            },
          },
          listener: { clientAuth: "trust" },
          backend: { tls: tlsOf("verify-full") },
          services: { ...minting(), judge: new PolicyJudge(judge) },
        };
      },
      async (stage) => {
        await stage.logIn({ schema: "shop" }, async ({ peer, lines }) => {
          for (const sql of [
            "UPDATE t SET a = 1 WHERE b = 2",
            "UPDATE t SET a = 1 WHERE b = 2",
            "SET NAMES latin1",
            "DELETE FROM t WHERE a = 7",
            "UPDATE t SET a = 1 WHERE b = 2; DELETE FROM t WHERE a = 8",
            "INSERT INTO t SELECT a FROM u WHERE a = 9",
          ]) {
            peer?.write(Buffer.from(`\x03${sql}`), 0);
            const packet = await peer?.read();
            lines.push(`> ${sql}`, `< ${packet?.sequenceId} ${Buffer.from(packet?.payload ?? []).toString("latin1")}`);
          }
        });
      },
    );
  }
});

describe("questions of a backend go as test/golden/mysql-logins.txt holds", () => {
  const nonce = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, index) => 65 + (index % 26));
  const by = (authPluginName: string, bytes = 20): Uint8Array =>
    encodeAuthSwitchRequest({ authPluginName, authPluginData: Buffer.concat([nonce(bytes), Uint8Array.of(0)]) });
  const factor = (authPluginName: string): Uint8Array =>
    encodeAuthNextFactor({ authPluginName, authPluginData: Buffer.concat([nonce(20), Uint8Array.of(0)]) });
  const more = (...bytes: number[]): Uint8Array => encodeAuthMoreData(Uint8Array.from(bytes));
  const key = encodeAuthMoreData(Buffer.from(MODEL_PEM));
  const noKey = encodeAuthMoreData(Buffer.from("-----BEGIN PUBLIC KEY-----".padEnd(120)));
  const ASKS: Record<string, readonly Uint8Array[]> = {
    nothing: [],
    native: [by("mysql_native_password")],
    "native, with too little to scramble": [by("mysql_native_password", 7)],
    "native and more": [by("mysql_native_password"), more(7)],
    "caching, fast": [by("caching_sha2_password"), more(3)],
    "caching, whole": [by("caching_sha2_password"), more(4), key],
    "caching, whole, and no key": [by("caching_sha2_password"), more(4), noKey],
    "caching, whole, and OK for a key": [by("caching_sha2_password"), more(4), OK_PAYLOAD],
    "caching, whole twice": [by("caching_sha2_password"), more(4), more(4)],
    "caching, nothing known": [by("caching_sha2_password"), more(9)],
    "caching, two bytes": [by("caching_sha2_password"), more(4, 4)],
    "whole, then native, then caching": [
      by("caching_sha2_password"),
      more(4),
      by("mysql_native_password"),
      by("caching_sha2_password"),
      more(3),
    ],
    sha256: [by("sha256_password"), key],
    "sha256 and no key": [by("sha256_password"), noKey],
    clear: [by("mysql_clear_password")],
    "clear twice": [by("mysql_clear_password"), by("mysql_clear_password")],
    ed25519: [by("client_ed25519", 32)],
    "ed25519, with too little to sign": [by("client_ed25519", 3)],
    parsec: [by("parsec", 32), more(0x50, 0, ...nonce(18))],
    "parsec with another salt": [by("parsec", 32), more(0x50, 4, ...nonce(18))],
    "a dialog": [by("dialog"), more(2, 65)],
    "an old hash": [by("mysql_old_password")],
    "a plugin of nobody's": [by("nobodys_plugin"), more(1)],
    "a second factor": [factor("mysql_native_password")],
    "a second factor in clear": [factor("mysql_clear_password")],
    "an empty packet": [new Uint8Array(0)],
  };
  const held = (password: string): Partial<SessionServices> => ({
    passwords: {
      current: async () => new HeldPassword("owner", "1", Buffer.from(password)),
      otherThan: async () => undefined,
      accepted: () => undefined,
    },
  });
  const minting = (): Partial<SessionServices> => ({
    tokens: new TokenManager({
      source: { name: "test", mint: async () => ({ value: Buffer.from("a token"), credentialsExpireAtMs: undefined }) },
      logger: memoryLogger([]),
      forceFreshAgeMs: 0,
    }),
  });
  const WAYS: Record<string, () => Pick<Page, "listener" | "services">> = {
    "a client": () => ({}),
    "a held password": () => ({ listener: { clientAuth: "trust" }, services: held(PASSWORD) }),
    "an empty password that is held": () => ({ listener: { clientAuth: "trust" }, services: held("") }),
    "a token": () => ({ listener: { clientAuth: "trust" }, services: minting() }),
    "a token, and the client": () => ({ services: minting() }),
  };
  for (const [way, given] of Object.entries(WAYS)) {
    for (const [tls, mode] of [
      ["none", undefined],
      ["any", "require"],
      ["verified", "verify-full"],
    ] as const) {
      if (tls === "any" && !way.includes("held")) continue;
      for (const greets of ["caching_sha2_password", "sha256_password"]) {
        if (greets === "sha256_password" && way !== "a client") continue;
        let asked: readonly Uint8Array[] = [];
        page(
          `answered by ${way}, TLS ${tls}, greeted by ${greets}`,
          () => {
            const { listener = {}, ...services } = given();
            const model: LoginModelOptions = {
              ...withTls({ plugin: greets, password: PASSWORD }, mode === undefined ? undefined : certificate()),
              asks: () => asked,
            };
            return {
              ...services,
              model,
              listener: { ...offered(), ...listener },
              backend: { loginTimeoutMs: PATIENCE_MS, ...(mode === undefined ? {} : { tls: tlsOf(mode) }) },
            };
          },
          async (stage) => {
            for (const [what, wanted] of Object.entries(ASKS)) {
              for (const isTls of [false, true]) {
                stage.lines.push(`asked for ${what}`);
                asked = wanted;
                const authPluginName = greets === "sha256_password" ? { authPluginName: greets } : {};
                await stage.logIn({ password: PASSWORD, isTls, ...authPluginName });
              }
            }
          },
        );
      }
    }
  }
  page(
    "asked of a client without plugins",
    () => ({ model: { plugin: "mysql_native_password", password: PASSWORD, asks: () => ASKS["caching, fast"] ?? [] } }),
    async (stage) => {
      const flags = (GREETING.capabilities.flags & ~CLIENT_PLUGIN_AUTH) >>> 0;
      await stage.logIn({ flags, authPluginName: "mysql_native_password", schema: "shop" });
    },
  );
});

describe("clients that leave, and servers that are another, go as test/golden/mysql-logins.txt holds", () => {
  const plain: LoginModelOptions = { plugin: "mysql_native_password", password: PASSWORD };
  const steps = ["before the greeting", "behind it", "with the answer to it", "with the next answer"] as const;
  for (const step of steps) {
    page(
      `a client that closes its half ${step}`,
      () => ({ model: plain, backend: { loginTimeoutMs: PATIENCE_MS }, listener: { handshakeTimeoutMs: PATIENCE_MS } }),
      async ({ proxy, lines }) => {
        const peer = await connectPeer(proxy.port);
        const end = (at: (typeof steps)[number]): void => void (at === step && peer.socket.end());
        const said = async (): Promise<Packet | undefined> => {
          const packet = await peer.read();
          const [first, ...rest] = packet?.payload ?? [];
          lines.push(
            `< ${packet?.sequenceId} ${first} ${first === 0xff ? Buffer.from(rest).toString("latin1") : rest.length}`,
          );
          return packet;
        };
        end("before the greeting");
        const greeting = await said();
        end("behind it");
        if (greeting !== undefined && step !== "before the greeting" && step !== "behind it") {
          peer.write(loginPayload(decodeHandshakeV10(greeting.payload), { password: PASSWORD }), 1);
          end("with the answer to it");
          const asked = await said();
          if (asked !== undefined && step === "with the next answer") {
            peer.write(new Uint8Array(20), 3);
            peer.socket.end();
            await said();
          }
        }
        await peer.closed();
        peer.socket.destroy();
        await proxy.registry.whenEmpty();
      },
    );
  }
  page(
    "TLS that was not offered",
    () => ({ model: plain }),
    async ({ proxy, lines }) => {
      const peer = await connectPeer(proxy.port);
      peer.write(sslRequest(decodeHandshakeV10((await peer.expect()).payload)), 1);
      lines.push(`< ${Buffer.from((await peer.read())?.payload ?? []).toString("latin1")}`);
      peer.socket.destroy();
      await proxy.registry.whenEmpty();
    },
  );
  page(
    "a crowd, and a client without plugins",
    () => ({ model: plain, services: { loginSlots: new Slots(1, 8) } }),
    async (stage) => {
      await stage.logIn({ password: PASSWORD });
      const silent = await connectPeer(stage.proxy.port);
      await silent.expect();
      const waiting = new LoginClient();
      const flags = (GREETING.capabilities.flags & ~CLIENT_PLUGIN_AUTH) >>> 0;
      const authPluginName = "mysql_native_password";
      await waiting.logIn(stage.proxy.port, { password: PASSWORD, flags, authPluginName, schema: "shop" });
      for (const session of stage.proxy.registry) {
        const { isIdle, isAtRest, isLoggingIn, holdsLoginPlace, greetedConnectionId } = session;
        const told = { ...session.view(), isIdle, isAtRest, isLoggingIn, holdsLoginPlace, greetedConnectionId };
        stage.lines.push(`  ${fields(told)}`);
      }
      silent.socket.destroy();
      waiting.peer?.socket.destroy();
      await stage.proxy.registry.whenEmpty();
      stage.lines.push(...waiting.lines);
    },
  );
  for (const forceFreshAgeMs of [0, 1e9]) {
    for (const again of ["refused", "asked twice", "let in", "cut off"] as const) {
      page(
        `a token of before is refused, and the ${forceFreshAgeMs === 0 ? "next" : "same"} one ${again}`,
        () => {
          const denied = encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "Access denied" });
          const clear = encodeAuthSwitchRequest({
            authPluginName: "mysql_clear_password",
            authPluginData: new Uint8Array(21),
          });
          const second = {
            refused: [denied],
            "asked twice": [clear, clear],
            "let in": [],
            "cut off": [Uint8Array.of(7)],
          }[again];
          let login = 0;
          return {
            model: {
              ...plain,
              tls: certificate(),
              // Of each connection in turn; the first makes the token one of before.
              asks: () => {
                login++;
                return login === 2 ? [clear, denied] : login === 3 ? second : [clear];
              },
            },
            listener: { clientAuth: "trust" },
            backend: { tls: tlsOf("verify-full"), loginTimeoutMs: PATIENCE_MS },
            services: {
              tokens: new TokenManager({
                source: {
                  name: "test",
                  mint: async () => ({ value: Buffer.from("a token"), credentialsExpireAtMs: Date.now() + 3_600_000 }),
                },
                logger: memoryLogger([]),
                forceFreshAgeMs,
              }),
            },
          };
        },
        async (stage) => {
          for (let login = 0; login < 3; login++) await stage.logIn();
        },
      );
    }
  }
  page(
    "a backend that can do less than it could",
    () => {
      let flags = GREETING.capabilities.flags;
      return {
        model: {
          ...plain,
          get flags() {
            const now = flags;
            flags = (flags & ~CLIENT_SESSION_TRACK) >>> 0;
            return now;
          },
        },
        listener: { clientAuth: "trust" },
        services: {
          passwords: {
            current: async () => new HeldPassword("app", "1", Buffer.from(PASSWORD)),
            otherThan: async () => undefined,
            accepted: () => undefined,
          },
        },
      };
    },
    async (stage) => {
      for (let login = 0; login < 4; login++) await stage.logIn();
    },
  );
});

describe("a backend is looked at as test/golden/mysql-logins.txt holds", () => {
  const greets: Record<string, Partial<LoginModelOptions>> = {
    "a login": {},
    "an error": { instead: [encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "denied" })] },
    "many questions": {
      asks: () =>
        Array.from({ length: 5 }, () =>
          encodeAuthSwitchRequest({ authPluginName: "mysql_native_password", authPluginData: new Uint8Array(21) }),
        ),
    },
    nothing: { instead: [] },
  };
  for (const offers of [false, true]) {
    for (const mode of ["disable", "prefer", "require", "verify-full"] as const) {
      for (const [what, more] of Object.entries(greets)) {
        page(
          `TLS ${mode}, ${offers ? "offered" : "not offered"}, answered by ${what}`,
          () => ({
            model: {
              plugin: "mysql_native_password",
              password: PASSWORD,
              ...more,
              ...(offers ? { tls: certificate() } : {}),
            },
            backend: { loginTimeoutMs: PATIENCE_MS, ...(mode === "disable" ? {} : { tls: tlsOf(mode) }) },
          }),
          async ({ proxy, lines }) => {
            const probed = MYSQL_WING.probe(proxy.services, new AbortController().signal);
            lines.push(await probed.then(() => "well", String));
            const { kept } = proxy.services.backendProfile;
            lines.push(`known: ${kept?.serverVersion} ${kept?.authPluginName}`);
          },
        );
      }
    }
  }
  page(
    "that is not there",
    () => ({ model: { plugin: "mysql_native_password", password: "" }, backend: { port: 1 } }),
    async ({ proxy, lines }) => {
      const ended = AbortSignal.abort();
      for (const signal of [new AbortController().signal, ended])
        lines.push(await MYSQL_WING.probe(proxy.services, signal).then(() => "well", String));
      lines.push(Buffer.from(MYSQL_WING.turnAway("no room")).toString("latin1"));
    },
  );
});
