/** The faults that a source can be given, and its text with some of them built in, each to be switched on by its number. */
import ts from "typescript";

interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Mutant extends Range {
  readonly file: string;
  readonly line: number;
  readonly was: string;
  readonly text: string;
  readonly fault: Fault;
}

type Fault =
  | { readonly kind: "operator"; readonly left: Range; readonly right: Range }
  | { readonly kind: "negation" }
  | { readonly kind: "value" }
  | { readonly kind: "omission" };

const NEIGHBOURS: ReadonlyMap<ts.SyntaxKind, string> = new Map<ts.SyntaxKind, string>([
  [ts.SyntaxKind.EqualsEqualsEqualsToken, "!=="],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, "==="],
  [ts.SyntaxKind.LessThanToken, "<="],
  [ts.SyntaxKind.LessThanEqualsToken, "<"],
  [ts.SyntaxKind.GreaterThanToken, ">="],
  [ts.SyntaxKind.GreaterThanEqualsToken, ">"],
  [ts.SyntaxKind.AmpersandAmpersandToken, "||"],
  [ts.SyntaxKind.BarBarToken, "&&"],
  [ts.SyntaxKind.PlusToken, "-"],
  [ts.SyntaxKind.MinusToken, "+"],
]);

/** Every fault that the file can be given. */
export function mutantsOf(file: string, text: string): Mutant[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true);
  const rangeOf = (node: ts.Node): Range => ({ start: node.getStart(source), end: node.getEnd() });
  const mutants: Mutant[] = [];
  const add = (shown: ts.Node, replacement: string, fault: Fault, whole: ts.Node = shown): void => {
    const line = source.getLineAndCharacterOfPosition(shown.getStart(source)).line + 1;
    mutants.push({ file, ...rangeOf(whole), line, was: shown.getText(source), text: replacement, fault });
  };
  const negate = (node: ts.Expression): void => add(node, `!(${node.getText(source)})`, { kind: "negation" });
  const visit = (node: ts.Node): void => {
    // Types are not run.
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isInterfaceDeclaration(node)) return;
    if (ts.isBinaryExpression(node)) {
      const { operatorToken, left, right } = node;
      const neighbour = NEIGHBOURS.get(operatorToken.kind);
      const isText = ts.isStringLiteral(right) || ts.isStringLiteral(left);
      if (neighbour !== undefined && !(isText && neighbour === "-")) {
        add(operatorToken, neighbour, { kind: "operator", left: rangeOf(left), right: rangeOf(right) }, node);
      }
    } else if (ts.isIfStatement(node)) negate(node.expression);
    else if (ts.isConditionalExpression(node)) negate(node.condition);
    else if (ts.isNumericLiteral(node) && !ts.isPropertyAssignment(node.parent)) {
      add(node, `(${node.text} + 1)`, { kind: "value" });
    } else if (node.kind === ts.SyntaxKind.TrueKeyword) add(node, "false", { kind: "value" });
    else if (node.kind === ts.SyntaxKind.FalseKeyword) add(node, "true", { kind: "value" });
    else if (ts.isExpressionStatement(node) && isEffect(node.expression)) add(node, ";", { kind: "omission" });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return mutants;
}

function isEffect(expression: ts.Expression): boolean {
  if (ts.isCallExpression(expression)) return expression.expression.kind !== ts.SyntaxKind.SuperKeyword;
  return ts.isBinaryExpression(expression) || ts.isPostfixUnaryExpression(expression);
}

/** Of two faults at the same place the outer one. */
const OUTER_FIRST = ["omission", "negation", "operator", "value"];

/** The text with the faults built in: each asks `isMutant` whether it is switched on. */
export function withFaults(text: string, faults: readonly (readonly [id: number, mutant: Mutant])[]): string {
  const sorted = [...faults].sort(
    ([, a], [, b]) =>
      a.start - b.start || b.end - a.end || OUTER_FIRST.indexOf(a.fault.kind) - OUTER_FIRST.indexOf(b.fault.kind),
  );
  const render = ({ start, end }: Range, from: number): string => {
    let out = "";
    let at = start;
    for (let index = from; index < sorted.length; index++) {
      const [id, mutant] = sorted[index] as (typeof sorted)[number];
      if (mutant.start < at || mutant.end > end) continue;
      out += text.slice(at, mutant.start) + built(id, mutant, index + 1);
      at = mutant.end;
    }
    return out + text.slice(at, end);
  };
  const built = (id: number, mutant: Mutant, from: number): string => {
    const asked = `globalThis.isMutant?.(${id})`;
    const { fault } = mutant;
    const inner = render(mutant, from);
    if (fault.kind === "omission") return `{ if (!${asked}) { ${inner} } }`;
    if (fault.kind === "negation") return `(${asked} ? !(${inner}) : (${inner}))`;
    if (fault.kind === "value") return `(${asked} ? ${mutant.text} : ${inner})`;
    return `(${asked} ? (${render(fault.left, from)}) ${mutant.text} (${render(fault.right, from)}) : (${inner}))`;
  };
  return render({ start: 0, end: text.length }, 0);
}
