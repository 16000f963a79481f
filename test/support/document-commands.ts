/** The commands that the documents show: code blocks, what is said about running them, and the simple commands in them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

export interface CodeBlock {
  /** From the root of the project. */
  readonly file: string;
  readonly line: number;
  /** Of a fence; undefined for an indented block. */
  readonly language: string | undefined;
  readonly text: string;
  /** What the comment before the block says: `run`, `run beside querycop`, or `not run: <reason>`. */
  readonly marker: string | undefined;
}

export interface ShellCommand {
  readonly block: CodeBlock;
  readonly words: readonly string[];
}

const MARKER = /^<!-- (run|run beside querycop|not run: .*) -->$/;

/** README, CONTRIBUTING, SECURITY and every page below docs. */
export function documents(): readonly string[] {
  const pages = readdirSync(join(PROJECT, "docs"), { recursive: true, encoding: "utf8" });
  const below = pages.filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
  return ["README.md", "CONTRIBUTING.md", "SECURITY.md", ...below.sort()];
}

export function codeBlocks(file: string): readonly CodeBlock[] {
  const lines = readFileSync(join(PROJECT, file), "utf8").split("\n");
  const blocks: CodeBlock[] = [];
  let marker: string | undefined;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const start = index;
    const language = /^ *```(\S*)/.exec(line)?.[1];
    const isIndented = line.startsWith("    ") && (lines[index - 1] ?? "").trim() === "";
    if (language === undefined && !isIndented) {
      if (line.trim() !== "") marker = MARKER.exec(line)?.[1];
      continue;
    }
    const body: string[] = [];
    if (language === undefined) {
      while (index < lines.length && /^(?: {4}|$)/.test(lines[index] ?? "")) body.push((lines[index++] ?? "").slice(4));
      index--;
    } else {
      while (++index < lines.length && !/^ *```/.test(lines[index] ?? "")) body.push(lines[index] ?? "");
    }
    blocks.push({ file, line: start + 1, language, text: body.join("\n"), marker });
    marker = undefined;
  }
  return blocks;
}

/** Whether the block is run: by itself, or in a folder where a querycop runs whose log and policy it is about. */
export const isRun = ({ marker }: CodeBlock): boolean => marker === "run" || marker === BESIDE;

export const BESIDE = "run beside querycop";

export const isShell = ({ language }: CodeBlock): boolean => language === "sh";

/** The simple commands of a shell text, in order; here-documents are left out. Knows quotes, not expansions. */
export function shellCommands(block: CodeBlock): readonly ShellCommand[] {
  const source = block.text.replaceAll(/<<'(\w+)'.*\n[\s\S]*?\n\1(?=\n|$)/g, "").replaceAll("\\\n", " ");
  const commands: ShellCommand[] = [];
  for (const line of source.split("\n")) {
    for (const words of simpleCommands(line)) commands.push({ block, words });
  }
  return commands;
}

const SEPARATORS = new Set(["|", "||", "&", "&&", ";"]);
const WORD = /"(?:[^"\\]|\\.)*"|'[^']*'|\$\([^)]*\)|[^\s'"|&;<>$]+|\$/g;
const TOKEN = new RegExp(`[0-9]?>>?|<|(?:${WORD.source})+|\\|\\||&&|[|&;]|\\s+`, "g");

function simpleCommands(line: string): string[][] {
  const commands: string[][] = [[]];
  let skipsNext = false;
  for (const [token] of line.matchAll(TOKEN)) {
    if (token.trim() === "") continue;
    if (token.startsWith("#")) break;
    if (SEPARATORS.has(token)) commands.push([]);
    else if (/^(?:[0-9]?>>?|<)$/.test(token)) skipsNext = true;
    else if (skipsNext) skipsNext = false;
    else commands.at(-1)?.push(unquote(token));
  }
  return commands.filter((words) => words.length > 0);
}

function unquote(token: string): string {
  return token.replaceAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"/g, (_, single, double) => single ?? double ?? "");
}
