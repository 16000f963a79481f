/** What a route of the admin API is: one row of a table that serves, checks and documents itself. */
import type { ServerResponse } from "node:http";
import type { Operations } from "../server/operations.ts";
import type { Credentials, Principal } from "./credentials.ts";
import type { JsonSchema } from "./json-schema.ts";

/** Who may call. A route that does not say is for admins: a row that forgets it is closed, not open. */
export type Access = "public" | "requester" | "approver" | "admin";

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** With `{name}` for parts that vary. */
  readonly path: string;
  readonly access?: Access;
  readonly summary: string;
  /** Every parameter is optional; what is not listed is refused. A type of boolean is a switch: `?verbose`. */
  readonly query?: Readonly<Record<string, JsonSchema>>;
  readonly body?: JsonSchema;
  /** Of the answer in case of success. Text where it is not JSON. */
  readonly response: JsonSchema | { readonly contentType: string };
  /** Further answers than 200 and those every route has. */
  readonly statuses?: Readonly<Record<number, string>>;
  /** Not recorded when it succeeds: called every few seconds by machines. */
  readonly isRoutine?: boolean;
  /** Asked again and again by a page that is open: recorded once in a while for each caller, and whenever it is refused. */
  readonly isPolled?: boolean;
  /** The body comes from a system that signs it as a webhook, which stands in the place of a key. */
  readonly isSigned?: boolean;
  readonly handle: (call: Call) => Reply | Promise<Reply>;
}

export interface Call {
  readonly operations: Operations;
  readonly credentials: Credentials;
  /** undefined on public routes without a valid credential. */
  readonly principal: Principal | undefined;
  readonly clientAddress: string;
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** Checked against the route's schema. */
  readonly body: unknown;
  readonly cookie: string | undefined;
  /** For streams: false once the key or session that began it counts no more. */
  readonly isStillValid: () => boolean;
  /** Where a reader of events that lost its connection left off. */
  readonly lastEventId: string | undefined;
  /** The path of the cookie: where this API begins for browsers. */
  readonly basePath: string;
  readonly isTls: boolean;
}

export type Reply =
  | {
      readonly status: number;
      readonly json: unknown;
      readonly headers?: Readonly<Record<string, string>>;
      /** What the call acted on, for the record. */
      readonly target?: string;
    }
  | {
      readonly status: number;
      readonly text: string;
      readonly contentType: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The handler goes on writing until it ends the response, or the client does. */
  | { readonly stream: (response: ServerResponse) => void };

/** An answer other than success, with words for the caller. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The value of a body whose schema was checked. */
export function bodyOf<T>(call: Call): T {
  return call.body as T;
}

/** The parts of the path that vary, or undefined when the path is another one. */
export function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return undefined;
  const values: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? "";
    if (part.startsWith("{")) {
      const decoded = decodePart(value);
      if (decoded === undefined || decoded === "") return undefined;
      values[part.slice(1, -1)] = decoded;
    } else if (part !== value) return undefined;
  }
  return values;
}

function decodePart(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
