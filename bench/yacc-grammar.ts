/** The grammar of a server out of its own sources: the rules of a Bison file, the words of a table of symbols. */
import { readFileSync } from "node:fs";
import { type Alternative, Grammar } from "../test/support/sentences.ts";

export interface YaccOptions {
  /** sql_yacc.yy and lex.h. */
  readonly grammarFile: string;
  readonly symbolsFile: string;
  /** Which side of %ifdef is kept: MARIADB or ORACLE. */
  readonly side: string;
  /** What stands for rules and for tokens without a word, as alternatives of symbols separated by blanks. */
  readonly replacements: Readonly<Record<string, readonly string[]>>;
  /** Tokens whose alternatives are left out. */
  readonly forbidden: ReadonlySet<string>;
}

export function readYaccGrammar({ grammarFile, symbolsFile, side, replacements, forbidden }: YaccOptions): Grammar {
  const words = readWords(readFileSync(symbolsFile, "utf8"));
  const [, body = ""] = withSide(readFileSync(grammarFile, "utf8"), side).split(/^%%$/m);
  const rules = new Map<string, Alternative[]>();
  const parsed = parseRules(body);
  for (const [name, alternatives] of parsed) {
    const kept = alternatives.filter((symbols) => !symbols.some((symbol) => forbidden.has(symbol)));
    rules.set(
      `<${name}>`,
      kept.map((symbols) => symbols.flatMap((symbol) => asSymbol(symbol, parsed, words, rules))),
    );
  }
  for (const [name, alternatives] of Object.entries(replacements)) {
    rules.set(
      `<${name}>`,
      alternatives.map((alternative) => alternative.split(" ").filter((symbol) => symbol !== "")),
    );
  }
  return new Grammar(rules);
}

function asSymbol(
  symbol: string,
  parsed: ReadonlyMap<string, unknown>,
  words: ReadonlyMap<string, readonly string[]>,
  rules: Map<string, Alternative[]>,
): string[] {
  const literal = /^'(.)'$/.exec(symbol)?.[1];
  if (literal !== undefined) return [literal];
  if (parsed.has(symbol)) return [`<${symbol}>`];
  const spellings =
    words.get(symbol) ?? words.get(`${symbol}_SYM`) ?? words.get(symbol.replace("_ORACLE_SYM", "_MARIADB_SYM"));
  if (spellings !== undefined) {
    if (spellings.length > 1)
      rules.set(
        `<${symbol}>`,
        spellings.map((word) => [word]),
      );
    return spellings.length > 1 ? [`<${symbol}>`] : [...spellings];
  }
  // A token that only a replacement can stand for; without one the alternative has no end.
  return [`<${symbol}>`];
}

/** Keyword texts by token. */
function readWords(text: string): Map<string, string[]> {
  const words = new Map<string, string[]>();
  const entry = /\{\s*(?:SYM(?:_FN|_HK)?\("([^"]+)",\s*(\w+)\)|"([^"]+)",\s*SYM\((\w+)\))\s*\}/g;
  for (const [, a, b, c, d] of text.matchAll(entry)) {
    const word = a ?? c ?? "";
    const token = b ?? d ?? "";
    words.set(token, [...(words.get(token) ?? []), word]);
  }
  return words;
}

function withSide(text: string, side: string): string {
  const kept: string[] = [];
  let isKept = true;
  for (const line of text.split("\n")) {
    const condition = /^%ifdef\s+(\w+)/.exec(line);
    if (condition !== null) isKept = condition[1] === side;
    else if (/^%else/.test(line)) isKept = !isKept;
    else if (/^%endif/.test(line)) isKept = true;
    else if (isKept) kept.push(line);
  }
  return kept.join("\n");
}

/** Symbols of every alternative of every rule; actions, comments and precedences are dropped. */
function parseRules(body: string): Map<string, string[][]> {
  const rules = new Map<string, string[][]>();
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\])'|%\w+|[A-Za-z_]\w*|<[^>\n]*>|[:|;{]|\s+|./gy;
  let name: string | undefined;
  let last = "";
  for (let match = token.exec(body); match !== null; match = token.exec(body)) {
    const [text] = match;
    if (/^(?:\s|\/[*/])/.test(text)) continue;
    if (text === "{") token.lastIndex = actionEnd(body, match.index);
    else if (text === ":") {
      // The word before the colon was the rule's name.
      rules
        .get(name ?? "")
        ?.at(-1)
        ?.pop();
      name = last;
      if (!rules.has(name)) rules.set(name, []);
      rules.get(name)?.push([]);
    } else if (text === "|") rules.get(name ?? "")?.push([]);
    else if (text === ";") name = undefined;
    else if (text === "%prec")
      token.lastIndex += /^\s*(?:\w+|'.')/.exec(body.slice(token.lastIndex, token.lastIndex + 80))?.[0].length ?? 0;
    else if (/^[A-Za-z']/.test(text)) {
      last = text;
      rules
        .get(name ?? "")
        ?.at(-1)
        ?.push(text);
    }
  }
  return rules;
}

/** Past the closing brace of the C code that begins at `from`. */
function actionEnd(body: string, from: number): number {
  const piece = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])+'|[{}]|[^{}"'/]+|./gy;
  piece.lastIndex = from;
  let depth = 0;
  for (let match = piece.exec(body); match !== null; match = piece.exec(body)) {
    if (match[0] === "{") depth++;
    else if (match[0] === "}" && --depth === 0) return piece.lastIndex;
  }
  return body.length;
}
