/** What an operator asks first: does it serve, does anybody wait, is anything different from an hour ago. */
import type { ComponentChildren } from "preact";
import type { Approval, Overview, RuleUsage, Series, Usage, UserUsage } from "../api-types.ts";
import { bytes, count, duration, plural, span } from "../format.ts";
import { linkTo } from "../location.ts";
import { Bars, Sparkline } from "../parts/charts.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { Empty, Problem, Shown, When } from "../parts/text.tsx";
import { WaitingList } from "../parts/waiting-list.tsx";
import { useResource } from "../resource.ts";

export function NowPage() {
  const overview = useResource<Overview>("overview", { everyMs: 5_000, on: ["policy-change", "config-load"] });
  const series = useResource<Series>("series", { everyMs: 10_000 });
  const usage = useResource<Usage>("usage?limit=8", { everyMs: 15_000 });
  const approvals = useResource<{ approvals: readonly Approval[] }>("approvals", { on: ["hold", "approval"] });
  const { data } = overview;
  if (data === undefined) return <Loading error={overview.error} />;
  const waiting = (approvals.data?.approvals ?? []).filter(({ state }) => state === "pending");
  return (
    <>
      <Headline overview={data} />
      <Problem text={overview.error} />
      <Measures overview={data} series={series.data} />
      <div class="columns">
        <section class="panel" aria-labelledby="waiting-title">
          <h2 id="waiting-title">
            <a href={linkTo("approvals")}>Waiting for an answer</a>
          </h2>
          <WaitingList approvals={waiting.slice(0, 5)} />
        </section>
        <HealthPanel overview={data} />
      </div>
      <Latency series={series.data} />
      <div class="columns">
        <RulesPanel rules={usage.data?.rules ?? []} since={data.since} isKept={data.audit.isKept} />
        <UsersPanel users={usage.data?.users ?? []} isKept={data.audit.isKept} />
      </div>
    </>
  );
}

export function Loading({ error }: { readonly error: string | undefined }) {
  return error === undefined ? <div class="loading" aria-busy="true" /> : <Problem text={error} />;
}

function Headline({ overview }: { readonly overview: Overview }) {
  const { isReady, isDraining, checks, version, startedAt, policy } = overview;
  const reason = checks.find(({ ok }) => !ok);
  const words = isDraining ? "Shutting down" : isReady ? "Serving clients" : "Not ready";
  return (
    <header class="headline">
      <h1 class={isReady ? "good" : "bad"}>
        <span aria-hidden="true">{isReady ? "●" : "■"}</span> {words}
      </h1>
      {reason === undefined ? null : (
        <p class="bad">
          {reason.name}: {reason.detail}
        </p>
      )}
      <p class="hint">
        Version {version}, started <When time={startedAt} />, policy{" "}
        <a href={linkTo("policy")}>
          <code>{policy.version}</code>
        </a>
      </p>
    </header>
  );
}

interface MeasureProps {
  readonly title: string;
  readonly value: string;
  readonly note?: ComponentChildren;
  readonly href: string;
  readonly values: readonly number[];
  readonly kind?: "plain" | "bad" | "warn" | "hold";
}

function Measure({ title, value, note, href, values, kind }: MeasureProps) {
  return (
    <a class="measure" href={href}>
      <span class="measure-title">{title}</span>
      <span class="measure-value">{value}</span>
      <span class="measure-note">{note ?? " "}</span>
      <Sparkline values={values} label={`${title} over the last hour`} {...(kind === undefined ? {} : { kind })} />
    </a>
  );
}

/** Of the last minute. */
function recent(values: readonly number[]): number {
  const last = values.slice(-6);
  return last.length === 0 ? 0 : last.reduce((sum, value) => sum + value, 0) / last.length;
}

function Measures({ overview, series }: { readonly overview: Overview; readonly series: Series | undefined }) {
  const of = (name: string): readonly number[] => series?.values[name] ?? [];
  const server = of("serverP99Us").filter((value) => value > 0);
  const own = of("judgeUs").map((value, index) => value + (of("recordUs")[index] ?? 0));
  const rate = (name: string): string => `${count(recent(of(name)))}/s`;
  return (
    <div class="measures">
      <Measure
        title="Statements"
        value={rate("statements")}
        note={`${overview.digests.newLastWeek} new kinds this week`}
        href={linkTo("statements")}
        values={of("statements")}
      />
      <Measure
        title="Blocked"
        value={rate("blocked")}
        note={`${rate("warned")} warned`}
        href={linkTo("audit", [], { decision: "block" })}
        values={of("blocked")}
        kind="bad"
      />
      <Measure
        title="Waiting"
        value={String(overview.approvalsPending)}
        note="for an approval"
        href={linkTo("approvals")}
        values={of("approvalsPending")}
        kind="hold"
      />
      <Measure
        title="Sessions"
        value={count(overview.sessions)}
        note={`of ${count(overview.sessionsMax)}`}
        href={linkTo("sessions")}
        values={of("sessions")}
      />
      <Measure
        title="Server, p99"
        value={server.length === 0 ? "–" : duration(server.at(-1))}
        note="until the end of the answer"
        href={linkTo("statements", [], { order: "time" })}
        values={of("serverP99Us")}
      />
      <Measure
        title="querycop adds"
        value={own.some((value) => value > 0) ? duration(own.filter((value) => value > 0).at(-1)) : "–"}
        note="judging and recording"
        href={linkTo("health")}
        values={own}
      />
    </div>
  );
}

const MONTH_S = 30 * 86_400;

function HealthPanel({ overview }: { readonly overview: Overview }) {
  const { checks, certificates, tokens, audit, isReloadRefused } = overview;
  const rows: [name: string, isGood: boolean, text: string][] = checks.map(({ name, ok, detail }) => [
    name,
    ok,
    detail,
  ]);
  rows.push(["policy and files", !isReloadRefused, isReloadRefused ? "a change was refused" : "as on disk"]);
  if (tokens.minted + tokens.failed > 0) {
    rows.push(["tokens", tokens.failed === 0, `${plural(tokens.minted, "mint")}, ${tokens.failed} failed`]);
  }
  for (const [name, end] of [
    ["certificate for clients", certificates.client],
    ["CA of the backend", certificates.backendCa],
  ] as const) {
    if (end === undefined) continue;
    const left = end - Date.parse(overview.time) / 1000;
    rows.push([name, left > MONTH_S / 2, left < 0 ? "has ended" : `ends in ${span(left)}`]);
  }
  if (audit.disk !== undefined) rows.push(["audit disk", (audit.disk.daysUntilFull ?? 999) > 7, diskWords(audit.disk)]);
  for (const { to, lagSeconds } of audit.forwarding)
    rows.push([`audit to ${to}`, lagSeconds < 60, `${span(lagSeconds)} behind`]);
  return (
    <section class="panel" aria-labelledby="health-title">
      <h2 id="health-title">
        <a href={linkTo("health")}>Health</a>
      </h2>
      <ul class="checks">
        {rows.map(([name, isGood, text]) => (
          <li key={name} class={isGood ? "" : "bad"}>
            <span class="check-mark" role="img" aria-label={isGood ? "fine" : "not fine"}>
              {isGood ? "●" : "■"}
            </span>
            <span class="check-name">{name}</span>
            <span class="check-text">{text}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function diskWords({
  freeBytes,
  daysUntilFull,
  bytesPerDay,
  keepBytes,
}: NonNullable<Overview["audit"]["disk"]>): string {
  const free = `${bytes(freeBytes)} free`;
  if (daysUntilFull !== undefined) {
    return daysUntilFull > 3_650 ? `${free}, for years` : `${free}, full in ${span(daysUntilFull * 86_400)}`;
  }
  if (bytesPerDay === undefined) return `${free}, its pace is not known yet`;
  return keepBytes === undefined ? `${free}, does not grow now` : `${free}, old files go at ${bytes(keepBytes)}`;
}

function Latency({ series }: { readonly series: Series | undefined }) {
  const parts = [
    ["judging", "judgeUs"],
    ["recording", "recordUs"],
    ["server", "serverUs"],
  ] as const;
  const of = (name: string): readonly number[] => series?.values[name] ?? [];
  const latest = parts.map(
    ([, name]) =>
      of(name)
        .filter((value) => value > 0)
        .at(-1) ?? 0,
  );
  const sum = latest.reduce((total, value) => total + value, 0);
  return (
    <section class="panel" aria-labelledby="latency-title">
      <h2 id="latency-title">Where the time of a statement goes</h2>
      {sum === 0 ? (
        <Empty title="No statement in the last hour" />
      ) : (
        <div class="thirds">
          {parts.map(([title, name], index) => (
            <figure key={name}>
              <figcaption>
                <strong>{duration(latest[index])}</strong> {title}{" "}
                <span class="faint">{(((latest[index] ?? 0) / sum) * 100).toFixed(1)} %</span>
              </figcaption>
              <Sparkline
                values={of(name)}
                label={`Mean time of ${title} over the last hour, ${duration(latest[index])} now`}
              />
            </figure>
          ))}
        </div>
      )}
    </section>
  );
}

const RULE_COLUMNS: readonly Column<RuleUsage>[] = [
  {
    head: "Rule",
    isWide: true,
    cell: ({ rule }) => (
      <a class="row-link" href={linkTo("audit", [], { rule })}>
        {rule}
      </a>
    ),
  },
  { head: "Blocked", isNumber: true, cell: ({ blocked }) => count(blocked) },
  { head: "Held", isNumber: true, cell: ({ held }) => count(held) },
  { head: "Warned", isNumber: true, cell: ({ warned }) => count(warned) },
  {
    head: "24 hours",
    isExtra: true,
    cell: ({ rule, warnedHistory, heldHistory, blockedHistory }) => (
      <Bars
        label={`${rule} over the last 24 hours`}
        layers={[
          { kind: "bad", values: blockedHistory },
          { kind: "hold", values: heldHistory },
          { kind: "warn", values: warnedHistory },
        ]}
      />
    ),
  },
];

const NOT_KEPT = "Sums by rule, user and statement need an audit log: set audit.file.";

function RulesPanel({
  rules,
  since,
  isKept,
}: {
  readonly rules: readonly RuleUsage[];
  readonly since: string;
  readonly isKept: boolean;
}) {
  return (
    <section class="panel" aria-labelledby="rules-title">
      <h2 id="rules-title">Rules that spoke</h2>
      {rules.length === 0 ? (
        <Empty title="Nothing was warned of, held or blocked">
          {isKept ? (
            <>
              Counted since <When time={since} />.
            </>
          ) : (
            NOT_KEPT
          )}
        </Empty>
      ) : (
        <Table caption="Rules that spoke" columns={RULE_COLUMNS} rows={rules} keyOf={({ rule }) => rule} />
      )}
    </section>
  );
}

const USER_COLUMNS: readonly Column<UserUsage>[] = [
  {
    head: "User",
    isWide: true,
    cell: ({ user }) => (
      <a class="row-link" href={linkTo("audit", [], { user })}>
        <Shown text={user} />
      </a>
    ),
  },
  { head: "Statements", isNumber: true, cell: ({ allowed, warned, blocked }) => count(allowed + warned + blocked) },
  { head: "Rows", isNumber: true, cell: ({ rows }) => count(rows) },
  { head: "Taken", isNumber: true, cell: (user) => bytes(user.bytes) },
  { head: "Blocked", isNumber: true, cell: ({ blocked, held }) => count(blocked + held) },
];

function UsersPanel({ users, isKept }: { readonly users: readonly UserUsage[]; readonly isKept: boolean }) {
  return (
    <section class="panel" aria-labelledby="users-title">
      <h2 id="users-title">
        <a href={linkTo("access")}>Who takes most</a>
      </h2>
      {users.length === 0 ? (
        <Empty title="No statement yet">{isKept ? "Connect a client and run one." : NOT_KEPT}</Empty>
      ) : (
        <Table caption="Who takes most" columns={USER_COLUMNS} rows={users} keyOf={({ user }) => user} />
      )}
    </section>
  );
}
