/** Options, environment and file → one checked configuration, or every problem at once. */
import { basename, resolve } from "node:path";
import * as v from "valibot";
import { type ApiAccess, checkApi } from "./api-rules.ts";
import { approvalProblems } from "./approval-rules.ts";
import { auditProblems } from "./audit-rules.ts";
import { backendValuesOf, parseConnection, unknownConnection } from "./connections.ts";
import { type EffectiveSetting, effectiveSettings, type ParsedListener } from "./effective.ts";
import { type Findings, type Gathered, nest, parseListener, reportIssues, whereOf } from "./parse-settings.ts";
import type { RawFile, RawListener, RawValue, RawValues } from "./raw-config.ts";
import { readConfigFile } from "./read-file.ts";
import { problemOfReadablePath } from "./rules.ts";
import { CONFIG_FILE_ENV, type Config, type ConnectionConfig, type ProcessSettings, processSchema } from "./schema.ts";
import { SETTING_BY_ENV, SETTING_BY_FLAG, SETTING_BY_KEY, type Setting } from "./settings.ts";
import { closestWord } from "./values.ts";

export interface LoadInput {
  /** Value of --config, which outranks GATEKEEPER_CONFIG. */
  readonly file?: string;
  /** Options by their name with dashes: "--listen-port" → "15336". */
  readonly flags: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `start` if not given. */
  readonly use?: ConfigUse;
}

/**
 * What the configuration is wanted for: to start, or for a querycop that runs already, of which one wants to know where
 * its `listeners` are, or settings of the `process` alone; or for its named `connections`, without listeners. What is of no
 * use then is neither read nor missed.
 */
export type ConfigUse = "start" | "listeners" | "process" | "connections";

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

/** Loads and checks the configuration. Never throws for what an operator can write. */
export async function loadConfig(input: LoadInput): Promise<LoadResult> {
  const findings: Findings = { problems: [], warnings: [] };
  const gathered = await gather(input, findings);
  if (gathered.isFileBroken) {
    return { ok: false, problems: finish(findings.problems, gathered), warnings: finish(findings.warnings, gathered) };
  }
  const processSettings = parseProcess(gathered, findings);
  const { use = "start" } = input;
  // What a running process has found in its files is its own matter: their rules are not asked then.
  const nobody: Findings = { problems: [], warnings: [] };
  const ofFiles = use === "start" ? findings : nobody;
  const ofListeners = use === "start" || use === "listeners" ? findings : nobody;
  const wantsConnections = use === "start" || use === "connections";
  const connections = gathered.connections.flatMap(
    (raw) => parseConnection(raw, gathered, input.env, wantsConnections ? findings : nobody) ?? [],
  );
  const led = gathered.listeners.map((raw) => withConnection(raw, gathered, connections, ofListeners));
  if (use === "listeners") for (const { raw } of led) standInBackend(raw.values);
  const listeners = led.map(({ raw, account }) =>
    parseListener(raw, gathered, { env: input.env, account, own: ofListeners, ofFiles }),
  );
  const parsed = listeners.filter((listener) => listener !== undefined);
  const access =
    processSettings === undefined ? NO_ACCESS : checkProcess(processSettings, gathered, input.env, ofFiles);
  checkAddresses(parsed, processSettings, gathered, ofListeners);
  warnOfPlanned(gathered, findings);
  const warnings = finish(findings.warnings, gathered);
  if (findings.problems.length > 0 || processSettings === undefined) {
    return { ok: false, problems: finish(findings.problems, gathered), warnings };
  }
  const { adminApiKeyFile: _, adminApiKey: __, ...rest } = processSettings;
  const config: Config = {
    ...rest,
    listeners: use === "connections" ? [] : parsed.map((listener) => listener.config),
    connections,
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

/** A listener that leads to a named connection has that one's backend. */
function withConnection(
  raw: RawListener,
  { connections: entries }: Gathered,
  connections: readonly ConnectionConfig[],
  { problems }: Findings,
): { readonly raw: RawListener; readonly account: ConnectionConfig["account"] | undefined } {
  const given = raw.values.get("connection");
  if (given === undefined) return { raw, account: undefined };
  const name = String(given.value);
  const entry = entries.find((candidate) => candidate.name === name);
  const connection = connections.find((candidate) => candidate.name === name);
  const own = raw.ownBackend ?? [];
  for (const { where } of own) problems.push(`${where}: has no effect beside connection: remove one of the two`);
  if (entry === undefined) {
    problems.push(
      `${given.where}: ${unknownConnection(
        name,
        entries.map((candidate) => candidate.name),
      )}`,
    );
  } else if (connection?.enabled === false) {
    problems.push(`${given.where}: the connection ${name} is not enabled`);
  } else if (connection?.hostFromSecret === true) {
    problems.push(
      `${given.where}: a listener needs the host before the secret is read: set host of connection ${name}`,
    );
  }
  const values: RawValues = new Map(raw.values);
  for (const key of raw.values.keys()) if (key.startsWith("backend.")) values.delete(key);
  if (entry !== undefined) for (const [key, value] of backendValuesOf(entry)) values.set(key, value);
  return { raw: { ...raw, values }, account: connection?.account };
}

const NO_ACCESS: ApiAccess = { approvers: [] };

/** Where clients connect does not depend on where that leads. */
function standInBackend(values: RawValues): void {
  if (!values.has("backend.host"))
    values.set("backend.host", { value: "unused", source: "flag", where: "backend.host" });
}

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
 * Each line once, as several listeners may share a bad value, and in the order of the file. Rules name settings by their
 * key in the file; who has no file is told the variables.
 */
function finish(lines: readonly string[], { filePath }: Gathered): string[] {
  const once = [...new Set(lines)];
  if (filePath === undefined) return once.map(nameVariables);
  const prefix = `${basename(filePath)}:`;
  // As they stand in the file; what has no line there comes behind.
  const lineOf = (text: string): number =>
    text.startsWith(prefix) ? Number.parseInt(text.slice(prefix.length), 10) : Infinity;
  const ranked = once.map((text) => ({ text, line: lineOf(text) }));
  return ranked.sort((one, other) => (one.line === other.line ? 0 : one.line - other.line)).map(({ text }) => text);
}

const ENV_BY_KEY: ReadonlyMap<string, string> = new Map(
  [...SETTING_BY_ENV].map(([env, setting]) => [setting.key, env] as const),
);

/** The words of a line that are keys, as environment variables. Punctuation around a word is kept. */
export function nameVariables(line: string): string {
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
  refuseProductNames(input.env, (key) => overrides.has(key) || isInFile(file, key), findings);
  const entries: readonly RawListener[] =
    file === undefined || file.listeners.length === 0 ? [{ where: undefined, values: new Map() }] : file.listeners;
  if (entries.length > 1) refuseListenerOverrides(overrides, entries.length, findings);
  const shared = file?.top ?? new Map<string, RawValue>();
  return {
    connections: file?.connections ?? [],
    shared,
    filePath,
    credentials: input.env["CREDENTIALS_DIRECTORY"] || undefined,
    isFileBroken: file?.isBroken ?? false,
    process: ofScope("process", [shared, overrides]),
    listeners: entries.map((entry) => ({
      where: entry.where,
      values: ofScope("listener", [shared, entry.values, overrides]),
      // What all listeners share is meant for those without a connection.
      ownBackend: backendValuesIn([entries.length > 1 ? entry.values : shared, entry.values, overrides]),
    })),
  };
}

function backendValuesIn(layers: readonly RawValues[]): RawValue[] {
  return layers.flatMap((layer) => [...layer].filter(([key]) => key.startsWith("backend.")).map(([, value]) => value));
}

function isInFile(file: RawFile | undefined, key: string): boolean {
  return file?.top.has(key) === true || file?.listeners.some(({ values }) => values.has(key)) === true;
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
      if (isServiceLink(name, text))
        findings.problems.push(`${name}: ${text.slice(0, 80)} is no value: ${serviceHint(name)}`);
      else if (text === "") findings.warnings.push(`${name}: is empty and counts as not set`);
      else values.set(setting.key, { value: text, source: "env", where: name });
    } else if (name.startsWith(ENV_PREFIX) && name !== CONFIG_FILE_ENV) {
      findings.problems.push(unknownVariable(name, text));
    }
  }
  return values;
}

const PRODUCT_PREFIX = "QUERYCOP_";

/** What a variable would set if settings had the product's name before them; undefined for any other. */
export function variableMeant(name: string): string | undefined {
  if (!name.startsWith(PRODUCT_PREFIX)) return undefined;
  const rest = name.slice(PRODUCT_PREFIX.length);
  const names = [ENV_PREFIX + rest, rest];
  return names.find((env) => SETTING_BY_ENV.has(env) || env === CONFIG_FILE_ENV);
}

/** SAFETY: who sets one believes in it, and a policy that is not read refuses nothing. Beside the right name it is somebody's own. */
function refuseProductNames(env: LoadInput["env"], isSet: (key: string) => boolean, findings: Findings): void {
  for (const [name, text] of Object.entries(env)) {
    const meant = variableMeant(name);
    if (meant === undefined || text === undefined || text === "" || LINK_VALUE.test(text)) continue;
    const setting = SETTING_BY_ENV.get(meant);
    if (setting === undefined ? env[meant] !== undefined : isSet(setting.key)) continue;
    findings.problems.push(`${name}: is no setting: their names begin with ${ENV_PREFIX}, set ${meant}`);
  }
}

/** Kubernetes and old links of Docker put the address of every service into the environment. */
const SERVICE_LINK = /^GATEKEEPER_(?:(.+?)_)?(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)\w*)?)$/;
const LINK_VALUE = /^(?:tcp|udp|sctp):\/\//;

/** SERVICE_HOST and the like are nobody's settings; a plain …_PORT may be one, and tells by its value. */
function isServiceLink(name: string, value: string): boolean {
  if (!SERVICE_LINK.test(name)) return false;
  return !SETTING_BY_ENV.has(name) || LINK_VALUE.test(value);
}

function serviceHint(name: string): string {
  const words = SERVICE_LINK.exec(name)?.[1];
  const service = ["gatekeeper", ...(words === undefined ? [] : words.toLowerCase().split("_"))].join("-");
  return `Kubernetes sets it for a Service named ${service}: set enableServiceLinks: false in the pod, or rename the Service`;
}

function unknownVariable(name: string, value: string): string {
  const near = closestWord(
    name.slice(ENV_PREFIX.length),
    [...SETTING_BY_ENV.keys(), CONFIG_FILE_ENV].map((env) => env.replace(ENV_PREFIX, "")),
  );
  if (isServiceLink(name, value)) return `${name}: unknown setting; ${serviceHint(name)}`;
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

function parseProcess(gathered: Gathered, findings: Findings): ProcessSettings | undefined {
  const result = v.safeParse(processSchema, nest(gathered.process, "process", gathered));
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
  if (settings.dsql.rulesFile !== undefined) problem("dsql.rules_file", problemOfReadablePath(settings.dsql.rulesFile));
  for (const [key, text] of auditProblems(settings.audit)) problem(key, text);
  for (const [key, text] of approvalProblems(settings.approvals)) problem(key, text);
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
