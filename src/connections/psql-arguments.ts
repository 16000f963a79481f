/** What psql is told to run by its arguments, read as getopt_long() reads them (startup.c of psql, in 12 to 18). */
import { basename } from "node:path";

/** Letters that take a value: the rest of their word, or the next one. */
const VALUED_LETTERS = "cdfFhLoPpRTUv";
const VALUED_NAMES = [
  "command",
  "dbname",
  "field-separator",
  "file",
  "host",
  "log-file",
  "output",
  "port",
  "pset",
  "record-separator",
  "set",
  "table-attr",
  "username",
  "variable",
];
const SWITCH_NAMES = [
  "csv",
  "echo-all",
  "echo-errors",
  "echo-hidden",
  "echo-queries",
  "expanded",
  "field-separator-zero",
  "help",
  "html",
  "list",
  "no-align",
  "no-password",
  "no-psqlrc",
  "no-readline",
  "password",
  "quiet",
  "record-separator-zero",
  "single-line",
  "single-step",
  "single-transaction",
  "tuples-only",
  "version",
];

/** The texts of -c that are SQL: psql's own commands begin with a backslash. Nothing for a program that is not psql. */
export function psqlCommands(program: string, args: readonly string[]): readonly string[] {
  if (basename(program) !== "psql") return [];
  const texts: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const word = args[index] as string;
    if (word === "--") break;
    const option = word.startsWith("--") ? longOption(word) : shortOption(word);
    if (option === undefined) continue;
    const value = option.value ?? args[++index] ?? "";
    if (option.isCommand && !value.startsWith("\\")) texts.push(value);
  }
  return texts;
}

interface ValuedOption {
  readonly isCommand: boolean;
  /** Undefined where it is the next word. */
  readonly value: string | undefined;
}

/** Names may be cut as long as they stay unlike the others. */
function longOption(word: string): ValuedOption | undefined {
  const equals = word.indexOf("=");
  const given = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const found = [...VALUED_NAMES, ...SWITCH_NAMES].filter((name) => name.startsWith(given));
  const [name = ""] = found.includes(given) ? [given] : found;
  if (!VALUED_NAMES.includes(name)) return undefined;
  return { isCommand: name === "command", value: equals < 0 ? undefined : word.slice(equals + 1) };
}

/** Several letters may stand in one word, up to the first that takes a value. */
function shortOption(word: string): ValuedOption | undefined {
  if (!word.startsWith("-")) return undefined;
  for (let at = 1; at < word.length; at++) {
    const letter = word[at] as string;
    if (!VALUED_LETTERS.includes(letter)) continue;
    return { isCommand: letter === "c", value: at + 1 < word.length ? word.slice(at + 1) : undefined };
  }
  return undefined;
}
