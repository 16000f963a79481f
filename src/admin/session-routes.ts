/** The sessions that are open now. */
import type { Operations } from "../server/operations.ts";
import { withoutRawText } from "./audit-routes.ts";
import { arrayOf, flag, integer, objectOf, text, word } from "./json-schema.ts";
import { Refusal, type Route } from "./route.ts";

const STATEMENT = objectOf(
  {
    command: text("Name of the client's command"),
    kind: text("What the statement does, as the analysis names it"),
    text: text("The statement in the form that audit records have, raw texts excepted"),
    textForm: word(["digest", "redacted", "none"], "Which form the text has"),
    decisionId: text("The policy's decision about it"),
    since: text("When it came, RFC 3339"),
    seconds: integer("Since then"),
  },
  ["kind", "text"],
);

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
    state: word(["login", "idle", "busy", "held"], "What it does now; held: its statement waits for an approval"),
    isInTransaction: flag("Whether a transaction is open"),
    commands: integer("Commands received"),
    bytesToClient: integer("Bytes sent to the client"),
    bytesToBackend: integer("Bytes sent to the backend"),
    ageSeconds: integer("Since it was accepted"),
    silentSeconds: integer("Since its last command ended; 0 while it is busy"),
    statement: STATEMENT,
  },
  ["clientTls", "user", "backendConnectionId", "schema", "program", "statement"],
);

/** SAFETY: as with audit records, a statement that is kept in full is for who may read the log's file. */
function shown(session: SessionView): SessionView {
  const { statement } = session;
  return statement === undefined ? session : { ...session, statement: withoutRawText(statement) };
}

type SessionView = NonNullable<ReturnType<Operations["session"]>>;

const STATES = ["login", "idle", "busy", "held"] as const;

const ORDERS: Readonly<Record<string, (session: SessionView) => number>> = {
  age: ({ ageSeconds }) => ageSeconds,
  statement: ({ statement }) => statement?.seconds ?? -1,
  bytes: ({ bytesToClient }) => bytesToClient,
};

function holds(session: SessionView, part: string): boolean {
  const { user, clientAddress, program, schema, listener } = session;
  const { text } = session.statement === undefined ? {} : (shown(session).statement ?? {});
  return [user, clientAddress, program, schema, listener, text].some(
    (value) => value?.toLowerCase().includes(part) === true,
  );
}

const unknown = (): Refusal => new Refusal(404, "no-such-session", "there is no such session now");

export const SESSION_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/sessions",
    summary: "All sessions, longest first unless said otherwise",
    query: {
      user: { type: "string", maxLength: 512, description: "Only of this user" },
      state: { ...word(STATES, "Only in this state"), maxLength: 16 },
      search: {
        type: "string",
        maxLength: 200,
        description: "Only where user, address, program, schema, listener or statement hold this, in any case",
      },
      order: word(
        Object.keys(ORDERS),
        "What comes first: the oldest, the longest statement, the most bytes to the client",
      ),
      offset: { type: "integer", minimum: 0, maximum: 1_000_000, description: "Leave out so many" },
      limit: { type: "integer", minimum: 1, maximum: 10_000, description: "At most so many; 1000 unless given" },
    },
    isPolled: true,
    response: objectOf({
      total: integer("How many fit"),
      states: objectOf(Object.fromEntries(STATES.map((state) => [state, integer("Of all sessions, how many are so")]))),
      sessions: arrayOf(SESSION),
    }),
    handle: ({ operations, query }) => {
      const all = operations.sessions();
      const states = Object.fromEntries(STATES.map((state) => [state, 0]));
      for (const { state } of all) states[state] = (states[state] ?? 0) + 1;
      const { user, state, search, order = "age" } = query;
      const fitting = all.filter(
        (session) =>
          (user === undefined || session.user === user) &&
          (state === undefined || session.state === state) &&
          (search === undefined || holds(session, search.toLowerCase())),
      );
      const measure = ORDERS[order];
      if (measure !== undefined && order !== "age") fitting.sort((one, other) => measure(other) - measure(one));
      const offset = Number(query["offset"] ?? 0);
      const sessions = fitting.slice(offset, offset + Number(query["limit"] ?? 1000)).map(shown);
      return { status: 200, json: { total: fitting.length, states, sessions } };
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
      return { status: 200, json: shown(session), target: session.id };
    },
  },
  {
    method: "DELETE",
    path: "/sessions/{id}",
    summary:
      "End a session now, whatever it does; the server rolls its transaction back, the client is told by whose key",
    response: objectOf({ id: text("The session that was ended") }),
    statuses: { 404: "It is not there" },
    handle: ({ operations, path, principal }) => {
      const id = path["id"] ?? "";
      if (!operations.killSession(id, principal?.name ?? "admin")) throw unknown();
      return { status: 200, json: { id }, target: id };
    },
  },
];
