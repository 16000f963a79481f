/** What a table is and what hangs on it, asked before anything is changed. What cannot be seen is not taken for absent. */
import type { LoadClient } from "./load-client.ts";
import { LoadFailure } from "./load-failure.ts";
import type { TableName } from "./sql-words.ts";

export interface TableFacts {
  /** As information_schema has it: BASE TABLE, VIEW, SYSTEM VERSIONED, SEQUENCE. */
  readonly type: string;
  readonly engine: string;
  /** Those that a file has values for, in their order. */
  readonly columns: readonly string[];
  readonly hasTriggers: boolean;
  /** False where this account might not be shown any. */
  readonly seesTriggers: boolean;
  /** Of other tables, towards this one: what they do when a row goes. */
  readonly childRules: readonly string[];
  readonly seesChildren: boolean;
  readonly hasParents: boolean;
}

/** Names are looked for as texts: a backslash or quote would depend on the session's sql_mode. */
function text(name: string): string {
  if (/['\\]/.test(name))
    throw new LoadFailure("a schema or table with a quote or backslash in its name is not loaded into");
  return `'${name}'`;
}

/** Undefined where there is no such table, or none that this account may see. */
export async function tableFacts(client: LoadClient, { schema, table }: TableName): Promise<TableFacts | undefined> {
  const [inSchema, inTable] = [text(schema), text(table)];
  const ask = (sql: string) => client.query(sql, "looking at the table");
  const [found] = await ask(
    `SELECT TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${inSchema} AND TABLE_NAME = ${inTable}`,
  );
  if (found === undefined) return undefined;
  const columns = await ask(
    `SELECT COLUMN_NAME, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${inSchema} AND TABLE_NAME = ${inTable} ORDER BY ORDINAL_POSITION`,
  );
  const triggers = await ask(
    `SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ${inSchema} AND EVENT_OBJECT_TABLE = ${inTable} LIMIT 1`,
  );
  const children = await ask(
    `SELECT DELETE_RULE, CONSTRAINT_SCHEMA, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA = ${inSchema} AND REFERENCED_TABLE_NAME = ${inTable} LIMIT 1000`,
  );
  const parents = await ask(
    `SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ${inSchema} AND TABLE_NAME = ${inTable} LIMIT 1`,
  );
  const privileges = await privilegesOn(client, inSchema, inTable);
  return {
    type: found[0] ?? "",
    engine: found[1] ?? "",
    columns: columns.filter(([, extra = ""]) => !/GENERATED|INVISIBLE/i.test(extra)).map(([name = ""]) => name),
    hasTriggers: triggers.length > 0,
    seesTriggers: privileges.here.has("TRIGGER"),
    childRules: children
      .filter(([, childSchema, childTable]) => childSchema !== schema || childTable !== table)
      .map(([rule = ""]) => rule.toUpperCase()),
    // A foreign key is shown to whoever may do something with the table that has it, wherever that is.
    seesChildren: privileges.everywhere.has("SELECT"),
    hasParents: parents.length > 0,
  };
}

/** Those of a role do not count: what they show is not told apart from what is not there. */
async function privilegesOn(client: LoadClient, inSchema: string, inTable: string) {
  const ask = (sql: string) => client.query(sql, "looking at the account's privileges");
  const account = (await ask("SELECT CURRENT_USER()"))[0]?.[0] ?? "";
  const at = account.lastIndexOf("@");
  const [user, host] = [account.slice(0, at), account.slice(at + 1)];
  // Names that would have to be escaped here and may be escaped there.
  if (/['\\]/.test(account)) return { everywhere: new Set<string>(), here: new Set<string>() };
  // Whoever may read the grants is shown those of all accounts.
  const own = `WHERE GRANTEE = '''${user}''@''${host}'''`;
  const named = async (table: string, more: string): Promise<string[]> =>
    (await ask(`SELECT PRIVILEGE_TYPE FROM information_schema.${table} ${own}${more}`)).map(([name = ""]) => name);
  const everywhere = new Set(await named("USER_PRIVILEGES", ""));
  const inThis = await named("SCHEMA_PRIVILEGES", ` AND TABLE_SCHEMA = ${inSchema}`);
  const onThis = await named("TABLE_PRIVILEGES", ` AND TABLE_SCHEMA = ${inSchema} AND TABLE_NAME = ${inTable}`);
  return { everywhere, here: new Set([...everywhere, ...inThis, ...onThis]) };
}
