import assert from "node:assert/strict";
import { test } from "node:test";
import { SETTINGS } from "../../src/config/settings.ts";

test("every setting has title, description, version and a kind", () => {
  for (const setting of SETTINGS) {
    assert.match(setting.title, /^[A-Z].*[^.]$/, setting.key);
    assert.match(setting.description, /\.$/, setting.key);
    assert.match(setting.metadata.since, /^\d+\.\d+\.\d+$/, setting.key);
    assert.ok(setting.metadata.kind.describe.length > 0, setting.key);
  }
});

test("every default and example is a value its own setting accepts", () => {
  for (const { key, defaultText, metadata } of SETTINGS) {
    for (const text of [defaultText, metadata.example]) {
      if (text !== undefined) assert.ok("value" in metadata.kind.parse(text), `${key}: ${text}`);
    }
  }
});

test("variables follow from keys, and options from variables", () => {
  for (const { key, metadata } of SETTINGS) {
    if (metadata.env === undefined) {
      assert.equal(metadata.flag, undefined, key);
      continue;
    }
    if (metadata.env !== "ADMIN_API_KEY") {
      assert.equal(metadata.env, `GATEKEEPER_${key.replaceAll(".", "_").toUpperCase()}`);
    }
    const flag = `--${metadata.env.replace("GATEKEEPER_", "").toLowerCase().replaceAll("_", "-")}`;
    assert.equal(metadata.flag, metadata.secret ? undefined : flag);
  }
});

test("keys, variables and options are unique", () => {
  for (const names of [
    SETTINGS.map((setting) => setting.key),
    SETTINGS.flatMap((setting) => setting.metadata.env ?? []),
    SETTINGS.flatMap((setting) => setting.metadata.flag ?? []),
    SETTINGS.map((setting) => setting.path.join(".")),
  ]) {
    assert.equal(new Set(names).size, names.length);
  }
});

test("the variables of the original are all there", () => {
  const known = SETTINGS.map((setting) => setting.metadata.env);
  const original = [
    ...["HOST", "PORT", "TLS_MODE", "TLS_CA_FILE", "TLS_SERVER_NAME", "TOKEN_CMD", "ROLE", "POOLER"].map(
      (name) => `GATEKEEPER_BACKEND_${name}`,
    ),
    "GATEKEEPER_PROXY_TLS_CERT",
    "GATEKEEPER_PROXY_TLS_KEY",
    "GATEKEEPER_LISTEN_PORT",
    "GATEKEEPER_API_PORT",
    "GATEKEEPER_MAX_RESPONSE_MB",
    "GATEKEEPER_MAX_WINDOW_MB",
    "ADMIN_API_KEY",
  ];
  assert.deepEqual(
    original.filter((name) => !known.includes(name)),
    [],
  );
});

test("only the key of the admin API is a secret, and it cannot be an option", () => {
  const secrets = SETTINGS.filter((setting) => setting.metadata.secret);
  assert.deepEqual(
    secrets.map((setting) => [setting.key, setting.metadata.flag]),
    [["admin_api_key", undefined]],
  );
});

test("planned settings are exactly those that nothing acts on yet", () => {
  const planned = SETTINGS.filter((setting) => setting.metadata.isPlanned).map((setting) => setting.key);
  assert.deepEqual(planned, []);
});
