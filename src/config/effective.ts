/** What `querycop config` shows: every effective value and its origin. */
import type { RawListener, RawValues } from "./raw-config.ts";
import type { DerivedSettings } from "./rules.ts";
import type { ListenerConfig, ListenerSettings } from "./schema.ts";
import { SETTINGS, type Setting } from "./settings.ts";

/** One effective value and where it came from. */
export interface EffectiveSetting {
  /** With the listener before it when there are several: "listeners[1].backend.host". */
  readonly key: string;
  readonly env?: string;
  /** As an operator would write it; `<set>` for a secret; absent when the setting is unset. */
  readonly value?: string;
  readonly source: "flag" | "env" | "file" | "default" | "derived" | "unset";
  /** The option, variable, or file and line it was read from; for derived values, what it follows from. */
  readonly where?: string;
  readonly reloadable: boolean;
}

/** One listener on its way from raw values to configuration. */
export interface ParsedListener {
  readonly raw: RawListener;
  readonly settings: ListenerSettings;
  readonly derived: DerivedSettings;
  readonly config: ListenerConfig;
}

/** Every setting with its effective value and its origin, in the order of the schema. */
export function effectiveSettings(process: RawValues, listeners: readonly ParsedListener[]): EffectiveSetting[] {
  const rows: EffectiveSetting[] = [];
  for (const [index, listener] of listeners.entries()) {
    const prefix = listener.raw.where === undefined ? "" : `listeners[${index}].`;
    const derived = derivedTexts(listener);
    for (const setting of SETTINGS) {
      if (setting.scope === "listener") rows.push(effectiveSetting(setting, prefix, listener.raw.values, derived));
    }
  }
  for (const setting of SETTINGS) {
    if (setting.scope === "process") rows.push(effectiveSetting(setting, "", process, new Map()));
  }
  return rows;
}

/** What was worked out from other settings, by key: the value and what it follows from. */
function derivedTexts({ config, settings }: ParsedListener): Map<string, readonly [string, string]> {
  const texts = new Map<string, readonly [string, string]>();
  const add = (key: string, value: string | undefined, from: string) => {
    if (value !== undefined) texts.set(key, [value, from]);
  };
  if (settings.backend.engine === undefined) add("backend.engine", config.backend.engine, "backend.host");
  if (settings.backend.port !== config.backend.port) add("backend.port", String(config.backend.port), "backend.engine");
  if (settings.name === undefined) add("name", config.name, "the address");
  if (settings.backend.tlsServerName === undefined)
    add("backend.tls_server_name", config.backend.tlsServerName, "backend.host");
  if (settings.backend.region === undefined) add("backend.region", config.backend.region, "the name of the endpoint");
  if (settings.backend.tokenSource === undefined && config.backend.tokenSource !== "none")
    add(
      "backend.token_source",
      config.backend.tokenSource,
      settings.backend.tokenCmd === undefined ? "backend.engine" : "backend.token_cmd",
    );
  if (settings.backend.tlsMode !== config.backend.tlsMode)
    add("backend.tls_mode", config.backend.tlsMode, "backend.engine");
  if (settings.proxy.tlsMode === undefined) add("proxy.tls_mode", config.proxy.tlsMode, "proxy.tls_client_ca");
  if (settings.clientAuth === undefined && config.clientAuth === "trust")
    add("client_auth", "trust", "a local listener");
  if (settings.backend.tlsCaFile === "system") add("backend.tls_ca_file", config.backend.tlsCaFile, "system");
  else if (settings.backend.tlsCaFile === undefined)
    add("backend.tls_ca_file", config.backend.tlsCaFile, "backend.engine");
  return texts;
}

function effectiveSetting(
  setting: Setting,
  prefix: string,
  values: RawValues,
  derived: ReadonlyMap<string, readonly [string, string]>,
): EffectiveSetting {
  const { env, secret, reloadable } = setting.metadata;
  const head = { key: prefix + setting.key, ...(env === undefined ? {} : { env }), reloadable };
  const raw = values.get(setting.key);
  const worked = derived.get(setting.key);
  if (worked !== undefined) return { ...head, value: worked[0], source: "derived", where: worked[1] };
  if (raw !== undefined) {
    const text = typeof raw.value === "string" ? raw.value : JSON.stringify(raw.value);
    return { ...head, value: secret ? "<set>" : text, source: raw.source, where: raw.where };
  }
  if (setting.defaultText !== undefined) return { ...head, value: setting.defaultText, source: "default" };
  return { ...head, source: "unset" };
}
