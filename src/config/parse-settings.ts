/** Raw values → checked settings of a listener. */
import { basename, dirname, join, resolve } from "node:path";
import * as v from "valibot";
import type { ParsedListener } from "./effective.ts";
import type { RawConnection, RawListener, RawValue, RawValues } from "./raw-config.ts";
import { checkListener, type DerivedSettings } from "./rules.ts";
import { type AccountConfig, type ListenerConfig, type ListenerSettings, listenerSchema } from "./schema.ts";
import { SETTING_BY_KEY, SETTINGS, type Setting } from "./settings.ts";

/** Everything read, before listeners, connections and process are told apart. */
export interface Gathered {
  readonly listeners: readonly RawListener[];
  readonly connections: readonly RawConnection[];
  /** What stands at the top level of the file for all listeners. */
  readonly shared: RawValues;
  readonly process: RawValues;
  readonly filePath: string | undefined;
  /** Where the service manager put the files that it hands over; undefined where it handed over none. */
  readonly credentials: string | undefined;
  readonly isFileBroken: boolean;
}

export interface Findings {
  readonly problems: string[];
  readonly warnings: string[];
}

/** Where a setting is, or would be, written: the start of every message about it. */
export function whereOf(key: string, values: RawValues, gathered: Gathered, listener?: RawListener): string {
  const given = values.get(key);
  if (given !== undefined) return given.where;
  if (listener?.where !== undefined) return `${listener.where}.${key}`;
  if (gathered.filePath !== undefined) return `${basename(gathered.filePath)} ${key}`;
  return SETTING_BY_KEY.get(key)?.metadata.env ?? key;
}

/** Raw values as the nested object the schema parses, with paths made absolute. */
export function nest(
  values: RawValues,
  scope: Setting["scope"],
  gathered: Gathered,
  settings: ReadonlyMap<string, Setting> = SETTING_BY_KEY,
): Record<string, unknown> {
  // The one object without a default: its absence should read as a missing host, not as a missing object.
  const root: Record<string, unknown> = scope === "listener" ? { backend: {} } : {};
  for (const [key, raw] of values) {
    const setting = settings.get(key);
    const path = setting?.path ?? [];
    let node = root;
    for (const part of path.slice(0, -1)) {
      node[part] ??= {};
      node = node[part] as Record<string, unknown>;
    }
    node[path.at(-1) ?? ""] = absolutePath(setting, raw, gathered);
  }
  return root;
}

/** A service's credential by its usual path. The same configuration run in another unit finds its own there. */
const CREDENTIAL_PATH = /^\/run\/credentials\/[^/]+\/([^/]+)$/;

/** A path in the file is relative to the file; anywhere else, to the working directory. */
function absolutePath(
  setting: Setting | undefined,
  raw: RawValue,
  { filePath, credentials }: Gathered,
): RawValue["value"] {
  const isPath = setting?.metadata.kind.isPath ?? false;
  if (!isPath || typeof raw.value !== "string") return raw.value;
  if (setting?.metadata.key === "tls_ca_file" && raw.value === "system") return raw.value;
  const credential = CREDENTIAL_PATH.exec(raw.value)?.[1];
  if (credential !== undefined && credentials !== undefined) return join(credentials, credential);
  return resolve(raw.source === "file" && filePath !== undefined ? dirname(filePath) : ".", raw.value);
}

export function reportIssues(
  issues: readonly v.BaseIssue<unknown>[],
  at: (key: string) => string,
  findings: Findings,
  settings: readonly Setting[] = SETTINGS,
): void {
  for (const issue of issues) {
    const names = (issue.path ?? []).map((item) => String(item.key));
    const setting = settings.find(
      (candidate) => names.length > 0 && candidate.path.every((part, index) => part === names[index]),
    );
    const key = setting?.key ?? names.join(".");
    const isMissing = issue.received === "undefined" && setting?.required === true;
    // A value that the file's form already made unusable is not missing as well.
    if (isMissing && findings.problems.some((problem) => problem.includes(` ${key}: expected`))) continue;
    findings.problems.push(`${at(key)}: ${isMissing ? `missing: set ${missingHint(setting)}` : issue.message}`);
  }
}

function missingHint(setting: Setting): string {
  return `the ${setting.title.toLowerCase()}, for example ${setting.metadata.example ?? setting.metadata.kind.describe}`;
}

export interface ListenerParse {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What querycop logs in with, where a connection says so. */
  readonly account: AccountConfig | undefined;
  readonly own: Findings;
  /** Of the files that settings name. */
  readonly ofFiles: Findings;
}

export function parseListener(
  raw: RawListener,
  gathered: Gathered,
  { env, account, own, ofFiles }: ListenerParse,
): ParsedListener | undefined {
  const at = (key: string) => whereOf(key, raw.values, gathered, raw);
  const result = v.safeParse(listenerSchema, nest(raw.values, "listener", gathered));
  if (!result.success) {
    reportIssues(result.issues, at, own);
    return undefined;
  }
  const settings = result.output;
  const say = (lines: string[]) => (key: string, text: string) => {
    lines.push(`${at(key)}: ${text}`);
  };
  const derived = checkListener({
    settings,
    isSet: (key) => raw.values.has(key),
    problem: say(ofFiles.problems),
    warn: say(ofFiles.warnings),
    systemCaFile: env["SSL_CERT_FILE"],
    account,
  });
  const config = listenerConfig(settings, derived);
  return { raw, settings, derived, config: account === undefined ? config : { ...config, account } };
}

function listenerConfig(settings: ListenerSettings, derived: DerivedSettings): ListenerConfig {
  const { listen, backend } = settings;
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  return {
    ...settings,
    name: settings.name ?? listen.socket ?? `${host}:${listen.port}`,
    clientAuth: derived.clientAuth,
    proxy: { ...settings.proxy, tlsMode: derived.clientTlsMode },
    backend: {
      ...backend,
      engine: derived.engine,
      port: derived.port,
      tlsMode: derived.tlsMode,
      tokenSource: derived.tokenSource,
      tlsServerName: backend.tlsServerName ?? backend.host,
      ...(derived.region === undefined ? {} : { region: derived.region }),
      ...(derived.caFile === undefined ? {} : { tlsCaFile: derived.caFile }),
    },
  };
}
