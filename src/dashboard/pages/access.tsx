/** Who may do what here, and which user of the database uses which table. */
import type { Access, Principal, Usage, UserUsage } from "../api-types.ts";
import { bytes, count, duration, plural } from "../format.ts";
import { linkTo } from "../location.ts";
import { Bars } from "../parts/charts.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { Empty, Problem, Shown, When } from "../parts/text.tsx";
import { useResource } from "../resource.ts";
import { Loading } from "./now.tsx";

const KEY_COLUMNS: readonly Column<Principal>[] = [
  { head: "Name", isWide: true, cell: ({ name }) => name },
  { head: "May", cell: ({ role }) => (role === "admin" ? "everything" : "see and answer approvals") },
];

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
  { head: "Changed", isNumber: true, cell: ({ affectedRows }) => count(affectedRows) },
  { head: "Taken", isNumber: true, cell: (user) => bytes(user.bytes) },
  { head: "Time", isNumber: true, isExtra: true, cell: ({ totalUs }) => duration(totalUs) },
  { head: "Warned", isNumber: true, isExtra: true, cell: ({ warned }) => count(warned) },
  { head: "Blocked", isNumber: true, cell: ({ blocked }) => count(blocked) },
  { head: "Held", isNumber: true, cell: ({ held }) => count(held) },
  {
    head: "24 hours",
    isExtra: true,
    cell: ({ user, blockedHistory, heldHistory, warnedHistory }) => (
      <Bars
        label={`Refusals and warnings of ${user} over the last 24 hours`}
        layers={[
          { kind: "bad", values: blockedHistory },
          { kind: "hold", values: heldHistory },
          { kind: "warn", values: warnedHistory },
        ]}
      />
    ),
  },
];

const TABLE_COLUMNS: readonly Column<Usage["tables"][number]>[] = [
  {
    head: "User",
    cell: ({ user, table }) => (
      <a class="row-link" href={linkTo("audit", [], { user, table })}>
        <Shown text={user} />
      </a>
    ),
  },
  { head: "Table", isWide: true, cell: ({ table }) => <Shown text={table} /> },
  { head: "Statements", isNumber: true, cell: (row) => count(row.count) },
];

export function AccessPage() {
  const access = useResource<Access>("access");
  const usage = useResource<Usage>("usage?limit=200", { everyMs: 15_000 });
  return (
    <>
      <header class="page-head">
        <h1>Access</h1>
      </header>
      <Problem text={usage.error} />
      <section class="panel" aria-labelledby="users-title">
        <h2 id="users-title">Users of the database</h2>
        {usage.data === undefined || usage.data.users.length === 0 ? (
          <Empty title="No statement yet" />
        ) : (
          <>
            <Table
              caption="Users of the database"
              columns={USER_COLUMNS}
              rows={usage.data.users}
              keyOf={({ user }) => user}
            />
            <p class="hint">
              Since <When time={usage.data.since} />.
            </p>
          </>
        )}
      </section>
      <section class="panel" aria-labelledby="tables-title">
        <h2 id="tables-title">Who uses which table</h2>
        {usage.data === undefined || usage.data.tables.length === 0 ? (
          <Empty title="No table was named yet" />
        ) : (
          <Table
            caption="Who uses which table"
            columns={TABLE_COLUMNS}
            rows={usage.data.tables}
            keyOf={({ user, table }) => `${user} ${table}`}
          />
        )}
      </section>
      <section class="panel" aria-labelledby="keys-title">
        <h2 id="keys-title">Keys of this dashboard and API</h2>
        {access.data === undefined ? (
          <Loading error={access.error} />
        ) : (
          <>
            <Table caption="Keys" columns={KEY_COLUMNS} rows={access.data.keys} keyOf={({ name }) => name} />
            <p class="hint">
              {plural(access.data.browserSessions, "browser session")} open. Keys stand in admin_api_key_file and
              api.approvers_file; a change there ends all sessions.
            </p>
          </>
        )}
      </section>
    </>
  );
}
