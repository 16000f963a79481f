/** Statements that wait for an approval, and the answers of approvers. */
import type { RequestRefusal } from "../policy/approvals.ts";
import type { ApprovalView, DeskAnswer, DeskRefusal } from "../server/approval-desk.ts";
import type { LoadAsk } from "../server/load-request.ts";
import { arrayOf, flag, integer, type JsonSchema, objectOf, text, word } from "./json-schema.ts";
import { bodyOf, type Call, Refusal, type Reply, type Route } from "./route.ts";

const STATES = ["pending", "approved", "used", "denied", "expired", "cancelled"];

const APPROVAL = objectOf(
  {
    id: text("As in the error the client got, and in the audit log"),
    state: word(STATES, "pending: waits for an answer. approved: may still be used. used: has run under it"),
    mode: word(["hold", "immediate"], "hold: the client waits. immediate: it was told to send the statement again"),
    listener: text("Listener it came in on"),
    user: text("Who asks"),
    clientAddress: text("From where"),
    session: text("The session that asked"),
    schema: text("Default schema"),
    command: text("Name of the command, such as COM_QUERY"),
    text: text("The whole statement, with ? for every literal and hidden characters written out"),
    textBytes: integer("Length of the statement as it was sent"),
    statementHash: text("SHA-256 of the very bytes the approval is for, hexadecimal"),
    isUnderstood: flag("False where the analysis cannot vouch for what it found"),
    kinds: arrayOf(text("Kind of statement")),
    tablesRead: arrayOf(text("Table")),
    tablesWritten: arrayOf(text("Table")),
    score: integer("Risk, 0 to 100"),
    level: text("Risk level"),
    estimatedRows: { type: "number", description: "Rows the server expects it to touch, where it was asked" },
    reasons: arrayOf(text("A rule that applies, in words")),
    policyVersion: text("Policy that asked for an approval; the one in force at release has the last word"),
    isInTransaction: flag("Whether locks may be held while it waits"),
    requestedAt: text("RFC 3339"),
    waitingMs: integer("How long it waits, or waited"),
    expiresAt: text("Until when it waits; once approved, until when it may run. RFC 3339"),
    approver: text("Who answered"),
    reason: text("What the approver said, or what cancelled it"),
    askedBy: text("The key that asked, for a load of another process"),
  },
  ["schema", "score", "level", "estimatedRows", "policyVersion", "approver", "reason", "askedBy"],
);

const AS: JsonSchema = {
  type: "string",
  maxLength: 64,
  description: "Who answers. Needed with ADMIN_API_KEY, which is nobody's own; refused with a key that has a name",
};
const REASON: JsonSchema = { type: "string", maxLength: 200, description: "The requester reads it after a denial" };

const SEEN: JsonSchema = {
  type: "string",
  maxLength: 64,
  description: "The statementHash of what was looked at; another statement than that is not answered",
};

/** SAFETY: an answer is for the statement that was seen. */
function requireSeen(call: Call): void {
  const { statementHash } = bodyOf<{ statementHash?: string }>(call);
  const view = statementHash === undefined ? undefined : call.operations.approvals.find(idOf(call));
  if (view === undefined || view.statementHash === statementHash) return;
  throw anotherStatement();
}

const anotherStatement = (): Refusal =>
  new Refusal(409, "another-statement", "the request is for another statement than the one that was seen");

const STATUSES = {
  403: "Whoever asked cannot approve",
  404: "It is not there, or no longer",
  409: "It was answered, has expired, or was cancelled",
  503: "The answer could not be recorded and has no effect",
};

/** SAFETY: a key with a name answers under that name and no other. */
function approverOf(call: Call): string {
  const { principal } = call;
  const { as } = bodyOf<{ as?: string }>(call);
  if (principal === undefined) throw new Refusal(401, "unauthorized", "a valid key is needed");
  if (principal.name !== "admin") {
    if (as === undefined || as === principal.name) return principal.name;
    throw new Refusal(400, "not-your-name", `this key answers as ${principal.name}: leave "as" away`);
  }
  if (as !== undefined) return as;
  throw new Refusal(400, "approver-needed", 'ADMIN_API_KEY is nobody\'s own: say who answers with "as"');
}

const REFUSALS: Readonly<Record<Exclude<DeskRefusal, "not-pending">, readonly [status: number, message: string]>> = {
  "not-found": [404, "there is no such request, or no longer"],
  "own-request": [403, "whoever asked cannot approve"],
  "bad-approver": [400, "a name of an approver is 1 to 64 characters of plain ASCII"],
  "bad-reason": [400, "a reason is up to 200 visible characters, and a denial needs one"],
  "not-recorded": [503, "the audit log cannot record the answer, so it has no effect"],
};

function replyTo(answer: DeskAnswer): Reply {
  const { view } = answer;
  if (answer.kind === "taken") return { status: 200, json: view, target: answer.view.id };
  if (answer.why === "not-pending") {
    const by = view?.approver === undefined ? "" : ` by ${view.approver}`;
    throw new Refusal(409, "not-pending", `it is not pending any more: ${view?.state}${by}`);
  }
  const [status, message] = REFUSALS[answer.why];
  throw new Refusal(status, answer.why, message);
}

const idOf = ({ path }: Call): string => path["id"] ?? "";

const ABSENT = (): Refusal => new Refusal(404, "not-found", REFUSALS["not-found"][1]);

/** SAFETY: who may only ask sees what it has asked for, and nobody uses what another key has asked for. */
function viewFor(call: Call, isOwn: boolean): ApprovalView {
  const view = call.operations.approvals.find(idOf(call));
  if (view === undefined || (isOwn && view.askedBy !== call.principal?.name)) throw ABSENT();
  return view;
}

/** Longer ones no approver would be shown whole. */
const DESCRIPTION_CHARACTERS_MAX = 64 * 1024;
const NAME: JsonSchema = { type: "string", maxLength: 512 };

async function askForLoad(call: Call): Promise<Reply> {
  const { operations, principal, clientAddress } = call;
  const { livePolicy, approvals } = operations;
  const { base, version } = livePolicy;
  const asked = bodyOf<Pick<LoadAsk, "description" | "connection" | "user" | "table">>(call);
  const askedBy = principal?.name ?? "";
  const ask = { ...asked, askedBy, clientAddress, settings: base.approval, policyVersion: version };
  let view: ApprovalView | RequestRefusal;
  try {
    view = await approvals.askForLoad(ask);
  } catch {
    throw new Refusal(503, "not-recorded", "the audit log cannot record the request, so there is none");
  }
  if (typeof view === "string") throw new Refusal(409, view, "too many requests are open, or the process shuts down");
  return { status: 200, json: view, target: view.id };
}

interface SignedAnswer {
  readonly id: string;
  readonly verdict: "approve" | "deny";
  readonly approver: string;
  readonly reason?: string;
  readonly statementHash: string;
}

/** SAFETY: the system says who clicked and on what; only those who may, and only what they saw. */
async function takeSignedAnswer(call: Call): Promise<Reply> {
  const { approvals, approvalInbox } = call.operations;
  const { id, verdict, approver, reason, statementHash } = bodyOf<SignedAnswer>(call);
  if (approvalInbox?.mayAnswer(approver) !== true) {
    throw new Refusal(403, "unknown-approver", "this name is none of approvals.webhook_approvers");
  }
  const view = approvals.find(id);
  if (view === undefined) throw ABSENT();
  if (view.statementHash !== statementHash) throw anotherStatement();
  const answer = { approver, reason };
  return replyTo(verdict === "approve" ? await approvals.approve(id, answer) : approvals.deny(id, answer));
}

export const APPROVAL_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/approvals",
    access: "approver",
    isPolled: true,
    summary: "Open requests, oldest first; with ?all the latest ended ones behind them",
    query: { all: { type: "boolean", description: "Ended ones as well" } },
    response: objectOf({ approvals: arrayOf(APPROVAL) }),
    handle: ({ operations, query }) => {
      const isOpen = (state: string): boolean => state === "pending" || state === "approved";
      const approvals = operations.approvals.list().filter(({ state }) => query["all"] !== undefined || isOpen(state));
      return { status: 200, json: { approvals } };
    },
  },
  {
    method: "GET",
    path: "/approvals/{id}",
    access: "requester",
    isPolled: true,
    summary: "One request",
    response: APPROVAL,
    statuses: { 404: STATUSES[404] },
    handle: (call) => {
      const view = viewFor(call, call.principal?.role === "requester");
      return { status: 200, json: view, target: view.id };
    },
  },
  {
    method: "POST",
    path: "/approvals",
    access: "requester",
    summary:
      "Ask for an approval of a load, as querycop load --approval does; an open request for the same is found again",
    body: objectOf({
      description: {
        type: "string",
        maxLength: DESCRIPTION_CHARACTERS_MAX,
        description:
          "All that the load is going to do, objects with their ETags included: the approval is for this text",
      },
      connection: { ...NAME, description: "The named connection" },
      user: { ...NAME, description: "The user that policies know it by" },
      table: { ...NAME, description: "The table" },
    }),
    response: APPROVAL,
    statuses: { 409: "Too many requests are open", 503: "The request could not be recorded and there is none" },
    handle: askForLoad,
  },
  {
    method: "POST",
    path: "/approvals/answers",
    access: "public",
    isSigned: true,
    summary:
      "An approver's answer by a system that signs it with a secret of approvals.webhook_secret_file, in the headers of Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature",
    body: objectOf(
      {
        id: { type: "string", maxLength: 64, description: "The request" },
        verdict: { type: "string", enum: ["approve", "deny"], description: "The answer" },
        approver: { type: "string", maxLength: 64, description: "Who answers: one of approvals.webhook_approvers" },
        reason: REASON,
        statementHash: SEEN,
      },
      ["reason"],
    ),
    response: APPROVAL,
    statuses: {
      ...STATUSES,
      409: "It was answered, has expired, or is for another statement; or the delivery came before",
    },
    handle: takeSignedAnswer,
  },
  {
    method: "POST",
    path: "/approvals/{id}/use",
    access: "requester",
    summary: "Use up the approval that this key has asked for; what is not approved any more is refused",
    response: APPROVAL,
    statuses: { 404: STATUSES[404], 409: "It is not approved, or has been used" },
    handle: (call) => {
      const { id, state } = viewFor(call, true);
      const { approvals } = call.operations;
      if (!approvals.use(id)) throw new Refusal(409, "not-approved", `it is ${state}`);
      return { status: 200, json: approvals.find(id), target: id };
    },
  },
  {
    method: "POST",
    path: "/approvals/{id}/approve",
    access: "approver",
    summary: "Let the statement run, once",
    body: objectOf({ as: AS, reason: REASON, statementHash: SEEN }, ["as", "reason", "statementHash"]),
    response: APPROVAL,
    statuses: STATUSES,
    handle: async (call) => {
      requireSeen(call);
      const { reason } = bodyOf<{ reason?: string }>(call);
      const { approvals } = call.operations;
      return replyTo(await approvals.approve(idOf(call), { approver: approverOf(call), reason }));
    },
  },
  {
    method: "POST",
    path: "/approvals/{id}/deny",
    access: "approver",
    summary: "Refuse the statement; its client reads the reason",
    body: objectOf({ as: AS, reason: REASON, statementHash: SEEN }, ["as", "statementHash"]),
    response: APPROVAL,
    statuses: { 404: STATUSES[404], 409: STATUSES[409] },
    handle: (call) => {
      requireSeen(call);
      const { reason } = bodyOf<{ reason?: string }>(call);
      return replyTo(call.operations.approvals.deny(idOf(call), { approver: approverOf(call), reason }));
    },
  },
];
