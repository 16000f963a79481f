/**
 * A second opinion on a statement from node-sql-parser: advice, never a verdict. The parser hides code and overlooks tables,
 * so it sees only text that our lexer has rewritten, and may only add to what the walk has found.
 */

import type { Analysis } from "../facts.ts";
import { type CanonicalText, canonicalText } from "../mysql/digest/canonical.ts";
import { Lexer } from "../mysql/lexing/lexer.ts";
import { primaryRules } from "../mysql/lexing/readings.ts";
import { type Advice, adviceWithout, compare, isWorthAsking } from "./advice.ts";
import { Parser, type ParserOptions } from "./parse.ts";

const CANONICAL_BYTES_MAX = 4096;

export class SecondOpinion {
  readonly #parser: Parser;
  readonly #lexer = new Lexer();

  constructor(options: ParserOptions = {}) {
    this.#parser = new Parser(options);
  }

  /** Never rejects. Costs the calling thread a lexer pass over a short text, nothing over a long one. */
  async secondOpinion(analysis: Analysis): Promise<Advice> {
    const text = this.#canonical(analysis);
    if (text === undefined) return adviceWithout("skipped");
    const answer = await this.#parser.parse(text.sql);
    return answer.outcome === "parsed" ? compare(analysis, answer, text.names) : adviceWithout(answer.outcome);
  }

  close(): Promise<void> {
    return this.#parser.close();
  }

  #canonical(analysis: Analysis): CanonicalText | undefined {
    const { sql, context, tokenCount } = analysis;
    if (context.engine !== "mysql" || !isWorthAsking(analysis)) return undefined;
    this.#lexer.start(sql, primaryRules(context), tokenCount + 1);
    this.#lexer.run(sql.length);
    return canonicalText(this.#lexer, CANONICAL_BYTES_MAX);
  }
}
