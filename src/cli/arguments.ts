/**
 * Checks arguments against a command's definition before citty sees them: citty accepts unknown options, options without
 * their value and surplus words in silence.
 */
import type { ArgsDef } from "citty";
import { closestWord, quote } from "../config/values.ts";

/** Arguments that leave citty nothing to guess: `--name=value`, `--name`, and as many words as are wanted. */
export type CheckedArguments = { readonly args: string[] } | { readonly problem: string };

interface WantedWord {
  readonly what: string;
  readonly isRequired: boolean;
}

interface Options {
  readonly strings: ReadonlySet<string>;
  readonly booleans: ReadonlySet<string>;
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
    booleans: new Set(names("boolean")),
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

function unknownOption(name: string, options: Options): string {
  const near = closestWord(name, [...options.strings, ...options.booleans]);
  return `unknown option ${quote(`--${name}`).slice(1, -1)}${near === undefined ? "" : `, did you mean --${near}?`}`;
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
  return { argument: `--${name}=${text}`, usesNext: value === undefined };
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
    if (checked.has(option.name)) return { problem: `--${option.name} is given more than once` };
    const result = checkOption(option, args[index + 1], options);
    if ("problem" in result) return result;
    if (result.usesNext) index += 1;
    checked.set(option.name, result.argument);
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
