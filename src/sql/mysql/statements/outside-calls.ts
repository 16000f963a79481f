/** Calls that lead out of the tables: a file of the server, or another service of AWS. */
import type { FindingName, Reach } from "../../facts.ts";
import type { StatementBuilder } from "../queries/statement-builder.ts";
import type { Walker } from "../queries/walker.ts";

interface Outside {
  readonly what: FindingName;
  readonly type: Reach["type"];
}

const LAMBDA: Outside = { what: "aws-function", type: "lambda" };
const SERVICE: Outside = { what: "aws-function", type: "remote-service" };

/** Aurora's functions: the first argument names the function, endpoint or model. */
const OUTSIDE_CALLS: ReadonlyMap<string, Outside> = new Map([
  ["LOAD_FILE", { what: "load-file", type: "load-file" }],
  ["LAMBDA_SYNC", LAMBDA],
  ["LAMBDA_ASYNC", LAMBDA],
  ["AWS_COMPREHEND_DETECT_SENTIMENT", SERVICE],
  ["AWS_COMPREHEND_DETECT_SENTIMENT_CONFIDENCE", SERVICE],
  ["AWS_SAGEMAKER_INVOKE_ENDPOINT", SERVICE],
  ["AWS_BEDROCK_INVOKE_MODEL", SERVICE],
  ["AWS_BEDROCK_INVOKE_MODEL_GET_EMBEDDINGS", SERVICE],
]);

/** Comprehend is handed the text to judge first, not a name. */
const NAMELESS = "AWS_COMPREHEND_";

/** Adds what the calls of a finished statement reach, with its name where it is a literal. */
export function noteOutsideCalls(w: Walker, statement: StatementBuilder, index: number): void {
  for (const { name, firstLiteral, start, end } of statement.functions) {
    const outside = OUTSIDE_CALLS.get(name);
    if (outside === undefined) continue;
    const target = name.startsWith(NAMELESS) ? undefined : firstLiteral;
    statement.reach.push({ type: outside.type, target, start, end });
    w.findIn(index, outside.what, start, end, 1, name);
  }
}
