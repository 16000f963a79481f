import assert from "node:assert/strict";
import { constants as cryptoConstants, generateKeyPairSync, privateDecrypt } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { QuerycopError } from "../../../src/base/errors.ts";
import { silentLogger } from "../../../src/base/log.ts";
import { encodeCachingSha2Scramble, hashCachingSha2Password } from "../../../src/mysql/caching-sha2-password.ts";
import { encodeChangeUser } from "../../../src/mysql/command.ts";
import { CLIENT_SSL } from "../../../src/mysql/constants.ts";
import { decodeErrPacket, encodeErrPacket } from "../../../src/mysql/generic-response.ts";
import {
  decodeHandshakeResponse41,
  decodeHandshakeV10,
  encodeAuthMoreData,
  encodeAuthSwitchRequest,
  encodeHandshakeV10,
  encodeSslRequest,
  type HandshakeResponse41,
  type HandshakeV10,
} from "../../../src/mysql/handshake.ts";
import { encodeNativePasswordScramble, hashNativePassword } from "../../../src/mysql/native-password.ts";
import { encryptPassword } from "../../../src/mysql/rsa-password.ts";
import { BackendTls, ClientTls } from "../../../src/net/tls.ts";
import { UserDirectory } from "../../../src/session/accounts/user-directory.ts";
import type { BackendGate } from "../../../src/session/backend-gate.ts";
import type { ClientPeer } from "../../../src/session/mysql/login/client-peer.ts";
import { translatePasswordReply } from "../../../src/session/mysql/login/password-exchange.ts";
import type { TokenSource } from "../../../src/token/token.ts";
import { TokenManager } from "../../../src/token/token-manager.ts";
import { type CertificateSet, makeCertificates } from "../../support/certificates.ts";
import { eventually } from "../../support/eventually.ts";
import {
  connectPeer,
  GREETING,
  logIn,
  loginPayload,
  OK_PAYLOAD,
  openLogin,
  type PacketPeer,
  startServerTls,
} from "../../support/fake-peers.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";

const TLS_GREETING: HandshakeV10 = {
  ...GREETING,
  capabilities: { flags: (GREETING.capabilities.flags | CLIENT_SSL) >>> 0, mariadb: 0 },
};

let certificates: CertificateSet;
const pem = (file: string): string => readFileSync(file, "latin1");

interface BackendLogin {
  readonly peer: PacketPeer;
  readonly response: HandshakeResponse41;
  /** Sequence id of the next packet the backend sends. */
  readonly sequenceId: number;
}

/** Greets, upgrades to TLS when asked, and reads the HandshakeResponse41. */
async function readLogin(plain: PacketPeer, greeting = TLS_GREETING): Promise<BackendLogin> {
  plain.write(encodeHandshakeV10(greeting), 0);
  const first = await plain.expect();
  if (first.payload.length > 32) {
    return { peer: plain, response: decodeHandshakeResponse41(first.payload), sequenceId: 2 };
  }
  const { certFile, keyFile } = certificates.leaves.goodEc;
  const peer = startServerTls(plain, { cert: pem(certFile), key: pem(keyFile) });
  return { peer, response: decodeHandshakeResponse41((await peer.expect()).payload), sequenceId: 3 };
}

function requireTls(): BackendTls {
  return new BackendTls({ mode: "require", serverName: "localhost", minVersion: "TLSv1.2" });
}

/** Tokens counted up: token-1…, long enough for the shape check. */
function countingTokens(expiresInMs?: number): { manager: TokenManager; minted: string[] } {
  const minted: string[] = [];
  const source: TokenSource = {
    name: "test",
    mint: () => {
      const text = `token-number-${minted.length + 1}-aaaaaaaa`;
      minted.push(text);
      return Promise.resolve({
        value: Buffer.from(text),
        credentialsExpireAtMs: expiresInMs === undefined ? undefined : Date.now() + expiresInMs,
      });
    },
  };
  const manager = new TokenManager({ source, logger: silentLogger, forceFreshAgeMs: 0 });
  return { manager, minted };
}

/** A server whose default_authentication_plugin is mysql_clear_password. */
function greetingClear(peer: PacketPeer): PacketPeer {
  const write = peer.write.bind(peer);
  peer.write = (payload, sequenceId) => {
    peer.write = write;
    const authPluginName = "mysql_clear_password";
    write(encodeHandshakeV10({ ...decodeHandshakeV10(payload), authPluginName }), sequenceId);
  };
  return peer;
}

/** An IAM server: asks for mysql_clear_password and takes the answers `accepts` likes. */
function iamBackend(accepts: (password: string) => boolean, seen: string[]): (plain: PacketPeer) => Promise<void> {
  return async (plain) => {
    const { peer, response, sequenceId } = await readLogin(plain);
    if (response.user === "querycop_left_without_login") {
      peer.write(encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "Access denied" }), sequenceId);
      return;
    }
    let next = sequenceId;
    let password = Buffer.from(response.authResponse).toString();
    if (response.authPluginName !== "mysql_clear_password") {
      seen.push(`first ${response.authPluginName} ${response.authResponse.length}`);
      peer.write(
        encodeAuthSwitchRequest({ authPluginName: "mysql_clear_password", authPluginData: new Uint8Array(0) }),
        next,
      );
      const answer = await peer.expect();
      password = Buffer.from(answer.payload).toString();
      next = answer.sequenceId + 1;
    }
    seen.push(password);
    if (accepts(password.slice(0, -1))) peer.write(OK_PAYLOAD, next);
    else peer.write(encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "Access denied" }), next);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) peer.write(OK_PAYLOAD, 1);
  };
}

before(async () => {
  certificates = await makeCertificates();
});

after(closeStages);

describe("login with a token", () => {
  it("answers mysql_clear_password for the client, which never hears of it", async () => {
    const seen: string[] = [];
    const { manager, minted } = countingTokens();
    const { proxy } = await openStage(
      iamBackend((password) => password === minted[0], seen),
      {
        backend: { tls: requireTls() },
        listener: { clientAuth: "trust" },
        services: { tokens: manager },
      },
    );
    const client = await logIn(proxy.port, { password: "whatever" });
    assert.deepEqual(seen, ["first caching_sha2_password 32", `${minted[0]}\0`]);
    client.socket.destroy();
  });

  it("does not pass on a clear password that the client sent by itself", async () => {
    const seen: string[] = [];
    const { manager, minted } = countingTokens();
    const { proxy } = await openStage(
      iamBackend((password) => password === minted[0], seen),
      {
        backend: { tls: requireTls() },
        listener: { clientAuth: "trust" },
        services: { tokens: manager },
      },
    );
    const client = await logIn(proxy.port, {
      authPluginName: "mysql_clear_password",
      authResponse: Buffer.from("my secret\0"),
    });
    assert.deepEqual(seen, ["first caching_sha2_password 0", `${minted[0]}\0`]);
    client.socket.destroy();
  });

  it("greets with caching_sha2_password where the server's default is the clear password", async () => {
    const seen: string[] = [];
    const { manager, minted } = countingTokens();
    const backend = iamBackend((password) => password === minted[0], seen);
    const { proxy } = await openStage((plain) => backend(greetingClear(plain)), {
      backend: { tls: requireTls() },
      listener: { clientAuth: "trust" },
      services: { tokens: manager },
    });
    const client = await logIn(proxy.port);
    assert.equal(client.greeting.authPluginName, "caching_sha2_password");
    assert.equal(seen.at(-1), `${minted[0]}\0`);
    client.socket.destroy();
  });

  it("leaves the server by an empty answer when no token can be had", async () => {
    const seen: string[] = [];
    const source: TokenSource = { name: "test", mint: () => Promise.reject(new Error("no credentials")) };
    const manager = new TokenManager({ source, logger: silentLogger, forceFreshAgeMs: 0 });
    const { proxy } = await openStage(
      iamBackend(() => false, seen),
      { backend: { tls: requireTls() }, listener: { clientAuth: "trust" }, services: { tokens: manager } },
    );
    await assert.rejects(logIn(proxy.port));
    await eventually("the server has its answer", () => seen.length === 2);
    assert.deepEqual(seen, ["first caching_sha2_password 0", ""]);
  });

  it("retries once with a fresh token when a reused one is refused", async () => {
    const seen: string[] = [];
    const { manager, minted } = countingTokens(3_600_000);
    let refused = "";
    const { proxy } = await openStage(
      iamBackend((password) => password !== refused, seen),
      {
        backend: { tls: requireTls() },
        listener: { clientAuth: "trust" },
        services: { tokens: manager },
      },
    );
    const first = await logIn(proxy.port);
    refused = minted[0] ?? "";
    const second = await logIn(proxy.port);
    assert.deepEqual(
      seen.filter((text) => !text.startsWith("first")),
      [`${minted[0]}\0`, `${minted[0]}\0`, `${minted[1]}\0`],
    );
    first.socket.destroy();
    second.socket.destroy();
  });

  it("gives the backend's 1045 to the client when a fresh token is refused, without retrying", async () => {
    const seen: string[] = [];
    const { manager, minted } = countingTokens(3_600_000);
    const { proxy } = await openStage(
      iamBackend(() => false, seen),
      {
        backend: { tls: requireTls() },
        listener: { clientAuth: "trust" },
        services: { tokens: manager },
      },
    );
    await assert.rejects(logIn(proxy.port), (error: Error & { err?: { errorNumber: number } }) => {
      assert.equal(error.err?.errorNumber, 1045);
      return true;
    });
    assert.equal(minted.length, 1);
  });

  it("never sends a token over a plaintext leg, whatever the configuration says", async () => {
    const seen: string[] = [];
    const { manager, minted } = countingTokens();
    const { proxy } = await openStage(
      iamBackend(() => true, seen),
      {
        listener: { clientAuth: "trust" },
        services: { tokens: manager },
      },
    );
    await assert.rejects(logIn(proxy.port));
    assert.equal(minted.length, 0);
  });
});

describe("client_auth password", () => {
  const users = (): UserDirectory =>
    new UserDirectory(
      new Map([
        ["app", { cachingSha2: hashCachingSha2Password(Buffer.from("right")) }],
        ["old", { native: hashNativePassword(Buffer.from("right")) }],
      ]),
    );

  const start = async (seen: string[], directory = users(), accepts = (): boolean => true) => {
    const { manager } = countingTokens(3_600_000);
    return openStage(iamBackend(accepts, seen), {
      backend: { tls: requireTls() },
      listener: { clientAuth: "password", users: directory },
      services: { tokens: manager },
    });
  };

  /**
   * Logs in with caching_sha2_password over plaintext, through the full exchange if the server wants it, and does
   * something else before the password is sent.
   */
  async function logInFully(
    port: number,
    password: string,
    beforePassword = (): void => undefined,
  ): Promise<{ peer: PacketPeer; steps: string[] }> {
    const peer = await connectPeer(port);
    const greeting = decodeHandshakeV10((await peer.expect()).payload);
    const steps: string[] = [];
    peer.write(loginPayload(greeting, { password }), 1);
    let packet = await peer.expect();
    while (packet.payload[0] === 1) {
      if (packet.payload[1] === 4) {
        steps.push("full");
        peer.write(Uint8Array.of(2), packet.sequenceId + 1);
        const key = await peer.expect();
        const publicKey = Buffer.from(key.payload.subarray(1)).toString();
        const { createPublicKey } = await import("node:crypto");
        const secret = encryptPassword(
          createPublicKey(publicKey),
          Buffer.from(`${password}\0`),
          greeting.authPluginData,
        );
        beforePassword();
        peer.write(secret, key.sequenceId + 1);
      } else {
        steps.push("fast");
      }
      packet = await peer.expect();
    }
    steps.push(packet.payload[0] === 0 ? "ok" : String(decodeErrPacket(packet.payload).errorNumber));
    return { peer, steps };
  }

  it("dials no backend for a client with a wrong password or an unknown name", async () => {
    const seen: string[] = [];
    const { proxy } = await start(seen);
    const wrong = await logInFully(proxy.port, "wrong");
    assert.deepEqual(wrong.steps, ["full", "1045"]);
    assert.deepEqual(seen, []);
  });

  it("asks for the whole password once, then knows it", async () => {
    const seen: string[] = [];
    const { proxy } = await start(seen);
    const first = await logInFully(proxy.port, "right");
    const second = await logInFully(proxy.port, "right");
    assert.deepEqual(
      [first.steps, second.steps],
      [
        ["full", "ok"],
        ["fast", "ok"],
      ],
    );
    assert.equal(seen.filter((text) => text.startsWith("token-number-")).length, 2);
    first.peer.socket.destroy();
    second.peer.socket.destroy();
  });

  it("refuses a user that is taken out of the users file while its login waits, then and later", async () => {
    const directory = users();
    const entry = directory.find("app") ?? {};
    const { proxy } = await start([], directory);
    const others = new Map([["old", { native: hashNativePassword(Buffer.from("right")) }]]);
    const during = await logInFully(proxy.port, "right", () => directory.reload(others));
    assert.deepEqual(during.steps, ["full", "1045"]);
    assert.deepEqual((await logInFully(proxy.port, "right")).steps, ["full", "1045"], "nothing was learned");
    const changed = new Map([["app", { cachingSha2: hashCachingSha2Password(Buffer.from("another")) }]]);
    const afterwards = await logInFully(proxy.port, "right", () => directory.reload(changed));
    assert.deepEqual(afterwards.steps, ["full", "1045"], "the password of before the change");
    directory.reload(new Map([["app", entry]]));
    const again = await logInFully(proxy.port, "right");
    assert.deepEqual(again.steps, ["full", "ok"]);
    again.peer.socket.destroy();
  });

  it("refuses a user that is taken out while the backend is logged in to, by the fast exchange as well", async () => {
    const directory = users();
    const entry = directory.find("app") ?? {};
    let onLogin = (): void => undefined;
    const { proxy } = await start([], directory, () => {
      onLogin();
      return true;
    });
    const known = await logInFully(proxy.port, "right");
    assert.deepEqual(known.steps, ["full", "ok"]);
    known.peer.socket.destroy();
    onLogin = () => directory.reload(new Map());
    assert.deepEqual((await logInFully(proxy.port, "right")).steps, ["fast", "1045"]);
    directory.reload(new Map([["app", entry]]));
    assert.deepEqual((await logInFully(proxy.port, "right")).steps, ["full", "1045"]);
  });

  it("learns nothing of a check that a reload of the users file overtook", () => {
    const directory = users();
    const hash = directory.find("app")?.cachingSha2 ?? "";
    directory.reload(new Map());
    directory.rememberFastHash("app", hash, new Uint8Array(32));
    directory.reload(new Map([["app", { cachingSha2: hash }]]));
    assert.equal(directory.fastHash("app"), undefined);
    directory.rememberFastHash("app", hash, new Uint8Array(32));
    assert.notEqual(directory.fastHash("app"), undefined);
  });

  it("counts what passwords are checked, and checks those that come meanwhile in turn", async () => {
    const { proxy } = await start([]);
    const attempts = await Promise.all([
      ...Array.from({ length: 8 }, () => logInFully(proxy.port, "wrong")),
      logInFully(proxy.port, "right"),
    ]);
    assert.deepEqual(
      attempts.map(({ steps }) => steps.at(-1)),
      [...Array<string>(8).fill("1045"), "ok"],
    );
    assert.equal(proxy.metrics.passwordChecks.of("wrong").value, 8);
    assert.equal(proxy.metrics.passwordChecks.of("right").value, 1);
    for (const { peer } of attempts) peer.socket.destroy();
  });

  it("verifies mysql_native_password for users that have only such a hash", async () => {
    const { proxy } = await start([]);
    for (const [password, expected] of [
      ["right", 0],
      ["wrong", 0xff],
    ] as const) {
      const peer = await connectPeer(proxy.port);
      const greeting = decodeHandshakeV10((await peer.expect()).payload);
      peer.write(
        loginPayload(greeting, {
          user: "old",
          authPluginName: "mysql_native_password",
          authResponse: encodeNativePasswordScramble(Buffer.from(password), greeting.authPluginData),
        }),
        1,
      );
      const answer = await peer.expect();
      assert.equal(answer.payload[0], expected);
      peer.socket.destroy();
    }
  });

  it("verifies the new user of a COM_CHANGE_USER and mints a token for it", async () => {
    const seen: string[] = [];
    const { proxy } = await start(seen);
    const { peer } = await logInFully(proxy.port, "right");
    const change = encodeChangeUser(
      {
        user: "old",
        authResponse: Buffer.from("nonsense"),
        authPluginName: "caching_sha2_password",
        characterSet: 45,
      },
      0,
    );
    peer.write(change, 0);
    const request = await peer.expect();
    assert.equal(request.payload[0], 0xfe);
    const nonce = request.payload.subarray(-21, -1);
    peer.write(encodeNativePasswordScramble(Buffer.from("wrong"), nonce), 2);
    assert.equal(decodeErrPacket((await peer.expect()).payload).errorNumber, 1045);
    await peer.closed();
  });
});

describe("legs that differ in TLS", () => {
  /** A caching_sha2 backend that wants the full exchange and reports the password bytes it was sent. */
  const fullBackend =
    (report: (bytes: Uint8Array, login: BackendLogin) => void, isTls: boolean) =>
    async (plain: PacketPeer): Promise<void> => {
      const login = await readLogin(plain, isTls ? TLS_GREETING : GREETING);
      const { peer, sequenceId } = login;
      peer.write(encodeAuthMoreData(Uint8Array.of(4)), sequenceId);
      const answer = await peer.expect();
      report(answer.payload, login);
      peer.write(OK_PAYLOAD, answer.sequenceId + 1);
      await peer.read();
    };

  it("reads a plaintext client's password with its own key and sends it inside TLS", async () => {
    let got = "";
    const { proxy } = await openStage(
      fullBackend((bytes) => {
        got = Buffer.from(bytes).toString();
      }, true),
      { backend: { tls: requireTls() } },
    );
    const peer = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await peer.expect()).payload);
    peer.write(loginPayload(greeting, { password: "secret" }), 1);
    const full = await peer.expect();
    assert.deepEqual([...full.payload], [1, 4]);
    peer.write(Uint8Array.of(2), full.sequenceId + 1);
    const key = await peer.expect();
    const { createPublicKey } = await import("node:crypto");
    const publicKey = createPublicKey(Buffer.from(key.payload.subarray(1)).toString());
    peer.write(encryptPassword(publicKey, Buffer.from("secret\0"), greeting.authPluginData), key.sequenceId + 1);
    assert.equal((await peer.expect()).payload[0], 0);
    assert.equal(got, "secret\0");
    peer.socket.destroy();
  });

  async function tlsClient(port: number, password: string): Promise<{ peer: PacketPeer; greeting: HandshakeV10 }> {
    const { peer, greeting, sequenceId, response } = await openLogin(port, true);
    peer.write(response({ password }), sequenceId);
    return { peer, greeting };
  }

  const clientTls = (): ClientTls => {
    const { certFile, keyFile } = certificates.leaves.goodEc;
    return new ClientTls({ cert: pem(certFile), key: pem(keyFile) });
  };

  it("refuses to encrypt a TLS client's password for the key of a backend that others could stand before", async () => {
    const route = {
      client: { isSecure: true } as ClientPeer,
      backend: {} as BackendGate,
      backendIsSecure: false,
      backendIsLocal: false,
      pinnedKey: undefined,
    };
    for (const plugin of ["caching_sha2_password", "sha256_password"]) {
      await assert.rejects(
        translatePasswordReply(route, plugin, Buffer.from("secret\0"), new Uint8Array(20)),
        (error: QuerycopError) => error.code === "QC_AUTH_PLUGIN_REFUSED" && /BACKEND_TLS_MODE/.test(error.message),
      );
    }
  });

  it("asks a plaintext backend on this host for its key, and takes nothing else for one", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pemText = publicKey.export({ type: "spki", format: "pem" }).toString();
    const { RSA_PKCS1_OAEP_PADDING: padding } = cryptoConstants;
    for (const [answer, expected] of [
      [pemText, 0],
      ["no key", 0xff],
    ] as const) {
      let got: Uint8Array = new Uint8Array(0);
      const backend = async (plain: PacketPeer): Promise<void> => {
        const { peer, sequenceId } = await readLogin(plain, GREETING);
        peer.write(encodeAuthMoreData(Uint8Array.of(4)), sequenceId);
        const question = await peer.expect();
        assert.deepEqual([...question.payload], [2]);
        peer.write(encodeAuthMoreData(Buffer.from(answer)), question.sequenceId + 1);
        const encrypted = await peer.read();
        if (encrypted === undefined) return;
        got = encrypted.payload;
        peer.write(OK_PAYLOAD, encrypted.sequenceId + 1);
        await peer.read();
      };
      const { proxy } = await openStage(backend, { listener: { clientTls: clientTls(), clientTlsMode: "allow" } });
      const { peer, greeting } = await tlsClient(proxy.port, "secret");
      const full = await peer.expect();
      peer.write(Buffer.from("secret\0"), full.sequenceId + 1);
      assert.equal((await peer.expect()).payload[0], expected);
      if (expected === 0) {
        const masked = privateDecrypt({ key: privateKey, padding, oaepHash: "sha1" }, Buffer.from(got));
        const nonce = greeting.authPluginData;
        const password = masked.map((byte, index) => byte ^ (nonce[index % nonce.length] ?? 0));
        assert.equal(Buffer.from(password).toString(), "secret\0");
      }
      peer.socket.destroy();
    }
  });

  it("encrypts a TLS client's password for the pinned key of a plaintext backend", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    let got: Uint8Array = new Uint8Array(0);
    const { proxy } = await openStage(
      fullBackend((bytes) => {
        got = bytes;
      }, false),
      { backend: { publicKey }, listener: { clientTls: clientTls(), clientTlsMode: "allow" } },
    );
    const { peer } = await tlsClient(proxy.port, "secret");
    const full = await peer.expect();
    peer.write(Buffer.from("secret\0"), full.sequenceId + 1);
    assert.equal((await peer.expect()).payload[0], 0);
    const { RSA_PKCS1_OAEP_PADDING: padding } = cryptoConstants;
    const masked = privateDecrypt({ key: privateKey, padding, oaepHash: "sha1" }, Buffer.from(got));
    const clear = masked.map((byte, index) => byte ^ (GREETING.authPluginData[index % 20] ?? 0));
    assert.equal(Buffer.from(clear).toString(), "secret\0");
    peer.socket.destroy();
  });

  it("refuses plaintext bytes behind an SSLRequest", async () => {
    const { proxy } = await openStage((plain) => readLogin(plain).then(() => undefined), {
      listener: { clientTls: clientTls(), clientTlsMode: "allow" },
    });
    const plain = await connectPeer(proxy.port);
    const { capabilities } = decodeHandshakeV10((await plain.expect()).payload);
    const sslRequest = encodeSslRequest({ capabilities, maxPacketSize: 2 ** 24, characterSet: 45 });
    const head = Buffer.from([32, 0, 0, 1]);
    plain.socket.write(Buffer.concat([head, sslRequest, Buffer.from("injected")]));
    await plain.closed();
    await proxy.untilEvent((event) => event.type === "refuse" && event.errorCode === "QC_CLIENT_PROTOCOL");
  });

  it("demands TLS where the mode says so", async () => {
    const { proxy } = await openStage((plain) => readLogin(plain).then(() => undefined), {
      listener: { clientTls: clientTls(), clientTlsMode: "require" },
    });
    await assert.rejects(
      logIn(proxy.port, { flags: (GREETING.capabilities.flags & ~CLIENT_SSL) >>> 0 }),
      (error: Error & { err?: { errorNumber: number } }) => error.err?.errorNumber === 3159,
    );
  });
});

describe("plugins", () => {
  const asking =
    (authPluginName: string, then: (peer: PacketPeer, sequenceId: number) => Promise<void>) =>
    async (plain: PacketPeer): Promise<void> => {
      const { peer, sequenceId } = await readLogin(plain, GREETING);
      peer.write(encodeAuthSwitchRequest({ authPluginName, authPluginData: new Uint8Array(32) }), sequenceId);
      await then(peer, sequenceId + 1);
    };

  it("relays the rounds of a plugin it does not know", async () => {
    const answers: string[] = [];
    const { proxy } = await openStage(
      asking("some_challenge", async (peer, from) => {
        let sequenceId = from;
        for (let round = 0; round < 3; round++) {
          answers.push(Buffer.from((await peer.expect()).payload).toString());
          sequenceId++;
          if (round < 2) peer.write(encodeAuthMoreData(Buffer.from(`question ${round}`)), sequenceId++);
        }
        peer.write(OK_PAYLOAD, sequenceId);
        await peer.read();
      }),
      {},
    );
    const peer = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await peer.expect()).payload);
    peer.write(loginPayload(greeting), 1);
    for (let round = 0; round < 3; round++) {
      const question = await peer.expect();
      peer.write(Buffer.from(`answer ${round}`), question.sequenceId + 1);
    }
    assert.equal((await peer.expect()).payload[0], 0);
    assert.deepEqual(answers, ["answer 0", "answer 1", "answer 2"]);
    peer.socket.destroy();
  });

  it("refuses mysql_clear_password when a leg has no TLS", async () => {
    const { proxy } = await openStage(
      asking("mysql_clear_password", async (peer) => {
        await peer.read();
      }),
      {},
    );
    await assert.rejects(logIn(proxy.port), (error: Error & { err?: { errorNumber: number } }) => {
      assert.equal(error.err?.errorNumber, 1251);
      return true;
    });
  });

  it("is refused by an empty answer when the client vanishes at the question, so that no host gets blocked", async () => {
    const answers: number[] = [];
    let ended: () => void = () => undefined;
    const left = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const { proxy } = await openStage(
      asking("caching_sha2_password", async (peer, from) => {
        const answer = await peer.expect();
        answers.push(answer.payload.length);
        peer.write(encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "no" }), from + 1);
        await peer.closed();
        ended();
      }),
      {},
    );
    const client = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await client.expect()).payload);
    client.write(loginPayload(greeting), 1);
    assert.equal((await client.expect()).payload[0], 0xfe);
    client.socket.destroy();
    await left;
    assert.deepEqual(answers, [0]);
  });

  it("gives up a login of endless rounds", async () => {
    const { proxy } = await openStage(
      asking("some_challenge", async (peer, from) => {
        let sequenceId = from;
        while ((await peer.read()) !== undefined) {
          sequenceId++;
          peer.write(encodeAuthMoreData(Uint8Array.of(1)), sequenceId++ & 0xff);
        }
      }),
      {},
    );
    const peer = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await peer.expect()).payload);
    peer.write(loginPayload(greeting), 1);
    let rounds = 0;
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      if (packet.payload[0] === 0xff) break;
      rounds++;
      peer.write(Uint8Array.of(1), (packet.sequenceId + 1) & 0xff);
    }
    assert.ok(rounds <= 33, `${rounds} rounds`);
    peer.socket.destroy();
  });

  it("refuses a client character set in which no statement can be read, by its name", async () => {
    const UCS2 = 35;
    const { proxy } = await openStage((plain) => readLogin(plain, GREETING).then(() => undefined), {});
    await assert.rejects(
      logIn(proxy.port, { characterSet: UCS2 }),
      (error: Error & { err?: { errorNumber: number; message: string } }) =>
        error.err?.errorNumber === 1115 && error.err.message.includes("ucs2"),
    );
  });

  it("keeps a scramble a scramble: caching_sha2 fast path is relayed byte for byte", async () => {
    let got: Uint8Array = new Uint8Array(0);
    const { proxy } = await openStage(async (plain) => {
      const { peer, response, sequenceId } = await readLogin(plain, GREETING);
      got = response.authResponse;
      peer.write(encodeAuthMoreData(Uint8Array.of(3)), sequenceId);
      peer.write(OK_PAYLOAD, sequenceId + 1);
      await peer.read();
    }, {});
    const peer = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await peer.expect()).payload);
    peer.write(loginPayload(greeting, { password: "secret" }), 1);
    assert.deepEqual([...(await peer.expect()).payload], [1, 3]);
    assert.equal((await peer.expect()).payload[0], 0);
    assert.deepEqual([...got], [...encodeCachingSha2Scramble(Buffer.from("secret"), GREETING.authPluginData)]);
    peer.socket.destroy();
  });
});
