/** State and configuration as the running process has them, what was read again, and doctor on the spot. */
import { redactSecrets } from "../base/redact.ts";
import { arrayOf, flag, integer, objectOf, text, word } from "./json-schema.ts";
import { RELOADS } from "./policy-routes.ts";
import { type Call, Refusal, type Reply, type Route } from "./route.ts";

const SETTING = objectOf(
  {
    key: text("Name in the file"),
    value: text("Effective value; secrets are <set>; absent when unset"),
    source: text("file, env, flag, default or derived"),
    where: text("File and line, variable or option"),
  },
  ["value", "where"],
);

const FINDING = objectOf(
  {
    id: text("Name of the check, as doctor lists it"),
    title: text("What is looked at"),
    listener: text("Where it is about one listener"),
    status: word(["ok", "warn", "fail", "skip"], "skip: does not apply, or what it needs has failed"),
    detail: text("What was found, in lines"),
    remedy: objectOf({
      text: text("What to do"),
      commands: arrayOf(text("A command that does it or tells more")),
      docs: text("The page that says more"),
    }),
  },
  ["listener", "remedy"],
);

export const OPERATOR_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/status",
    summary: "Version, state and load at a glance",
    response: objectOf({
      version: text("Version"),
      commit: text("Commit it was built from"),
      uptimeSeconds: integer("Since the start"),
      isReady: flag("As /readyz"),
      isDraining: flag("Whether it is about to end"),
      sessions: integer("Open now"),
      policyVersion: text("In force"),
      checks: arrayOf(
        objectOf({ name: text("What was looked at"), ok: flag("Whether it is fine"), detail: text("In words") }),
      ),
    }),
    handle: async ({ operations }) => {
      const { isReady, checks } = await operations.readiness();
      const uptimeSeconds = Math.floor((performance.now() - operations.startedMs) / 1000);
      const json = {
        ...operations.version,
        uptimeSeconds,
        isReady,
        isDraining: operations.isDraining,
        sessions: operations.sessions().length,
        policyVersion: operations.policy().version,
        checks,
      };
      return { status: 200, json };
    },
  },
  {
    method: "GET",
    path: "/config",
    summary: "Every setting with its effective value and where it came from",
    response: objectOf({ settings: arrayOf(SETTING) }),
    handle: ({ operations }) => {
      const settings = operations.settings.map(({ key, value, source, where }) => ({
        key,
        // A token command may hold what its author should have kept elsewhere.
        value: value === undefined ? undefined : redactSecrets(value),
        source,
        where,
      }));
      return { status: 200, json: { settings } };
    },
  },
  {
    method: "GET",
    path: "/reloads",
    summary: "What was read again since the start and changed something or was refused, the newest first",
    response: objectOf({
      reloads: arrayOf(objectOf({ time: text("RFC 3339"), by: text("signal, file, or who asked"), outcomes: RELOADS })),
    }),
    handle: ({ operations }) => ({ status: 200, json: { reloads: operations.activity.changes.reloads } }),
  },
  {
    method: "POST",
    path: "/doctor",
    summary: "Run doctor's checks, which change nothing, on the running configuration; one run at a time",
    response: objectOf({ time: text("When they ended, RFC 3339"), checks: arrayOf(FINDING) }),
    statuses: { 503: "A run is under way" },
    handle: runDoctor,
  },
];

let isDoctorRunning = false;

async function runDoctor({ operations }: Call): Promise<Reply> {
  const { doctor } = operations;
  if (doctor === undefined) throw new Refusal(404, "no-doctor", "this process was started without doctor");
  if (isDoctorRunning) throw new Refusal(503, "busy", "doctor is at work already, try again");
  isDoctorRunning = true;
  try {
    const checks = await doctor();
    return { status: 200, json: { time: new Date().toISOString(), checks } };
  } finally {
    isDoctorRunning = false;
  }
}
