import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { renderExample, renderOptions, renderReference } from "../../src/config/reference.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { renderJsonSchema } from "../../tools/json-schema.ts";
import { load } from "./folder.ts";

const committed = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("the generated documents are the committed ones", () => {
  assert.equal(renderReference(), committed("docs/configuration.md"));
  assert.equal(renderExample(), committed("querycop.example.yaml"));
  assert.equal(renderJsonSchema(), committed("docs/querycop.schema.json"));
});

test("the reference names every key, variable, option and default", () => {
  const reference = renderReference();
  for (const { key, metadata, defaultText } of SETTINGS) {
    for (const name of [key, metadata.env, metadata.flag, defaultText]) {
      if (name !== undefined) assert.ok(reference.includes(`\`${name}\``), `${key}: ${name}`);
    }
  }
});

test("the links of the reference lead somewhere, each to one place", () => {
  const reference = renderReference();
  const targets = [...reference.matchAll(/\]\(#([^)]+)\)/g)].map((match) => match[1] ?? "");
  assert.equal(targets.length, SETTINGS.length);
  for (const target of targets) assert.equal(reference.split(`<a id="${target}">`).length, 2, target);
});

test("the example file means the same as the defaults", async () => {
  const example = await load({ yaml: renderExample() });
  const host = SETTINGS.find((setting) => setting.key === "backend.host")?.metadata.example ?? "";
  const plain = await load({ env: { GATEKEEPER_BACKEND_HOST: host } });
  assert.ok(example.ok && plain.ok);
  const { file: _, ...config } = example.config;
  assert.deepEqual(config, plain.config);
});

/** Every line that a reader may switch on by removing its "#". */
function switchedOn(example: string): string {
  return example.replaceAll(/^( *)#([a-z_]+: \S.*)$/gm, "$1$2");
}

test("every line of the example file that can be switched on is a key with a value it accepts", async () => {
  const yaml = switchedOn(renderExample());
  for (const { key, metadata } of SETTINGS) {
    if (metadata.secret || key === "name") continue;
    assert.match(yaml, new RegExp(`^ *${metadata.key}: `, "m"), key);
  }
  const result = await load({ yaml });
  // All of them together make no sense, and the files they name do not exist; but no key or value may be wrong.
  const wrong = (result.ok ? [] : result.problems).filter(
    (text) => text.includes("unknown") || text.includes("expected"),
  );
  assert.deepEqual(wrong, []);
});

interface JsonNode {
  readonly properties?: Readonly<Record<string, JsonNode>>;
  readonly items?: JsonNode;
  readonly title?: string;
  readonly default?: unknown;
}

test("the JSON Schema has every key of the file, at the top and in listeners, and no secret", () => {
  const root = JSON.parse(renderJsonSchema()) as JsonNode;
  const find = (node: JsonNode | undefined, key: string): JsonNode | undefined =>
    key.split(".").reduce<JsonNode | undefined>((found, part) => found?.properties?.[part], node);
  for (const { key, scope, title, metadata } of SETTINGS) {
    assert.equal(find(root, key)?.title, metadata.secret ? undefined : title, key);
    if (scope === "listener") assert.equal(find(root.properties?.["listeners"]?.items, key)?.title, title, key);
  }
  assert.equal(find(root, "listen.port")?.default, 15336);
});

test("the option list names each setting's values and variable, and stays within a terminal's width", () => {
  const text = renderOptions(SETTINGS);
  const variables = SETTINGS.flatMap(({ metadata }) => metadata.env ?? []);
  for (const name of variables) assert.match(text, new RegExp(`\\(${name}[;,)]`));
  assert.match(
    text,
    /--backend-tls-mode +TLS towards the database: disable, prefer, require, verify-ca, verify-full\n/,
  );
  for (const line of text.split("\n")) assert.ok(line.length <= 160, line);
});
