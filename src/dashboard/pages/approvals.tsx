/** Approvals: what waits, what was answered, and one request with all that an answer needs. */
import { useEffect, useRef, useState } from "preact/hooks";
import { call, messageOf, principal } from "../api.ts";
import type { Approval } from "../api-types.ts";
import { bytes, plural } from "../format.ts";
import { linkTo, place, refine } from "../location.ts";
import { type Column, Table } from "../parts/table.tsx";
import { Badge, Copy, Empty, Facts, Problem, Shown, Sql, When } from "../parts/text.tsx";
import { TimeLeft, WaitingList } from "../parts/waiting-list.tsx";
import { useResource } from "../resource.ts";
import { onKey } from "../shortcuts.ts";
import { Loading } from "./now.tsx";

interface Approvals {
  readonly approvals: readonly Approval[];
}

const isPending = ({ state }: Approval): boolean => state === "pending";

const DONE_COLUMNS: readonly Column<Approval>[] = [
  { head: "State", cell: ({ state }) => <Badge of={state} /> },
  {
    head: "Statement",
    isWide: true,
    cell: ({ id, text }) => (
      <a class="row-link" href={linkTo("approvals", [id])}>
        <Sql text={text} />
      </a>
    ),
  },
  { head: "User", cell: ({ user }) => <Shown text={user} /> },
  { head: "By", cell: ({ approver }) => <Shown text={approver} /> },
  { head: "Reason", isExtra: true, cell: ({ reason }) => <Shown text={reason} /> },
  { head: "Asked", cell: ({ requestedAt }) => <When time={requestedAt} /> },
];

export function ApprovalsPage() {
  const { data, error } = useResource<Approvals>("approvals?all", { everyMs: 15_000, on: ["hold", "approval"] });
  const search = place.value.query["search"] ?? "";
  if (data === undefined) return <Loading error={error} />;
  const part = search.toLowerCase();
  const fits = ({ user, text, id }: Approval): boolean =>
    part === "" || [user, text, id].some((value) => value.toLowerCase().includes(part));
  const fitting = data.approvals.filter(fits);
  const done = fitting.filter((approval) => !isPending(approval)).reverse();
  return (
    <>
      <header class="page-head">
        <h1>Approvals</h1>
        <input
          class="filter-box"
          type="search"
          aria-label="Filter by user, statement or id"
          placeholder="Filter by user, statement or id"
          value={search}
          onInput={(event) => refine({ search: event.currentTarget.value })}
        />
      </header>
      <Problem text={error} />
      <section class="panel" aria-labelledby="waiting-title">
        <h2 id="waiting-title">Waiting</h2>
        <WaitingList approvals={fitting.filter(isPending)} />
      </section>
      <section class="panel" aria-labelledby="done-title">
        <h2 id="done-title">Done</h2>
        {done.length === 0 ? (
          <Empty title="Nothing was answered yet">The last 200 stay here; all of them are in the audit log.</Empty>
        ) : (
          <Table caption="Done" columns={DONE_COLUMNS} rows={done} keyOf={({ id }) => id} />
        )}
      </section>
    </>
  );
}

export function ApprovalPage({ id }: { readonly id: string }) {
  const path = `approvals/${encodeURIComponent(id)}`;
  const { data, error, reload } = useResource<Approval>(path, { everyMs: 15_000, on: ["hold", "approval"] });
  if (data === undefined) return <Loading error={error} />;
  return (
    <>
      <header class="page-head">
        <h1>
          <a class="back" href={linkTo("approvals")}>
            Approvals
          </a>{" "}
          {id}
        </h1>
        <Badge of={data.state} />
        <TimeLeft approval={data} />
      </header>
      <Problem text={error} />
      <ApprovalFacts approval={data} />
      <section class="panel" aria-labelledby="statement-title">
        <div class="panel-head">
          <h2 id="statement-title">The whole statement</h2>
          <Copy text={data.text} what="the statement" />
        </div>
        <Sql text={data.text} isBlock />
        <p class="hint">
          Every literal is a <code>?</code>. {plural(data.textBytes, "byte")} as sent, SHA-256{" "}
          <code class="hash">{data.statementHash}</code>
        </p>
      </section>
      {isPending(data) ? <AnswerPanel approval={data} onAnswered={reload} /> : <Outcome approval={data} />}
    </>
  );
}

function ApprovalFacts({ approval }: { readonly approval: Approval }) {
  const { score, level, estimatedRows, reasons, isUnderstood, isInTransaction } = approval;
  const tables = (names: readonly string[]) => (names.length === 0 ? undefined : names.join(", "));
  return (
    <section class="panel" aria-labelledby="facts-title">
      <h2 id="facts-title" class="unseen">
        Facts
      </h2>
      {reasons.length === 0 ? null : (
        <ul class="reasons">
          {reasons.map((reason) => (
            <li key={reason}>
              <Shown text={reason} />
            </li>
          ))}
        </ul>
      )}
      {isUnderstood ? null : (
        <p class="warning">querycop cannot vouch for what it found in this statement. Read it with care.</p>
      )}
      {isInTransaction ? (
        <p class="warning">It waits inside a transaction, whose locks stay until it is answered.</p>
      ) : null}
      <Facts
        rows={[
          ["Who", <Shown key="v" text={approval.user} />],
          ["From", <Shown key="v" text={approval.clientAddress} />],
          ["Does", approval.kinds.join(", ")],
          ["Writes", <Shown key="v" text={tables(approval.tablesWritten)} />],
          ["Reads", <Shown key="v" text={tables(approval.tablesRead)} />],
          ["Rows, estimated", estimatedRows === undefined ? "not asked" : estimatedRows.toLocaleString("en")],
          ["Score", score === undefined ? "–" : `${score} of 100, ${level ?? ""}`],
          ["Schema", <Shown key="v" text={approval.schema} />],
          ["Listener", approval.listener],
          ["Asked", <When key="v" time={approval.requestedAt} />],
          ["Until", <When key="v" time={approval.expiresAt} isExact />],
          ["Mode", approval.mode === "hold" ? "its client waits" : "its client was told to send it again"],
        ]}
      />
    </section>
  );
}

function Outcome({ approval }: { readonly approval: Approval }) {
  const { approver, reason, state, id } = approval;
  return (
    <section class="panel" aria-labelledby="outcome-title" role="status">
      <h2 id="outcome-title">
        <Badge of={state} /> {approver === undefined ? "" : `by ${approver}`}
      </h2>
      {reason === undefined ? null : (
        <p>
          <Shown text={reason} />
        </p>
      )}
      <p class="hint">
        On the command line: <code>querycop approvals show {id}</code>
      </p>
    </section>
  );
}

const NAME_KEY = "querycop.approver";
type Asked = "nothing" | "approve" | "deny";

/** A first key or click asks, a second one answers: nothing is let go by a slip of the hand. */
function AnswerPanel({ approval, onAnswered }: { readonly approval: Approval; readonly onAnswered: () => void }) {
  const [asked, setAsked] = useState<Asked>("nothing");
  const [problem, setProblem] = useState<string>();
  const isNameless = principal.value?.name === "admin";
  useEffect(() => {
    const ends = [onKey("a", () => setAsked("approve")), onKey("d", () => setAsked("deny"))];
    return () => {
      for (const end of ends) end();
    };
  }, []);
  const answer = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const reason = String(form.get("reason") ?? "").trim();
    const as = String(form.get("as") ?? "").trim();
    if (isNameless) sessionStorage.setItem(NAME_KEY, as);
    const body = {
      statementHash: approval.statementHash,
      ...(isNameless ? { as } : {}),
      ...(reason === "" ? {} : { reason }),
    };
    try {
      setProblem(undefined);
      await call("POST", `approvals/${encodeURIComponent(approval.id)}/${asked}`, body);
    } catch (thrown) {
      setProblem(messageOf(thrown));
    }
    onAnswered();
  };
  return (
    <section class="panel answer" aria-labelledby="answer-title">
      <h2 id="answer-title">Your answer</h2>
      {asked === "nothing" ? (
        <div class="actions">
          <button type="button" class="primary" onClick={() => setAsked("approve")}>
            Approve <kbd>a</kbd>
          </button>
          <button type="button" class="danger" onClick={() => setAsked("deny")}>
            Deny <kbd>d</kbd>
          </button>
        </div>
      ) : (
        <AnswerForm asked={asked} isNameless={isNameless} onSubmit={answer} onCancel={() => setAsked("nothing")} />
      )}
      <Problem text={problem} />
      <p class="hint">
        On the command line: <code>querycop approvals approve {approval.id}</code>
        {approval.textBytes > 1_000_000 ? `, ${bytes(approval.textBytes)}` : ""}
      </p>
    </section>
  );
}

interface AnswerFormProps {
  readonly asked: Asked;
  readonly isNameless: boolean;
  readonly onSubmit: (event: SubmitEvent) => Promise<void>;
  readonly onCancel: () => void;
}

function AnswerForm({ asked, isNameless, onSubmit, onCancel }: AnswerFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const isDenial = asked === "deny";
  useEffect(() => {
    // Where nothing has to be written, Enter is the second key.
    const name = form.current?.querySelector<HTMLInputElement>("input[name=as]");
    const reason = form.current?.querySelector<HTMLInputElement>("input[name=reason]");
    const button = form.current?.querySelector<HTMLButtonElement>("button[type=submit]");
    const first = name?.value === "" ? name : isDenial ? reason : button;
    first?.focus();
  }, [asked]);
  const leave = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    onCancel();
  };
  return (
    <form ref={form} class="answer-form" onSubmit={(event) => void onSubmit(event)} onKeyDown={leave}>
      {isNameless ? (
        <label>
          Your name
          <input
            name="as"
            required
            maxLength={64}
            defaultValue={sessionStorage.getItem(NAME_KEY) ?? ""}
            autocomplete="name"
          />
          <span class="hint">ADMIN_API_KEY is nobody's own: the record holds who you say you are.</span>
        </label>
      ) : null}
      <label>
        {isDenial ? "Reason, which the requester reads" : "Reason, if there is one to remember"}
        <input name="reason" required={isDenial} maxLength={200} autocomplete="off" />
      </label>
      <div class="actions">
        <button type="submit" class={isDenial ? "danger" : "primary"}>
          {isDenial ? "Deny" : "Approve, once"} <kbd>Enter</kbd>
        </button>
        <button type="button" onClick={onCancel}>
          Cancel <kbd>Esc</kbd>
        </button>
      </div>
    </form>
  );
}
