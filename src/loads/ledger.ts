/** Which objects have been loaded into which table: a row of the load's own transaction, so that neither is there alone. */
import { createHash } from "node:crypto";
import { type LoadClient, StatementRefused } from "./load-client.ts";
import { LoadFailure } from "./load-failure.ts";
import { fileName } from "./object-load.ts";
import type { S3Object } from "./s3-store.ts";
import { literal, quotedTable, type TableName } from "./sql-words.ts";
import { tableFacts } from "./table-facts.ts";

export const LEDGER_NAME = "querycop_loads";
const ER_DUP_ENTRY = 1062;
const PURPOSE = "the ledger of loads";

/** Makes the table where there is none. Commits what is open: call it before a transaction. */
export async function openLedger(client: LoadClient, ledger: TableName): Promise<void> {
  const facts = await tableFacts(client, ledger);
  if (facts === undefined) {
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${quotedTable(ledger)} (` +
        "id CHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY, " +
        "object TEXT CHARACTER SET ascii NOT NULL, target VARCHAR(150) CHARACTER SET utf8mb4 NOT NULL, " +
        "loaded_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB",
      PURPOSE,
    );
  } else if (facts.engine !== "InnoDB")
    throw new LoadFailure(`${PURPOSE} must have the engine InnoDB, not ${facts.engine}`);
}

/** Within the transaction of the load; false where the object is there already. */
export async function enterLedger(
  client: LoadClient,
  ledger: TableName,
  object: S3Object,
  target: TableName,
): Promise<boolean> {
  const name = fileName(object);
  const into = `${target.schema}.${target.table}`;
  try {
    await client.query(
      `INSERT INTO ${quotedTable(ledger)} (id, object, target) VALUES (${literal(ledgerId(object, target))}, ${literal(name)}, ${literal(into)})`,
      PURPOSE,
    );
    return true;
  } catch (thrown) {
    if (thrown instanceof StatementRefused && thrown.errorNumber === ER_DUP_ENTRY) return false;
    throw thrown;
  }
}

/** Whether a load that has ended left its row. */
export async function isInLedger(
  client: LoadClient,
  ledger: TableName,
  object: S3Object,
  target: TableName,
): Promise<boolean> {
  const id = literal(ledgerId(object, target));
  return (await client.query(`SELECT 1 FROM ${quotedTable(ledger)} WHERE id = ${id}`, PURPOSE)).length > 0;
}

function ledgerId(object: S3Object, target: TableName): string {
  return createHash("sha256")
    .update(JSON.stringify([object.bucket, object.key, object.etag, target.schema, target.table]))
    .digest("hex");
}
