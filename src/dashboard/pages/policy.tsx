/** The policy: in force, tried on a statement, and how it came to be what it is. */
import { useEffect, useState } from "preact/hooks";
import { call, messageOf } from "../api.ts";
import type { Explanation, Generation, GenerationText, PolicyText } from "../api-types.ts";
import { linkTo, place, refine } from "../location.ts";
import { type Column, Table } from "../parts/table.tsx";
import { Badge, Empty, Facts, Problem, Shown, When } from "../parts/text.tsx";
import { useResource } from "../resource.ts";
import { Loading } from "./now.tsx";
import { Chip } from "./sessions.tsx";

const TABS = ["in force", "try", "history"] as const;

export function PolicyPage() {
  const { query } = place.value;
  const tab = query["tab"] ?? (query["try"] === undefined ? "in force" : "try");
  return (
    <>
      <header class="page-head">
        <h1>Policy</h1>
        <fieldset class="chips">
          <legend class="unseen">View</legend>
          {TABS.map((name) => (
            <Chip key={name} name={name} isOn={tab === name} onPick={() => refine({ tab: name })} />
          ))}
        </fieldset>
      </header>
      {tab === "try" ? <TryStatement initial={query["try"] ?? ""} /> : null}
      {tab === "history" ? <History chosen={query["generation"]} /> : null}
      {tab === "in force" ? <InForce /> : null}
    </>
  );
}

function InForce() {
  const { data, error } = useResource<PolicyText>("policy/text", { on: ["policy-change"] });
  if (data === undefined) return <Loading error={error} />;
  const { version, mode, text, profiles, findings } = data;
  const marked = new Map(findings.map(({ line, text: found }) => [line, found]));
  return (
    <>
      <section class="panel" aria-label="Policy in force">
        <Facts
          rows={[
            ["Version", <code key="v">{version}</code>],
            ["Mode", mode],
            ["Profiles", profiles.length === 0 ? "none" : profiles.map(({ name }) => name).join(", ")],
            ["Lint", findings.length === 0 ? "nothing doubtful" : `${findings.length} doubtful`],
          ]}
        />
        {findings.length === 0 ? null : (
          <ul class="reasons">
            {findings.map(({ line, text: found }) => (
              <li key={`${line}${found}`}>
                Line {line}: {found}
              </li>
            ))}
          </ul>
        )}
      </section>
      {text === undefined ? (
        <Empty title="The built-in policy is in force">
          Name a file of your own in policy.file. querycop policy learn drafts one from the audit log.
        </Empty>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a file that is wider than the page is scrolled by keyboard
        <section class="file" tabIndex={0} aria-label="Policy file">
          <ol>
            {text.split("\n").map((line, index) => (
              <li key={index} class={marked.has(index + 1) ? "line-marked" : ""} title={marked.get(index + 1) ?? ""}>
                <code>{line === "" ? " " : line}</code>
              </li>
            ))}
          </ol>
        </section>
      )}
    </>
  );
}

const DIALECTS = ["mysql", "mariadb", "vitess", "postgresql", "dsql"] as const;

function TryStatement({ initial }: { readonly initial: string }) {
  const [found, setFound] = useState<Explanation>();
  const [problem, setProblem] = useState<string>();
  const explain = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const body: Record<string, string> = {};
    for (const [name, value] of form) if (String(value) !== "") body[name] = String(value);
    setProblem(undefined);
    call<Explanation>("POST", "explain", body).then(setFound, (thrown) => {
      setFound(undefined);
      setProblem(messageOf(thrown));
    });
  };
  return (
    <>
      <form class="panel try" onSubmit={explain}>
        <label>
          Statement
          <textarea class="filter-box" name="statement" rows={4} required spellcheck={false} defaultValue={initial} />
        </label>
        <div class="fields">
          <label>
            User
            <input name="user" spellcheck={false} autocomplete="off" />
          </label>
          <label>
            Schema
            <input name="schema" spellcheck={false} autocomplete="off" />
          </label>
          <label>
            Dialect
            <select name="dialect">
              {DIALECTS.map((dialect) => (
                <option key={dialect}>{dialect}</option>
              ))}
            </select>
          </label>
        </div>
        <div class="actions">
          <button type="submit" class="primary">
            What would happen?
          </button>
          <span class="hint">Nothing is sent to a database.</span>
        </div>
        <Problem text={problem} />
      </form>
      {found === undefined ? null : <Explained found={found} />}
    </>
  );
}

function Explained({ found }: { readonly found: Explanation }) {
  return (
    <section class="panel" aria-label="What would happen" role="status">
      <h2>
        <Badge of={found.decision} /> score {found.score}, {found.level}
      </h2>
      {found.understood ? null : <p class="warning">querycop cannot vouch for what it found in this statement.</p>}
      {found.rules.length === 0 ? (
        <p>No rule speaks.</p>
      ) : (
        <dl class="why">
          {found.rules.map(({ id, points, reason, instead }) => (
            <div key={id}>
              <dt>
                <code>{id}</code> {points > 0 ? `${points} points: ` : ""}
                <Shown text={reason} />
              </dt>
              <dd>{instead}</dd>
            </div>
          ))}
        </dl>
      )}
      <Facts
        rows={[
          ["Does", found.statements.map(({ kind }) => kind).join(", ")],
          [
            "Writes",
            <Shown key="v" text={found.statements.flatMap(({ tablesWritten }) => tablesWritten).join(", ")} />,
          ],
          ["Reads", <Shown key="v" text={found.statements.flatMap(({ tablesRead }) => tablesRead).join(", ")} />],
          ["Profiles", <Shown key="v" text={found.profiles.join(", ")} />],
          [
            "Digest",
            <a key="v" href={linkTo("statements", [found.digestHash])}>
              {found.digestHash.slice(0, 16)}
            </a>,
          ],
        ]}
      />
    </section>
  );
}

const HISTORY_COLUMNS: readonly Column<Generation>[] = [
  { head: "Time", cell: ({ time }) => <When time={time} /> },
  {
    head: "Version",
    isWide: true,
    cell: ({ number, version }) => (
      <a class="row-link" href={linkTo("policy", [], { tab: "history", generation: number })}>
        <code>{version}</code>
      </a>
    ),
  },
  { head: "Outcome", cell: ({ outcome }) => <Badge of={outcome} /> },
  { head: "By", cell: ({ by }) => <Shown text={by} /> },
];

function History({ chosen }: { readonly chosen: string | undefined }) {
  const { data, error } = useResource<{ generations: readonly Generation[] }>("policy/generations", {
    on: ["policy-change"],
  });
  if (data === undefined) return <Loading error={error} />;
  return (
    <>
      <Table
        caption="Policies since the start"
        columns={HISTORY_COLUMNS}
        rows={data.generations}
        keyOf={({ number }) => String(number)}
      />
      <p class="hint">
        Since the start. Older ones:{" "}
        <a href={linkTo("audit", [], { type: "policy-change" })}>policy-change in the audit log</a>.
      </p>
      {chosen === undefined ? null : <Changes key={chosen} number={chosen} />}
    </>
  );
}

function Changes({ number }: { readonly number: string }) {
  const { data, error } = useResource<GenerationText>(`policy/generations/${encodeURIComponent(number)}`);
  useEffect(() => document.getElementById("diff")?.scrollIntoView({ block: "nearest" }), [data]);
  if (data === undefined) return <Loading error={error} />;
  const { diff, comparedWith, version } = data;
  const marks = { same: " ", added: "+", removed: "−" } as const;
  return (
    <section id="diff" class="panel" aria-label={`What changed with ${version}`}>
      <h2>
        <code>{version}</code> {comparedWith === undefined ? "is the first" : "against the one before"}
      </h2>
      {diff.length === 0 ? (
        <p class="faint">Its text is not kept: it was built in, refused, or made room.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what is wider than the page is scrolled by keyboard
        <div class="file" tabIndex={0}>
          {diff.map(({ kind, text }, index) => (
            <div key={index} class={`diff-${kind}`}>
              <code>
                {marks[kind]} {text}
              </code>
            </div>
          ))}
        </div>
      )}
    </section>
  );
}
