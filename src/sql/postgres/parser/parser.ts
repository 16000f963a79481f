/** The grammar as the analysis asks it: one instance for all texts, thrown away when it may have taken harm. */
import { type Grammar, newGrammar, type Refusal } from "./library.ts";

/** A node's content. Keys in capitals are types of nodes, all others are fields; both are as PostgreSQL's sources have them. */
export interface TreeFields {
  readonly [field: string]: unknown;
}

export interface ParsedStatement {
  readonly stmt?: TreeFields;
  /** Bytes; left out where they are 0, which of a length means up to the end. */
  readonly stmt_location?: number;
  readonly stmt_len?: number;
}

export interface ParseTree {
  readonly kind: "tree";
  readonly statements: readonly ParsedStatement[];
}

/** `failed`: nobody knows what the text is: the parser is not loaded, or has come to its end of stack or memory. */
export type ParseAnswer = ParseTree | Refusal | { readonly kind: "failed" };

const FAILED = { kind: "failed" } as const;

/** Memory of an instance grows with the longest text that it has read, and never shrinks. */
const TEXT_BYTES_KEPT = 1024 * 1024;

let current: Grammar | undefined;
let spare: Grammar | undefined;
let filling: Promise<void> | undefined;

/** Before the first text. Rejects where the library cannot be loaded. */
export async function loadParser(): Promise<void> {
  current ??= await newGrammar();
  await fillSpare();
}

/** Resolves when a thrown away instance has been replaced. */
export function fillSpare(): Promise<void> {
  filling ??= newGrammar()
    .then((grammar) => {
      if (current === undefined) current = grammar;
      else spare ??= grammar;
    })
    .finally(() => {
      filling = undefined;
    });
  return filling;
}

/** SAFETY: a stack that has overflown once leaves an instance that may never answer again. */
function throwAway(): void {
  current = spare;
  spare = undefined;
  fillSpare().catch(() => undefined);
}

function ask<Answer>(question: (grammar: Grammar) => Answer, bytes: number): Answer | undefined {
  if (current === undefined) return undefined;
  try {
    const answer = question(current);
    if (bytes > TEXT_BYTES_KEPT) throwAway();
    return answer;
  } catch {
    throwAway();
    return undefined;
  }
}

/** The text must be UTF-8 without NUL, and within the limits of the lexer. */
export function parseText(sql: Uint8Array): ParseAnswer {
  const answer = ask((grammar) => grammar.parse(sql), sql.length);
  if (answer === undefined) return FAILED;
  return answer.kind === "parsed" ? treeOf(answer.json) : answer;
}

function treeOf(json: string): ParseAnswer {
  try {
    const { stmts = [] } = JSON.parse(json) as { readonly stmts?: readonly ParsedStatement[] };
    return { kind: "tree", statements: stmts };
  } catch {
    return FAILED;
  }
}

/** The functions of one CREATE FUNCTION or DO in PL/pgSQL; undefined where they cannot be read. */
export function parseBody(sql: Uint8Array): unknown {
  const json = ask((grammar) => grammar.parseBody(sql), sql.length);
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
