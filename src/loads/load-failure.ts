/** How a load ends where it does not end well: in words for the operator, and by the exit code that scripts go by. */

/** failed: nothing is changed. missing: nothing is changed, for there was no object. unknown: the end was not seen. */
export type LoadEnd = "failed" | "missing" | "unknown";

/** Its text holds no SQL, no value of a row and no secret. */
export class LoadFailure extends Error {
  override readonly name = "LoadFailure";
  readonly end: LoadEnd;

  constructor(message: string, end: LoadEnd = "failed") {
    super(message);
    this.end = end;
  }
}
