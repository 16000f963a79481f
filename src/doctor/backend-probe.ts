/** What the checks of one listener hand on to each other, and the connection that outlives a check. */
import type { X509Certificate } from "node:crypto";
import type { ResolvedAddress } from "./check.ts";
import type { ServerQuestions } from "./postgres/server-questions.ts";
import type { ServerQueries } from "./server-queries.ts";

export class BackendProbe {
  addresses: readonly ResolvedAddress[] = [];
  /** By its greeting, or its answer to an SSLRequest. */
  offersTls = false;
  /** The certificate the server shows, verified or not. */
  certificate: X509Certificate | undefined;
  /** Open after a login that went well. */
  queries: ServerQueries | undefined;
  /** The same where it is a PostgreSQL. */
  questions: ServerQuestions | undefined;

  close(): void {
    this.queries?.close();
    this.queries = undefined;
    this.questions?.close();
    this.questions = undefined;
  }
}
