/** Random sentences of a grammar, and random ways to write them. */
import type { Dice } from "./digest-oracle.ts";

/** A rule's name in angle brackets, or a token: upper case is a keyword, lower case a name, anything else as it is. */
export type GrammarSymbol = string;
export type Alternative = readonly GrammarSymbol[];

/** Tokens that a sentence should not have more of. */
const TOKENS_MAX = 60;
const HEIGHT_UNKNOWN = 1e9;

const isRule = (symbol: GrammarSymbol): boolean => /^<[\w-]+>$/.test(symbol);

export class Grammar {
  readonly rules: ReadonlyMap<string, readonly Alternative[]>;
  readonly #heights = new Map<string, number>();
  readonly #lowest = new Map<string, Alternative>();

  constructor(rules: ReadonlyMap<string, readonly Alternative[]>) {
    this.rules = rules;
    this.#measure();
  }

  /** How deep the flattest sentence of each rule is; rules without a finite sentence stay unknown. */
  #measure(): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (const [name, alternatives] of this.rules) {
        for (const alternative of alternatives) {
          const height = 1 + Math.max(0, ...alternative.map((symbol) => this.#heightOf(symbol)));
          if (height >= (this.#heights.get(name) ?? HEIGHT_UNKNOWN)) continue;
          this.#heights.set(name, height);
          this.#lowest.set(name, alternative);
          changed = true;
        }
      }
    }
  }

  #heightOf(symbol: GrammarSymbol): number {
    return isRule(symbol) ? (this.#heights.get(symbol) ?? HEIGHT_UNKNOWN) : 0;
  }

  /** Whether every rule that the grammar uses can end. Returns those that cannot. */
  endless(): string[] {
    const used = [...this.rules.values()].flat(2).filter(isRule);
    return [...new Set(used)].filter((name) => !this.#heights.has(name));
  }

  /** The tokens of a sentence of `start`. Beyond `depth` levels every rule takes its shortest way to an end. */
  sentence(dice: Dice, start: GrammarSymbol, depth: number): string[] {
    const tokens: string[] = [];
    const stack: { readonly symbol: GrammarSymbol; readonly depth: number }[] = [{ symbol: start, depth }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { symbol, depth: left } = top;
      const alternatives = isRule(symbol) ? this.rules.get(symbol) : undefined;
      if (alternatives === undefined) {
        tokens.push(symbol);
        continue;
      }
      const isShort = left <= 0 || tokens.length + stack.length > TOKENS_MAX;
      const possible = alternatives.filter((each) => each.every((part) => this.#heightOf(part) < HEIGHT_UNKNOWN));
      const chosen = (isShort ? this.#lowest.get(symbol) : dice.pick(possible)) ?? [];
      for (const part of chosen.toReversed()) stack.push({ symbol: part, depth: left - 1 });
    }
    return tokens;
  }
}

/**
 * Reads rules such as `<name> = A <b> | c [ , d ] ;`: alternatives by bars, what may be missing in brackets, blanks
 * between all symbols. A blank, a semicolon and the end of the line end a rule.
 */
export function readGrammar(text: string): Grammar {
  const rules = new Map<string, Alternative[]>();
  let options = 0;
  for (const line of text.split(/ ;\n/)) {
    const [head = "", equals, ...symbols] = line.split(/\s+/).filter((symbol) => symbol !== "");
    if (head === "") continue;
    if (equals !== "=") throw new Error(`A rule without "=": ${line.trim()}`);
    const open: { name: string; alternatives: string[][] }[] = [{ name: head, alternatives: [[]] }];
    for (const symbol of symbols) {
      const level = open.at(-1) as { name: string; alternatives: string[][] };
      if (symbol === "|") level.alternatives.push([]);
      else if (symbol === "[") open.push({ name: `<option-${options++}>`, alternatives: [[], []] });
      else if (symbol === "]") {
        open.pop();
        rules.set(level.name, level.alternatives);
        open.at(-1)?.alternatives.at(-1)?.push(level.name);
      } else level.alternatives.at(-1)?.push(symbol);
    }
    rules.set(head, [...(rules.get(head) ?? []), ...(open[0]?.alternatives ?? [])]);
  }
  return new Grammar(rules);
}

export interface Spelling {
  /** Double quotes enclose names. */
  readonly ansiQuotes: boolean;
  /** How odd, from 0 (one blank between all tokens) to 1. */
  readonly oddity: number;
}

const GAPS = [
  "  ",
  "\n",
  "\t",
  "\r\n",
  "/**/",
  " /* c */ ",
  "/* it's \" ` */",
  " -- c\n",
  " #c\n",
  "\f",
  "\v",
  "/* ; */",
  " --\t'\n",
];
const VERSIONS = [
  "",
  "",
  "40101",
  "50000",
  "50701 ",
  "80000",
  "80400",
  "90704",
  "99999",
  "100100",
  "101100",
  "110800",
  "080000",
];
const TAILS = ["", "", "", "", ";", " ", "\n", " ;", "; ", " -- c", " # c", "/* c */", "\t;;", ";-- c\n"];

const chance = (dice: Dice, share: number): boolean => dice.below(1000) < share * 1000;
const isWordLike = (token: string): boolean => /^[\w$@]/.test(token) || /[\w$'"`]$/.test(token);

/** The sentence as text. */
export function spell(dice: Dice, tokens: readonly string[], spelling: Spelling): string {
  const { oddity } = spelling;
  const spelled = tokens.map((token) => (chance(dice, oddity) ? respell(dice, token, spelling) : token));
  if (spelled.length > 1 && chance(dice, oddity / 3)) wrap(dice, spelled);
  let text = "";
  for (const [index, token] of spelled.entries()) {
    if (index > 0) text += gap(dice, spelled[index - 1] ?? "", token, oddity);
    text += token;
  }
  return chance(dice, oddity) ? text + dice.pick(TAILS) : text;
}

function gap(dice: Dice, before: string, after: string, oddity: number): string {
  // The parenthesis of a function's arguments has to follow its name.
  if (before.endsWith("(") && before.length > 1) return chance(dice, oddity / 4) ? dice.pick(GAPS) : "";
  if (!chance(dice, oddity)) return before === "." || after === "." ? "" : " ";
  const canTouch = /[(),;]/.test(before) || /[(),;]/.test(after) || !(isWordLike(before) && isWordLike(after));
  return canTouch && chance(dice, 0.4) ? "" : dice.pick(GAPS);
}

function respell(dice: Dice, token: string, { ansiQuotes }: Spelling): string {
  if (/^[A-Z_0-9]+\(?$/.test(token)) return dice.pick([token.toLowerCase(), mixedCase(dice, token)]);
  if (/^[a-z_][a-z_0-9]*$/.test(token)) return ansiQuotes && chance(dice, 0.5) ? `"${token}"` : `\`${token}\``;
  if (/^'[^'\\]*'$/.test(token) && !ansiQuotes) return `"${token.slice(1, -1)}"`;
  if (/^\d$/.test(token)) return dice.pick([`0x0${token}`, `${token}.0`, `${token}e0`, `+${token}`, `(${token})`]);
  return token;
}

function mixedCase(dice: Dice, token: string): string {
  return token.replaceAll(/[A-Z]/g, (letter) => (chance(dice, 0.5) ? letter.toLowerCase() : letter));
}

/** Puts some of the tokens into an executable comment. */
function wrap(dice: Dice, tokens: string[]): void {
  const first = dice.below(tokens.length);
  const last = first + dice.below(Math.min(8, tokens.length - first));
  tokens[first] = `/*${chance(dice, 0.2) ? "M" : ""}!${dice.pick(VERSIONS)} ${tokens[first]}`;
  tokens[last] = `${tokens[last]} */`;
}
