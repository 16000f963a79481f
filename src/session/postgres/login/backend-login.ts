/** Logs a user in to the backend: answers what it asks for with the credentials at hand, and takes what it says of the session. */
import { QuerycopError } from "../../../base/errors.ts";
import {
  type Authentication,
  type BackendKeyData,
  decodeAuthentication,
  decodeBackendKeyData,
  decodeErrorFields,
  decodeNegotiateProtocolVersion,
  decodeParameterStatus,
  decodeReadyForQuery,
  type ErrorFields,
  type TransactionStatus,
} from "../../../postgres/backend-message.ts";
import { encodeStartupMessage, type OwnStartup } from "../../../postgres/startup.ts";
import type { BackendConnection } from "../backend-connection.ts";

/** The backend said no in its own words, which the client gets as they came. */
export class PostgresRefusal extends QuerycopError {
  readonly wire: Uint8Array;
  readonly fields: ErrorFields;

  constructor(wire: Uint8Array, fields: ErrorFields, during: string) {
    super("QC_BACKEND_REFUSED", `The backend refused ${during}: ${fields.code} ${fields.message}`);
    this.wire = wire;
    this.fields = fields;
  }
}

/** How the backend asked for the password, as audit and metrics name it. */
export type BackendMethod = "trust" | "password" | "md5" | "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS";

/** Answers the backend's requests in the name of the user. */
export interface Credentials {
  /** The message to send. Throws what ends the login. */
  answer(request: AuthenticationRequest, connection: BackendConnection): Promise<Uint8Array | undefined>;
  readonly method: BackendMethod;
  /** The backend is content. Throws where it must not be yet. */
  confirm(): void;
}

export type AuthenticationRequest = Exclude<Authentication, { kind: "ok" }>;

/** What a login has come to. */
export interface LoggedIn {
  /** ParameterStatus and NoticeResponse messages as they came, in their order. */
  readonly greeting: readonly Uint8Array[];
  readonly parameters: ReadonlyMap<string, string>;
  readonly key: BackendKeyData | undefined;
  readonly status: TransactionStatus;
}

/** Notices before and behind the login that are kept for the client; a server sends few. */
const GREETING_BYTES_MAX = 1024 * 1024;
/** A server asks three times at most. */
const REQUESTS_MAX = 8;

/** Runs the login to its first ReadyForQuery. Throws PostgresRefusal, QC_BACKEND_… and what `credentials` throws. */
export async function logInToBackend(
  connection: BackendConnection,
  startup: OwnStartup,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<LoggedIn> {
  connection.sendNow({ kind: "login", message: "StartupMessage" }, encodeStartupMessage(startup));
  const session = new LoginAnswers(startup.minor);
  for (;;) {
    const piece = await connection.nextPiece("waiting for its answer to the login", signal);
    if (piece.kind === "passing") throw unexpected(`a message of type ${piece.type}`);
    const { type, body, wire } = piece;
    const letter = String.fromCharCode(type);
    if (letter === "R") {
      const request = session.authentication(body);
      if (request === undefined) {
        credentials.confirm();
        continue;
      }
      const answer = await credentials.answer(request, connection);
      if (answer !== undefined) connection.sendNow({ kind: "login", message: "AuthenticationResponse" }, answer);
    } else if (letter === "E") {
      throw new PostgresRefusal(wire.slice(), decodeErrorFields(body), "the login");
    } else if (letter === "Z") {
      return session.ready(body);
    } else {
      session.take(letter, body, wire);
    }
  }
}

class LoginAnswers {
  readonly #minor: number;
  readonly #greeting: Uint8Array[] = [];
  readonly #parameters = new Map<string, string>();
  #bytes = 0;
  #requests = 0;
  #isAuthenticated = false;
  #key: BackendKeyData | undefined;

  constructor(minor: number) {
    this.#minor = minor;
  }

  /** What is asked for, or undefined where the backend is content. */
  authentication(body: Uint8Array): AuthenticationRequest | undefined {
    if (this.#isAuthenticated || ++this.#requests > REQUESTS_MAX)
      throw unexpected("an Authentication message too many");
    const request = decodeAuthentication(body);
    if (request.kind !== "ok") return request;
    this.#isAuthenticated = true;
    return undefined;
  }

  take(letter: string, body: Uint8Array, wire: Uint8Array): void {
    if (letter === "N") {
      this.#keep(wire);
    } else if (letter === "v" && !this.#isAuthenticated) {
      // It speaks an older minor version: all that changes is the length of its key.
      if (decodeNegotiateProtocolVersion(body).minor > this.#minor)
        throw unexpected("a newer protocol than was asked for");
    } else if (letter === "S" && this.#isAuthenticated) {
      const { parameter, value } = decodeParameterStatus(body);
      this.#parameters.set(parameter, value);
      this.#keep(wire);
    } else if (letter === "K" && this.#isAuthenticated) {
      this.#key = decodeBackendKeyData(body);
    } else {
      throw unexpected(`a message of type ${letter} in its place`);
    }
  }

  ready(body: Uint8Array): LoggedIn {
    if (!this.#isAuthenticated) throw unexpected("ReadyForQuery before the login was through");
    const status = decodeReadyForQuery(body);
    return { greeting: this.#greeting, parameters: this.#parameters, key: this.#key, status };
  }

  #keep(wire: Uint8Array): void {
    this.#bytes += wire.length;
    if (this.#bytes > GREETING_BYTES_MAX) throw unexpected("more than 1 MiB of notices");
    this.#greeting.push(wire.slice());
  }
}

function unexpected(found: string): QuerycopError {
  return new QuerycopError("QC_BACKEND_PROTOCOL", `The backend broke the protocol of its login: it sent ${found}`);
}
