/**
 * Checks arguments against a command's definition before citty sees them: citty accepts unknown options, options without
 * their value and surplus words in silence.
 */
import type { ArgDef, ArgsDef } from "citty";
import { closestWord, quote } from "../config/values.ts";

/** Arguments that leave citty nothing to guess: `--name=value`, `--name`, and as many words as are wanted. */
export type CheckedArguments = { readonly args: string[] } | { readonly problem: string };

interface WantedWord {
  readonly what: string;
  readonly isRequired: boolean;
}

export interface Choices {
  readonly words: readonly string[];
  /** Whether several of them may be given, with commas between. */
  readonly isList: boolean;
}

/** The words that an argument may be, which its hint lists: `ndjson|csv`, or `connect|login,…` where it is a list. */
export function choicesOf({ valueHint = "" }: ArgDef): Choices | undefined {
  if (!valueHint.includes("|")) return undefined;
  const isList = valueHint.endsWith(LIST_END);
  return { words: (isList ? valueHint.slice(0, -LIST_END.length) : valueHint).split("|"), isList };
}

/** Ends the hint of an option that may be given several times; its value is then all of them with VALUES_BETWEEN. */
const MANY_END = "…";
/** No argument of a command line can hold it. */
const VALUES_BETWEEN = "\0";

/** The values of an option that may be given several times. */
export function valuesOf(value: unknown): readonly string[] {
  return typeof value === "string" ? value.split(VALUES_BETWEEN) : [];
}

/** Ends the hint of an argument that takes several of its words. */
export const LIST_END = ",…";

interface Options {
  readonly strings: ReadonlySet<string>;
  /** Options that are one of these words. */
  readonly choices: ReadonlyMap<string, readonly string[]>;
  readonly booleans: ReadonlySet<string>;
  /** Options that may be given several times. */
  readonly many: ReadonlySet<string>;
  /** One letter → the name of the option it stands for. */
  readonly letters: ReadonlyMap<string, string>;
  /** The words without a name that the command takes, in order: what each may be, and whether it must be there. */
  readonly words: readonly WantedWord[];
}

function optionsOf(definition: ArgsDef): Options {
  const names = (type: string) =>
    Object.entries(definition)
      .filter(([, argument]) => argument.type === type)
      .map(([name]) => name);
  return {
    strings: new Set(names("string")),
    choices: new Map(
      Object.entries(definition).flatMap(([name, argument]) => {
        const choices = argument.type === "string" ? choicesOf(argument) : undefined;
        return choices === undefined || choices.isList ? [] : [[name, choices.words] as const];
      }),
    ),
    booleans: new Set(names("boolean")),
    many: new Set(names("string").filter((name) => isMany(definition[name]))),
    letters: new Map(
      Object.entries(definition).flatMap(([name, argument]) =>
        "alias" in argument && typeof argument.alias === "string" ? [[`-${argument.alias}`, name] as const] : [],
      ),
    ),
    words: Object.entries(definition)
      .filter(([, argument]) => argument.type === "positional")
      .map(([name, argument]) => ({
        what: argument.valueHint ?? name.toUpperCase(),
        isRequired: argument.required === true,
      })),
  };
}

function isMany(argument: ArgDef | undefined): boolean {
  const { valueHint = "" } = argument ?? {};
  return valueHint.endsWith(MANY_END) && !valueHint.endsWith(LIST_END);
}

function unknownOption(name: string, options: Options): string {
  const near = closestWord(name, [...options.strings, ...options.booleans]);
  return `unknown option ${quote(`--${name}`).slice(1, -1)}${near === undefined ? "" : `, did you mean --${near}?`}`;
}

function notOneOf(name: string, text: string, choices: readonly string[]): string {
  const near = closestWord(text, choices);
  const hint = near === undefined ? "" : `, did you mean ${near}?`;
  return `--${name}: expected one of ${choices.join(", ")}, got ${quote(text)}${hint}`;
}

interface SplitOption {
  readonly name: string;
  /** What stands behind "=", if there is one. */
  readonly value: string | undefined;
}

function splitOption(argument: string): SplitOption {
  const equals = argument.indexOf("=");
  if (equals === -1) return { name: argument.slice(2), value: undefined };
  return { name: argument.slice(2, equals), value: argument.slice(equals + 1) };
}

/** What becomes of one option: its normal form, and whether it took the next argument as its value. */
type CheckedOption = { readonly argument: string; readonly usesNext: boolean } | { readonly problem: string };

/** A value that begins with a dash must be attached by "=": a forgotten value would swallow the next option. */
function checkOption(option: SplitOption, next: string | undefined, options: Options): CheckedOption {
  const { name, value } = option;
  if (options.booleans.has(name)) {
    return value === undefined ? { argument: `--${name}`, usesNext: false } : { problem: `--${name} takes no value` };
  }
  if (!options.strings.has(name)) return { problem: unknownOption(name, options) };
  const text = value ?? (next?.startsWith("-") === true ? "" : (next ?? ""));
  if (text === "") return { problem: `--${name} needs a value` };
  const choices = options.choices.get(name);
  if (choices?.includes(text) === false) return { problem: notOneOf(name, text, choices) };
  return { argument: `--${name}=${text}`, usesNext: value === undefined };
}

function withEarlier(earlier: string | undefined, argument: string): string {
  return earlier === undefined ? argument : `${earlier}${VALUES_BETWEEN}${argument.slice(argument.indexOf("=") + 1)}`;
}

/** Every argument must be a word that is wanted, or an option of the definition, given once, with a value if it takes one. */
export function checkArguments(args: readonly string[], definition: ArgsDef): CheckedArguments {
  const options = optionsOf(definition);
  const checked = new Map<string, string>();
  const words: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const given = args[index] ?? "";
    const letter = options.letters.get(given);
    const argument = letter === undefined ? given : `--${letter}`;
    if (isWord(argument) && words.length < options.words.length) {
      words.push(argument);
      continue;
    }
    if (!argument.startsWith("--") || argument === "--") {
      const kind = argument.startsWith("-") ? "unknown option" : "unexpected argument";
      return { problem: `${kind} ${quote(argument).slice(1, -1)}` };
    }
    const option = splitOption(argument);
    const earlier = checked.get(option.name);
    if (earlier !== undefined && !options.many.has(option.name))
      return { problem: `--${option.name} is given more than once` };
    const result = checkOption(option, args[index + 1], options);
    if ("problem" in result) return result;
    if (result.usesNext) index += 1;
    checked.set(option.name, withEarlier(earlier, result.argument));
  }
  return withWords([...checked.values()], words, options);
}

function withWords(args: readonly string[], words: readonly string[], options: Options): CheckedArguments {
  const missing = options.words[words.length];
  if (missing?.isRequired === true) return { problem: `${missing.what} is missing` };
  return { args: words.length === 0 ? [...args] : [...args, "--", ...words] };
}

/** "-" alone stands for standard input. */
function isWord(argument: string): boolean {
  return argument === "-" || !argument.startsWith("-");
}
