/** The part of JSON Schema the admin API describes itself with, and the check of a value against it. */

export interface JsonSchema {
  readonly type: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  /** False where a name that is not in `properties` is a mistake; true where anything may stand. */
  readonly additionalProperties?: boolean;
  readonly items?: JsonSchema;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
}

/** An object of exactly these properties; `optional` names those that may be absent. */
export function objectOf(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

export function arrayOf(items: JsonSchema): JsonSchema {
  return { type: "array", items };
}

export const text = (description: string): JsonSchema => ({ type: "string", description });
export const integer = (description: string): JsonSchema => ({ type: "integer", description });
export const flag = (description: string): JsonSchema => ({ type: "boolean", description });
export const word = (words: readonly string[], description: string): JsonSchema => ({
  type: "string",
  enum: words,
  description,
});

/** What is wrong with the value, as `place: problem`; undefined when nothing is. */
export function problemOf(value: unknown, schema: JsonSchema, place = "body"): string | undefined {
  switch (schema.type) {
    case "object":
      return problemOfObject(value, schema, place);
    case "array":
      if (!Array.isArray(value)) return `${place}: expected an array`;
      return firstProblem(value.map((item, index) => [item, schema.items ?? schema, `${place}[${index}]`]));
    case "string":
      return problemOfString(value, schema, place);
    case "boolean":
      return typeof value === "boolean" ? undefined : `${place}: expected true or false`;
    case "integer":
    case "number":
      return problemOfNumber(value, schema, place);
  }
}

function problemOfObject(value: unknown, schema: JsonSchema, place: string): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return `${place}: expected an object`;
  const { properties = {}, required = [] } = schema;
  const given = value as Readonly<Record<string, unknown>>;
  const missing = required.find((name) => !Object.hasOwn(given, name));
  if (missing !== undefined) return `${place}.${missing}: is missing`;
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(properties, name));
  if (unknown !== undefined && schema.additionalProperties !== true)
    return `${place}.${unknown.slice(0, 64)}: is unknown`;
  return firstProblem(
    Object.entries(properties)
      .filter(([name]) => Object.hasOwn(given, name) && given[name] !== undefined)
      .map(([name, inner]) => [given[name], inner, `${place}.${name}`]),
  );
}

function firstProblem(parts: readonly (readonly [unknown, JsonSchema, string])[]): string | undefined {
  for (const [value, schema, place] of parts) {
    const problem = problemOf(value, schema, place);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function problemOfString(value: unknown, schema: JsonSchema, place: string): string | undefined {
  if (typeof value !== "string") return `${place}: expected a string`;
  if (schema.enum !== undefined && !schema.enum.includes(value)) return `${place}: expected ${schema.enum.join(", ")}`;
  const { maxLength } = schema;
  return maxLength !== undefined && value.length > maxLength ? `${place}: is longer than ${maxLength}` : undefined;
}

function problemOfNumber(value: unknown, schema: JsonSchema, place: string): string | undefined {
  const isFit = schema.type === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (!isFit) return `${place}: expected a number`;
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
  const number = value as number;
  return number < minimum || number > maximum ? `${place}: expected ${minimum} to ${maximum}` : undefined;
}
