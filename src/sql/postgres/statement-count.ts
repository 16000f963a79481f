/** How many statements one text holds. */
import { encodeUtf8 } from "../../base/bytes.ts";
import { parseWithAsync } from "./dsql/rule-set.ts";
import { Lexer, TOKEN } from "./lexing/lexer.ts";
import { parseText } from "./parser/parser.ts";

const SEMICOLON = 59;

/**
 * By the grammar; of what it does not take, by the semicolons outside of strings and comments. loadParser() must have been
 * called: before that all texts are counted by the latter.
 */
export function statementsIn(sql: string, isDsql: boolean): number {
  const bytes = encodeUtf8(sql);
  const lexer = new Lexer();
  lexer.run(bytes, "standard");
  const answer = isDsql ? parseWithAsync(lexer).answer : parseText(bytes);
  return answer.kind === "tree" ? answer.statements.length : partsOf(lexer);
}

function partsOf({ kinds, starts, sql, count }: Lexer): number {
  let parts = 0;
  let isBegun = false;
  for (let token = 0; token < count; token++) {
    if (kinds[token] === TOKEN.PUNCTUATION && sql[starts[token] as number] === SEMICOLON) isBegun = false;
    else if (!isBegun) {
      isBegun = true;
      parts++;
    }
  }
  return parts;
}
