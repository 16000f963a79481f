/** Options, environment and file → one checked configuration, or every problem at once. */
import { basename, dirname, resolve } from "node:path";
import * as v from "valibot";
import { type ApiAccess, checkApi } from "./api-rules.ts";
import { auditProblems } from "./audit-rules.ts";
import { type EffectiveSetting, effectiveSettings, type ParsedListener } from "./effective.ts";
import type { RawListener, RawValue, RawValues } from "./raw-config.ts";
import { readConfigFile } from "./read-file.ts";
import { checkListener, type DerivedSettings, problemOfReadablePath } from "./rules.ts";
import {
  CONFIG_FILE_ENV,
  type Config,
  type ListenerConfig,
  type ListenerSettings,
  listenerSchema,
  type ProcessSettings,
  processSchema,
} from "./schema.ts";
import { SETTING_BY_ENV, SETTING_BY_FLAG, SETTING_BY_KEY, SETTINGS, type Setting } from "./settings.ts";
import { closestWord } from "./values.ts";

export interface LoadInput {
  /** Value of --config, which outranks GATEKEEPER_CONFIG. */
  readonly file?: string;
  /** Options by their name with dashes: "--listen-port" → "15336". */
  readonly flags: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type LoadResult =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly effective: readonly EffectiveSetting[];
      /** One line each, in the form of problems. */
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly string[]; readonly warnings: readonly string[] };

const ENV_PREFIX = "GATEKEEPER_";

/** Everything read, before listeners and process are told apart. */
interface Gathered {
  readonly listeners: readonly RawListener[];
  readonly process: RawValues;
  readonly filePath: string | undefined;
  readonly isFileBroken: boolean;
}

interface Findings {
  readonly problems: string[];
  readonly warnings: string[];
}

/** Loads and checks the configuration. Never throws for what an operator can write. */
export async function loadConfig(input: LoadInput): Promise<LoadResult> {
  const findings: Findings = { problems: [], warnings: [] };
  const gathered = await gather(input, findings);
  if (gathered.isFileBroken) {
    return { ok: false, problems: finish(findings.problems, gathered), warnings: finish(findings.warnings, gathered) };
  }
  const processSettings = parseProcess(gathered, findings);
  const listeners = gathered.listeners.map((raw) => parseListener(raw, gathered, input.env, findings));
  const parsed = listeners.filter((listener) => listener !== undefined);
  const access =
    processSettings === undefined ? NO_ACCESS : checkProcess(processSettings, gathered, input.env, findings);
  checkAddresses(parsed, processSettings, gathered, findings);
  warnOfPlanned(gathered, findings);
  const warnings = finish(findings.warnings, gathered);
  if (findings.problems.length > 0 || processSettings === undefined) {
    return { ok: false, problems: finish(findings.problems, gathered), warnings };
  }
  const { adminApiKeyFile: _, adminApiKey: __, ...rest } = processSettings;
  const config: Config = {
    ...rest,
    listeners: parsed.map((listener) => listener.config),
    ...access,
    ...(gathered.filePath === undefined ? {} : { file: gathered.filePath }),
  };
  return {
    ok: true,
    config,
    effective: effectiveSettings(gathered.process, parsed),
    warnings,
  };
}

const NO_ACCESS: ApiAccess = { approvers: [] };

/** Nobody should rely on a limit or a port that this version does not have. */
function warnOfPlanned(gathered: Gathered, findings: Findings): void {
  for (const values of [gathered.process, ...gathered.listeners.map((listener) => listener.values)]) {
    for (const [key, { where }] of values) {
      if (SETTING_BY_KEY.get(key)?.metadata.isPlanned !== true) continue;
      findings.warnings.push(`${where}: is checked but has no effect in this version of querycop`);
    }
  }
}

/**
 * Each line once, as several listeners may share a bad value. Rules name settings by their key in the file; who has no
 * file is told the variables.
 */
function finish(lines: readonly string[], { filePath }: Gathered): string[] {
  return [...new Set(lines)].map((line) => (filePath === undefined ? nameVariables(line) : line));
}

const ENV_BY_KEY: ReadonlyMap<string, string> = new Map(
  [...SETTING_BY_ENV].map(([env, setting]) => [setting.key, env] as const),
);

/** The words of a line that are keys, as environment variables. Punctuation around a word is kept. */
function nameVariables(line: string): string {
  return line
    .split(" ")
    .map((word) => {
      const bare = word.endsWith(",") || word.endsWith(":") ? word.slice(0, -1) : word;
      const env = ENV_BY_KEY.get(bare);
      return env === undefined ? word : env + word.slice(bare.length);
    })
    .join(" ");
}

async function gather(input: LoadInput, findings: Findings): Promise<Gathered> {
  const given = input.file ?? input.env[CONFIG_FILE_ENV];
  const filePath = given === undefined || given === "" ? undefined : resolve(given);
  const file = filePath === undefined ? undefined : await readConfigFile(filePath);
  findings.problems.push(...(file?.problems ?? []));
  findings.warnings.push(...(file?.warnings ?? []));
  const overrides = new Map([...readEnv(input.env, findings), ...readFlags(input.flags, findings)]);
  const entries: readonly RawListener[] =
    file === undefined || file.listeners.length === 0 ? [{ where: undefined, values: new Map() }] : file.listeners;
  if (entries.length > 1) refuseListenerOverrides(overrides, entries.length, findings);
  const shared = file?.top ?? new Map<string, RawValue>();
  return {
    filePath,
    isFileBroken: file?.isBroken ?? false,
    process: ofScope("process", [shared, overrides]),
    listeners: entries.map((entry) => ({
      where: entry.where,
      values: ofScope("listener", [shared, entry.values, overrides]),
    })),
  };
}

/** Later layers outrank earlier ones. */
function ofScope(scope: Setting["scope"], layers: readonly RawValues[]): RawValues {
  const merged: RawValues = new Map();
  for (const layer of layers) {
    for (const [key, value] of layer) if (SETTING_BY_KEY.get(key)?.scope === scope) merged.set(key, value);
  }
  return merged;
}

function refuseListenerOverrides(overrides: RawValues, count: number, findings: Findings): void {
  for (const [key, value] of [...overrides]) {
    if (SETTING_BY_KEY.get(key)?.scope !== "listener") continue;
    overrides.delete(key);
    findings.problems.push(
      `${value.where}: describes a single listener, but the file has ${count}: set ${key} in their entries of listeners: instead`,
    );
  }
}

function readEnv(env: LoadInput["env"], findings: Findings): RawValues {
  const values: RawValues = new Map();
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined) continue;
    const setting = SETTING_BY_ENV.get(name);
    if (setting !== undefined) {
      if (text === "") findings.warnings.push(`${name}: is empty and counts as not set`);
      else values.set(setting.key, { value: text, source: "env", where: name });
    } else if (name.startsWith(ENV_PREFIX) && name !== CONFIG_FILE_ENV) {
      findings.problems.push(unknownVariable(name));
    }
  }
  return values;
}

function unknownVariable(name: string): string {
  const near = closestWord(
    name.slice(ENV_PREFIX.length),
    [...SETTING_BY_ENV.keys(), CONFIG_FILE_ENV].map((env) => env.replace(ENV_PREFIX, "")),
  );
  const isServiceLink = name.startsWith("GATEKEEPER_SERVICE_") || name.startsWith("GATEKEEPER_PORT");
  if (isServiceLink) {
    return `${name}: unknown setting; Kubernetes sets it for a Service named gatekeeper: set enableServiceLinks: false in the pod, or rename the Service`;
  }
  const full = near === undefined || near === "ADMIN_API_KEY" ? near : ENV_PREFIX + near;
  return `${name}: unknown setting${full === undefined ? "" : `, did you mean ${full}?`}`;
}

function readFlags(flags: LoadInput["flags"], findings: Findings): RawValues {
  const values: RawValues = new Map();
  for (const [flag, text] of flags) {
    const setting = SETTING_BY_FLAG.get(flag);
    if (setting === undefined) findings.problems.push(`${flag}: unknown option`);
    else if (text === "") findings.problems.push(`${flag}: needs a value`);
    else values.set(setting.key, { value: text, source: "flag", where: flag });
  }
  return values;
}

/** Where a setting is, or would be, written: the start of every message about it. */
function whereOf(key: string, values: RawValues, gathered: Gathered, listener?: RawListener): string {
  const given = values.get(key);
  if (given !== undefined) return given.where;
  if (listener?.where !== undefined) return `${listener.where}.${key}`;
  if (gathered.filePath !== undefined) return `${basename(gathered.filePath)} ${key}`;
  return SETTING_BY_KEY.get(key)?.metadata.env ?? key;
}

/** Raw values as the nested object the schema parses, with paths made absolute. */
function nest(values: RawValues, scope: Setting["scope"], filePath: string | undefined): Record<string, unknown> {
  // The one object without a default: its absence should read as a missing host, not as a missing object.
  const root: Record<string, unknown> = scope === "listener" ? { backend: {} } : {};
  for (const [key, raw] of values) {
    const path = SETTING_BY_KEY.get(key)?.path ?? [];
    let node = root;
    for (const part of path.slice(0, -1)) {
      node[part] ??= {};
      node = node[part] as Record<string, unknown>;
    }
    node[path.at(-1) ?? ""] = absolutePath(key, raw, filePath);
  }
  return root;
}

/** A path in the file is relative to the file; anywhere else, to the working directory. */
function absolutePath(key: string, raw: RawValue, filePath: string | undefined): RawValue["value"] {
  const isPath = SETTING_BY_KEY.get(key)?.metadata.kind.isPath ?? false;
  if (!isPath || typeof raw.value !== "string") return raw.value;
  if (key === "backend.tls_ca_file" && raw.value === "system") return raw.value;
  return resolve(raw.source === "file" && filePath !== undefined ? dirname(filePath) : ".", raw.value);
}

function reportIssues(issues: readonly v.BaseIssue<unknown>[], at: (key: string) => string, findings: Findings): void {
  for (const issue of issues) {
    const names = (issue.path ?? []).map((item) => String(item.key));
    const setting = SETTINGS.find(
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

function parseListener(
  raw: RawListener,
  gathered: Gathered,
  env: LoadInput["env"],
  findings: Findings,
): ParsedListener | undefined {
  const at = (key: string) => whereOf(key, raw.values, gathered, raw);
  const result = v.safeParse(listenerSchema, nest(raw.values, "listener", gathered.filePath));
  if (!result.success) {
    reportIssues(result.issues, at, findings);
    return undefined;
  }
  const settings = result.output;
  const say = (lines: string[]) => (key: string, text: string) => {
    lines.push(`${at(key)}: ${text}`);
  };
  const derived = checkListener({
    settings,
    isSet: (key) => raw.values.has(key),
    problem: say(findings.problems),
    warn: say(findings.warnings),
    systemCaFile: env["SSL_CERT_FILE"],
  });
  return { raw, settings, derived, config: listenerConfig(settings, derived) };
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
      tokenSource: derived.tokenSource,
      tlsServerName: backend.tlsServerName ?? backend.host,
      ...(derived.region === undefined ? {} : { region: derived.region }),
      ...(derived.caFile === undefined ? {} : { tlsCaFile: derived.caFile }),
    },
  };
}

function parseProcess(gathered: Gathered, findings: Findings): ProcessSettings | undefined {
  const result = v.safeParse(processSchema, nest(gathered.process, "process", gathered.filePath));
  if (result.success) return result.output;
  reportIssues(result.issues, (key) => whereOf(key, gathered.process, gathered), findings);
  return undefined;
}

/** Process-wide rules; the answer is who may use the admin API. */
function checkProcess(
  settings: ProcessSettings,
  gathered: Gathered,
  env: LoadInput["env"],
  findings: Findings,
): ApiAccess {
  const at = (key: string) => whereOf(key, gathered.process, gathered);
  const problem = (key: string, text: string | undefined) => {
    if (text !== undefined) findings.problems.push(`${at(key)}: ${text}`);
  };
  if (settings.policy.file !== undefined) problem("policy.file", problemOfReadablePath(settings.policy.file));
  for (const [key, text] of auditProblems(settings.audit)) problem(key, text);
  return checkApi({
    settings,
    credentialsDirectory: env["CREDENTIALS_DIRECTORY"],
    problem,
    warn: (key, text) => findings.warnings.push(`${at(key)}: ${text}`),
  });
}

/** No two listeners, nor listener and admin API, on one address; no two listeners with one name. */
function checkAddresses(
  listeners: readonly ParsedListener[],
  settings: ProcessSettings | undefined,
  gathered: Gathered,
  findings: Findings,
): void {
  const taken = new Map<string, string>();
  if (settings?.api.socket !== undefined) taken.set(settings.api.socket, "the admin API");
  else if (settings !== undefined && settings.api.port !== 0)
    taken.set(`${settings.api.host}:${settings.api.port}`, "the admin API");
  const names = new Set<string>();
  for (const { raw, config } of listeners) {
    const { host, port, socket } = config.listen;
    const address = socket ?? `${host}:${port}`;
    const at = (key: string) => whereOf(key, raw.values, gathered, raw);
    const holder = port === 0 && socket === undefined ? undefined : taken.get(address);
    if (holder !== undefined) {
      const key = socket === undefined ? "listen.port" : "listen.socket";
      findings.problems.push(`${at(key)}: ${address} is already the address of ${holder}: choose another`);
    } else if (names.has(config.name)) {
      findings.problems.push(`${at("name")}: another listener is also named ${config.name}: choose another name`);
    }
    taken.set(address, `listener ${config.name}`);
    names.add(config.name);
  }
}
