/** Entries of `connections:` → checked connections, each with the listener that would lead to it. */
import * as v from "valibot";
import {
  type Findings,
  type Gathered,
  type ListenerParse,
  nest,
  parseListener,
  reportIssues,
} from "./parse-settings.ts";
import type { RawConnection, RawListener, RawValues } from "./raw-config.ts";
import {
  type AccountConfig,
  type ConnectionConfig,
  type ConnectionSettings,
  connectionSchema,
  type PasswordConfig,
} from "./schema.ts";
import { CONNECTION_SETTING_BY_KEY, CONNECTION_SETTINGS, SETTING_BY_KEY } from "./settings.ts";
import { closestWord, quote } from "./values.ts";

export const CONNECTION_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** In place of a host that only the secret knows. No name of the DNS ends so. */
const HOST_OF_SECRET = "host-of-the-secret.invalid";

/** What of the top level is for the clients of listeners. */
const OF_LISTENERS = ["listen.", "proxy.", "backend."];
const OF_LISTENERS_ALONE = new Set([
  "name",
  "connection",
  "client_auth",
  "users_file",
  "certificate_users",
  "iam_users",
]);

/** The connection's values as those of a backend. */
export function backendValuesOf(raw: RawConnection): RawValues {
  const values: RawValues = new Map();
  for (const [key, value] of raw.values) {
    if (SETTING_BY_KEY.has(`backend.${key}`)) values.set(`backend.${key}`, value);
  }
  const has = (key: string): boolean => values.has(`backend.${key}`);
  const where = raw.where ?? raw.name;
  if (!has("tls_mode")) values.set("backend.tls_mode", { value: "verify-full", source: "file", where });
  return values;
}

/** Undefined, with the problems told, where the entry is of no use. */
export function parseConnection(
  raw: RawConnection,
  gathered: Gathered,
  env: ListenerParse["env"],
  findings: Findings,
): ConnectionConfig | undefined {
  const at = (key: string): string => raw.values.get(key)?.where ?? `${raw.where}.${key}`;
  if (!CONNECTION_NAME.test(raw.name)) {
    const wanted = "1 to 63 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter or digit";
    findings.problems.push(`${raw.where}: expected a name of ${wanted}, got ${quote(raw.name)}`);
    return undefined;
  }
  const result = v.safeParse(connectionSchema, nest(raw.values, "connection", gathered, CONNECTION_SETTING_BY_KEY));
  if (!result.success) {
    reportIssues(result.issues, at, findings, CONNECTION_SETTINGS);
    return undefined;
  }
  const settings = result.output;
  const problem = (key: string, text: string): void => void findings.problems.push(`${at(key)}: ${text}`);
  const password = passwordOf(settings, problem);
  if (password === undefined) return undefined;
  const account: AccountConfig = {
    connection: raw.name,
    ...(settings.user === undefined ? {} : { user: settings.user }),
    password,
    timeoutMs: settings.passwordTimeoutMs,
    ...(settings.region === undefined ? {} : { region: settings.region }),
    loads: settings.loads ?? [],
  };
  checkAccount(settings, password, problem);
  const own: Findings = { problems: [], warnings: [] };
  const parsed = parseListener(listenerOf(raw, gathered), gathered, { env, account, own, ofFiles: own });
  tell(own, findings);
  if (parsed === undefined) return undefined;
  return {
    name: raw.name,
    ...(settings.description === undefined ? {} : { description: settings.description }),
    enabled: settings.enabled,
    ...(settings.database === undefined ? {} : { database: settings.database }),
    account,
    hostFromSecret: settings.host === undefined,
    portFromSecret: settings.host === undefined && settings.port === undefined,
    listener: parsed.config,
  };
}

function listenerOf(raw: RawConnection, gathered: Gathered): RawListener {
  const values: RawValues = new Map();
  for (const [key, value] of gathered.shared) {
    const isForClients = OF_LISTENERS_ALONE.has(key) || OF_LISTENERS.some((prefix) => key.startsWith(prefix));
    if (!isForClients && SETTING_BY_KEY.get(key)?.scope === "listener") values.set(key, value);
  }
  for (const [key, value] of backendValuesOf(raw)) values.set(key, value);
  const where = raw.where ?? raw.name;
  const own = (value: string) => ({ value, source: "file" as const, where });
  values.set("name", own(raw.name));
  // Whoever comes is asked by what opens the listener.
  values.set("client_auth", own("trust"));
  if (!values.has("backend.host")) values.set("backend.host", own(HOST_OF_SECRET));
  return { where: raw.where, values };
}

/** Rules name the settings of a backend: here they stand in the connection itself. */
function tell(from: Findings, to: Findings): void {
  for (const kind of ["problems", "warnings"] as const) {
    to[kind].push(...from[kind].map((text) => text.replaceAll("backend.", "")));
  }
}

const KEY_OF_SOURCE = {
  secret: ["secret_id", "secretId"],
  parameter: ["password_parameter", "passwordParameter"],
  command: ["password_cmd", "passwordCmd"],
  file: ["password_file", "passwordFile"],
} as const;

type Problem = (key: string, text: string) => void;

function passwordOf(settings: ConnectionSettings, problem: Problem): PasswordConfig | undefined {
  const sources = Object.entries(KEY_OF_SOURCE) as [
    keyof typeof KEY_OF_SOURCE,
    readonly [string, keyof ConnectionSettings],
  ][];
  const given = sources.filter(([, [, name]]) => settings[name] !== undefined);
  const source = settings.passwordSource ?? given[0]?.[0] ?? "iam";
  for (const [other, [key]] of given) {
    if (other !== source)
      problem(key, `has no effect beside ${source}, where the password comes from: remove one of the two`);
  }
  const needed = source === "iam" ? undefined : KEY_OF_SOURCE[source];
  if (needed !== undefined && settings[needed[1]] === undefined) {
    problem("password_source", `${source} needs ${needed[0]}: set it`);
    return undefined;
  }
  const { secretId = "", secretFormat, passwordParameter = "", passwordCmd = "", passwordFile = "" } = settings;
  switch (source) {
    case "iam":
      return { source };
    case "secret":
      return { source, id: secretId, format: secretFormat };
    case "parameter":
      return { source, name: passwordParameter };
    case "command":
      return { source, command: passwordCmd };
    case "file":
      return { source, path: passwordFile };
  }
}

function checkAccount(settings: ConnectionSettings, password: PasswordConfig, problem: Problem): void {
  const isWhole = password.source === "secret" && password.format === "json";
  if (isWhole) return;
  const why = password.source === "secret" ? "a secret of format text" : `a password from ${password.source}`;
  for (const key of ["host", "user"] as const) {
    if (settings[key] === undefined) problem(key, `missing: ${why} says nothing about it, set the database's ${key}`);
  }
}

/** What is told of a name that no connection has. */
export function unknownConnection(name: string, names: readonly string[]): string {
  const near = closestWord(name, names);
  const known = names.length === 0 ? "the file has no connections:" : `known are ${names.join(", ")}`;
  return `no connection is named ${quote(name)}: ${near === undefined ? known : `did you mean ${near}?`}`;
}
