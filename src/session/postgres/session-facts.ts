/** What is known of the server's side of a session: what it has said of itself, and the state of its transaction. */
import type { ParameterStatus, TransactionStatus } from "../../postgres/backend-message.ts";
import type { TextEncoding } from "../../postgres/frontend-message.ts";

/** Parameters that are kept; a server reports some fifteen. */
const PARAMETERS_MAX = 256;

export class SessionFacts {
  readonly user: string;
  readonly database: string;
  readonly #parameters: Map<string, string>;
  /** Grows with every setting that the server reports. */
  revision = 0;
  status: TransactionStatus;
  /** Of the command at hand: 1 is the first. */
  ordinal = 0;
  /**
   * Changed settings are told at the next ReadyForQuery only: true while something is under way that may have changed one,
   * so that what follows in the same unit may be read under the settings here or under others.
   */
  isUnsettled = false;
  /** The same for search_path alone: something under way writes, and who writes does not see what a trigger of it sets. */
  isPathUnsettled = false;
  /** Something may have given a name of a statement another meaning than anybody has seen. */
  areNamesDoubtful = false;
  /** The session began with transactions that the server holds read only. */
  isWalled = false;

  constructor(user: string, database: string, parameters: ReadonlyMap<string, string>, status: TransactionStatus) {
    this.user = user;
    this.database = database;
    this.#parameters = new Map(parameters);
    this.status = status;
  }

  /** Undefined for what the server has not reported: search_path before PostgreSQL 18. */
  parameter(name: string): string | undefined {
    return this.#parameters.get(name);
  }

  take({ parameter, value }: ParameterStatus): void {
    this.revision++;
    if (this.#parameters.size < PARAMETERS_MAX || this.#parameters.has(parameter))
      this.#parameters.set(parameter, value);
  }

  /** What is under way writes. Where no path is reported, none is known anyway. */
  noteWrite(): void {
    this.isPathUnsettled = this.#parameters.has("search_path");
  }

  get encoding(): TextEncoding {
    return this.#parameters.get("client_encoding") === "UTF8" ? "UTF8" : "other";
  }

  get isInTransaction(): boolean {
    return this.status !== "I";
  }
}
