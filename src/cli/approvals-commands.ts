/** `querycop approvals list|show|approve|deny`: the answers of approvers, given to a running querycop. */
import type { ArgsDef } from "citty";
import { visibleText } from "../base/visible-text.ts";
import type { ApprovalView } from "../server/approval-desk.ts";
import { type AdminReply, type AdminTarget, callAdmin } from "./admin-client.ts";
import { ADMIN_SETTINGS, adminTarget, TARGET_OPTIONS, targetArguments, textOf } from "./admin-target.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { required } from "./policy-source.ts";

export const approvalsHelp: CommandHelp = {
  name: "approvals",
  summary: "List the statements that wait for an approval, and approve or deny them",
  example: '  querycop approvals deny apr-3f9a-1 --reason "not on a Friday" --key-file ~/.querycop-key',
  text: [
    "  approvals list          What waits, oldest first",
    "  approvals show ID       One request with everything an approver may know",
    "  approvals approve ID    Let the statement run, once",
    "  approvals deny ID       Refuse it; whoever sent it reads the --reason",
    "Calls the admin API that the configuration names, or the one at --url. The key of --key-file has a name in",
    "api.approvers_file. Exits with 1 when the answer is not taken.",
  ].join("\n"),
  options: [
    ...TARGET_OPTIONS,
    ["--as NAME", "Who answers; needed with ADMIN_API_KEY, which is nobody's own"],
    ["--reason TEXT", "Why; deny needs it"],
    ["--all", "list: ended requests as well"],
    ["--json", "Print JSON"],
  ],
  settings: ADMIN_SETTINGS,
};

export const approvalsArguments: ArgsDef = {
  verb: { type: "positional", required: false, valueHint: "list|show|approve|deny" },
  id: { type: "positional", required: false },
  ...targetArguments,
  as: { type: "string" },
  reason: { type: "string" },
  all: { type: "boolean" },
  json: { type: "boolean" },
};

type Arguments = Readonly<Record<string, unknown>>;
type Verb = (target: AdminTarget, args: Arguments, io: CommandIo) => Promise<number>;

const VERBS: Readonly<Record<string, Verb>> = {
  list,
  show,
  approve: (target, args, io) => answer("approve", target, args, io),
  deny: (target, args, io) => answer("deny", target, args, io),
};

export async function runApprovals(args: Arguments, io: CommandIo): Promise<number> {
  const verbs = Object.keys(VERBS).join(", ");
  const verb = VERBS[required(args["verb"], `one of ${verbs}`)];
  if (verb === undefined) throw new UsageError(`expected one of ${verbs}, got ${JSON.stringify(args["verb"])}`);
  const target = await adminTarget(args, io);
  if (target === undefined) return EXIT_USAGE;
  if (target.key === undefined) throw new UsageError("a key is needed: give --key-file, or set ADMIN_API_KEY");
  try {
    return await verb(target, args, io);
  } catch (error) {
    if (error instanceof UsageError || !(error instanceof Error)) throw error;
    io.stderr(`querycop: ${visibleText(error.message)}\n`);
    return EXIT_FAILED;
  }
}

async function list(target: AdminTarget, args: Arguments, io: CommandIo): Promise<number> {
  const reply = await callAdmin(target, "GET", `/approvals${args["all"] === true ? "?all" : ""}`);
  if (reply.status !== 200) return refused(reply, io);
  if (args["json"] === true) return printJson(reply, io);
  const approvals = (reply.json["approvals"] ?? []) as readonly ApprovalView[];
  if (approvals.length === 0) io.stdout("Nothing waits for an approval.\n");
  for (const view of approvals) io.stdout(`${renderLine(view)}\n`);
  return EXIT_OK;
}

async function show(target: AdminTarget, args: Arguments, io: CommandIo): Promise<number> {
  const reply = await callAdmin(target, "GET", `/approvals/${idOf(args)}`);
  if (reply.status !== 200) return refused(reply, io);
  if (args["json"] === true) return printJson(reply, io);
  io.stdout(renderWhole(reply.json as unknown as ApprovalView));
  return EXIT_OK;
}

async function answer(verb: "approve" | "deny", target: AdminTarget, args: Arguments, io: CommandIo): Promise<number> {
  const reason = verb === "deny" ? required(args["reason"], "--reason") : textOf(args, "reason");
  const reply = await callAdmin(target, "POST", `/approvals/${idOf(args)}/${verb}`, {
    as: textOf(args, "as"),
    reason,
  });
  if (reply.status !== 200) return refused(reply, io);
  if (args["json"] === true) return printJson(reply, io);
  const { id, state, approver } = reply.json;
  io.stdout(`${visibleText(`${String(id)} ${String(state)} by ${String(approver)}`)}\n`);
  return EXIT_OK;
}

function idOf(args: Arguments): string {
  return encodeURIComponent(required(args["id"], "ID"));
}

function printJson({ json }: AdminReply, io: CommandIo): number {
  io.stdout(`${JSON.stringify(json, null, 2)}\n`);
  return EXIT_OK;
}

function refused({ status, json }: AdminReply, io: CommandIo): number {
  const { code, message = "no reason given" } = (json["error"] ?? {}) as {
    readonly code?: string;
    readonly message?: string;
  };
  const told = code === "approver-needed" ? "this key is nobody's own: say who answers with --as NAME" : message;
  io.stderr(`querycop: ${visibleText(`${told} (HTTP ${status})`)}\n`);
  return EXIT_FAILED;
}

const TEXT_SHOWN = 100;

function renderLine(view: ApprovalView): string {
  const { id, state, user, clientAddress, score, text, waitingMs } = view;
  const shown = text.length > TEXT_SHOWN ? `${text.slice(0, TEXT_SHOWN)}…` : text;
  const risk = score === undefined ? "" : ` risk ${score}`;
  return visibleText(`${id} ${state} ${Math.round(waitingMs / 1000)}s ${user}@${clientAddress}${risk} ${shown}`);
}

function renderWhole(view: ApprovalView): string {
  const rows: readonly [name: string, value: string | number | boolean | undefined][] = [
    ["id", view.id],
    ["state", view.state],
    ["mode", view.mode],
    ["statement", view.text],
    ["bytes", `${view.textBytes}, SHA-256 ${view.statementHash}`],
    ["kinds", view.kinds.join(", ")],
    ["reads", view.tablesRead.join(", ")],
    ["writes", view.tablesWritten.join(", ")],
    ["estimated rows", view.estimatedRows],
    ["risk", view.score === undefined ? undefined : `${view.score} (${view.level})`],
    ["not understood", view.isUnderstood ? undefined : "what is shown may not be all of it"],
    ...view.reasons.map((reason): [string, string] => ["because of", reason]),
    ["user", `${view.user} from ${view.clientAddress}, session ${view.session}, listener ${view.listener}`],
    ["schema", view.schema],
    ["in transaction", view.isInTransaction ? "yes: locks may be held while it waits" : "no"],
    ["requested", `${view.requestedAt}, ${Math.round(view.waitingMs / 1000)} s of waiting`],
    ["expires", view.expiresAt],
    ["answered by", view.approver],
    ["reason", view.reason],
  ];
  return rows
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${name.padEnd(16)}${visibleText(String(value))}\n`)
    .join("");
}
