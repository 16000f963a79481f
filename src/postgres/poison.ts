/**
 * What goes to the backend in place of a refused message: one of the same kind that must fail. So order, what is skipped
 * up to the next Sync and the state of the transaction are the server's own, and only the text of its error is replaced.
 */

import { encodeUtf8 } from "../base/bytes.ts";
import { encodeFrontendMessage, type FrontendMessage } from "./frontend-message.ts";
import { encodeMessage, writeString } from "./message.ts";

/** Messages that can be refused. */
export type Refusable = Extract<FrontendMessage, { name: "Query" | "Parse" | "Bind" | "Execute" | "FunctionCall" }>;

const REFUSABLE: ReadonlySet<string> = new Set<Refusable["name"]>([
  "Query",
  "Parse",
  "Bind",
  "Execute",
  "FunctionCall",
]);

export function isRefusable(message: FrontendMessage): message is Refusable {
  return REFUSABLE.has(message.name);
}

/** No statement begins with an operator: a syntax error before anything is looked up, in a failed transaction too. */
const POISON = "!";
const REFERENCE_BYTES_MAX = 64;

/**
 * `reference` is found again in the server's log beside the syntax error; letters, digits, `-` and `_` of it are taken.
 *
 * - Query and Parse: a text that is a syntax error. A Parse keeps its name, for a failing Parse drops the unnamed
 *   statement as the refused one would have
 * - Bind: more format codes than values, which fails whatever the statement (exec_bind_message()): no name has to be one
 *   that cannot exist
 * - Execute: a byte behind its end, which is found before the portal (pq_getmsgend())
 * - FunctionCall: OID 0, which no function has
 */
export function encodePoisoned(message: Refusable, reference = ""): Uint8Array {
  const text = encodeUtf8(`${POISON}${reference.replaceAll(/[^A-Za-z0-9_-]/g, "").slice(0, REFERENCE_BYTES_MAX)}`);
  switch (message.name) {
    case "Query":
      return encodeFrontendMessage({ name: "Query", sql: text });
    case "Parse":
      return encodeFrontendMessage({ name: "Parse", statement: message.statement, sql: text, parameterTypes: [] });
    case "Bind":
      return encodeFrontendMessage({
        name: "Bind",
        portal: message.portal,
        statement: message.statement,
        parameterFormats: [0, 0],
        values: [],
        resultFormats: [],
      });
    case "Execute":
      return encodeMessage("E", (body) => writeString(body, message.portal).int32BE(message.rowsMax).uint8(0));
    case "FunctionCall":
      return encodeMessage("F", (body) => body.int32BE(0).bytes(NO_ARGUMENTS));
  }
}

/** No formats, no values, and a result as text. */
const NO_ARGUMENTS = new Uint8Array(6);
