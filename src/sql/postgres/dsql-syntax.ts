/** What Aurora DSQL alone has and no other word of PostgreSQL's stands for: AWS IAM GRANT and REVOKE. */
import { type Lexer, TOKEN } from "./lexing/lexer.ts";
import type { Walk } from "./walk/walk.ts";

const decoder = new TextDecoder();

/** What reads the text, where it is one of these and nothing else. */
export function dsqlStatement(lexer: Lexer): ((walk: Walk) => void) | undefined {
  const word = (token: number): string =>
    token >= lexer.count || lexer.kinds[token] !== TOKEN.WORD
      ? ""
      : decoder.decode(lexer.sql.subarray(lexer.starts[token], lexer.ends[token])).toLowerCase();
  // SAFETY: a semicolon in the middle would hide what follows.
  if (hasMore(lexer)) return undefined;
  if (word(0) === "aws" && word(1) === "iam" && (word(2) === "grant" || word(2) === "revoke")) {
    return put(lexer, word(2) === "grant" ? "aws-iam-grant" : "aws-iam-revoke", 3);
  }
  return undefined;
}

function hasMore({ count, kinds, sql, starts }: Lexer): boolean {
  for (let token = 0; token < count - 1; token++)
    if (kinds[token] === TOKEN.PUNCTUATION && sql[starts[token] as number] === 59) return true;
  return false;
}

const put =
  (lexer: Lexer, kind: "aws-iam-grant" | "aws-iam-revoke", name: number) =>
  (walk: Walk): void => {
    const range = { start: lexer.starts[0] ?? 0, end: lexer.ends[lexer.count - 1] ?? 0 };
    const { draft } = walk.begin("packet", undefined, 0, range);
    draft.kind = kind;
    const text = decoder.decode(lexer.sql.subarray(lexer.starts[name], lexer.ends[name])).replaceAll('"', "");
    draft.accounts.push({ ...range, user: text, host: undefined });
  };
