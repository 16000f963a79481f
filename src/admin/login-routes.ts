/** Sessions for browsers, which must not keep a key: POST /auth/login gives a cookie for one. */
import { SESSION_COOKIE } from "./credentials.ts";
import { objectOf, text, word } from "./json-schema.ts";
import { bodyOf, Refusal, type Route } from "./route.ts";

const PRINCIPAL = objectOf({
  name: text("admin, or the name of a key of approvers_file"),
  role: word(["admin", "approver"], "What the key may do"),
});

const ATTRIBUTES = "Path=/; HttpOnly; SameSite=Strict";

function cookieHeader(value: string, seconds: number, isTls: boolean): string {
  return `${SESSION_COOKIE}=${value}; Max-Age=${seconds}; ${ATTRIBUTES}${isTls ? "; Secure" : ""}`;
}

export const LOGIN_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/auth/login",
    access: "public",
    summary: "Begin a session: a cookie for eight hours in place of the key",
    body: objectOf({ key: { type: "string", maxLength: 4096, description: "The key" } }),
    response: PRINCIPAL,
    handle: ({ credentials, body, isTls, ...call }) => {
      const principal = credentials.ofKey(bodyOf<{ key: string }>({ ...call, credentials, body, isTls }).key);
      if (principal === undefined) throw new Refusal(401, "unauthorized", "this is not a key");
      const { cookie, seconds } = credentials.logIn(principal);
      return { status: 200, json: principal, headers: { "Set-Cookie": cookieHeader(cookie, seconds, isTls) } };
    },
  },
  {
    method: "POST",
    path: "/auth/logout",
    access: "approver",
    summary: "End the session",
    response: objectOf({}),
    handle: ({ credentials, cookie, isTls }) => {
      if (cookie !== undefined) credentials.logOut(cookie);
      return { status: 200, json: {}, headers: { "Set-Cookie": cookieHeader("", 0, isTls) } };
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
];
