/** Sessions for browsers, which must not keep a key: POST /auth/login gives a cookie for one. */
import { API_ROLES } from "../base/api-role.ts";
import { SESSION_COOKIE } from "./credentials.ts";
import { arrayOf, integer, objectOf, text, word } from "./json-schema.ts";
import { bodyOf, type Call, Refusal, type Route } from "./route.ts";

const PRINCIPAL = objectOf({
  name: text("admin, or the name of a key of approvers_file"),
  role: word(API_ROLES, "What the key may do"),
});

const ATTRIBUTES = "HttpOnly; SameSite=Strict";

function cookieHeader(value: string, seconds: number, { basePath, isTls }: Pick<Call, "basePath" | "isTls">): string {
  const path = basePath === "" ? "/" : basePath;
  return `${SESSION_COOKIE}=${value}; Max-Age=${seconds}; Path=${path}; ${ATTRIBUTES}${isTls ? "; Secure" : ""}`;
}

export const LOGIN_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/auth/login",
    access: "public",
    summary: "Begin a session: a cookie for eight hours in place of the key",
    body: objectOf({ key: { type: "string", maxLength: 4096, description: "The key" } }),
    response: PRINCIPAL,
    handle: (call) => {
      const { credentials } = call;
      const principal = credentials.ofKey(bodyOf<{ key: string }>(call).key);
      if (principal === undefined) throw new Refusal(401, "unauthorized", "this is not a key");
      if (principal.role === "requester")
        throw new Refusal(403, "forbidden", "this key is for programs that ask for approvals");
      const { cookie, seconds } = credentials.logIn(principal);
      return { status: 200, json: principal, headers: { "Set-Cookie": cookieHeader(cookie, seconds, call) } };
    },
  },
  {
    method: "POST",
    path: "/auth/logout",
    access: "approver",
    summary: "End the session",
    response: objectOf({}),
    handle: (call) => {
      if (call.cookie !== undefined) call.credentials.logOut(call.cookie);
      return { status: 200, json: {}, headers: { "Set-Cookie": cookieHeader("", 0, call) } };
    },
  },
  {
    method: "GET",
    path: "/auth/session",
    access: "approver",
    summary: "Whose key or session this is",
    response: PRINCIPAL,
    handle: ({ principal }) => ({ status: 200, json: principal }),
  },
  {
    method: "GET",
    path: "/access",
    summary: "Whose keys there are and what they may do, and how many browsers are logged in",
    response: objectOf({ keys: arrayOf(PRINCIPAL), browserSessions: integer("Logged in now") }),
    handle: ({ credentials }) => ({
      status: 200,
      json: { keys: credentials.principals, browserSessions: credentials.sessionCount },
    }),
  },
];
