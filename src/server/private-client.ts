/** Statements of querycop's own on a private server: judged, recorded and answered as those of any client. */
import { encodeUtf8 } from "../base/bytes.ts";
import { Leg } from "../net/leg.ts";
import { network } from "../net/network.ts";
import type { ErrorFields } from "../postgres/backend-message.ts";
import { BackendConnection } from "../session/postgres/backend-connection.ts";
import { logInToBackend } from "../session/postgres/login/backend-login.ts";
import { SecretCredentials } from "../session/postgres/login/credentials.ts";
import { decodeOwnRows, type OwnRow, sayGoodbye, sendOwn } from "../session/postgres/own-statement.ts";

export interface PrivateLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** As the server and the audit log know the session. */
  readonly program: string;
}

export type PrivateAnswer = { readonly rows: readonly OwnRow[] } | { readonly refusal: ErrorFields };

const NO_PACKETS = 0;
/** For all that a command asks: it is there as long as that takes. */
const TIME_MS = 24 * 60 * 60_000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const WHAT = "a statement of querycop's";

export class PrivateClient {
  readonly #connection: BackendConnection;
  readonly #signal: AbortSignal;

  private constructor(connection: BackendConnection, signal: AbortSignal) {
    this.#connection = connection;
    this.#signal = signal;
  }

  /** Throws PostgresRefusal where the server, or querycop in front of it, says no. */
  static async logIn(login: PrivateLogin, signal: AbortSignal): Promise<PrivateClient> {
    const { host, port, user, password, database, program } = login;
    const transport = await network.connect(host, port, signal);
    const connection = new BackendConnection(new Leg("backend", transport, NO_PACKETS), TIME_MS);
    try {
      const settings = new Map([["application_name", program]]);
      // SCRAM, whose exchange may be listened to: the password goes over the loopback in no other form.
      const credentials = new SecretCredentials({
        user,
        secret: { password: encodeUtf8(password) },
        isVerifying: false,
      });
      await logInToBackend(connection, { minor: 0, user, database, settings }, credentials, signal);
      return new PrivateClient(connection, signal);
    } catch (thrown) {
      connection.destroy();
      throw thrown;
    }
  }

  /** One statement at a time. Throws where the connection breaks, or the answer is longer than 16 MiB. */
  async query(sql: string): Promise<PrivateAnswer> {
    const answer = await sendOwn(this.#connection, { sql, what: WHAT, bytesMax: ANSWER_BYTES_MAX }, this.#signal);
    return "refusal" in answer ? answer : { rows: decodeOwnRows(answer.wire) };
  }

  close(): void {
    sayGoodbye(this.#connection);
  }
}
