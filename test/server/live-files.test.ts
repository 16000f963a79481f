import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Config, ListenerConfig } from "../../src/config/schema.ts";
import { certificateEnds, type LiveFiles, liveFilesOf, liveKeysOf } from "../../src/server/live-files.ts";
import type { AdminServer } from "../../src/server/operations.ts";
import { UserDirectory } from "../../src/session/accounts/user-directory.ts";
import type { ListenerOptions } from "../../src/session/listener-options.ts";
import { selfSigned } from "../config/self-signed.ts";

const folder = mkdtempSync(join(tmpdir(), "querycop-live-files-"));
after(() => rmSync(folder, { recursive: true }));

const HASHES = { one: `*${"1".repeat(40)}`, two: `*${"2".repeat(40)}` };
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

/** What of the files was taken over, in order. */
interface Stage {
  readonly live: readonly LiveFiles[];
  readonly users: UserDirectory;
  readonly taken: string[];
}

function stage(): Stage {
  const taken: string[] = [];
  const users = new UserDirectory(new Map());
  const config = {
    name: "writer",
    usersFile: join(folder, "users"),
    proxy: { tlsCert: join(folder, "client.crt"), tlsKey: join(folder, "client.key") },
    backend: {
      tlsCaFile: join(folder, "ca.pem"),
      tlsMode: "verify-full",
      tlsServerName: "db",
      tlsMinVersion: "TLSv1.2",
    },
  } as unknown as ListenerConfig;
  const options = {
    users,
    clientTls: { reload: () => taken.push("client") },
    backend: { tls: { reload: () => taken.push("backend") } },
  } as unknown as ListenerOptions;
  return { live: liveFilesOf(config, options), users, taken };
}

const outcomes = (live: readonly LiveFiles[]): string[] => live.map((one) => one.reload().outcome);

test("what did not change is left alone, and what changed is replaced once", () => {
  const [a, b] = [selfSigned("a"), selfSigned("b")];
  file("client.crt", a.cert);
  file("client.key", a.key);
  file("ca.pem", a.cert);
  file("users", `app:${HASHES.one}\n`);
  const { live, users, taken } = stage();
  assert.deepEqual(
    live.map(({ what }) => what),
    ["client certificate of writer", "backend certificates of writer", "users of writer"],
  );
  assert.deepEqual(outcomes(live), ["unchanged", "unchanged", "unchanged"]);
  file("client.crt", b.cert);
  file("client.key", b.key);
  file("users", `app:${HASHES.two}\nann:${HASHES.one}\n`);
  assert.deepEqual(outcomes(live), ["replaced", "unchanged", "replaced"]);
  assert.deepEqual(taken, ["client"]);
  assert.deepEqual([users.find("app"), users.find("ann")], [{ native: HASHES.two }, { native: HASHES.one }]);
  assert.deepEqual(outcomes(live), ["unchanged", "unchanged", "unchanged"]);
});

test("what is wrong is refused with its problems until it is right again, and nothing of it is taken over", () => {
  const [a, b] = [selfSigned("a"), selfSigned("b")];
  file("client.crt", a.cert);
  file("client.key", a.key);
  file("ca.pem", a.cert);
  file("users", `app:${HASHES.one}\n`);
  const { live, users, taken } = stage();
  users.reload(new Map([["app", { native: HASHES.one }]]));
  file("client.key", b.key);
  file("ca.pem", "no certificate");
  file("users", `app:${HASHES.two}\nann:not a hash\n`);
  assert.deepEqual(outcomes(live), ["refused", "refused", "refused"]);
  const problems = live.map((one) => one.reload().problems ?? "");
  assert.match(problems[0] ?? "", /client\.key is not the key of the first certificate/);
  assert.match(problems[1] ?? "", /ca\.pem holds no certificate/);
  assert.match(problems[2] ?? "", /users:2: expected a password hash/);
  rmSync(join(folder, "users"));
  assert.match(live[2]?.reload().problems ?? "", /cannot read .*users: no such file/);
  assert.deepEqual(taken, []);
  assert.deepEqual(users.find("app"), { native: HASHES.one });
  assert.equal(users.find("ann"), undefined);
  file("client.key", a.key);
  file("users", `app:${HASHES.one}\n`);
  assert.deepEqual(outcomes(live), ["unchanged", "refused", "unchanged"]);
});

test("the public key of a backend is replaced by another RSA key, and by nothing else", () => {
  const keyOf = (type: "rsa" | "ed25519"): string => {
    const pair = type === "rsa" ? generateKeyPairSync(type, { modulusLength: 2048 }) : generateKeyPairSync(type);
    return pair.publicKey.export({ type: "spki", format: "pem" }).toString();
  };
  const [first, second] = [keyOf("rsa"), keyOf("rsa")];
  const publicKeyFile = file("backend.pem", first);
  const config = { name: "writer", proxy: {}, backend: { publicKeyFile } } as unknown as ListenerConfig;
  const options = { backend: { publicKey: createPublicKey(first) } } as unknown as ListenerOptions;
  const live = liveFilesOf(config, options);
  const inForce = (): unknown => options.backend.publicKey?.export({ type: "spki", format: "pem" });
  file("backend.pem", keyOf("ed25519"));
  assert.match(live[0]?.reload().problems ?? "", /holds a key of type ed25519: expected RSA/);
  assert.equal(inForce(), first);
  file("backend.pem", second);
  assert.deepEqual(outcomes(live), ["replaced"]);
  assert.equal(inForce(), second);
});

test("keys of the admin API are replaced together", () => {
  const seen: unknown[] = [];
  const admin = { replaceKeys: (...keys: unknown[]) => seen.push(keys) } as unknown as AdminServer;
  const key = file("admin-key", "the first key\n");
  const approvers = file("approvers", `ann:${sha256("a")}\n`);
  const config = {
    adminKeyFile: key,
    adminApiKey: "the first key",
    api: { approversFile: approvers },
  } as unknown as Config;
  const live = liveKeysOf(config, admin);
  assert.ok(live !== undefined);
  file("admin-key", "the second key\n");
  assert.equal(live.reload().outcome, "replaced");
  file("approvers", "ann:hunter2\n");
  assert.equal(live.reload().outcome, "refused");
  file("approvers", "");
  assert.equal(live.reload().outcome, "replaced");
  assert.deepEqual(seen, [
    ["the second key", [{ name: "ann", role: "approver", sha256: sha256("a") }]],
    ["the second key", []],
  ]);
  assert.equal(liveKeysOf({ api: {} } as unknown as Config, admin), undefined);
});

test("the end of a certificate is that of the leaf for clients, and of the first authority to end for the backend", () => {
  const { cert } = selfSigned("end");
  const listener = { proxy: { tlsCert: file("end.crt", cert) }, backend: {} } as unknown as ListenerConfig;
  const end = Date.parse(new X509Certificate(cert).validTo) / 1000;
  assert.deepEqual(certificateEnds([listener]), { client: end, backendCa: 0 });
});
