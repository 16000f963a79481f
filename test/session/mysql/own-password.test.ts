/** Logins with a password that querycop holds, before a backend that asks what it likes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, describe, it } from "node:test";
import { encodeCachingSha2Scramble } from "../../../src/mysql/caching-sha2-password.ts";
import { CLIENT_SSL } from "../../../src/mysql/constants.ts";
import { encodeErrPacket } from "../../../src/mysql/generic-response.ts";
import {
  decodeHandshakeResponse41,
  encodeAuthMoreData,
  encodeAuthNextFactor,
  encodeAuthSwitchRequest,
  encodeHandshakeV10,
  type HandshakeResponse41,
} from "../../../src/mysql/handshake.ts";
import { BackendTls } from "../../../src/net/tls.ts";
import { HeldPassword, type PasswordSource } from "../../../src/token/password.ts";
import { makeCertificates } from "../../support/certificates.ts";
import { GREETING, logIn, OK_PAYLOAD, type PacketPeer, startServerTls } from "../../support/fake-peers.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";

const certificates = await makeCertificates();
after(() => certificates.remove());
afterEach(closeStages);

/** Versions are given out in order; `otherThan` goes on to the first that was not refused. */
class ListedPasswords implements PasswordSource {
  readonly asked: string[] = [];
  readonly #passwords: readonly (readonly [version: string, value: string, user?: string])[];
  #first = 0;

  constructor(...passwords: readonly (readonly [version: string, value: string, user?: string])[]) {
    this.#passwords = passwords;
  }

  #held(index: number): HeldPassword {
    const [version, value, user = "account"] = this.#passwords[index] as readonly [string, string, string?];
    return new HeldPassword(user, version, Buffer.from(value));
  }

  async current(): Promise<HeldPassword> {
    return this.#held(this.#first);
  }

  async otherThan(refused: ReadonlySet<string>): Promise<HeldPassword | undefined> {
    this.asked.push([...refused].join(" "));
    const index = this.#passwords.findIndex(([version]) => !refused.has(version));
    return index < 0 ? undefined : this.#held(index);
  }

  accepted({ version }: HeldPassword): void {
    this.#first = this.#passwords.findIndex(([each]) => each === version);
  }
}

const REFUSED = encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "Access denied for user 'account'" });

interface BackendLogin {
  readonly peer: PacketPeer;
  readonly response: HandshakeResponse41;
  readonly sequenceId: number;
}

async function readLogin(plain: PacketPeer, isTls = false): Promise<BackendLogin> {
  const { flags } = GREETING.capabilities;
  const capabilities = { flags: (isTls ? flags | CLIENT_SSL : flags) >>> 0, mariadb: 0 };
  plain.write(encodeHandshakeV10({ ...GREETING, capabilities }), 0);
  const first = await plain.expect();
  if (!isTls) return { peer: plain, response: decodeHandshakeResponse41(first.payload), sequenceId: 2 };
  const { certFile, keyFile } = certificates.leaves.goodEc;
  const pem = (file: string): string => readFileSync(file, "latin1");
  const peer = startServerTls(plain, { cert: pem(certFile), key: pem(keyFile) });
  return { peer, response: decodeHandshakeResponse41((await peer.expect()).payload), sequenceId: 3 };
}

const isLeaving = (response: HandshakeResponse41): boolean => response.user === "querycop_left_without_login";

function scrambleOf(password: string): string {
  return Buffer.from(encodeCachingSha2Scramble(Buffer.from(password), GREETING.authPluginData)).toString("hex");
}

describe("login with a password of querycop's", () => {
  it("names the account of the password and answers the greeting, whatever the client says", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(
      async (plain) => {
        const { peer, response, sequenceId } = await readLogin(plain);
        seen.push(response.user, response.authPluginName, Buffer.from(response.authResponse).toString("hex"));
        peer.write(OK_PAYLOAD, sequenceId);
        await peer.read();
      },
      { listener: { clientAuth: "trust" }, services: { passwords: new ListedPasswords(["1", "held"]) } },
    );
    const client = await logIn(proxy.port, { password: "the client's own" });
    assert.deepEqual(seen, ["account", "caching_sha2_password", scrambleOf("held")]);
    const login = await proxy.untilEvent(({ type }) => type === "login");
    assert.equal("backendUser" in login && login.backendUser, "account");
    client.socket.destroy();
  });

  it("goes on to another password when one is refused, begins with it next time, and tries none twice", async () => {
    const seen: string[] = [];
    const passwords = new ListedPasswords(["1", "old"], ["2", "new", "account_clone"]);
    const { proxy } = await openStage(
      async (plain) => {
        const { peer, response, sequenceId } = await readLogin(plain);
        const answer = Buffer.from(response.authResponse).toString("hex");
        seen.push(`${response.user} ${answer === scrambleOf("new") ? "new" : "old"}`);
        peer.write(answer === scrambleOf("new") ? OK_PAYLOAD : REFUSED, sequenceId);
        await peer.read();
      },
      { listener: { clientAuth: "trust" }, services: { passwords } },
    );
    const clients = [await logIn(proxy.port), await logIn(proxy.port)];
    assert.deepEqual(seen, ["account old", "account_clone new", "account_clone new"]);
    assert.deepEqual(passwords.asked, ["1"]);
    for (const client of clients) client.socket.destroy();
  });

  it("ends with the server's own refusal when no other password turns up in the time for a login", async () => {
    let logins = 0;
    const passwords = new ListedPasswords(["1", "wrong"]);
    const { proxy } = await openStage(
      async (plain) => {
        const { peer, sequenceId } = await readLogin(plain);
        logins++;
        peer.write(REFUSED, sequenceId);
      },
      { listener: { clientAuth: "trust" }, backend: { loginTimeoutMs: 100 }, services: { passwords } },
    );
    await assert.rejects(logIn(proxy.port));
    const refusal = await proxy.untilEvent(({ type }) => type === "refuse");
    assert.equal("errorCode" in refusal && refusal.errorCode, "QC_BACKEND_REFUSED");
    assert.equal(logins, 1);
    assert.ok(passwords.asked.length >= 2, "the source was asked again");
  });
});

describe("a backend that asks for the password itself", () => {
  const passwords = new ListedPasswords(["1", "held"]);

  async function answersTo(
    ask: (login: BackendLogin) => Promise<void>,
    tls: BackendTls | undefined,
  ): Promise<{ readonly received: string[]; readonly told: string }> {
    const received: string[] = [];
    const { proxy } = await openStage(
      async (plain) => {
        const login = await readLogin(plain, tls !== undefined);
        if (isLeaving(login.response)) return;
        await ask(login);
        const answer = await login.peer.read();
        if (answer !== undefined) received.push(Buffer.from(answer.payload).toString("latin1"));
        login.peer.write(REFUSED, login.sequenceId + 2);
      },
      {
        listener: { clientAuth: "trust" },
        backend: { loginTimeoutMs: 300, ...(tls === undefined ? {} : { tls }) },
        services: { passwords },
      },
    );
    await assert.rejects(logIn(proxy.port));
    await proxy.untilEvent(({ type }) => type === "refuse");
    return { received, told: JSON.stringify(proxy.log) };
  }

  const switchTo = (authPluginName: string) => async (login: BackendLogin) => {
    const request = encodeAuthSwitchRequest({ authPluginName, authPluginData: GREETING.authPluginData });
    login.peer.write(request, login.sequenceId);
  };

  it("does not get it in plaintext by mysql_clear_password, not even on this host", async () => {
    const { received, told } = await answersTo(switchTo("mysql_clear_password"), undefined);
    assert.match(told, /asks for mysql_clear_password/);
    assert.ok(!received.join("").includes("held"));
  });

  it("gets it over TLS", async () => {
    const ca = readFileSync(certificates.caFile, "latin1");
    const tls = new BackendTls({ mode: "verify-ca", serverName: "localhost", minVersion: "TLSv1.2", ca });
    const { received } = await answersTo(switchTo("mysql_clear_password"), tls);
    assert.deepEqual(received, ["held\0"]);
    const full = await answersTo(async (login) => {
      login.peer.write(encodeAuthMoreData(Uint8Array.of(4)), login.sequenceId);
    }, tls);
    assert.deepEqual(full.received, ["held\0"]);
  });

  it("gets nothing for plugins that nobody knows, and nothing as a second factor", async () => {
    const dialog = await answersTo(switchTo("dialog"), undefined);
    assert.match(dialog.told, /asks for dialog/);
    const factor = await answersTo(async (login) => {
      const request = { authPluginName: "mysql_clear_password", authPluginData: new Uint8Array(0) };
      login.peer.write(encodeAuthNextFactor(request), login.sequenceId);
    }, undefined);
    assert.match(factor.told, /second factor/);
    for (const { received } of [dialog, factor]) assert.ok(!received.join("").includes("held"));
  });
});

describe("HeldPassword", () => {
  it("does not show its value, and zeroes it", () => {
    const bytes = Buffer.from("held");
    const password = new HeldPassword("account", "version-1", bytes);
    assert.equal(
      `${password} ${JSON.stringify({ password })}`,
      `<password version-1> {"password":"<password version-1>"}`,
    );
    password.wipe();
    assert.deepEqual([...bytes], [0, 0, 0, 0]);
  });
});
