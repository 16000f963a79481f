/** lava's connection records → entries of `connections:`, with a note wherever the meaning changes. */
import { CONNECTION_NAME } from "../config/connections.ts";

export type LavaImport = { readonly yaml: string; readonly notes: readonly string[] } | { readonly problem: string };

type Item = Readonly<Record<string, unknown>>;

/** lava's types that are a MySQL or MariaDB server. */
const TYPES: ReadonlySet<string> = new Set(["mysql", "mysql-aurora", "mysql-rds", "mariadb", "mariadb-rds"]);

/**
 * Takes what `aws dynamodb scan` prints, one such item, a list of plain ones, or items a line as DynamoDB exports them. No
 * password is in them: lava's are names of parameters.
 */
export function lavaConnections(text: string): LavaImport {
  const items = itemsOf(text);
  if (items === undefined) return { problem: "is no JSON of lava's connections" };
  const lines = ["connections:"];
  const notes: string[] = [];
  for (const item of items) {
    const { conn_id: id, type } = item;
    const name = nameOf(id);
    if (typeof type !== "string" || !TYPES.has(type)) {
      notes.push(`${String(id)}: left out, its type ${String(type)} is none of MySQL's`);
    } else if (name === undefined) {
      notes.push(`${String(id)}: left out, it has no name that can be made one of a connection`);
    } else {
      if (name !== id) notes.push(`${String(id)}: is named ${name} here`);
      lines.push(...entryOf(name, item, notes));
    }
  }
  return { yaml: `${lines.join("\n")}\n`, notes };
}

function itemsOf(text: string): readonly Item[] | undefined {
  const whole = parse(text);
  const found =
    whole ??
    text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map(parse);
  const list = Array.isArray(found) ? found : isItem(found) && Array.isArray(found["Items"]) ? found["Items"] : [found];
  const items = list.map((each: unknown) => (isItem(each) && isItem(each["Item"]) ? each["Item"] : each));
  return items.length > 0 && items.every(isItem) ? items.map(plain) : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isItem(value: unknown): value is Item {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `{"S": "text"}`, `{"N": "3306"}` and `{"BOOL": true}` are DynamoDB's way of writing values. */
function plain(item: Item): Item {
  return Object.fromEntries(
    Object.entries(item).map(([key, value]) => {
      if (!isItem(value)) return [key, value];
      const [[kind, inner] = []] = Object.entries(value);
      return [key, kind === "S" || kind === "N" || kind === "BOOL" ? inner : undefined];
    }),
  );
}

function nameOf(id: unknown): string | undefined {
  if (typeof id !== "string") return undefined;
  const name = id.toLowerCase().replaceAll(/[^a-z0-9._-]/g, "-");
  return CONNECTION_NAME.test(name) ? name : undefined;
}

/** lava's field → ours. */
const FIELDS: Readonly<Record<string, string>> = {
  description: "description",
  host: "host",
  port: "port",
  user: "user",
  database: "database",
  secret_id: "secret_id",
  password: "password_parameter",
  ca_cert: "tls_ca_file",
};

/** Known, and of no meaning here. */
const DROPPED: ReadonlySet<string> = new Set(["conn_id", "type", "enabled", "ssl", "preserve_case", "x-owner"]);

function entryOf(name: string, item: Item, notes: string[]): string[] {
  const lines = [`  ${name}:`];
  for (const [field, key] of Object.entries(FIELDS)) {
    const value = item[field];
    if (value !== undefined && value !== null && value !== "")
      lines.push(`    ${key}: ${JSON.stringify(String(value))}`);
  }
  const isEnabled = item["enabled"] === true || item["enabled"] === "true";
  if (!isEnabled) lines.push("    enabled: off");
  if (item["ca_cert"] === undefined) {
    lines.push("    tls_ca_file: /etc/ssl/certs/rds-global-bundle.pem");
    notes.push(`${name}: the server is verified here: tls_ca_file is a guess, set the bundle of your servers`);
  } else if (item["ssl"] !== true) {
    notes.push(`${name}: lava used no TLS and ignored ca_cert; here the server is verified by it`);
  }
  if (item["password"] === undefined && item["secret_id"] === undefined) {
    notes.push(`${name}: no password, so a token of IAM as in lava`);
  }
  const unknown = Object.keys(item).filter((field) => FIELDS[field] === undefined && !DROPPED.has(field));
  if (unknown.length > 0) notes.push(`${name}: fields without a place here: ${unknown.join(", ")}`);
  return lines;
}
