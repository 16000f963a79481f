/** What a transaction of Aurora DSQL has done so far, by the tags of its statements, and what is to be said before a limit is met. */

/** https://docs.aws.amazon.com/aurora-dsql/latest/userguide/CHAP_quotas.html */
const ROWS_MAX = 3000;
const BYTES_MAX = 10 * 1024 * 1024;
const AGE_MAX_MS = 5 * 60_000;
const NEAR = 0.8;

const DDL: ReadonlySet<string> = new Set(["CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT"]);
const DML: ReadonlySet<string> = new Set(["INSERT", "UPDATE", "DELETE"]);

export interface Done {
  /** Of CommandComplete. */
  readonly tag: string;
  readonly rows: number;
  readonly nowMs: number;
  /** Sent to the backend since its connection began. */
  readonly bytesSent: number;
}

export class TransactionWatch {
  #isOpen = false;
  #rows = 0;
  #hasWritten = false;
  #beganMs = 0;
  #beganBytes = 0;
  readonly #told = new Set<string>();
  /** What may not follow a write is told once in a session: not every transaction of an application. */
  #hasToldWriter = false;

  /** A statement is over. What the client is to be told, a text each. */
  completed(done: Done): readonly string[] {
    const { tag, rows, nowMs, bytesSent } = done;
    const [word = ""] = tag.split(" ", 1);
    if (word === "BEGIN" || tag === "START TRANSACTION") this.#begin(nowMs, bytesSent);
    else if (word === "COMMIT" || word === "ROLLBACK") this.ended();
    if (!this.#isOpen) return [];
    const texts: string[] = [];
    if (DDL.has(word)) this.#say(texts, AFTER_DDL);
    if (DML.has(word)) {
      this.#rows += rows;
      this.#hasWritten = true;
      if (!this.#hasToldWriter) this.#say(texts, AFTER_WRITE);
      this.#hasToldWriter = true;
    }
    if (this.#hasWritten) this.#nearLimits(texts, nowMs, bytesSent);
    return texts;
  }

  /** The server says that no transaction is open. */
  ended(): void {
    this.#isOpen = false;
    this.#told.clear();
  }

  #begin(nowMs: number, bytesSent: number): void {
    this.ended();
    this.#isOpen = true;
    this.#rows = 0;
    this.#hasWritten = false;
    this.#beganMs = nowMs;
    this.#beganBytes = bytesSent;
  }

  #nearLimits(texts: string[], nowMs: number, bytesSent: number): void {
    if (this.#rows > ROWS_MAX * NEAR) {
      this.#say(texts, `This transaction has changed ${this.#rows} rows of ${ROWS_MAX}: COMMIT, and go on in another`);
    }
    if (bytesSent - this.#beganBytes > BYTES_MAX * NEAR) {
      this.#say(texts, "This transaction has sent over 8 MiB, and may change 10 MiB: COMMIT, and go on in another");
    }
    if (nowMs - this.#beganMs > AGE_MAX_MS * NEAR) {
      this.#say(texts, "This transaction is open for over 4 minutes, and may be for 5: COMMIT, and go on in another");
    }
  }

  /** By its first words: numbers in it change. */
  #say(texts: string[], text: string): void {
    const kind = text.slice(0, 28);
    if (this.#told.has(kind)) return;
    this.#told.add(kind);
    texts.push(text);
  }
}

const AFTER_DDL = "Nothing but COMMIT may follow in this transaction: Aurora DSQL takes one DDL statement by itself";
const AFTER_WRITE =
  "No DDL may follow in this transaction, nor more than 3,000 changed rows, 10 MiB or 5 minutes: so Aurora DSQL has it";
