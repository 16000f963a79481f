/** The JSON Schema of the configuration file, for editors. */
import { type JsonSchema, toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { CONNECTION_NAME } from "../src/config/connections.ts";
import { connectionSchema, listenerSchema, processSchema, type SettingMetadata } from "../src/config/schema.ts";
import { CONNECTION_SETTINGS, SETTINGS } from "../src/config/settings.ts";

type Properties = Record<string, JsonSchema>;

const KEY_BY_NAME = new Map(
  [...CONNECTION_SETTINGS, ...SETTINGS].map((setting) => [setting.path.at(-1) ?? "", setting.metadata.key]),
);

/** A setting as the file takes it, in place of the bare text the schema parses. */
function toFileValue(schema: JsonSchema, { kind, example }: SettingMetadata): JsonSchema {
  const { title, description, default: fallback } = schema;
  return {
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...kind.json,
    ...(fallback === undefined ? {} : { default: kind.json["type"] === "integer" ? Number(fallback) : fallback }),
    ...(example === undefined ? {} : { examples: [example] }),
  } as JsonSchema;
}

/**
 * Renames properties to the keys of the file and drops secrets. Every key may be absent, as listeners share those of the
 * top level, and a group may be empty, as in the example file.
 */
function toFileForm(schema: JsonSchema): JsonSchema {
  // The library copies a setting's metadata into its JSON Schema.
  if ("kind" in schema) return toFileValue(schema, schema as unknown as SettingMetadata);
  const properties: Properties = {};
  for (const [name, child] of Object.entries((schema.properties ?? {}) as Properties)) {
    if (name !== "adminApiKey") properties[KEY_BY_NAME.get(name) ?? name] = toFileForm(child);
  }
  return { type: ["object", "null"], additionalProperties: false, properties };
}

function convert(schema: v.GenericSchema): JsonSchema {
  return toFileForm(toJsonSchema(schema, { typeMode: "input" }));
}

/** docs/querycop.schema.json */
export function renderJsonSchema(): string {
  const listener = convert(listenerSchema);
  const process = convert(processSchema);
  const document = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "querycop configuration file",
    description: "Generated from src/config/schema.ts by npm run docs",
    type: "object",
    additionalProperties: false,
    properties: {
      connections: {
        type: ["object", "null"],
        maxProperties: 1000,
        propertyNames: { pattern: CONNECTION_NAME.source },
        additionalProperties: convert(connectionSchema),
      },
      listeners: { type: "array", minItems: 1, maxItems: 64, items: listener },
      ...listener.properties,
      ...process.properties,
    },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
