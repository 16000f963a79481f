/** Right sides of comparisons and assignments: one literal, parameter, variable or column, or something longer. */
import type { Operand } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { TERM_ENDS } from "../lexing/word-sets.ts";
import type { Walker } from "./walker.ts";

/** An operand and the token after it. For an expression the end is where the operand stopped being simple. */
export interface ParsedOperand {
  readonly operand: Operand;
  readonly end: number;
}

const EXPRESSION: Operand = { type: "expression", text: undefined };
const NULL_OPERAND: Operand = { type: "null", text: undefined };

/** The simple operand that begins at `token` and fills the term, else "expression". */
export function readOperand(w: Walker, token: number): ParsedOperand {
  const parsed = simpleOperand(w, token);
  if (parsed.operand.type !== "expression" && TERM_ENDS[w.kind(parsed.end)] === 1) return parsed;
  return { operand: EXPRESSION, end: parsed.end };
}

function simpleOperand(w: Walker, token: number): ParsedOperand {
  const kind = w.kind(token);
  switch (kind) {
    case T.INTEGER_NUMBER:
    case T.DECIMAL_NUMBER:
    case T.FLOAT_NUMBER:
      return { operand: { type: "number", text: w.text.raw(token) }, end: token + 1 };
    case T.STRING:
    case T.NATIONAL_STRING:
      return { operand: { type: "string", text: w.text.string(token) }, end: token + 1 };
    case T.HEX_LITERAL:
      return { operand: { type: "hex", text: w.text.raw(token) }, end: token + 1 };
    case T.BIT_LITERAL:
      return { operand: { type: "bit", text: w.text.raw(token) }, end: token + 1 };
    case T.PARAMETER:
      return { operand: { type: "parameter", text: String(w.parameterOrdinal(token)) }, end: token + 1 };
    case T.NULL_ESCAPE:
    case K.NULL:
      return { operand: NULL_OPERAND, end: token + 1 };
    case K.TRUE:
    case K.FALSE:
      return { operand: { type: "number", text: kind === K.TRUE ? "1" : "0" }, end: token + 1 };
    case T.MINUS:
    case T.PLUS:
      return signedNumber(w, token);
    case T.CHARSET_INTRODUCER:
      return introducedString(w, token);
    case T.AT:
      return { operand: { type: "variable", text: w.text.name(token + 1) }, end: token + 2 };
    default:
      return columnOperand(w, token);
  }
}

function introducedString(w: Walker, token: number): ParsedOperand {
  if (w.kind(token + 1) !== T.STRING) return { operand: EXPRESSION, end: token };
  return { operand: { type: "string", text: w.text.string(token + 1), isIntroduced: true }, end: token + 2 };
}

function signedNumber(w: Walker, token: number): ParsedOperand {
  const kind = w.kind(token + 1);
  if (kind !== T.INTEGER_NUMBER && kind !== T.DECIMAL_NUMBER && kind !== T.FLOAT_NUMBER) {
    return { operand: EXPRESSION, end: token };
  }
  const sign = w.kind(token) === T.MINUS ? "-" : "";
  return { operand: { type: "number", text: sign + w.text.raw(token + 1) }, end: token + 2 };
}

function columnOperand(w: Walker, token: number): ParsedOperand {
  if (!w.isName(token)) return { operand: EXPRESSION, end: token };
  const last = w.chainEnd(token);
  if (w.kind(last + 1) === T.LEFT_PAREN) return { operand: EXPRESSION, end: last + 1 };
  const name = w.text.name(last);
  const qualifier = last > token ? w.text.name(last - 2) : undefined;
  const schema = last > token + 2 ? w.text.name(last - 4) : undefined;
  const text = qualifier === undefined ? name : `${qualifier}.${name}`;
  return { operand: { type: "column", text, name: { schema, qualifier, name } }, end: last + 1 };
}
