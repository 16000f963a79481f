/** The sessions that are open now. */
import { arrayOf, flag, integer, objectOf, text, word } from "./json-schema.ts";
import { Refusal, type Route } from "./route.ts";

const SESSION = objectOf(
  {
    id: text("As in the audit log: unique over restarts"),
    listener: text("Listener it came in on"),
    clientAddress: text("Where from, or unix"),
    clientTls: text("TLS version of the client's leg"),
    user: text("Whom it logged in as"),
    backend: text("Backend host and port"),
    backendConnectionId: integer("Connection id on the backend"),
    schema: text("Default schema"),
    program: text("Program name the client gives, not verified"),
    state: word(["login", "idle", "busy"], "What it does now"),
    isInTransaction: flag("Whether a transaction is open"),
    commands: integer("Commands received"),
    bytesToClient: integer("Bytes sent to the client"),
    bytesToBackend: integer("Bytes sent to the backend"),
    ageSeconds: integer("Since it was accepted"),
    silentSeconds: integer("Since its last command ended; 0 while it is busy"),
  },
  ["clientTls", "user", "backendConnectionId", "schema", "program"],
);

const unknown = (): Refusal => new Refusal(404, "no-such-session", "there is no such session now");

export const SESSION_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/sessions",
    summary: "All sessions, longest first",
    query: {
      user: { type: "string", maxLength: 512, description: "Only of this user" },
      limit: { type: "integer", minimum: 1, maximum: 10_000, description: "At most so many; 1000 unless given" },
    },
    response: objectOf({ total: integer("How many there are"), sessions: arrayOf(SESSION) }),
    handle: ({ operations, query }) => {
      const all = operations.sessions().filter(({ user }) => query["user"] === undefined || user === query["user"]);
      const sessions = all.slice(0, Number(query["limit"] ?? 1000));
      return { status: 200, json: { total: all.length, sessions } };
    },
  },
  {
    method: "GET",
    path: "/sessions/{id}",
    summary: "One session",
    response: SESSION,
    statuses: { 404: "It is not there" },
    handle: ({ operations, path }) => {
      const session = operations.session(path["id"] ?? "");
      if (session === undefined) throw unknown();
      return { status: 200, json: session, target: session.id };
    },
  },
  {
    method: "DELETE",
    path: "/sessions/{id}",
    summary: "End a session now, whatever it does; its transaction is rolled back by the server",
    response: objectOf({ id: text("The session that was ended") }),
    statuses: { 404: "It is not there" },
    handle: ({ operations, path }) => {
      const id = path["id"] ?? "";
      if (!operations.killSession(id)) throw unknown();
      return { status: 200, json: { id }, target: id };
    },
  },
];
