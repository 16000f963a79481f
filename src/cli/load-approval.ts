/** Asks a running querycop for the approval of a load by its admin API, and waits for the answer. */
import { pause } from "../base/pause.ts";
import { visibleText } from "../base/visible-text.ts";
import type { LoadApproval } from "../loads/load-approval.ts";
import { LoadFailure } from "../loads/load-failure.ts";
import type { AllowedObject } from "../loads/load-objects.ts";
import type { ApprovalView } from "../server/approval-desk.ts";
import { hashOfLoad, type LoadAsk } from "../server/load-request.ts";
import { type AdminReply, type AdminTarget, callAdmin } from "./admin-client.ts";

export interface LoadAskOptions {
  readonly target: AdminTarget;
  readonly about: Pick<LoadAsk, "connection" | "user" | "table">;
  readonly describe: (objects: readonly AllowedObject[]) => string;
  /** Told each line for whoever started the load. */
  readonly tell: (line: string) => void;
  /** Told once that the approval is used. */
  readonly onGranted: (id: string, approver: string) => void;
  readonly signal: AbortSignal;
}

const POLL_MS = 1_000;

export class AskedApproval implements LoadApproval {
  readonly #options: LoadAskOptions;
  #id = "";

  constructor(options: LoadAskOptions) {
    this.#options = options;
  }

  async ask(objects: readonly AllowedObject[]): Promise<void> {
    const { about, describe, tell, signal } = this.#options;
    const description = describe(objects);
    let view = await this.#call("POST", "/approvals", { ...about, description });
    // SAFETY: an answer is taken for this load alone, whatever answers.
    if (view.statementHash !== hashOfLoad(description)) throw new LoadFailure("the admin API answers for another load");
    this.#id = view.id;
    if (view.state === "pending") tell(`waits until ${view.expiresAt} for the approval of ${view.id}`);
    const untilMs = Date.parse(view.expiresAt);
    while (view.state === "pending") {
      await pause(POLL_MS, signal);
      if (signal.aborted) throw new LoadFailure("it was stopped while it waited for an approval");
      view = await this.#look(view, untilMs);
    }
    if (view.state === "approved") return;
    const by =
      view.approver === undefined ? "" : ` by ${view.approver}${view.reason === undefined ? "" : `: ${view.reason}`}`;
    throw new LoadFailure(visibleText(`it is not approved (${view.id} ${view.state}${by})`));
  }

  async use(): Promise<void> {
    const view = await this.#call("POST", `/approvals/${encodeURIComponent(this.#id)}/use`);
    this.#options.onGranted(view.id, view.approver ?? "");
  }

  /** Whoever answers approvals may be started anew meanwhile; it then knows nothing of what was asked before. */
  async #look(before: ApprovalView, untilMs: number): Promise<ApprovalView> {
    try {
      return await this.#call("GET", `/approvals/${encodeURIComponent(before.id)}`);
    } catch (thrown) {
      if (thrown instanceof LoadFailure || Date.now() > untilMs) throw thrown;
      return before;
    }
  }

  async #call(method: "GET" | "POST", path: string, body?: object): Promise<ApprovalView> {
    const reply = await callAdmin(this.#options.target, method, path, body);
    if (reply.status === 200) return reply.json as unknown as ApprovalView;
    throw new LoadFailure(visibleText(`the approval cannot be had: ${messageOf(reply)} (HTTP ${reply.status})`));
  }
}

function messageOf({ json }: AdminReply): string {
  const { message } = (json["error"] ?? {}) as { readonly message?: string };
  return message ?? "no reason given";
}
