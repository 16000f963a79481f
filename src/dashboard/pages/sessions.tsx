/** Who is connected, what they run since when, and how to end it. */
import { useState } from "preact/hooks";
import { call, messageOf, withQuery } from "../api.ts";
import type { AuditPage, SessionPage as SessionList, SessionRow } from "../api-types.ts";
import { bytes, count, plural, span } from "../format.ts";
import { go, linkTo, place, refine } from "../location.ts";
import { Confirm } from "../parts/dialog.tsx";
import { RecordTable } from "../parts/records.tsx";
import { type Column, Pager, Table } from "../parts/table.tsx";
import { Badge, Empty, Facts, Problem, Shown, Sql, When } from "../parts/text.tsx";
import { useResource } from "../resource.ts";
import { Loading } from "./now.tsx";

const PAGE = 100;
const STATES = ["busy", "held", "idle", "login"] as const;

const COLUMNS: readonly Column<SessionRow>[] = [
  {
    head: "User",
    cell: ({ id, user }) => (
      <a class="row-link" href={linkTo("sessions", [id])}>
        <Shown text={user ?? "not logged in"} />
      </a>
    ),
  },
  {
    head: "State",
    cell: ({ state, isInTransaction }) => (
      <>
        <Badge of={state} />
        {isInTransaction ? <span class="tag">transaction</span> : null}
      </>
    ),
  },
  {
    head: "Statement",
    isWide: true,
    order: "statement",
    cell: ({ statement, silentSeconds }) =>
      statement === undefined ? (
        <span class="faint">{silentSeconds > 0 ? `silent for ${span(silentSeconds)}` : "–"}</span>
      ) : (
        <>
          <span class="number-inline">{span(statement.seconds)}</span>{" "}
          <Sql text={statement.text ?? statement.kind ?? statement.command} />
        </>
      ),
  },
  { head: "Program", isExtra: true, cell: ({ program }) => <Shown text={program} /> },
  { head: "From", isExtra: true, cell: ({ clientAddress }) => <Shown text={clientAddress} /> },
  { head: "Listener", isExtra: true, cell: ({ listener }) => listener },
  { head: "Taken", isNumber: true, order: "bytes", cell: ({ bytesToClient }) => bytes(bytesToClient) },
  { head: "Age", isNumber: true, order: "age", cell: ({ ageSeconds }) => span(ageSeconds) },
];

export function SessionsPage() {
  const { search, state, order = "age", offset: offsetText } = place.value.query;
  const offset = Number(offsetText ?? 0) || 0;
  const path = withQuery("sessions", { search, state, order, offset, limit: PAGE });
  const { data, error } = useResource<SessionList>(path, { everyMs: 4_000 });
  if (data === undefined) return <Loading error={error} />;
  const { states } = data;
  return (
    <>
      <header class="page-head">
        <h1>Sessions</h1>
        <input
          class="filter-box"
          type="search"
          aria-label="Filter by user, address, program, schema or statement"
          placeholder="User, address, program, schema, statement"
          value={search ?? ""}
          onInput={(event) => refine({ search: event.currentTarget.value, offset: undefined })}
        />
        <fieldset class="chips">
          <legend class="unseen">State</legend>
          <Chip name="all" isOn={state === undefined} onPick={() => refine({ state: undefined, offset: undefined })} />
          {STATES.map((name) => (
            <Chip
              key={name}
              name={name}
              number={states[name] ?? 0}
              isOn={state === name}
              onPick={() => refine({ state: name, offset: undefined })}
            />
          ))}
        </fieldset>
      </header>
      <Problem text={error} />
      {data.total === 0 ? (
        <Empty title={search === undefined && state === undefined ? "Nobody is connected" : "No session fits"}>
          {search === undefined && state === undefined
            ? "querycop doctor --snippets prints how to connect."
            : "Change the filter."}
        </Empty>
      ) : (
        <Table
          caption="Sessions"
          columns={COLUMNS}
          rows={data.sessions}
          keyOf={({ id }) => id}
          ordered={order}
          onOrder={(next) => refine({ order: next, offset: undefined })}
        />
      )}
      <Pager offset={offset} limit={PAGE} total={data.total} onMove={(next) => refine({ offset: next })} />
    </>
  );
}

interface ChipProps {
  readonly name: string;
  readonly number?: number;
  readonly isOn: boolean;
  readonly onPick: () => void;
}

export function Chip({ name, number, isOn, onPick }: ChipProps) {
  return (
    <button type="button" class="chip" aria-pressed={isOn} onClick={onPick}>
      {name}
      {number === undefined ? null : <span class="faint"> {count(number)}</span>}
    </button>
  );
}

export function SessionPage({ id }: { readonly id: string }) {
  const { data, error } = useResource<SessionRow>(`sessions/${encodeURIComponent(id)}`, { everyMs: 3_000 });
  const records = useResource<AuditPage>(withQuery("audit", { session: id, limit: 50 }), { everyMs: 10_000 });
  return (
    <>
      <header class="page-head">
        <h1>
          <a class="back" href={linkTo("sessions")}>
            Sessions
          </a>{" "}
          {id}
        </h1>
        {data === undefined ? null : <Badge of={error === undefined ? data.state : "cancelled"} />}
        <span class="grow" />
        {data === undefined || error !== undefined ? null : <KillButton session={data} />}
      </header>
      {error === undefined ? null : <p class="notice">It has ended: {error}.</p>}
      {data === undefined ? null : <SessionFacts session={data} />}
      <section class="panel" aria-labelledby="timeline-title">
        <div class="panel-head">
          <h2 id="timeline-title">What it did</h2>
          <a href={linkTo("audit", [], { session: id })}>All in the audit log</a>
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

function SessionFacts({ session }: { readonly session: SessionRow }) {
  const { statement } = session;
  return (
    <section class="panel">
      {statement === undefined ? null : (
        <>
          <h2>
            Runs since <When time={statement.since} />
          </h2>
          <Sql text={statement.text ?? statement.kind ?? statement.command} isBlock />
          <p class="hint">
            <a href={linkTo("audit", [statement.decisionId])}>Decision {statement.decisionId}</a>
          </p>
        </>
      )}
      <Facts
        rows={[
          ["User", <Shown key="v" text={session.user} />],
          ["From", <Shown key="v" text={session.clientAddress} />],
          ["Program", <Shown key="v" text={session.program} />],
          ["TLS", session.clientTls ?? "none"],
          ["Listener", session.listener],
          [
            "Backend",
            `${session.backend}${session.backendConnectionId === undefined ? "" : `, connection ${session.backendConnectionId}`}`,
          ],
          ["Schema", <Shown key="v" text={session.schema} />],
          ["Transaction", session.isInTransaction ? "open" : "none"],
          ["Commands", session.commands.toLocaleString("en")],
          ["To client", bytes(session.bytesToClient)],
          ["To backend", bytes(session.bytesToBackend)],
          ["Age", span(session.ageSeconds)],
        ]}
      />
    </section>
  );
}

function KillButton({ session }: { readonly session: SessionRow }) {
  const [isAsked, setAsked] = useState(false);
  const [problem, setProblem] = useState<string>();
  const kill = (): void => {
    call("DELETE", `sessions/${encodeURIComponent(session.id)}`).then(
      () => go("sessions"),
      (thrown) => setProblem(messageOf(thrown)),
    );
  };
  return (
    <>
      <Problem text={problem} />
      <button type="button" class="danger" onClick={() => setAsked(true)}>
        End session
      </button>
      {isAsked ? (
        <Confirm title="End this session?" action="End it" isDangerous onConfirm={kill} onClose={() => setAsked(false)}>
          <p>
            Both connections of <Shown text={session.user} /> close after {plural(session.commands, "command")}.{" "}
            {session.isInTransaction ? "The server rolls its transaction back. " : ""}This cannot be undone.
          </p>
        </Confirm>
      ) : null}
    </>
  );
}
