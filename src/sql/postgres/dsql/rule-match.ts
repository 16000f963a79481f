/** Whether a statement's tree is one of those that a rule is about. */
import { isNodeType } from "../parser/tree.ts";
import type { NodePattern } from "./rule.ts";

/** A node of any depth: the tree is walked without recursion, for its depth is the client's. */
export function someNode(tree: unknown, test: (type: string, fields: object) => boolean): boolean {
  const open: unknown[] = [tree];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    if (Array.isArray(value)) {
      for (const item of value) open.push(item);
      continue;
    }
    for (const [key, field] of Object.entries(value)) {
      if (isNodeType(key) && typeof field === "object" && field !== null && test(key, field)) return true;
      open.push(field);
    }
  }
  return false;
}

export function matchesNode(pattern: NodePattern, type: string, fields: object, isAsync: boolean): boolean {
  const { node, has = {}, lacks = {}, moreThan = {}, cache, unlessAsync } = pattern;
  if (node !== type || (unlessAsync === true && isAsync)) return false;
  if (!Object.entries(has).every(([path, wanted]) => isFound(fields, path, wanted))) return false;
  if (Object.entries(lacks).some(([path, unwanted]) => isFound(fields, path, unwanted))) return false;
  if (!Object.entries(moreThan).every(([path, most]) => valuesAt(fields, path).length > most)) return false;
  return cache === undefined || !hasCache(valuesAt(fields, cache.path));
}

function isFound(fields: object, path: string, wanted: readonly string[] | true): boolean {
  const found = valuesAt(fields, path);
  if (wanted === true) return found.some((value) => value !== false && value !== null && value !== undefined);
  return found.some((value) => typeof value === "string" && wanted.some((word) => isWord(word, value)));
}

const isWord = (word: string, value: string): boolean =>
  word.endsWith("*") ? value.startsWith(word.slice(0, -1)) : value === word;

/** All that a path leads to: a list stands for its items. */
function valuesAt(fields: object, path: string): readonly unknown[] {
  let found: unknown[] = [fields];
  for (const field of path.split(".")) {
    const next: unknown[] = [];
    for (const value of found) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, field)) continue;
      const inner: unknown = (value as Readonly<Record<string, unknown>>)[field];
      if (Array.isArray(inner)) for (const item of inner) next.push(item);
      else next.push(inner);
    }
    found = next;
  }
  return found;
}

/** CACHE 1, or of 65536 and more. */
const CACHE_MIN = 65_536;

function hasCache(options: readonly unknown[]): boolean {
  return options.some((option) => {
    const [name] = valuesAt(option as object, "DefElem.defname");
    if (name !== "cache") return false;
    const [size] = [
      ...valuesAt(option as object, "DefElem.arg.Integer.ival"),
      ...valuesAt(option as object, "DefElem.arg.Float.fval"),
    ];
    return Number(size) === 1 || Number(size) >= CACHE_MIN;
  });
}
