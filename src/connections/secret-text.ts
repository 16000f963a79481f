/**
 * What a secret says about a database: the JSON that Amazon RDS and its rotation functions write (Secrets Manager guide,
 * "JSON structure of database credential secrets"). Keys are compared as they are; further ones are left alone.
 */
import { Buffer } from "node:buffer";
import type { BackendEngine } from "../config/schema.ts";

export interface DatabaseSecret {
  readonly user?: string;
  readonly password: Uint8Array;
  readonly host?: string;
  readonly port?: number;
  readonly database?: string;
  /** What is odd about it, and has no effect. */
  readonly remarks: readonly string[];
}

const SECRET_CHARACTERS_MAX = 65_536;
const PASSWORD_BYTES_MAX = 1024;

interface Protocol {
  readonly name: string;
  /** What secrets of databases that speak it have under `engine`. */
  readonly engines: ReadonlySet<string>;
}

const POSTGRESQL: Protocol = { name: "PostgreSQL", engines: new Set(["postgres", "postgresql", "aurora-postgresql"]) };
const PROTOCOLS: Readonly<Record<BackendEngine, Protocol>> = {
  mysql: { name: "MySQL", engines: new Set(["mysql", "aurora-mysql", "aurora", "mariadb"]) },
  postgresql: POSTGRESQL,
  dsql: POSTGRESQL,
};

/**
 * `backendEngine` is the connection's. Throws Error with what is wrong, in words that hold nothing of the secret's values but
 * its engine.
 */
export function parseDatabaseSecret(text: string, backendEngine: BackendEngine): DatabaseSecret {
  if (text.length > SECRET_CHARACTERS_MAX) throw new Error(`it has more than ${SECRET_CHARACTERS_MAX} characters`);
  const fields = fieldsOf(text);
  const { username, password, host, dbname, engine } = fields;
  if (typeof password !== "string") throw new Error("it has no text under password");
  const protocol = PROTOCOLS[backendEngine];
  if (engine !== undefined && !(typeof engine === "string" && protocol.engines.has(engine))) {
    const shown = typeof engine === "string" ? ` ${JSON.stringify(engine.slice(0, 40))}` : "";
    throw new Error(`its engine${shown} does not speak ${protocol.name}'s protocol, as backend.engine says`);
  }
  const port = portOf(fields["port"]);
  return {
    ...textField("user", username),
    ...textField("host", host),
    ...textField("database", dbname),
    ...(port === undefined ? {} : { port }),
    password: passwordBytes(password),
    remarks: remarksOf(fields),
  };
}

/** For secrets and parameters that are the password alone. Throws as above. */
export function passwordBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length === 0) throw new Error("the password in it is empty");
  if (bytes.length > PASSWORD_BYTES_MAX)
    throw new Error(`the password in it has more than ${PASSWORD_BYTES_MAX} bytes`);
  if (bytes.includes(0)) throw new Error("the password in it holds a NUL byte");
  return bytes;
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not the cause: its text quotes the secret.
    throw new Error("it is no JSON (if the whole of it is the password, set secret_format text)");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("it is no JSON object");
  return value as Readonly<Record<string, unknown>>;
}

function textField<K extends string>(key: K, value: unknown): { readonly [P in K]?: string } {
  if (value === undefined || value === null || value === "") return {};
  if (typeof value !== "string") throw new Error(`what it says of the ${key} is no text`);
  return { [key]: value } as { readonly [P in K]?: string };
}

function portOf(value: unknown): number | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const port = typeof value === "string" && /^[0-9]{1,5}$/.test(value) ? Number(value) : value;
  if (typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new Error("its port is no number from 1 to 65535");
}

function remarksOf({ ssl }: Readonly<Record<string, unknown>>): readonly string[] {
  return ssl === false || ssl === "false" ? ["ssl false in the secret has no effect: tls_mode decides"] : [];
}
