/** The policy in force, those before it, and what it makes of a statement. */
import { explain } from "../policy/tools/explain.ts";
import { lineDiff } from "../policy/tools/line-diff.ts";
import { lintPolicy } from "../policy/tools/policy-lint.ts";
import { isOfPostgres, isToolDialect, TOOL_DIALECTS } from "../policy/tools/tool-context.ts";
import type { PolicyGeneration } from "../server/activity/change-history.ts";
import { arrayOf, flag, integer, type JsonSchema, objectOf, text, word } from "./json-schema.ts";
import { bodyOf, type Call, Refusal, type Reply, type Route } from "./route.ts";

const POLICY = objectOf(
  {
    version: text("Version in force, as decisions and audit records name it"),
    file: text("Where it came from; absent for the built-in policy"),
    isFileRefused: flag("Whether the file has a problem and the policy before it stays in force"),
  },
  ["file"],
);

export const RELOADS = arrayOf(
  objectOf(
    {
      what: text("What was read again"),
      outcome: word(["unchanged", "replaced", "refused"], "What became of it"),
      problems: text("Why it was refused, a line for each problem"),
      needsRestart: text("Settings that have changed and are taken over at the next start"),
    },
    ["problems", "needsRestart"],
  ),
);

const GENERATION = objectOf(
  {
    number: integer("Counted from 1 since the start"),
    time: text("RFC 3339"),
    version: text("Hash of its text, as decisions name it; refused where the file had a problem"),
    fromVersion: text("In force before"),
    outcome: word(["ok", "error"], "Whether it took effect"),
    by: text("start, signal, file, or the name of the key that asked"),
  },
  ["fromVersion"],
);

const STATEMENT_CHARACTERS_MAX = 64 * 1024;

const EXPLAINED: JsonSchema = {
  type: "object",
  additionalProperties: true,
  description: "As querycop explain --json prints it",
};

interface ExplainBody {
  readonly statement: string;
  readonly user?: string;
  readonly role?: string;
  readonly schema?: string;
  readonly listener?: string;
  readonly clientAddress?: string;
  readonly dialect?: string;
}

const NAME: JsonSchema = { type: "string", maxLength: 512 };

function explainStatement(call: Call): Reply {
  const { statement, dialect, ...session } = bodyOf<ExplainBody>(call);
  if (dialect !== undefined && !isToolDialect(dialect))
    throw new Refusal(400, "bad-request", "body.dialect: is unknown");
  const toolSession = { ...session, dialect };
  try {
    const policy = call.operations.livePolicy;
    return { status: 200, json: explain({ sql: statement, session: toolSession, policy, wallMs: Date.now() }) };
  } catch (thrown) {
    if (!isOfPostgres(toolSession)) throw thrown;
    throw new Refusal(409, "no-parser", "PostgreSQL's grammar is loaded where a listener speaks it, and none does");
  }
}

function generationOf({ operations, path }: Call): Reply {
  const { generations } = operations.activity.changes;
  const found = generations.find(({ number }) => String(number) === path["number"]);
  if (found === undefined) throw new Refusal(404, "not-found", "there is no such policy since the start");
  const before = generations.find(
    ({ number, outcome, text: kept }) => number < found.number && outcome === "ok" && kept !== undefined,
  );
  const diff = found.text === undefined ? [] : lineDiff(before?.text ?? "", found.text);
  return { status: 200, json: { ...found, comparedWith: before?.number, diff } };
}

const withoutText = ({ text: _text, ...rest }: PolicyGeneration): Omit<PolicyGeneration, "text"> => rest;

export const POLICY_ROUTES: readonly Route[] = [
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
    path: "/policy/text",
    summary: "The policy in force as its file had it, its profiles, and what lint finds doubtful",
    response: objectOf(
      {
        version: text("In force"),
        mode: word(["off", "observe", "enforce"], "Of the top level"),
        text: text("The file; absent for the built-in policy"),
        profiles: arrayOf(
          objectOf(
            {
              name: text("Name"),
              line: integer("In the file"),
              mode: text("Where it has its own"),
              users: arrayOf(text("Pattern")),
              schemas: arrayOf(text("Pattern")),
            },
            ["mode"],
          ),
        ),
        findings: arrayOf(objectOf({ line: integer("In the file"), text: text("What is doubtful") })),
      },
      ["text"],
    ),
    handle: ({ operations }) => {
      const { version, source, base, profiles } = operations.livePolicy;
      const json = {
        version,
        mode: base.mode,
        text: source,
        profiles: profiles.map(({ name, line, match, settings }) => ({
          name,
          line,
          mode: settings.mode,
          users: match.users.map(({ pattern }) => pattern),
          schemas: match.schemas.map(({ pattern }) => pattern),
        })),
        findings: lintPolicy(operations.livePolicy, Date.now()).map(({ line, text: found }) => ({ line, text: found })),
      };
      return { status: 200, json };
    },
  },
  {
    method: "GET",
    path: "/policy/generations",
    summary: "The policies since the start, the newest first; older ones are in the audit log as policy-change",
    response: objectOf({ generations: arrayOf(GENERATION) }),
    handle: ({ operations }) => ({
      status: 200,
      json: { generations: operations.activity.changes.generations.map(withoutText) },
    }),
  },
  {
    method: "GET",
    path: "/policy/generations/{number}",
    summary: "One of them with its text, and the lines in which it differs from the one before",
    response: objectOf(
      {
        ...GENERATION.properties,
        text: text("The file; absent for the built-in policy, and where it had to make room"),
        comparedWith: integer("The one before that it is compared with"),
        diff: arrayOf(objectOf({ kind: word(["same", "removed", "added"], "Of the line"), text: text("The line") })),
      },
      ["fromVersion", "text", "comparedWith"],
    ),
    statuses: { 404: "There is none of that number" },
    handle: generationOf,
  },
  {
    method: "POST",
    path: "/explain",
    summary: "What the analysis and the policy in force make of a statement; nothing is sent to a database",
    body: objectOf(
      {
        statement: { type: "string", maxLength: STATEMENT_CHARACTERS_MAX, description: "The statement" },
        user: { ...NAME, description: "Whose it would be" },
        role: { ...NAME, description: "Role of the user" },
        schema: { ...NAME, description: "Default schema" },
        listener: { ...NAME, description: "Listener it would come in on" },
        clientAddress: { ...NAME, description: "Where from" },
        dialect: word(TOOL_DIALECTS, "mysql unless given"),
      },
      ["user", "role", "schema", "listener", "clientAddress", "dialect"],
    ),
    response: EXPLAINED,
    statuses: { 409: "Its grammar is not loaded" },
    handle: explainStatement,
  },
];
