/** The statements that were seen since the start, added up by digest: what takes the time, the rows, the refusals. */
import { withQuery } from "../api.ts";
import type { AuditPage, Digest, DigestPage } from "../api-types.ts";
import { bytes, count, duration, plural } from "../format.ts";
import { linkTo, place, refine } from "../location.ts";
import { Share, Sparkline } from "../parts/charts.tsx";
import { RecordTable } from "../parts/records.tsx";
import { type Column, Pager, Table } from "../parts/table.tsx";
import { Copy, Empty, Facts, Problem, Shown, Sql, When } from "../parts/text.tsx";
import { useResource } from "../resource.ts";
import { Loading } from "./now.tsx";
import { Chip } from "./sessions.tsx";

const PAGE = 50;
const ORDERS = [
  ["time", "most time"],
  ["rows", "most rows"],
  ["blocked", "refused"],
  ["new", "new"],
  ["errors", "errors"],
  ["count", "most often"],
] as const;

const statementOf = ({ text, kind }: Digest): string => text ?? kind;

function columnsFor(topUs: number): readonly Column<Digest>[] {
  return [
    {
      head: "Statement",
      isWide: true,
      cell: (digest) => (
        <a class="row-link" href={linkTo("statements", [digest.digest])}>
          <Sql text={statementOf(digest)} />
        </a>
      ),
    },
    { head: "Count", isNumber: true, cell: (digest) => count(digest.count) },
    {
      head: "Time",
      isNumber: true,
      cell: ({ totalUs }) => (
        <>
          {duration(totalUs)}
          <Share of={totalUs} top={topUs} />
        </>
      ),
    },
    { head: "p50", isNumber: true, isExtra: true, cell: ({ p50Us }) => duration(p50Us) },
    { head: "p99", isNumber: true, cell: ({ p99Us }) => duration(p99Us) },
    { head: "Rows", isNumber: true, cell: ({ rows, affectedRows }) => count(rows + affectedRows) },
    {
      head: "Refused",
      isNumber: true,
      cell: ({ blocked, held }) =>
        blocked + held === 0 ? <span class="faint">0</span> : <span class="bad">{count(blocked + held)}</span>,
    },
    {
      head: "Last hour",
      isExtra: true,
      cell: ({ recentCounts, kind }) => (
        <Sparkline values={recentCounts} label={`${kind} in the last hour, ten minutes each`} />
      ),
    },
    { head: "First seen", isExtra: true, cell: ({ firstSeen }) => <When time={firstSeen} /> },
  ];
}

export function StatementsPage() {
  const { order = "time", search, user, table, offset: offsetText } = place.value.query;
  const offset = Number(offsetText ?? 0) || 0;
  const path = withQuery("statements", { order, search, user, table, offset, limit: PAGE });
  const { data, error } = useResource<DigestPage>(path, { everyMs: 5_000 });
  if (data === undefined) return <Loading error={error} />;
  const topUs = Math.max(0, ...data.digests.map(({ totalUs }) => totalUs));
  return (
    <>
      <header class="page-head">
        <h1>Statements</h1>
        <input
          class="filter-box"
          type="search"
          aria-label="Filter by text"
          placeholder="Part of the statement"
          value={search ?? ""}
          onInput={(event) => refine({ search: event.currentTarget.value, offset: undefined })}
        />
        <fieldset class="chips">
          <legend class="unseen">What comes first</legend>
          {ORDERS.map(([name, title]) => (
            <Chip
              key={name}
              name={title}
              isOn={order === name}
              onPick={() => refine({ order: name, offset: undefined })}
            />
          ))}
        </fieldset>
      </header>
      <Problem text={error} />
      {data.total === 0 ? (
        <Empty title={search === undefined ? "No statement yet" : "No statement fits"}>
          They are added up from what the audit log records, since <When time={data.since} />.
        </Empty>
      ) : (
        <Table caption="Statements" columns={columnsFor(topUs)} rows={data.digests} keyOf={({ digest }) => digest} />
      )}
      <Pager offset={offset} limit={PAGE} total={data.total} onMove={(next) => refine({ offset: next })} />
      <p class="hint">
        {plural(data.total, "kind")} of statements since <When time={data.since} />
        {data.dropped > 0 ? `; ${count(data.dropped)} statements of rare kinds made room for others` : ""}.
      </p>
    </>
  );
}

export function StatementPage({ digest }: { readonly digest: string }) {
  const { data, error } = useResource<Digest>(`statements/${encodeURIComponent(digest)}`, { everyMs: 5_000 });
  const records = useResource<AuditPage>(withQuery("audit", { digest, limit: 20 }));
  return (
    <>
      <header class="page-head">
        <h1>
          <a class="back" href={linkTo("statements")}>
            Statements
          </a>{" "}
          <code>{digest.slice(0, 12)}</code>
        </h1>
      </header>
      {data === undefined ? <Loading error={error} /> : <DigestDetail digest={data} />}
      <section class="panel" aria-labelledby="latest-title">
        <div class="panel-head">
          <h2 id="latest-title">Latest</h2>
          <a href={linkTo("audit", [], { digest })}>All in the audit log</a>
        </div>
        {records.data === undefined ? (
          <Loading error={records.error} />
        ) : (
          <RecordTable records={[...records.data.records].reverse()} />
        )}
      </section>
    </>
  );
}

function DigestDetail({ digest }: { readonly digest: Digest }) {
  const list = (names: readonly string[]) => <Shown text={names.join(", ")} />;
  return (
    <>
      <section class="panel">
        <div class="panel-head">
          <h2 class="unseen">Statement</h2>
          <span class="grow" />
          <a href={linkTo("policy", [], { try: statementOf(digest) })}>Try it against the policy</a>
          <Copy text={statementOf(digest)} what="the statement" />
        </div>
        <Sql text={statementOf(digest)} isBlock />
        {digest.isCut ? <p class="hint">This is its beginning; the audit log has more.</p> : null}
        <Facts
          rows={[
            ["Count", digest.count.toLocaleString("en")],
            ["Time", duration(digest.totalUs)],
            ["p50, p99", `${duration(digest.p50Us)}, ${duration(digest.p99Us)}`],
            ["Longest", duration(digest.maxUs)],
            ["Rows", count(digest.rows)],
            ["Changed", count(digest.affectedRows)],
            ["Taken", bytes(digest.bytes)],
            ["Errors", count(digest.errors)],
            ["Blocked", count(digest.blocked)],
            ["Held", count(digest.held)],
            ["Warned", count(digest.warned)],
            ["Highest score", String(digest.scoreMax)],
            ["Tables", list(digest.tables)],
            ["Rules", list(digest.rules)],
            ["Users", list(digest.users.map(({ user, count: times }) => `${user} (${count(times)})`))],
            ["First seen", <When key="v" time={digest.firstSeen} />],
          ]}
        />
      </section>
      <PolicyHelp digest={digest.digest} />
    </>
  );
}

/** To copy: the file stays the truth. */
function PolicyHelp({ digest }: { readonly digest: string }) {
  const until = new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, 10);
  const recipes = [
    ["Deny it", `deny:\n  digests:\n    - ${digest}\n`],
    [
      "Except it from a rule, for a week",
      `exceptions:\n  - id: ${digest.slice(0, 8)}\n    rules: ["RULE"]\n    digests: [${digest}]\n    expires: ${until}\n    reason: "WHY"\n`,
    ],
  ] as const;
  return (
    <details class="panel">
      <summary>Lines for the policy file</summary>
      {recipes.map(([title, yaml]) => (
        <div key={title} class="recipe">
          <div class="panel-head">
            <h3>{title}</h3>
            <Copy text={yaml} what={title} />
          </div>
          <pre>{yaml}</pre>
        </div>
      ))}
      <p class="hint">Run querycop policy lint on the file before it takes effect.</p>
    </details>
  );
}
