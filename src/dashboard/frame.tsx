/** What is around every page: where to go, whether it is live and how old, who one is. */
import { call, principal } from "./api.ts";
import type { Overview, Principal } from "./api-types.ts";
import { ago } from "./format.ts";
import { clock, heardAt, isPaused, stream, togglePause } from "./live.ts";
import { linkTo, place } from "./location.ts";
import { AccessPage } from "./pages/access.tsx";
import { ApprovalPage, ApprovalsPage } from "./pages/approvals.tsx";
import { AuditPage, DecisionPage } from "./pages/audit.tsx";
import { HealthPage } from "./pages/health.tsx";
import { NowPage } from "./pages/now.tsx";
import { PolicyPage } from "./pages/policy.tsx";
import { SessionPage, SessionsPage } from "./pages/sessions.tsx";
import { StatementPage, StatementsPage } from "./pages/statements.tsx";
import { Palette } from "./palette.tsx";
import { Dialog } from "./parts/dialog.tsx";
import { Logo } from "./parts/logo.tsx";
import { useResource } from "./resource.ts";
import { HELP, overlay, TARGETS } from "./shortcuts.ts";

export function Frame({ who }: { readonly who: Principal }) {
  const isAdmin = who.role === "admin";
  const targets = TARGETS.filter(({ isForApprovers }) => isAdmin || isForApprovers === true);
  const waiting = useResource<Overview>(isAdmin ? "overview" : undefined, {
    everyMs: 10_000,
    on: ["hold", "approval"],
  });
  const { page } = place.value;
  const shown = targets.some((target) => target.page === page) ? page : (targets[0]?.page ?? "approvals");
  const pending = waiting.data?.approvalsPending ?? 0;
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to content
      </button>
      <header class="top">
        <a class="brand" href={linkTo(targets[0]?.page ?? "approvals")}>
          <Logo />
          <span>querycop</span>
        </a>
        <LiveState />
        <span class="grow" />
        <button type="button" class="quiet palette-button" onClick={() => openOverlay("palette")}>
          Go to… <kbd>Ctrl K</kbd>
        </button>
        <button type="button" class="quiet" aria-label="Keys" onClick={() => openOverlay("help")}>
          <kbd>?</kbd>
        </button>
        <span class="who" title={who.role}>
          {who.name}
        </span>
        <button type="button" class="quiet" onClick={() => void logOut()}>
          Log out
        </button>
      </header>
      <nav class="side" aria-label="Pages">
        <ul>
          {targets.map((target) => (
            <li key={target.page}>
              <a href={linkTo(target.page)} {...(target.page === shown ? { "aria-current": "page" as const } : {})}>
                {target.title}
                {target.page === "approvals" && pending > 0 ? <span class="count">{pending}</span> : null}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main" tabIndex={-1}>
        <Page name={shown} />
      </main>
      <p class="unseen" aria-live="polite">
        {pending > 0 ? `${pending} waiting for an approval` : ""}
      </p>
      <Overlay />
    </div>
  );
}

function openOverlay(name: "palette" | "help"): void {
  overlay.value = name;
}

async function logOut(): Promise<void> {
  await call("POST", "auth/logout").catch(() => undefined);
  principal.value = null;
}

function Page({ name }: { readonly name: string }) {
  const [id] = place.value.path;
  switch (name) {
    case "approvals":
      return id === undefined ? <ApprovalsPage /> : <ApprovalPage key={id} id={id} />;
    case "sessions":
      return id === undefined ? <SessionsPage /> : <SessionPage key={id} id={id} />;
    case "statements":
      return id === undefined ? <StatementsPage /> : <StatementPage key={id} digest={id} />;
    case "audit":
      return id === undefined ? <AuditPage /> : <DecisionPage key={id} id={id} />;
    case "policy":
      return <PolicyPage />;
    case "health":
      return <HealthPage />;
    case "access":
      return <AccessPage />;
    default:
      return <NowPage />;
  }
}

/** Told to screen readers when the state changes, not each second. */
function LiveState() {
  const state = isPaused.value ? "paused" : stream.value;
  const words = { paused: "Paused", live: "Live", connecting: "Connecting", lost: "Not connected" } as const;
  return (
    <div class={`live live-${state}`}>
      <span class="live-mark" aria-hidden="true" />
      <span role="status">{words[state]}</span>
      <span class="live-age" aria-hidden="true">
        {state === "live" ? "" : ago(heardAt.value, clock.value)}
      </span>
      <button type="button" class="quiet" onClick={togglePause}>
        {isPaused.value ? "Go on" : "Pause"}
      </button>
    </div>
  );
}

function Overlay() {
  const close = (): void => {
    overlay.value = "none";
  };
  if (overlay.value === "palette") return <Palette onClose={close} />;
  if (overlay.value === "none") return null;
  return (
    <Dialog title="Keys" onClose={close}>
      <dl class="keys">
        {HELP.map(([keys, what]) => (
          <div key={what}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog" class="actions">
        <button type="submit">Close</button>
      </form>
    </Dialog>
  );
}
