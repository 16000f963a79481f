/** Whether two parts of a tree say the same, wherever in the text they stand. */
import type { TreeFields } from "../parser/parser.ts";

const NODES_COMPARED_MAX = 2_000;

export function isSameTree(left: unknown, right: unknown): boolean {
  const open: [unknown, unknown][] = [[left, right]];
  for (let count = 0; open.length > 0; count++) {
    if (count > NODES_COMPARED_MAX) return false;
    const [one, other] = open.pop() as [unknown, unknown];
    if (one === other) continue;
    if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
    const fields = fieldNames(one);
    if (fields.length !== fieldNames(other).length) return false;
    for (const field of fields) {
      if (!(field in other)) return false;
      open.push([(one as TreeFields)[field], (other as TreeFields)[field]]);
    }
  }
  return left !== undefined;
}

const fieldNames = (value: object): readonly string[] => Object.keys(value).filter((field) => field !== "location");
