/** Every command the documents show is one that exists, and its block is run by test/install/documents.test.ts or says why not. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkArguments } from "../../src/cli/arguments.ts";
import { type CommandShape, verbsOf } from "../../src/cli/command-shape.ts";
import { COMMAND_SHAPES } from "../../src/cli/commands.ts";
import { CONFIG_FILE_ENV } from "../../src/config/schema.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import {
  type CodeBlock,
  codeBlocks,
  documents,
  isRun,
  isShell,
  PROJECT,
  type ShellCommand,
  shellCommands,
} from "../support/document-commands.ts";

/** Why a block may go without being run. */
const REASONS = [
  "needs AWS",
  "needs Kubernetes",
  "needs PlanetScale",
  "needs root",
  "needs a running querycop",
  "npm test does it",
];
/** Programs whose lines are recognised in blocks that are no `sh` fence. */
const PROGRAMS = new Set([
  "querycop",
  "npm",
  "export",
  "aws",
  "curl",
  "mysql",
  "mariadb",
  "sudo",
  "kubectl",
  "systemctl",
  "systemd-run",
]);
/** The settings that are shown in examples of what is refused. */
const VARIABLES = new Set([CONFIG_FILE_ENV, ...SETTINGS.flatMap(({ metadata }) => metadata.env ?? [])]);
const SCRIPTS = (JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { scripts: Record<string, string> })
  .scripts;

const BLOCKS = documents().flatMap(codeBlocks);

/** Whether the block shows commands: a fence says so, an indented block by its first word. */
function showsCommands(block: CodeBlock): boolean {
  if (block.language !== undefined) return isShell(block);
  const [first = ""] = block.text.split(/\s/, 1);
  return PROGRAMS.has(first);
}

const COMMANDS = BLOCKS.filter(showsCommands).flatMap(shellCommands);
const where = ({ file, line }: CodeBlock): string => `${file}:${line}`;

function shapeOf(name: string): CommandShape {
  const found = COMMAND_SHAPES.find(({ help }) => help.name === name);
  assert.ok(found, `querycop has a command ${name}`);
  return found;
}

function checkQuerycop({ block, words }: ShellCommand): void {
  const [, first, ...rest] = words;
  const isServe = first === undefined || first.startsWith("-");
  if (first === "--help" || first === "--version") return;
  const shape = shapeOf(isServe ? "serve" : first);
  // What stands behind "--" is the command line of another program.
  const own = first === "exec" || first === "connect" ? rest.slice(0, [...rest, "--"].indexOf("--")) : rest;
  const checked = checkArguments(isServe ? words.slice(1) : own, shape.args);
  assert.ok(!("problem" in checked), `${where(block)}: ${words.join(" ")}: ${"problem" in checked && checked.problem}`);
  const verbs = verbsOf(shape);
  if (verbs.length === 0 || rest.includes("--help")) return;
  assert.ok(verbs.includes(rest[0] ?? ""), `${where(block)}: ${words.join(" ")}: one of ${verbs.join(", ")}`);
}

/** True for a command that needs no run: what it names is checked here. */
function isChecked(command: ShellCommand): boolean {
  const { block, words } = command;
  const [program = "", ...rest] = words;
  if (program === "querycop" || program.endsWith("/querycop") || program.endsWith("/querycop.new")) {
    checkQuerycop(command);
    return true;
  }
  if (program === "export") {
    for (const [name = ""] of rest.map((word) => word.split("="))) {
      if (!name.startsWith("GATEKEEPER_")) continue;
      assert.ok(VARIABLES.has(name), `${where(block)}: ${name} is a setting`);
    }
    return true;
  }
  if (program === "npx") {
    assert.ok(rest[0] === "bun" && exists(join(PROJECT, rest[1] ?? "")), `${where(block)}: ${words.join(" ")}`);
    return true;
  }
  if (program !== "npm") return false;
  const script = rest[0] === "run" ? rest[1] : rest[0];
  assert.ok(script === "ci" || (script ?? "") in SCRIPTS, `${where(block)}: npm run ${script}`);
  return true;
}

test("the documents show commands", () => {
  assert.ok(COMMANDS.length > 50, `${COMMANDS.length}`);
  assert.ok(BLOCKS.some(isRun));
});

test("a block of commands is run or says why it is not", () => {
  for (const command of COMMANDS) isChecked(command);
  // What people do who work on the sources is the tests' own business.
  const isOurs = (words: readonly string[]): boolean => words[0] === "npm" || words[0] === "npx";
  const left = COMMANDS.filter(({ block, words }) => block.marker === undefined && !isOurs(words));
  const lines = left.map(({ block, words }) => `${where(block)}: ${words.join(" ")}`);
  assert.deepEqual(lines, [], "nobody runs these: mark their blocks <!-- run --> or <!-- not run: … -->");
});

test("what is not run says one of the known reasons", () => {
  for (const block of BLOCKS) {
    if (block.marker === undefined || isRun(block)) continue;
    assert.ok(REASONS.includes(block.marker.slice("not run: ".length)), `${where(block)}: ${block.marker}`);
    assert.ok(showsCommands(block), `${where(block)}: a marker before a block without commands`);
  }
});

test("only fences of known languages are used", () => {
  const known = ["sh", "sql", "yaml", "json", "text", "promql", "js", "ini", "mermaid", ""];
  for (const block of BLOCKS) {
    if (block.language !== undefined) assert.ok(known.includes(block.language), `${where(block)}: ${block.language}`);
  }
});

test("settings named in the documents exist", () => {
  for (const file of documents()) {
    const text = readFileSync(join(PROJECT, file), "utf8");
    for (const [name] of text.matchAll(/\bGATEKEEPER_[A-Z0-9_]*[A-Z0-9]\b/g)) {
      // Variables that Kubernetes sets for a service of that name.
      if (file === "docs/cookbook-eks.md" && name === "GATEKEEPER_PORT") continue;
      assert.ok(VARIABLES.has(name), `${file}: ${name} is a setting`);
    }
  }
});

test("files and folders that CONTRIBUTING.md names are there", () => {
  const text = readFileSync(join(PROJECT, "CONTRIBUTING.md"), "utf8");
  const names = [...text.matchAll(/`((?:src|test|docs|tools|bench)\/[\w./-]+)`/g)].map(([, name = ""]) => name);
  assert.ok(names.length > 30, `${names.length}`);
  for (const name of names) assert.ok(exists(join(PROJECT, name)), `CONTRIBUTING.md: ${name}`);
});

test("links between the documents lead somewhere", () => {
  for (const file of documents()) {
    const text = readFileSync(join(PROJECT, file), "utf8");
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|mailto:|#)/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const found = join(PROJECT, file, "..", path);
      const content = path.endsWith(".md") ? readFileSync(found, "utf8") : "";
      assert.ok(path.endsWith(".md") || exists(found), `${file}: ${target}`);
      if (anchor === undefined) continue;
      const anchors = [...content.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => anchorOf(title));
      assert.ok(anchors.includes(anchor) || content.includes(`id="${anchor}"`), `${file}: ${target}`);
    }
  }
});

function exists(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EISDIR";
  }
}

/** As GitHub makes them. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-");
}
