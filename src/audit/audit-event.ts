/**
 * What the audit records: one table of event types, from which the TypeScript union, the published JSON Schema
 * (docs/audit-event.schema.json) and the table in docs/audit.md are derived. Nothing here depends on a database wire.
 */

interface FieldShape {
  readonly kind: "text" | "integer" | "number" | "flag" | "texts" | "word" | "session";
  readonly optional: boolean;
  readonly words?: readonly string[];
  readonly doc: string;
}

type Field<K extends FieldShape["kind"], O extends boolean, W extends string = never> = {
  readonly kind: K;
  readonly optional: O;
  readonly words: readonly W[];
  readonly doc: string;
};

const must = <K extends FieldShape["kind"]>(kind: K, doc: string): Field<K, false> => ({
  kind,
  optional: false,
  words: [],
  doc,
});
const may = <K extends FieldShape["kind"]>(kind: K, doc: string): Field<K, true> => ({
  kind,
  optional: true,
  words: [],
  doc,
});
const oneOf = <W extends string>(words: readonly W[], doc: string): Field<"word", false, W> => ({
  kind: "word",
  optional: false,
  words,
  doc,
});
/**
 * How a statement came to its end. `unknown`: the backend was lost before it answered, so it may have run. `skipped`: the
 * server has discarded it behind an error, as PostgreSQL does up to the next Sync.
 */
export const STATEMENT_OUTCOMES = [
  "ok",
  "error",
  "unknown",
  "client-gone",
  "cut-off",
  "rolled-back",
  "not-sent",
  "skipped",
] as const;

/** Which form of the statement's text the record holds. */
const TEXT_FORMS = ["digest", "redacted", "raw", "none"] as const;

/** The words of a policy decision, as everywhere in querycop. */
export const DECISION_ACTIONS = ["allow", "warn", "block", "require-approval"] as const;

/** What the data guard did at a limit. */
const GUARD_ACTIONS = ["warned", "exceeded", "cut-off", "terminated", "refused"] as const;

/** What ended a hold. */
const APPROVAL_VERDICTS = ["approved", "denied", "expired", "cancelled"] as const;

const statementFields = {
  session: must("session", "The session the statement came in on"),
  ordinal: must("integer", "Number of the command in its session, counted from 1; pairs intent and outcome"),
  command: must("text", "Name of the client's command, such as COM_QUERY"),
  statementId: may("integer", "Id of the prepared statement that runs"),
  boundRows: may("integer", "Rows of values bound by one COM_STMT_BULK_EXECUTE: how many times the statement runs"),
  text: may("text", "The statement in the form named by textForm; [cut] ends one too long for a record"),
  textForm: oneOf(TEXT_FORMS, "Which form `text` has"),
  sealedText: may(
    "text",
    "The statement as sent, sealed for the holder of the reading key: querycop audit export --decrypt-key-file",
  ),
  textBytes: may("integer", "Length of the statement as the client sent it, in bytes"),
  textHash: may("text", "HMAC-SHA256 of the whole statement as sent, hexadecimal"),
  digestHashes: may(
    "texts",
    "SHA-256 of each digest that a policy lists for the statement, where `text` does not give it: of SQL behind a name " +
      "or in a string, of a text read in several ways, of a long one; empty where no list can know it",
  ),
  statementKind: may("text", "What the statement does, as the analysis names it"),
  innerKinds: may("texts", "What the SQL does that it prepares or runs by name or out of a string"),
  tables: may("texts", "Tables of the statement and of that SQL"),
  decision: oneOf(DECISION_ACTIONS, "What the policy said"),
  decisionId: may("text", "Id of the decision, also shown to the client"),
  score: may("number", "Risk score, 0 to 100"),
  level: may("text", "Risk level"),
  rules: may("texts", "Ids of the rules that matched"),
  policyVersion: may("text", "Version of the policy that decided"),
  estimatedRows: may(
    "integer",
    "Rows the server expected the statement to go through, where the impact guard asked it",
  ),
  approvalId: may("text", "Id of the hold this statement went through"),
  approver: may("text", "Who approved it"),
} as const;

/** Every event type with its fields, in the order they are written. */
export const AUDIT_EVENTS = {
  start: {
    doc: "querycop began to run",
    fields: {
      version: must("text", "Version of querycop"),
      pid: must("integer", "Process id"),
      configHash: may("text", "Hash of the effective configuration"),
    },
  },
  stop: {
    doc: "querycop ends in an orderly way",
    fields: { reason: must("text", "Why: a signal or an error code"), openSessions: may("integer", "Sessions cut") },
  },
  connect: {
    doc: "A client's connection was accepted",
    fields: { session: must("session", "The session that began") },
  },
  refuse: {
    doc: "A client was turned away before it could send a command",
    fields: {
      session: must("session", "The session that was refused"),
      reason: must("text", "Close reason"),
      errorCode: must("text", "querycop's error code, such as QC_USER_NOT_ALLOWED"),
      errorNumber: may("integer", "Error number the client was told"),
    },
  },
  login: {
    doc: "The backend accepted the login; also written for a change of user within a session",
    fields: {
      session: must("session", "The session, now with user and backend connection"),
      clientAuth: must(
        "text",
        "How the client proved who it is: relay (to the server itself), trust, password, certificate",
      ),
      authPlugin: may("text", "Authentication method the backend asked for"),
      tokenUsed: may("flag", "Whether a minted token was the password"),
      backendUser: may(
        "text",
        "The account that was logged in with a password of querycop's, where it is not the user",
      ),
      durationUs: may("integer", "From connect to login"),
    },
  },
  "statement-intent": {
    doc: "A statement or command is about to be sent to the backend; recorded before its first byte is sent",
    fields: statementFields,
  },
  "syntax-check": {
    doc:
      "A text that querycop does not understand is about to be put to the server's parser, which runs nothing " +
      "(COM_STMT_PREPARE). Where the server does not understand it either, the client gets its error 1064 and this is the " +
      "only record; else statement-blocked follows",
    fields: statementFields,
  },
  "statement-blocked": {
    doc: "A statement was refused; no byte of it reached the backend, but where a syntax-check came before",
    fields: { ...statementFields, errorNumber: may("integer", "Error number the client was told") },
  },
  "statement-outcome": {
    doc: "How a recorded intent ended; an intent without one means the outcome is unknown",
    fields: {
      session: must("session", "The session the statement came in on"),
      ordinal: must("integer", "Number of the command in its session: the intent's"),
      outcome: oneOf(STATEMENT_OUTCOMES, "How it ended"),
      errorNumber: may("integer", "Error number of the backend"),
      sqlState: may("text", "SQLSTATE of the backend"),
      rows: may("integer", "Rows returned"),
      affectedRows: may("integer", "Rows changed, as the backend says"),
      resultSets: may("integer", "Result sets returned"),
      warnings: may("integer", "Warnings, as the backend says"),
      jobId: may("text", "Id of the job that Aurora DSQL runs for it (sys.jobs)"),
      bytes: may("integer", "Bytes of the response sent on to the client"),
      durationUs: may("integer", "From sending the statement to the end of its response"),
      limit: may("text", "The limit that cut the response off"),
    },
  },
  command: {
    doc: "A command that carries no statement and needs no intent: answered by querycop itself, or refused",
    fields: {
      session: must("session", "The session the command came in on"),
      ordinal: must("integer", "Number of the command in its session"),
      command: must("text", "Name of the command"),
      action: oneOf(["answered", "forwarded", "refused"], "What querycop did with it"),
      errorNumber: may("integer", "Error number the client was told"),
    },
  },
  "local-infile": {
    doc: "The backend asked the client for a file and the client's data were sent on, or the request was refused",
    fields: {
      session: must("session", "The session"),
      ordinal: must("integer", "Number of the command in its session"),
      fileName: must("text", "Name the backend asked for"),
      action: oneOf(["sent", "refused", "cut-off"], "What querycop did; cut-off: the file is larger than it may be"),
      bytes: may("integer", "Bytes sent on"),
      contentHash: may("text", "SHA-256 of what was sent on, hexadecimal"),
    },
  },
  "load-object": {
    doc: "An object of S3 was sent to the server by querycop load; whether its rows are in force says the load that follows",
    fields: {
      connection: must("text", "The named connection"),
      object: must("text", "Its address, what is special in it in percent signs"),
      version: may("text", "Its version, where the bucket keeps versions"),
      etag: must("text", "Its ETag: nothing of another was read"),
      objectBytes: must("integer", "Its size"),
      contentHash: may(
        "text",
        "SHA-256 of the object as it is in S3, hexadecimal; of objects that were read whole by querycop",
      ),
      bytes: may("integer", "Bytes sent to the server, unpacked"),
      target: must("text", "The table the load is for"),
      mode: must("text", "append, abort, delete, replace, switch or truncate"),
      via: must("text", "stream: through querycop. server: Aurora read it itself"),
      outcome: oneOf(["loaded", "failed"], "failed: the load is taken back"),
      records: may("integer", "Rows read, as the server says"),
      deleted: may("integer", "Rows that gave way to others with the same key"),
      skipped: may("integer", "Rows that were not taken"),
      warnings: may("integer", "Warnings"),
      durationUs: may("integer", "Time it took"),
    },
  },
  load: {
    doc: "A querycop load came to its end",
    fields: {
      connection: must("text", "The named connection"),
      target: must("text", "The table"),
      mode: must("text", "append, abort, delete, replace, switch or truncate"),
      via: must("text", "stream or server"),
      outcome: oneOf(
        ["committed", "nothing-to-do", "unchanged", "unknown"],
        "unchanged: the table has the rows it had; unknown: the connection broke off at the end",
      ),
      objects: must("integer", "Objects that were found"),
      approvalId: may("text", "Id of the approval it ran under"),
      approver: may("text", "Who approved it"),
    },
  },
  "own-statement": {
    doc: "querycop is about to put a statement of its own to the backend, on account of the session's statement",
    fields: {
      session: must("session", "The session it is for"),
      ordinal: must("integer", "Number of the command in its session that called for it"),
      purpose: must(
        "text",
        "What for: kill-query, estimate, read-only (the session is set read only, or back), or the transaction around a guarded statement",
      ),
      text: must("text", "The statement; an EXPLAIN shows the client's statement as its digest"),
    },
  },
  "data-guard": {
    doc: "A limit of the data guard is near, was passed, or ended a response",
    fields: {
      session: must("session", "The session"),
      ordinal: must("integer", "Number of the command in its session"),
      command: may("text", "COM_STMT_FETCH, where rows of an open cursor were fetched"),
      statementId: may("integer", "Id of the prepared statement whose cursor it is"),
      statementOrdinal: may("integer", "Ordinal of the COM_STMT_EXECUTE that opened the cursor"),
      action: oneOf(GUARD_ACTIONS, "warned: 80 % are used; exceeded: passed, and only told; else what was done"),
      limit: must("text", "Which limit, by its key in the configuration"),
      rows: may("integer", "Rows the client had got of a response that was cut off"),
      bytes: may("integer", "Bytes the client had got of it"),
    },
  },
  disconnect: {
    doc: "A session ended",
    fields: {
      session: must("session", "The session that ended"),
      reason: must("text", "Close reason"),
      errorCode: may("text", "querycop's error code"),
      by: may("text", "Whose key ended it, where an operator did"),
      commands: may("integer", "Commands received"),
      bytesToClient: may("integer", "Bytes sent to the client"),
      bytesToBackend: may("integer", "Bytes sent to the backend"),
      durationUs: may("integer", "Life of the session"),
    },
  },
  "token-mint": {
    doc: "A token was minted or could not be; the token itself is never recorded",
    fields: {
      host: must("text", "Backend host the token is for"),
      port: must("integer", "Backend port"),
      region: may("text", "Region"),
      user: must("text", "Database user"),
      source: must("text", "command, rds-signer or dsql-signer"),
      outcome: oneOf(["ok", "error"], "Whether a token came out"),
      reason: may("text", "Why it failed: one of a closed list"),
      forced: may("flag", "Minted although a fresh token was at hand, because the backend had refused that one"),
      durationUs: may("integer", "Time it took"),
    },
  },
  "config-load": {
    doc: "The configuration was read",
    fields: {
      configHash: may("text", "Hash of the effective configuration"),
      file: may("text", "File it came from"),
      outcome: oneOf(["ok", "error"], "Whether it took effect"),
      problems: may("integer", "Number of problems found"),
    },
  },
  "policy-change": {
    doc: "The policy in force changed, or a change was refused",
    fields: {
      fromVersion: may("text", "Version before"),
      toVersion: must("text", "Version after, or the version refused"),
      policyText: may(
        "text",
        "The policy file as it took effect, for reading old decisions: querycop policy show. [cut] ends one too long for a record",
      ),
      outcome: oneOf(["ok", "error"], "Whether it took effect"),
      by: must("text", "Who or what changed it: start, signal, file, or an admin principal"),
    },
  },
  hold: {
    doc: "A statement waits for an approval",
    fields: {
      ...statementFields,
      expiresInMs: may("integer", "How long it waits at most"),
      mode: may("text", "hold: its client waits. immediate: its client was told to send it again once approved"),
    },
  },
  approval: {
    doc: "A hold ended",
    fields: {
      session: may("session", "The session of the held statement"),
      ordinal: may("integer", "Number of the held command in its session"),
      approvalId: must("text", "Id of the hold"),
      verdict: oneOf(APPROVAL_VERDICTS, "How it ended"),
      approver: may("text", "Who answered"),
      reason: may("text", "What the approver gave as a reason, or what cancelled it"),
      waitedMs: may("integer", "How long it waited"),
    },
  },
  "admin-call": {
    doc: "A request to the admin API",
    fields: {
      principal: may("text", "Who called, once known"),
      clientAddress: must("text", "Where from"),
      method: must("text", "HTTP method"),
      route: must("text", "Route pattern, not the raw path"),
      status: must("integer", "HTTP status answered"),
      target: may("text", "What the call acted on, such as a session id"),
    },
  },
  "audit-gap": {
    doc: "Events could not be recorded for a time, or the log was tampered with while open",
    fields: {
      reason: must(
        "text",
        "What went wrong: an errno name, or truncated, foreign-bytes, deleted, replaced, folder-replaced, cut-end",
      ),
      lost: must("integer", "Events refused while it lasted; each was told to its session"),
      since: may("text", "When it began, RFC 3339"),
      detail: may("text", "What was found, and where recovered records were put"),
    },
  },
  "segment-start": {
    doc: "First record of each file: who writes it and what it continues",
    fields: {
      format: must("integer", "Version of the record format"),
      run: must("text", "Random id of the writing process's life"),
      segment: must("integer", "Number of the file in its run, counted from 1"),
      why: oneOf(["start", "rotated", "reopened", "recovered"], "Why a new file was begun"),
      continues: may("text", "Run the chain comes from, when it is another one"),
      continuesSeq: may("integer", "Last sequence number seen of that run"),
      tornBytes: may("integer", "Bytes of a torn last record, cut from the file before"),
      keyId: must("text", "First 16 hexadecimal digits of the SHA-256 of the public key"),
      publicKey: must("text", "Ed25519 public key for the checkpoints, DER SPKI in base64"),
    },
  },
  checkpoint: {
    doc: "A signature over the chain so far",
    fields: {
      run: must("text", "Run the signature is for"),
      head: must("text", "Hash of the record before this one"),
      keyId: must("text", "Key that signed"),
      signature: must("text", "Ed25519 signature over run, sequence number and head, in base64"),
    },
  },
} as const;

/** What every record about a session says of it. Replace the object when something changes. */
export const SESSION_FIELDS = {
  id: must("text", "Id of the session, unique over restarts"),
  listener: may("text", "Listener it came in on"),
  clientAddress: must("text", "Client's address and port, or unix"),
  clientTls: may("text", "TLS version of the client leg"),
  tlsIdentity: may("text", "Subject of the client's verified certificate"),
  userSent: may("text", "User name as the client sent it"),
  user: may("text", "Canonical user name policy and tokens go by"),
  backend: may("text", "Backend host and port"),
  backendConnectionId: may("integer", "Connection id on the backend"),
  schema: may("text", "Default schema"),
  engine: may("text", "postgresql or dsql: whose SQL the session speaks, where it is not MySQL's"),
  sqlMode: may("text", "sql_mode in force"),
  searchPath: may("text", "search_path in force, as PostgreSQL 18 and newer report it"),
  characterSet: may("text", "Client character set"),
  program: may("text", "Program name the client gives, not verified"),
} as const;

interface FieldTypes {
  readonly text: string;
  readonly integer: number;
  readonly number: number;
  readonly flag: boolean;
  readonly texts: readonly string[];
  readonly session: AuditSession;
}

type FieldType<F> =
  F extends Field<infer K, boolean, infer W> ? (K extends keyof FieldTypes ? FieldTypes[K] : W) : never;
type OptionalKeys<T> = { [K in keyof T]: T[K] extends { readonly optional: true } ? K : never }[keyof T];
type FieldsOf<T> = { readonly [K in Exclude<keyof T, OptionalKeys<T>>]: FieldType<T[K]> } & {
  readonly [K in OptionalKeys<T>]?: FieldType<T[K]> | undefined;
};

export interface AuditSession extends FieldsOf<typeof SESSION_FIELDS> {}

export type AuditEventType = keyof typeof AUDIT_EVENTS;

type EventOf<T extends AuditEventType> = { readonly type: T } & FieldsOf<(typeof AUDIT_EVENTS)[T]["fields"]>;

/** One thing that happened. The log adds sequence number, time and hashes. */
export type AuditEvent = { [T in AuditEventType]: EventOf<T> }[AuditEventType];

/** The event of one type: `AuditEventOf<"login">`. */
export type AuditEventOf<T extends AuditEventType> = Extract<AuditEvent, { readonly type: T }>;
