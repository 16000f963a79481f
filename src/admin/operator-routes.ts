/** Policy, configuration and audit log as the running process has them. */
import { tailAudit } from "../audit/audit-read.ts";
import { redactSecrets } from "../base/redact.ts";
import { arrayOf, flag, integer, type JsonSchema, objectOf, text, word } from "./json-schema.ts";
import { type Call, Refusal, type Reply, type Route } from "./route.ts";

const POLICY = objectOf(
  {
    version: text("Version in force, as decisions and audit records name it"),
    file: text("Where it came from; absent for the built-in policy"),
    isFileRefused: flag("Whether the file has a problem and the policy before it stays in force"),
  },
  ["file"],
);

const RELOADS = arrayOf(
  objectOf(
    {
      what: text("What was read again"),
      outcome: word(["unchanged", "replaced", "refused"], "What became of it"),
      problems: text("Why it was refused, a line for each problem"),
    },
    ["problems"],
  ),
);

const SETTING = objectOf(
  {
    key: text("Name in the file"),
    value: text("Effective value; secrets are <set>; absent when unset"),
    source: text("file, env, flag, default or derived"),
    where: text("File and line, variable or option"),
  },
  ["value", "where"],
);

const AUDIT_LIMIT_MAX = 1000;
/** Records scanned at the same time; each reads a disk. */
let auditReads = 0;
const AUDIT_READS_MAX = 2;
const ANY: JsonSchema = { type: "object", additionalProperties: true, description: "See audit-event.schema.json" };

async function readAudit({ operations, query }: Call): Promise<Reply> {
  const { auditFile } = operations;
  if (auditFile === undefined) throw new Refusal(404, "no-audit", "no audit log is kept, set audit.file");
  if (auditReads >= AUDIT_READS_MAX) throw new Refusal(503, "busy", "other readers are at the audit log, try again");
  auditReads++;
  try {
    const limit = Number(query["limit"] ?? 100);
    const records = await tailAudit(auditFile, limit, {
      types: query["type"]?.split(","),
      user: query["user"],
      sessionId: query["session"],
      decision: query["decision"],
    });
    return { status: 200, json: { records: records.map(withoutRawText) } };
  } finally {
    auditReads--;
  }
}

/** SAFETY: a statement kept in full is for who may read the file. */
export function withoutRawText<T extends object>(record: T): T {
  const fields = record as Readonly<Record<string, unknown>>;
  if (fields["textForm"] !== "raw") return record;
  const { text: _text, parameters: _parameters, ...rest } = fields;
  return { ...rest, textForm: "none" } as unknown as T;
}

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
    path: "/policy",
    summary: "Which policy is in force",
    response: POLICY,
    handle: ({ operations }) => ({ status: 200, json: operations.policy() }),
  },
  {
    method: "POST",
    path: "/policy/reload",
    summary: "Read policy, users file, certificates, CA bundles and log.level again, as SIGHUP does",
    response: objectOf({ policy: POLICY, reloaded: RELOADS }),
    statuses: { 409: "Something was refused; what was before it stays in force" },
    handle: async ({ operations, principal }) => {
      const reloaded = await operations.reload(principal?.name ?? "admin");
      const status = reloaded.some(({ outcome }) => outcome === "refused") ? 409 : 200;
      return { status, json: { policy: operations.policy(), reloaded } };
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
    path: "/audit",
    summary: "The last records of the audit log, oldest first",
    query: {
      type: { type: "string", maxLength: 200, description: "Only of these event types, separated by commas" },
      user: { type: "string", maxLength: 512, description: "Only of this user" },
      session: { type: "string", maxLength: 64, description: "Only of this session" },
      decision: { type: "string", maxLength: 32, description: "Only with this decision" },
      limit: {
        type: "integer",
        minimum: 1,
        maximum: AUDIT_LIMIT_MAX,
        description: "At most so many; 100 unless given",
      },
    },
    response: objectOf({ records: arrayOf(ANY) }),
    statuses: { 404: "No audit log is kept" },
    handle: readAudit,
  },
];
