/** The schema as a flat list: what loader, reference and command line iterate over. */
import * as v from "valibot";
import { connectionEntries, listenerEntries, processEntries, type SettingMetadata } from "./schema.ts";

export interface Setting {
  /** Its place in the file: "backend.tls_mode". */
  readonly key: string;
  /** Its place in the schema's output: ["backend", "tlsMode"]. */
  readonly path: readonly string[];
  /** `listener`: each listener has its own. `connection`: each named connection. `process`: one for all. */
  readonly scope: "listener" | "connection" | "process";
  readonly title: string;
  readonly description: string;
  /** As an operator would write it. */
  readonly defaultText?: string;
  readonly required: boolean;
  readonly metadata: SettingMetadata;
}

interface SchemaNode extends v.GenericSchema {
  readonly entries?: Readonly<Record<string, SchemaNode>>;
  readonly wrapped?: SchemaNode;
  readonly default?: unknown;
}

function settingOf(node: SchemaNode, path: readonly string[], scope: Setting["scope"]): Setting {
  const inner = node.wrapped ?? node;
  const metadata = v.getMetadata(inner) as unknown as SettingMetadata;
  return {
    key: [...path.slice(0, -1), metadata.key].join("."),
    path,
    scope,
    title: v.getTitle(inner) ?? "",
    description: v.getDescription(inner) ?? "",
    ...(typeof node.default === "string" ? { defaultText: node.default } : {}),
    required: node.wrapped === undefined,
    metadata,
  };
}

function flatten(
  entries: Readonly<Record<string, SchemaNode>>,
  path: readonly string[],
  scope: Setting["scope"],
): Setting[] {
  return Object.entries(entries).flatMap(([name, node]) => {
    const group = (node.wrapped ?? node).entries;
    const own = [...path, name];
    return group === undefined ? [settingOf(node, own, scope)] : flatten(group, own, scope);
  });
}

/** Every setting, listener settings first, in the order of the schema. */
export const SETTINGS: readonly Setting[] = [
  ...flatten(listenerEntries as unknown as Record<string, SchemaNode>, [], "listener"),
  ...flatten(processEntries as unknown as Record<string, SchemaNode>, [], "process"),
];

/** Of the entries of `connections:`: in the file alone. */
export const CONNECTION_SETTINGS: readonly Setting[] = flatten(
  connectionEntries as unknown as Record<string, SchemaNode>,
  [],
  "connection",
).map((setting) => {
  const { env: _env, flag: _flag, ...metadata } = setting.metadata;
  return { ...setting, metadata: metadata as SettingMetadata };
});

export const CONNECTION_SETTING_BY_KEY: ReadonlyMap<string, Setting> = new Map(
  CONNECTION_SETTINGS.map((setting) => [setting.key, setting]),
);

export const SETTING_BY_KEY: ReadonlyMap<string, Setting> = new Map(SETTINGS.map((setting) => [setting.key, setting]));

export const SETTING_BY_ENV: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.flatMap((setting) => (setting.metadata.env === undefined ? [] : [[setting.metadata.env, setting] as const])),
);

export const SETTING_BY_FLAG: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.flatMap((setting) =>
    setting.metadata.flag === undefined ? [] : [[setting.metadata.flag, setting] as const],
  ),
);
