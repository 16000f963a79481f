/** Calls of the admin API, as who has logged in. The addresses are relative: the dashboard may stand behind any path. */
import { signal } from "@preact/signals";
import type { Principal } from "./api-types.ts";

/** Undefined: not known yet. Null: nobody is logged in. */
export const principal = signal<Principal | null | undefined>(undefined);
/** Why the login page is shown, where somebody was logged in before. */
export const loginNotice = signal("");

/** An answer other than success, in the API's words. */
class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

type Method = "GET" | "POST" | "DELETE";

/** Rejects with an ApiError; where the session is over, the login page comes as well. */
export async function call<Answer>(method: Method, path: string, body?: object): Promise<Answer> {
  const headers: Record<string, string> = body === undefined ? {} : { "Content-Type": "application/json" };
  const init: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(path, init).catch(() => {
    throw new ApiError(0, "unreachable", "querycop does not answer");
  });
  const json = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (response.ok) return json as Answer;
  const { code = "", message = response.statusText } = (json["error"] ?? {}) as { code?: string; message?: string };
  if (response.status === 401 && path !== "auth/login") sessionEnded();
  throw new ApiError(response.status, code, message);
}

export function sessionEnded(): void {
  if (principal.value) loginNotice.value = "Your session has ended. Log in again to go on where you were.";
  principal.value = null;
}

/** A path with the parameters that have a value. */
export function withQuery(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== "") search.set(name, String(value));
  const text = search.toString();
  return text === "" ? path : `${path}?${text}`;
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
