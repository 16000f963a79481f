/** A decision as a page for a person at a terminal. */
import { digestHashesOf } from "../audit/audit-read.ts";
import type { ReadRecord } from "../audit/record-expander.ts";
import { counted } from "../base/counted.ts";
import { visibleText } from "../base/visible-text.ts";
import type { RuleText, ToldDecision } from "./audit-show.ts";

/** A name on the left, and a value that may be absent. */
type Row = readonly [name: string, value: string | undefined];

const NAME_CHARACTERS = 12;
const COLUMNS_MIN = 40;
/** Longer statements are in --json. */
const TEXT_CHARACTERS_MAX = 4000;

/** Lines of at most `columns` characters, in which nothing acts on the terminal. */
export function renderDecision(told: ToldDecision, columns: number): string {
  const width = Math.max(COLUMNS_MIN, columns);
  const [statement = {}] = told.records;
  const hold = told.records.find(({ type }) => type === "hold");
  const sections: readonly (readonly [title: string, rows: readonly Row[]])[] = [
    [`${told.id}: ${verdictOf(told)}`, statementRows(statement)],
    ["Rules", told.rules.flatMap(ruleRows)],
    ["Approval", approvalRows(hold, told.approval, statement)],
    ["Outcome", outcomeRows(told)],
    ["Policy", policyRows(statement, told.policyChange)],
    ["Next", nextRows(statement)],
  ];
  return sections
    .filter(([, rows]) => rows.some(([, value]) => value !== undefined))
    .map(([title, rows]) => `${wrapped(title, 0, width)}${rows.map((row) => renderRow(row, width)).join("")}`)
    .join("\n");
}

function verdictOf({ records, outcome, approval }: ToldDecision): string {
  const [statement = {}] = records;
  const type = statement["type"];
  if (type === "statement-blocked") return "blocked, nothing of it reached the backend";
  if (type === "hold") return approval === undefined ? "waits for an approval" : `held, ${text(approval, "verdict")}`;
  if (type === "syntax-check") return "not understood, and shown to the server's parser only";
  const how = { allow: "allowed", warn: "allowed with a warning" }[text(statement, "decision") ?? ""];
  return `${how ?? `allowed by ${text(statement, "approver") ?? "an approval"}`}, ${outcome === undefined ? "outcome unknown" : outcomeWord(outcome)}`;
}

function outcomeWord(outcome: ReadRecord): string {
  const word = text(outcome, "outcome") ?? "unknown";
  return word === "ok" ? "ran" : word;
}

function statementRows(statement: ReadRecord): Row[] {
  const session = recordOf(statement, "session");
  const [digestHash] = digestHashesOf(statement);
  const whole = text(statement, "rawText") ?? text(statement, "text");
  const isCut = whole !== undefined && whole.length > TEXT_CHARACTERS_MAX;
  return [
    ["when", moment(statement)],
    ["user", userOf(session)],
    [
      "from",
      joined([text(session, "clientAddress"), prefixed("TLS as ", session, "tlsIdentity"), text(session, "program")]),
    ],
    [
      "to",
      joined([
        text(session, "backend"),
        prefixed("schema ", session, "schema"),
        prefixed("listener ", session, "listener"),
      ]),
    ],
    ["session", joined([text(session, "id"), `command ${statement["ordinal"]}, ${text(statement, "command")}`])],
    ["statement", isCut ? `${whole.slice(0, TEXT_CHARACTERS_MAX)}… (all of it: --json)` : whole],
    ["form", joined([formOf(statement), prefixed("digest ", { digestHash }, "digestHash")])],
    ["kind", joined([text(statement, "statementKind"), listOf(statement, "innerKinds")])],
    ["tables", listOf(statement, "tables")],
    ["estimated", countIn(statement, "estimatedRows", "row")],
    [
      "decision",
      joined([
        text(statement, "decision"),
        prefixed("score ", statement, "score"),
        prefixed("level ", statement, "level"),
      ]),
    ],
    ["told", prefixed("error ", statement, "errorNumber")],
  ];
}

function userOf(session: ReadRecord): string | undefined {
  const user = text(session, "user");
  const sent = text(session, "userSent");
  return user !== undefined && sent !== undefined && sent !== user ? `${user}, sent as ${sent}` : (user ?? sent);
}

function formOf(statement: ReadRecord): string | undefined {
  const bytes = countIn(statement, "textBytes", "byte");
  if ("rawText" in statement) return joined(["as sent, opened with the reading key", bytes]);
  const forms: Readonly<Record<string, string>> = {
    digest: "its digest: each literal a ?",
    redacted: "redacted",
    raw: "as sent",
    none: "the text was not kept",
  };
  const sealed = "sealedText" in statement ? "sealed as well: --decrypt-key-file" : undefined;
  return joined([forms[text(statement, "textForm") ?? ""], bytes === undefined ? undefined : `${bytes} sent`, sealed]);
}

function ruleRows({ id, title, instead }: RuleText): Row[] {
  return [
    [id, title ?? "a rule of another version of querycop"],
    ["", instead === undefined ? undefined : `instead: ${instead}`],
  ];
}

function approvalRows(hold: ReadRecord | undefined, approval: ReadRecord | undefined, statement: ReadRecord): Row[] {
  const waited = approval?.["waitedMs"];
  const by = approval === undefined ? undefined : text(approval, "approver");
  const ended = joined([
    approval === undefined ? undefined : `${text(approval, "verdict")}${by === undefined ? "" : ` by ${by}`}`,
    typeof waited === "number" ? `after ${seconds(waited)}` : undefined,
    prefixed("reason: ", approval ?? {}, "reason"),
  ]);
  const mode = hold === undefined ? undefined : text(hold, "mode");
  const wait = mode === "immediate" ? "its client was told to send it again" : "its client waited";
  const expires = hold?.["expiresInMs"];
  return [
    ["request", text(statement, "approvalId") ?? text(hold ?? {}, "approvalId") ?? text(approval ?? {}, "approvalId")],
    [
      "asked",
      hold === undefined
        ? undefined
        : joined([moment(hold), text(hold, "decisionId"), mode === undefined ? undefined : wait]),
    ],
    ["open for", typeof expires === "number" ? seconds(expires) : undefined],
    ["answered", approval === undefined ? undefined : joined([moment(approval), ended])],
  ];
}

function outcomeRows({ records, outcome, others }: ToldDecision): Row[] {
  const [statement = {}] = records;
  const rows: Row[] = others.map((record): Row => [text(record, "type") ?? "", otherOf(record)]);
  if (statement["type"] === "statement-intent" && outcome === undefined) {
    rows.push(["unknown", "it was sent, or about to be, and no end is on record: it may have run, or runs still"]);
  }
  if (outcome === undefined) return rows;
  const duration = outcome["durationUs"];
  return [
    ["ended", joined([moment(outcome), outcomeWord(outcome)])],
    ["error", joined([prefixed("", outcome, "errorNumber"), prefixed("SQLSTATE ", outcome, "sqlState")])],
    [
      "rows",
      joined([
        countIn(outcome, "rows", "row returned", "rows returned"),
        countIn(outcome, "affectedRows", "row changed", "rows changed"),
      ]),
    ],
    [
      "response",
      joined([
        countIn(outcome, "bytes", "byte"),
        typeof duration === "number" ? `in ${milliseconds(duration)}` : undefined,
      ]),
    ],
    ["warnings", prefixed("", outcome, "warnings")],
    ["limit", text(outcome, "limit")],
    ["job", text(outcome, "jobId")],
    ...rows,
  ];
}

function otherOf(record: ReadRecord): string | undefined {
  const fields = ["purpose", "action", "limit", "fileName", "text"] as const;
  return joined([...fields.map((name) => text(record, name)), countIn(record, "bytes", "byte")]);
}

function policyRows(statement: ReadRecord, change: ReadRecord | undefined): Row[] {
  const version = text(statement, "policyVersion");
  const since = change === undefined ? undefined : `in force since ${moment(change)}, by ${text(change, "by")}`;
  const isKept = typeof change?.["policyText"] === "string";
  return [
    ["version", joined([version, since])],
    ["text", isKept ? `querycop audit export | querycop policy show - --policy-version ${version}` : undefined],
  ];
}

function nextRows(statement: ReadRecord): Row[] {
  const [digestHash] = digestHashesOf(statement);
  const session = text(recordOf(statement, "session"), "id");
  return [
    ["session", session === undefined ? undefined : `querycop audit tail --session ${session}`],
    ["alike", digestHash === undefined ? undefined : `querycop audit tail --digest ${digestHash.slice(0, 16)}`],
  ];
}

function recordOf(record: ReadRecord, name: string): ReadRecord {
  const value = record[name];
  return typeof value === "object" && value !== null ? (value as ReadRecord) : {};
}

function text(record: ReadRecord, name: string): string | undefined {
  const value = record[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function listOf(record: ReadRecord, name: string): string | undefined {
  const value = record[name];
  return Array.isArray(value) && value.length > 0 ? value.join(", ") : undefined;
}

function countIn(record: ReadRecord, name: string, noun: string, plural?: string): string | undefined {
  const value = record[name];
  return typeof value === "number" ? counted(value, noun, plural) : undefined;
}

function prefixed(prefix: string, record: ReadRecord, name: string): string | undefined {
  const value = record[name];
  return typeof value === "string" || typeof value === "number" ? `${prefix}${value}` : undefined;
}

function joined(parts: readonly (string | undefined)[]): string | undefined {
  const told = parts.filter((part) => part !== undefined && part !== "");
  return told.length === 0 ? undefined : told.join(", ");
}

function moment(record: ReadRecord): string | undefined {
  return text(record, "time")?.replace("T", " ").replace("Z", " UTC");
}

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
const milliseconds = (us: number): string => `${Math.round(us / 10) / 100} ms`;

function renderRow([name, value]: Row, width: number): string {
  if (value === undefined) return "";
  const left = `  ${name.padEnd(NAME_CHARACTERS)} `;
  return wrapped(`${left}${value}`, NAME_CHARACTERS + 3, width);
}

/** Broken at spaces where there are any, lines after the first one indented. */
function wrapped(line: string, indent: number, width: number): string {
  let rest = visibleText(line);
  let lines = "";
  let begin = "";
  while (begin.length + rest.length > width) {
    const room = width - begin.length;
    const space = rest.lastIndexOf(" ", room);
    const isWord = space > (begin === "" ? indent : 0);
    const at = isWord ? space : room;
    lines += `${begin}${rest.slice(0, at)}\n`;
    rest = rest.slice(isWord ? at + 1 : at);
    begin = " ".repeat(indent);
  }
  return `${lines}${begin}${rest}\n`;
}
