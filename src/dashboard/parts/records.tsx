/** Records of the audit log, a line each. */
import type { AuditRecord } from "../api-types.ts";
import { bytes, duration, plural } from "../format.ts";
import { linkTo } from "../location.ts";
import { type Column, Table } from "./table.tsx";
import { Badge, Empty, Shown, Sql, When } from "./text.tsx";

export const textOf = (record: AuditRecord, name: string): string | undefined =>
  typeof record[name] === "string" ? (record[name] as string) : undefined;

const numberOf = (record: AuditRecord, name: string): number | undefined =>
  typeof record[name] === "number" ? (record[name] as number) : undefined;

export function sessionOf(record: AuditRecord): Readonly<Record<string, unknown>> {
  const session = record["session"];
  return typeof session === "object" && session !== null ? (session as Readonly<Record<string, unknown>>) : {};
}

export function userOf(record: AuditRecord): string | undefined {
  const { user, userSent } = sessionOf(record);
  const found = user ?? userSent ?? record["principal"] ?? record["user"];
  return typeof found === "string" ? found : undefined;
}

/** What a record says besides who and when, in a line. */
function About({ record }: { readonly record: AuditRecord }) {
  const text = textOf(record, "text") ?? textOf(record, "statementKind");
  if (text !== undefined) {
    const decisionId = textOf(record, "decisionId");
    const statement = <Sql text={text} />;
    return decisionId === undefined ? (
      statement
    ) : (
      <a class="row-link" href={linkTo("audit", [decisionId])}>
        {statement}
      </a>
    );
  }
  return <Shown text={wordsOf(record)} />;
}

function outcomeWords(record: AuditRecord): string {
  const rows = numberOf(record, "rows");
  const changed = numberOf(record, "affectedRows");
  return [
    textOf(record, "outcome"),
    rows === undefined ? undefined : plural(rows, "row"),
    changed === undefined ? undefined : `${changed.toLocaleString("en")} changed`,
    numberOf(record, "bytes") === undefined ? undefined : bytes(numberOf(record, "bytes") ?? 0),
    numberOf(record, "durationUs") === undefined ? undefined : duration(numberOf(record, "durationUs")),
    numberOf(record, "errorNumber") === undefined ? undefined : `error ${numberOf(record, "errorNumber")}`,
  ]
    .filter((part) => part !== undefined)
    .join(", ");
}

/** Fields that others columns show, or that only a program wants. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  "type",
  "time",
  "seq",
  "hash",
  "prev",
  "session",
  "principal",
  "user",
  "policyText",
  "signature",
  "publicKey",
  "head",
]);

function wordsOf(record: AuditRecord): string {
  if (record.type === "statement-outcome") return outcomeWords(record);
  const words = Object.entries(record)
    .filter(([name, value]) => !LEFT_OUT.has(name) && (typeof value === "string" || typeof value === "number"))
    .map(([name, value]) => `${name} ${String(value).slice(0, 120)}`);
  return words.slice(0, 6).join(", ");
}

const COLUMNS: readonly Column<AuditRecord>[] = [
  { head: "Time", cell: ({ time }) => <When time={time} isExact /> },
  {
    head: "What",
    cell: (record) => {
      const decision = textOf(record, "decision") ?? textOf(record, "verdict");
      return decision === undefined || record.type === "statement-outcome" ? (
        <span class="record-type">{record.type}</span>
      ) : (
        <Badge of={record.type === "hold" ? "require-approval" : decision} />
      );
    },
  },
  { head: "User", cell: (record) => <Shown text={userOf(record)} /> },
  { head: "About", isWide: true, cell: (record) => <About record={record} /> },
  {
    head: "Rules",
    isExtra: true,
    cell: ({ rules }) =>
      Array.isArray(rules) && rules.length > 0 ? (
        <span class="rule-list">{rules.join(", ")}</span>
      ) : (
        <span class="faint">–</span>
      ),
  },
];

export function RecordTable({ records }: { readonly records: readonly AuditRecord[] }) {
  if (records.length === 0) return <Empty title="No record fits" />;
  return (
    <Table
      caption="Audit records"
      columns={COLUMNS}
      rows={records}
      keyOf={(record) => textOf(record, "hash") ?? `${record.seq} ${record.time}`}
    />
  );
}
