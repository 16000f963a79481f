/** The documents about the audit log that are printed from its event table. */
import { readFileSync } from "node:fs";
import { renderAuditSchema, renderAuditTables } from "../src/audit/audit-schema.ts";

const BEGIN = "<!-- tables: printed by npm run docs -->\n";
const END = "<!-- /tables -->\n";

/** docs/audit-event.schema.json */
export function renderAuditJsonSchema(): string {
  return `${JSON.stringify(renderAuditSchema(), undefined, 2)}\n`;
}

/** docs/audit.md: its prose as it is, its tables anew. */
export function renderAuditPage(): string {
  const text = readFileSync(new URL("../docs/audit.md", import.meta.url), "utf8");
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin)
    throw new Error(`docs/audit.md: expected ${BEGIN.trim()} and ${END.trim()}, in this order`);
  return text.slice(0, begin + BEGIN.length) + renderAuditTables() + text.slice(end);
}
