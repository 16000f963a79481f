/** The audit log: what happened, found by time and by everything else, and one decision in full. */
import { useEffect, useState } from "preact/hooks";
import { call, messageOf, withQuery } from "../api.ts";
import type { AuditRecord, Decision, AuditPage as Page } from "../api-types.ts";
import { bytes, plural } from "../format.ts";
import { linkTo, place, refine } from "../location.ts";
import { RecordTable, sessionOf, textOf, userOf } from "../parts/records.tsx";
import { Badge, Copy, Facts, Problem, Shown, Sql, When } from "../parts/text.tsx";
import { useResource } from "../resource.ts";
import { Loading } from "./now.tsx";
import { Chip } from "./sessions.tsx";

const PAGE = 100;
const FIELDS = [
  ["user", "User"],
  ["table", "Table"],
  ["rule", "Rule, ddl.* for all"],
  ["decision_id", "Decision id"],
  ["session", "Session"],
  ["client", "Address"],
  ["digest", "Digest"],
] as const;
const SPANS = [
  ["1h", 3_600_000],
  ["24h", 86_400_000],
  ["7d", 7 * 86_400_000],
] as const;
const DECISIONS = ["block", "require-approval", "warn", "allow"] as const;
/** What people look for; the rest is a parameter of the address away. */
const STATEMENTS = "statement-intent,statement-blocked,hold";
const TYPES = [
  ["all", ""],
  ["statements", STATEMENTS],
  ["outcomes", "statement-outcome"],
  ["approvals", "hold,approval"],
  ["logins", "login,refuse,disconnect"],
  ["admin", "admin-call,policy-change,config-load"],
] as const;

/** What the address asks for; times may be a span before now. */
function searchOf(query: Readonly<Record<string, string>>): Record<string, string | number | undefined> {
  const { span, from, ...rest } = query;
  const spanMs = SPANS.find(([name]) => name === span)?.[1];
  return { ...rest, from: spanMs === undefined ? from : new Date(Date.now() - spanMs).toISOString(), limit: PAGE };
}

export function AuditPage() {
  const { query } = place.value;
  const key = JSON.stringify(query);
  return (
    <>
      <header class="page-head">
        <h1>Audit</h1>
        <fieldset class="chips">
          <legend class="unseen">Time</legend>
          <Chip
            name="all time"
            isOn={query["span"] === undefined && query["from"] === undefined}
            onPick={() => refine({ span: undefined, from: undefined, to: undefined })}
          />
          {SPANS.map(([name]) => (
            <Chip
              key={name}
              name={name}
              isOn={query["span"] === name}
              onPick={() => refine({ span: name, from: undefined, to: undefined })}
            />
          ))}
        </fieldset>
        <fieldset class="chips">
          <legend class="unseen">Type</legend>
          {TYPES.map(([name, types]) => (
            <Chip
              key={name}
              name={name}
              isOn={(query["type"] ?? "") === types}
              onPick={() => refine({ type: types })}
            />
          ))}
        </fieldset>
      </header>
      <AuditForm query={query} />
      <Results key={key} query={query} />
    </>
  );
}

function AuditForm({ query }: { readonly query: Readonly<Record<string, string>> }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const changes: Record<string, string> = {};
    for (const [name, value] of form) changes[name] = String(value).trim();
    for (const name of ["from", "to"]) {
      const time = Date.parse(changes[name] ?? "");
      changes[name] = Number.isNaN(time) ? "" : new Date(time).toISOString();
    }
    refine({ ...changes, ...(changes["from"] === "" ? {} : { span: undefined }) });
  };
  return (
    <form key={JSON.stringify(query)} class="search panel" onSubmit={submit}>
      {FIELDS.map(([name, title], index) => (
        <label key={name}>
          {title}
          <input
            class={index === 0 ? "filter-box" : ""}
            name={name}
            defaultValue={query[name] ?? ""}
            spellcheck={false}
            autocomplete="off"
          />
        </label>
      ))}
      <label>
        Decision
        <select name="decision" defaultValue={query["decision"] ?? ""}>
          <option value="">any</option>
          {DECISIONS.map((decision) => (
            <option key={decision} value={decision} selected={query["decision"] === decision}>
              {decision}
            </option>
          ))}
        </select>
      </label>
      <label>
        From
        <input type="datetime-local" name="from" step="1" defaultValue={localTime(query["from"])} />
      </label>
      <label>
        To
        <input type="datetime-local" name="to" step="1" defaultValue={localTime(query["to"])} />
      </label>
      <div class="actions">
        <button type="submit" class="primary">
          Search
        </button>
        <a class="button" href={linkTo("audit")}>
          Clear
        </a>
      </div>
    </form>
  );
}

/** As the browser's field wants it, in the reader's time zone. */
function localTime(time: string | undefined): string {
  const timeMs = Date.parse(time ?? "");
  if (Number.isNaN(timeMs)) return "";
  return new Date(timeMs - new Date(timeMs).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

interface Found {
  readonly records: readonly AuditRecord[];
  readonly cursor: string | undefined;
  readonly scannedBytes: number;
  readonly scannedTo: string | undefined;
}

/** A page at a time, the newest first. Each page is bounded work for querycop: one that found little says how far it looked. */
function Results({ query }: { readonly query: Readonly<Record<string, string>> }) {
  const [found, setFound] = useState<Found>();
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const load = (before: Found | undefined): void => {
    setBusy(true);
    setError(undefined);
    call<Page>("GET", withQuery("audit", { ...searchOf(query), cursor: before?.cursor }))
      .then(
        (page) =>
          setFound({
            records: [...(before?.records ?? []), ...[...page.records].reverse()],
            cursor: page.cursor,
            scannedBytes: (before?.scannedBytes ?? 0) + page.scannedBytes,
            scannedTo: page.scannedTo ?? before?.scannedTo,
          }),
        (thrown) => setError(messageOf(thrown)),
      )
      .finally(() => setBusy(false));
  };
  useEffect(() => load(undefined), []);
  if (found === undefined) return <Loading error={error} />;
  const { records, cursor, scannedBytes, scannedTo } = found;
  return (
    <section aria-busy={isBusy} aria-label="Results">
      <div class="panel-head">
        <p class="hint" role="status">
          {plural(records.length, "record")}
          {scannedTo === undefined ? (
            ""
          ) : (
            <>
              , looked back to <When time={scannedTo} />
            </>
          )}{" "}
          ({bytes(scannedBytes)})
        </p>
        <span class="grow" />
        <button type="button" class="quiet" onClick={() => download("ndjson", records)}>
          Save as NDJSON
        </button>
        <button type="button" class="quiet" onClick={() => download("csv", records)}>
          Save as CSV
        </button>
      </div>
      <RecordTable records={records} />
      <Problem text={error} />
      {cursor === undefined ? (
        <p class="hint">That is all there is.</p>
      ) : (
        <button type="button" class="more" disabled={isBusy} onClick={() => load(found)}>
          {isBusy ? "Looking…" : "Look further back"}
        </button>
      )}
    </section>
  );
}

const CSV_COLUMNS = ["time", "type", "user", "decision", "decisionId", "score", "rules", "tables", "text"] as const;

function csvOf(records: readonly AuditRecord[]): string {
  const cell = (value: unknown): string => {
    const text = Array.isArray(value) ? value.join(" ") : value === undefined ? "" : String(value);
    // A spreadsheet would run what begins like a formula.
    const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return `"${inert.replaceAll('"', '""')}"`;
  };
  const rows = records.map((record) =>
    CSV_COLUMNS.map((name) => cell(name === "user" ? userOf(record) : record[name])).join(","),
  );
  return [CSV_COLUMNS.join(","), ...rows, ""].join("\r\n");
}

function download(format: "ndjson" | "csv", records: readonly AuditRecord[]): void {
  const text = format === "csv" ? csvOf(records) : records.map((record) => `${JSON.stringify(record)}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: format === "csv" ? "text/csv" : "application/x-ndjson" }));
  link.download = `querycop-audit.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

export function DecisionPage({ id }: { readonly id: string }) {
  const { data, error } = useResource<Decision>(`decisions/${encodeURIComponent(id)}`);
  const [statement] = data?.records ?? [];
  return (
    <>
      <header class="page-head">
        <h1>
          <a class="back" href={linkTo("audit")}>
            Audit
          </a>{" "}
          {id}
        </h1>
        {statement === undefined ? null : <Badge of={textOf(statement, "decision") ?? ""} />}
        <span class="grow" />
        <Copy text={globalThis.location.href} what="the link" />
      </header>
      {data === undefined || statement === undefined ? (
        <Loading error={error} />
      ) : (
        <DecisionDetail decision={data} statement={statement} />
      )}
    </>
  );
}

function DecisionDetail({ decision, statement }: { readonly decision: Decision; readonly statement: AuditRecord }) {
  const session = sessionOf(statement);
  const text = textOf(statement, "text");
  const sessionId = String(session["id"] ?? "");
  const tables = Array.isArray(statement["tables"]) ? statement["tables"].join(", ") : undefined;
  return (
    <>
      {decision.rules.length === 0 ? null : (
        <section class="panel" aria-labelledby="why-title">
          <h2 id="why-title">Why</h2>
          <dl class="why">
            {decision.rules.map(({ id, title, instead }) => (
              <div key={id}>
                <dt>
                  <code>{id}</code> {title}
                </dt>
                <dd>{instead}</dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      <section class="panel" aria-labelledby="statement-title">
        <h2 id="statement-title">Statement</h2>
        {text === undefined ? (
          <p class="faint">The log holds no text that is shown here.</p>
        ) : (
          <Sql text={text} isBlock />
        )}
        <Facts
          rows={[
            ["Who", <Shown key="v" text={userOf(statement)} />],
            ["From", <Shown key="v" text={String(session["clientAddress"] ?? "")} />],
            ["When", <When key="v" time={statement.time} />],
            [
              "Session",
              <a key="v" href={linkTo("sessions", [sessionId])}>
                {sessionId}
              </a>,
            ],
            ["Tables", <Shown key="v" text={tables} />],
            ["Score", String(statement["score"] ?? "–")],
            ["Policy", <code key="v">{String(statement["policyVersion"] ?? "–")}</code>],
            [
              "Policy since",
              decision.policyChange === undefined ? (
                "not in the log"
              ) : (
                <When key="v" time={decision.policyChange.time} />
              ),
            ],
          ]}
        />
      </section>
      <section class="panel" aria-labelledby="then-title">
        <h2 id="then-title">What became of it</h2>
        <RecordTable
          records={[decision.outcome, decision.approval, ...decision.records].filter((record) => record !== undefined)}
        />
      </section>
      <details class="panel">
        <summary>The records as they are</summary>
        <pre class="json">{JSON.stringify(decision, undefined, 2)}</pre>
      </details>
    </>
  );
}
