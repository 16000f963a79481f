/** Reading the parser's tree, whose fields are left out where they hold nothing. */
import type { TreeFields } from "./parser.ts";

/** A node with its type. */
export interface TreeNode {
  readonly type: string;
  readonly fields: TreeFields;
}

const isFields = (value: unknown): value is TreeFields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Types of nodes begin with a capital, fields do not. */
export const isNodeType = (key: string): boolean => {
  const first = key.charCodeAt(0);
  return first >= 65 && first <= 90;
};

/** The node that a wrapper holds, such as `{"ColumnRef": {…}}`. */
export function nodeOf(value: unknown): TreeNode | undefined {
  if (!isFields(value)) return undefined;
  for (const type in value) {
    const fields = value[type];
    return isNodeType(type) && isFields(fields) ? { type, fields } : undefined;
  }
  return undefined;
}

/** The content of a wrapped node of that type. */
export function wrapped(value: unknown, type: string): TreeFields | undefined {
  const node = nodeOf(value);
  return node?.type === type ? node.fields : undefined;
}

/** A field whose node needs no wrapper, because it can be of one type only. */
export function fieldsIn(fields: TreeFields, field: string): TreeFields | undefined {
  const value = fields[field];
  return isFields(value) ? value : undefined;
}

export function listIn(fields: TreeFields, field: string): readonly unknown[] {
  const value = fields[field];
  return Array.isArray(value) ? value : NOTHING;
}

const NOTHING: readonly unknown[] = [];

export function textIn(fields: TreeFields, field: string): string | undefined {
  const value = fields[field];
  return typeof value === "string" ? value : undefined;
}

export const flagIn = (fields: TreeFields, field: string): boolean => fields[field] === true;

/** Bytes from the beginning of the text; 0 is left out of the tree, -1 is a place that nobody knows. */
export function locationOf(fields: TreeFields): number {
  const value = fields["location"];
  return typeof value === "number" ? value : 0;
}

/** The text of `{"String": {"sval": …}}`. */
export function stringOf(value: unknown): string | undefined {
  const fields = wrapped(value, "String");
  return fields === undefined ? undefined : (textIn(fields, "sval") ?? "");
}

/** A list of strings as one name: a wrapped List, or the list itself. Anything else in it is left out. */
export function nameParts(value: unknown): readonly string[] {
  const list = Array.isArray(value) ? value : listIn(wrapped(value, "List") ?? {}, "items");
  return list.flatMap((part) => stringOf(part) ?? []);
}

/** A literal as the tree has it: undefined for what is none. */
export interface Constant {
  readonly type: "number" | "string" | "bit" | "boolean" | "null";
  readonly text: string;
}

export function constantOf(value: unknown): Constant | undefined {
  const node = nodeOf(value);
  if (node?.type === "String") return { type: "string", text: textIn(node.fields, "sval") ?? "" };
  if (node?.type === "Integer") return { type: "number", text: String(node.fields["ival"] ?? 0) };
  if (node?.type === "Float") return { type: "number", text: textIn(node.fields, "fval") ?? "" };
  if (node?.type === "Boolean") return { type: "boolean", text: String(node.fields["boolval"] ?? false) };
  if (node?.type === "TypeCast") return node.fields["arg"] === undefined ? undefined : constantOf(node.fields["arg"]);
  return node?.type === "A_Const" ? literalOf(node.fields) : undefined;
}

function literalOf(fields: TreeFields): Constant {
  if (flagIn(fields, "isnull")) return { type: "null", text: "NULL" };
  const { ival, fval, sval, bsval, boolval } = fields as Readonly<Record<string, TreeFields | undefined>>;
  if (sval !== undefined) return { type: "string", text: textIn(sval, "sval") ?? "" };
  if (fval !== undefined) return { type: "number", text: textIn(fval, "fval") ?? "" };
  if (bsval !== undefined) return { type: "bit", text: textIn(bsval, "bsval") ?? "" };
  if (boolval !== undefined) return { type: "boolean", text: String(boolval["boolval"] ?? false) };
  return { type: "number", text: String(ival?.["ival"] ?? 0) };
}
