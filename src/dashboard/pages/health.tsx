/** Whether everything around querycop is in order: doctor on the spot, the configuration and where it comes from, reloads. */
import { useState } from "preact/hooks";
import { call, messageOf } from "../api.ts";
import type { DoctorFinding, Overview, Reload, Setting } from "../api-types.ts";
import { bytes, plural } from "../format.ts";
import { place, refine } from "../location.ts";
import { type Column, Table } from "../parts/table.tsx";
import { Badge, Copy, Empty, Facts, Problem, Shown, When } from "../parts/text.tsx";
import { useResource } from "../resource.ts";
import { diskWords, Loading } from "./now.tsx";

export function HealthPage() {
  const overview = useResource<Overview>("overview", { everyMs: 10_000 });
  return (
    <>
      <header class="page-head">
        <h1>Health</h1>
      </header>
      {overview.data === undefined ? <Loading error={overview.error} /> : <Process overview={overview.data} />}
      <Doctor />
      <Reloads />
      <Configuration />
    </>
  );
}

function Process({ overview }: { readonly overview: Overview }) {
  const { audit, certificates, tokens } = overview;
  const end = (seconds: number | undefined) => (seconds === undefined ? "none" : <When time={seconds * 1000} />);
  return (
    <section class="panel" aria-label="Process">
      <Facts
        rows={[
          ["Version", `${overview.version}, ${overview.commit.slice(0, 12)}`],
          ["Started", <When key="v" time={overview.startedAt} />],
          ["Ready", overview.isReady ? "yes" : "no"],
          ["Client certificate ends", end(certificates.client)],
          ["Backend CA ends", end(certificates.backendCa)],
          ["Tokens", `${plural(tokens.minted, "mint")}, ${tokens.failed} failed`],
          ["Audit log", audit.isKept ? (audit.isOk ? "recording" : "cannot record") : "none is kept"],
          ["Audit disk", audit.disk === undefined ? "–" : diskWords(audit.disk)],
          ["Audit files", audit.disk === undefined ? "–" : `${audit.disk.files}, ${bytes(audit.disk.logBytes)}`],
          ["Audit per day", audit.disk?.bytesPerDay === undefined ? "–" : bytes(audit.disk.bytesPerDay)],
        ]}
      />
    </section>
  );
}

interface Findings {
  readonly time: string;
  readonly checks: readonly DoctorFinding[];
}

const RANK = { fail: 0, warn: 1, ok: 2, skip: 3 } as const;

function Doctor() {
  const [found, setFound] = useState<Findings>();
  const [problem, setProblem] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const run = (): void => {
    setBusy(true);
    setProblem(undefined);
    call<Findings>("POST", "doctor")
      .then(setFound, (thrown) => setProblem(messageOf(thrown)))
      .finally(() => setBusy(false));
  };
  const checks = [...(found?.checks ?? [])].sort((one, other) => RANK[one.status] - RANK[other.status]);
  return (
    <section class="panel" aria-labelledby="doctor-title" aria-busy={isBusy}>
      <div class="panel-head">
        <h2 id="doctor-title">Doctor</h2>
        <span class="hint">
          {found === undefined ? (
            ""
          ) : (
            <>
              ran <When time={found.time} />
            </>
          )}
        </span>
        <span class="grow" />
        <button type="button" class="primary" disabled={isBusy} onClick={run}>
          {isBusy ? "Looking…" : "Run the checks"}
        </button>
      </div>
      <Problem text={problem} />
      {found === undefined ? (
        <Empty title="Not run yet">
          It checks files, names, TLS, tokens and the login with querycop's own code and changes nothing.
        </Empty>
      ) : (
        <ul class="doctor">
          {checks.map((check) => (
            <DoctorRow key={`${check.id} ${check.listener ?? ""}`} check={check} />
          ))}
        </ul>
      )}
    </section>
  );
}

function DoctorRow({ check }: { readonly check: DoctorFinding }) {
  const { id, title, listener, status, detail, remedy } = check;
  return (
    <li>
      <Badge of={status === "warn" ? "warn" : status} />
      <div>
        <strong>{title}</strong>{" "}
        <span class="faint">
          {id}
          {listener === undefined ? "" : `, ${listener}`}
        </span>
        <p class="detail">
          <Shown text={detail} />
        </p>
        {remedy === undefined ? null : (
          <div class="remedy">
            <p>{remedy.text}</p>
            {remedy.commands.map((command) => (
              <div key={command} class="panel-head">
                <pre>{command}</pre>
                <Copy text={command} what="the command" />
              </div>
            ))}
            <p class="hint">{remedy.docs}</p>
          </div>
        )}
      </div>
    </li>
  );
}

function Reloads() {
  const { data, error, reload } = useResource<{ reloads: readonly Reload[] }>("reloads", {
    on: ["config-load", "policy-change"],
  });
  const [problem, setProblem] = useState<string>();
  const readAgain = (): void => {
    setProblem(undefined);
    call("POST", "policy/reload")
      .catch((thrown) => setProblem(messageOf(thrown)))
      .finally(reload);
  };
  return (
    <section class="panel" aria-labelledby="reload-title">
      <div class="panel-head">
        <h2 id="reload-title">Read again</h2>
        <span class="grow" />
        <button type="button" onClick={readAgain}>
          Read files again now
        </button>
      </div>
      <Problem text={problem ?? error} />
      {data === undefined || data.reloads.length === 0 ? (
        <Empty title="Nothing has changed since the start">
          Policy, users, keys and certificates are read again by themselves when their files change.
        </Empty>
      ) : (
        <ul class="doctor">
          {data.reloads.map(({ time, by, outcomes }) => (
            <li key={time}>
              <Badge of={outcomes.some(({ outcome }) => outcome === "refused") ? "error" : "ok"} />
              <div>
                <strong>
                  <When time={time} />
                </strong>{" "}
                <span class="faint">by {by}</span>
                {outcomes.map(({ what, outcome, problems, needsRestart }) => (
                  <p key={what} class="detail">
                    <Shown
                      text={`${what}: ${outcome}${needsRestart === undefined ? "" : `, after a restart: ${needsRestart}`}`}
                    />
                    {problems === undefined ? null : <pre>{problems}</pre>}
                  </p>
                ))}
              </div>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const SETTING_COLUMNS: readonly Column<Setting>[] = [
  { head: "Setting", cell: ({ key }) => <code>{key}</code> },
  { head: "Value", isWide: true, cell: ({ value }) => <Shown text={value} /> },
  { head: "From", cell: ({ source }) => <span class={source === "default" ? "faint" : ""}>{source}</span> },
  { head: "Where", isExtra: true, cell: ({ where }) => <Shown text={where} /> },
];

function Configuration() {
  const { data, error } = useResource<{ settings: readonly Setting[] }>("config");
  const search = (place.value.query["search"] ?? "").toLowerCase();
  const onlySet = place.value.query["set"] === "1";
  const rows = (data?.settings ?? []).filter(
    ({ key, value, source }) =>
      (!onlySet || source !== "default") && (search === "" || `${key} ${value ?? ""}`.toLowerCase().includes(search)),
  );
  return (
    <section class="panel" aria-labelledby="config-title">
      <div class="panel-head">
        <h2 id="config-title">Configuration</h2>
        <input
          class="filter-box"
          type="search"
          aria-label="Filter settings"
          placeholder="Filter settings"
          value={search}
          onInput={(event) => refine({ search: event.currentTarget.value })}
        />
        <label class="inline">
          <input type="checkbox" checked={onlySet} onInput={() => refine({ set: onlySet ? undefined : "1" })} /> only
          what is set
        </label>
      </div>
      {data === undefined ? (
        <Loading error={error} />
      ) : (
        <Table caption="Settings" columns={SETTING_COLUMNS} rows={rows} keyOf={({ key }) => key} />
      )}
    </section>
  );
}
