/**
 * What is said of a statement's neighbours: all facts, the decision of some policy, and what is remembered.
 *
 *   bun test/support/neighbour-answers.ts 'SELECT 1'      prints it, a line for each neighbour
 */
import { decide } from "../../src/policy/decide.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { MysqlContext, Reading } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { lexForCache } from "../../src/sql/mysql/digest/cache-key.ts";
import { analyzeDigest } from "../../src/sql/mysql/digest-text.ts";
import { bindValues } from "../../src/sql/mysql/dynamic/bound-text.ts";
import { findParameterPlaces } from "../../src/sql/mysql/dynamic/parameter-places.ts";
import { NOON, policyFrom, SUBJECT } from "../policy/policy-fixture.ts";
import { type Neighbours, neighboursOf } from "./neighbour-texts.ts";
import { STRICT_POLICY } from "./worst-texts.ts";

const POLICIES: readonly Policy[] = [
  "",
  STRICT_POLICY.replace("version: 1\n", ""),
  "read_only: true\nallow: { tables: [t, app.u], functions: [f], routines: [app.p] }\nnot_understood: warn",
  `deny: { statements: [delete, "drop-*"], tables: [u] }
profiles:
  - { name: other, match: { schemas: [other, z] }, read_only: true, tenants: [{ tables: ["*"], column: a, value: "7" }] }
  - { name: app, match: { schemas: [app] }, schemas: [app], allow: { statements: [select, insert, update, set] } }`,
].map(policyFrom);

const VALUES = [7, "x' OR 1=1", null, 9_007_199_254_740_993n, new Uint8Array([0x41, 0x27, 0x5c]), 1.5, undefined, -1];

export interface Answer {
  readonly text: string;
  /** What it took to look at the text, in every reading. */
  readonly steps: number;
  readonly answer: unknown;
}

/** What each neighbour is told, a list for each kind of step. */
export function answersOf(text: string, session: Partial<MysqlContext>): Generator<Answer>[] {
  return neighboursOf(text).map((neighbours) => answersTo(neighbours, session));
}

/** What one text is told under the policy of that number. */
export function answerTo(text: string, index: number): unknown {
  const policy = POLICIES[index % POLICIES.length] as Policy;
  return answerOf(Buffer.from(text), contextFor({ schema: "app" }), policy).answer;
}

function* answersTo(neighbours: Neighbours, session: Partial<MysqlContext>): Generator<Answer> {
  let index = 0;
  for (const [text, other] of neighbours) {
    const context = { ...contextFor({ schema: "app" }), ...session, ...other };
    const policy = POLICIES[index++ % POLICIES.length];
    if (policy !== undefined) yield { text, ...answerOf(Buffer.from(text), context, policy) };
  }
}

/** Everything but how many steps it took. */
const factsOf = ({ steps: _, ...facts }: Reading): Partial<Reading> => facts;

function answerOf(sql: Buffer, context: MysqlContext, policy: Policy): Omit<Answer, "text"> {
  const { sql: _, context: __, readings, ambiguities, ...first } = analyze(sql, context);
  const analysis = { sql, context, readings, ambiguities, ...first };
  const places = sql.includes("?") ? findParameterPlaces(sql, context) : undefined;
  const bound = places === undefined ? undefined : bindValues(sql, places, VALUES, context, true);
  const decision = decide(analysis, { ...SUBJECT, schema: context.schema }, policy, {
    wallMs: NOON,
    ...(bound === undefined ? {} : { bound: analyze(bound, context) }),
  });
  const again = readings.length > 1 ? undefined : analyzeDigest(first.digest, context);
  const answer = {
    readings: readings.map(factsOf),
    ambiguities,
    decision,
    ...(bound === undefined ? {} : { bound: Buffer.from(bound).toString("latin1") }),
    ofDigest: again?.statements.map(({ kind }) => kind),
    remembered: lexForCache(sql, context),
  };
  return { steps: readings.reduce((sum, { steps }) => sum + steps, 0), answer };
}

if (process.argv[1]?.endsWith("neighbour-answers.ts") === true) {
  for (const answers of answersOf(process.argv[2] ?? "", {})) {
    for (const { text, answer } of answers) console.log(`${text}\t${JSON.stringify(answer)}`);
  }
}
