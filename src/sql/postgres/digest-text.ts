/**
 * Reads a digest back: a statement that has it, with parameters where literals were. Everything but the literals is in it, so
 * that it has one meaning; what it does not tell are the values.
 */
import type { Analysis, PostgresqlContext, Reading } from "../facts.ts";
import { analyze, type PostgresAnalysis } from "./analyze.ts";
import { digestOf } from "./digest.ts";
import { Lexer, TOKEN } from "./lexing/lexer.ts";

/** What may have stood in the place of a `?`, the likeliest first: values that the grammar takes, and the operator itself. */
const LITERALS = ["$", "'x'", "1", "?"] as const;
/** With another one behind it, it is rather the operator: `data ? 'key'`. */
const BEFORE_LITERAL = ["?", "$", "'x'", "1"] as const;

/** Each attempt puts something else into one place. */
const ATTEMPTS_MAX = 64;

const LIST = "...";

const lexer = new Lexer();

interface Part {
  /** Undefined in the place of a literal. */
  readonly text: string | undefined;
  /** What is tried there, in this order. */
  readonly choices: readonly string[];
}

/**
 * The facts of a statement with that digest, without its values. Undefined where no statement is found that has it, where none
 * is understood, and where the literals are SQL themselves or name a setting: then nobody knows what it does.
 */
export function analyzeDigest(digest: string, context: PostgresqlContext): PostgresAnalysis | undefined {
  const known = { ...context, clientEncoding: "UTF8", standardConformingStrings: "on" } as const;
  const parts = partsOf(digest);
  if (parts === undefined) return undefined;
  const places = parts.filter(({ text }) => text === undefined).length;
  const chosen = parts.map(() => 0);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const { sql, starts } = written(parts, chosen);
    const analysis = analyze(Buffer.from(sql), known);
    if (analysis.understood) {
      const isComplete = places === 0 || !dependsOnLiterals(analysis);
      return isComplete && digestWith(parts, chosen) === digest ? withDigest(analysis, digest) : undefined;
    }
    if (analysis.notUnderstood?.reason !== "unexpected-token") return undefined;
    const at = starts.indexOf(analysis.notUnderstood.start);
    if (at < 0 || !takesAnother(parts, chosen, at)) return undefined;
  }
  return undefined;
}

/** By the digest that was read, in which no parameters stand for literals. */
function withDigest(analysis: PostgresAnalysis, digest: string): PostgresAnalysis {
  return { ...analysis, digest, readings: analysis.readings.map((reading) => ({ ...reading, digest })) };
}

/** Takes the next of the choices for the part. */
function takesAnother(parts: readonly Part[], chosen: number[], at: number): boolean {
  const next = (chosen[at] as number) + 1;
  chosen[at] = next;
  return next < (parts[at] as Part).choices.length;
}

/** SAFETY: what a literal is to run or to set is lost. */
function dependsOnLiterals({ readings }: Pick<Analysis, "readings">): boolean {
  return readings.some(
    ({ statements, findings, innerDigests }: Reading) =>
      innerDigests.length > 0 ||
      // What PREPARE keeps stands in the digest.
      statements.some(({ dynamic: d }) => d !== undefined && d.type !== "prepare" && d.source !== "named") ||
      findings.some(({ what }) => what === "prepare-variable" || what === "dynamic-setting"),
  );
}

function partsOf(digest: string): readonly Part[] | undefined {
  lexer.run(Buffer.from(digest), "standard");
  const { kinds, starts, ends, count } = lexer;
  const texts: string[] = [];
  for (let token = 0; token < count; token++) {
    // SAFETY: its characters depend on the literal behind UESCAPE.
    if (kinds[token] === TOKEN.UNICODE_NAME) return undefined;
    // Two tokens, of two dots and one.
    const isList = token + 1 < count && lexer.textBetween(starts[token] as number, ends[token + 1] as number) === LIST;
    if (isList) {
      texts.push("?", ",", "?");
      token++;
    } else texts.push(lexer.textAt(token));
  }
  return texts.map((text, index) => {
    if (text !== "?") return { text, choices: [] };
    return { text: undefined, choices: texts[index + 1] === "?" ? BEFORE_LITERAL : LITERALS };
  });
}

/** The text with what is chosen, and where each part begins in it. */
function written(parts: readonly Part[], chosen: readonly number[]): { sql: string; starts: readonly number[] } {
  const starts: number[] = [];
  let parameter = highestParameter(parts);
  let sql = "";
  let length = 0;
  parts.forEach(({ text, choices }, index) => {
    const choice = text ?? (choices[chosen[index] as number] as string);
    const word = choice === "$" && text === undefined ? `$${++parameter}` : choice;
    starts.push(length);
    sql += `${word} `;
    length += Buffer.byteLength(word) + 1;
  });
  return { sql, starts };
}

const PARAMETER = /^\$(\d{1,5})$/;

const highestParameter = (parts: readonly Part[]): number =>
  parts.reduce((highest, { text }) => Math.max(highest, Number(PARAMETER.exec(text ?? "")?.[1] ?? 0)), 0);

/** The digest of the text in which literals stand where parameters are in the one that was read. */
function digestWith(parts: readonly Part[], chosen: readonly number[]): string {
  const literal = ({ text, choices }: Part, index: number): string =>
    text ?? (choices[chosen[index] as number] === "?" ? "?" : "'x'");
  lexer.run(Buffer.from(parts.map(literal).join(" ")), "standard");
  return digestOf(lexer);
}
