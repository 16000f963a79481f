/** Holds the sources to CONTRIBUTING.md and docs/errors.md. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { ERROR_CODES } from "../src/base/errors.ts";
import { tableOf } from "./support/contributing.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const LINES_MAX = 400;
/** Import specifiers beyond the table: the parser runs in a worker. */
const WORKER_FILES = ["src/sql/parse.ts", "src/sql/parse-worker.ts"];

const read = (file: string): string => readFileSync(join(PROJECT, file), "utf8");

function filesBelow(folder: string): string[] {
  return readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" })
    .map((file) => `${folder}/${file}`)
    .filter((file) => file.endsWith(".ts"))
    .sort();
}

const list = (cell: string | undefined): string[] => (cell === undefined || cell === "-" ? [] : cell.split(", "));

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly isType: boolean;
}

/** Static, dynamic and type imports and re-exports. Comments are cut out first, so that examples in them are not read. */
function importsOf(file: string): Import[] {
  const code = read(file)
    .replaceAll(/\/\*.*?\*\//gs, "")
    .replaceAll(/^\s*\/\/.*$/gm, "");
  const found: Import[] = [];
  const statements = /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^;"']*?\sfrom\s+)?["']([^"']+)["']/gm;
  for (const [, type, specifier = ""] of code.matchAll(statements)) {
    found.push({ file, specifier, isType: type !== undefined });
  }
  for (const [, specifier = ""] of code.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g)) {
    found.push({ file, specifier, isType: false });
  }
  for (const [, specifier = ""] of code.matchAll(/\bnew URL\(\s*["'](\.[^"']+\.ts)["']/g)) {
    found.push({ file, specifier, isType: false });
  }
  return found;
}

const SOURCES = filesBelow("src");
const IMPORTS = SOURCES.flatMap(importsOf);
const WALLS = tableOf("folder");

const folderOf = (file: string): string =>
  file.split("/").length > 2 ? (file.split("/")[1] ?? "") : file.slice("src/".length);
const isRelative = ({ specifier }: Import): boolean => specifier.startsWith(".");
const targetOf = ({ file, specifier }: Import): string =>
  relative(PROJECT, resolve(PROJECT, dirname(file), specifier)).replaceAll("\\", "/");

test("every folder of src has a row in CONTRIBUTING.md's import table, and every row a known folder", () => {
  const folders = readdirSync(join(PROJECT, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const rows = WALLS.map(([folder]) => folder ?? "");
  assert.deepEqual(
    folders.map((entry) => entry.name).filter((name) => !rows.includes(name)),
    [],
  );
  const known = [...rows, "version.ts"];
  for (const [folder, may] of WALLS) {
    const names = list(may).map((name) => name.replace(/ \(.*\)$/, ""));
    assert.deepEqual(
      names.filter((name) => !known.includes(name)),
      [],
      `row ${folder}`,
    );
  }
});

test("the import table has no cycle", () => {
  const may = new Map(
    WALLS.map(([folder = "", cell]) => [
      folder,
      list(cell)
        .filter((name) => !name.includes("(types only)"))
        .map((name) => name.replace(/ \(.*\)$/, "")),
    ]),
  );
  const visit = (folder: string, path: readonly string[]): void => {
    assert.ok(!path.includes(folder), [...path, folder].join(" → "));
    for (const next of may.get(folder) ?? []) visit(next, [...path, folder]);
  };
  for (const folder of may.keys()) visit(folder, []);
});

test("no file imports past its folder's wall", () => {
  const broken: string[] = [];
  for (const found of IMPORTS.filter(isRelative)) {
    const from = folderOf(found.file);
    const to = folderOf(targetOf(found));
    if (from === to || from === "main.ts") continue;
    const allowed = list(WALLS.find(([folder]) => folder === from)?.[1]);
    if (allowed.includes(to) || (found.isType && allowed.includes(`${to} (types only)`))) continue;
    if (allowed.includes(`${to} (not load.ts)`) && !found.specifier.endsWith("/load.ts")) continue;
    broken.push(`${found.file} imports ${found.specifier}`);
  }
  assert.deepEqual(broken, []);
});

test("every relative import ends in .ts, leads to a file and stays within src", () => {
  const broken = IMPORTS.filter(isRelative).filter((found) => {
    const target = targetOf(found);
    return !found.specifier.endsWith(".ts") || !target.startsWith("src/") || !existsSync(join(PROJECT, target));
  });
  assert.deepEqual(
    broken.map((found) => `${found.file} imports ${found.specifier}`),
    [],
  );
});

test("pure folders use no node: module but those in the table", () => {
  const broken: string[] = [];
  for (const found of IMPORTS.filter(({ specifier }) => specifier.startsWith("node:"))) {
    const allowed = list(WALLS.find(([folder]) => folder === folderOf(found.file))?.[2] ?? "*");
    const isWorker = found.specifier === "node:worker_threads" && WORKER_FILES.includes(found.file);
    if (!allowed.includes("*") && !allowed.includes(found.specifier) && !isWorker) {
      broken.push(`${found.file} imports ${found.specifier}`);
    }
  }
  assert.deepEqual(broken, []);
});

test("libraries stay behind the files that CONTRIBUTING.md names", () => {
  const libraries = tableOf("library").map(([name = "", files]) => ({ name, files: list(files) }));
  const broken: string[] = [];
  for (const { file, specifier } of IMPORTS) {
    if (specifier.startsWith(".") || specifier.startsWith("node:")) continue;
    const library = libraries.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
    const isAllowed = library?.files.some((place) => (place.endsWith("/") ? file.startsWith(place) : file === place));
    if (isAllowed !== true) broken.push(`${file} imports ${specifier}`);
  }
  assert.deepEqual(broken, []);
  const manifest = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };
  assert.deepEqual(libraries.map(({ name }) => name).sort(), Object.keys(manifest.dependencies).sort());
});

test("every dependency is pinned and has its reason in the decision record", () => {
  const manifest = JSON.parse(read("package.json")) as Record<
    "dependencies" | "devDependencies",
    Record<string, string>
  >;
  const record = read("docs/decisions/0003-dependencies.md");
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is not pinned to one version`);
    assert.ok(record.includes(`| ${name} |`), `docs/decisions/0003-dependencies.md has no row for ${name}`);
  }
});

test("sources use neither default exports nor barrels nor a runtime's own globals", () => {
  const broken: string[] = [];
  for (const file of SOURCES) {
    if (/(^|\/)(index|utils?|helpers?)\.ts$/.test(file)) broken.push(`${file}: name says nothing`);
    if (!/^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(file.split("/").at(-1) ?? "")) broken.push(`${file}: not kebab-case`);
    const code = read(file)
      .replaceAll(/\/\*.*?\*\//gs, "")
      .replaceAll(/\/\/.*$/gm, "")
      .replaceAll(/"[^"\n]*"/g, '""');
    if (/^export default\b/m.test(code)) broken.push(`${file}: default export`);
    if (/\b(Bun|Deno)\.[a-zA-Z]/.test(code)) broken.push(`${file}: uses Bun or Deno directly`);
  }
  assert.deepEqual(broken, []);
});

test("files are short, but for those that CONTRIBUTING.md gives a reason for", () => {
  const exceptions = tableOf("file").map(([file = ""]) => file);
  const isCode = (line: string): boolean => !/^\s*($|\/\/|\/?\*)/.test(line);
  const long = SOURCES.filter((file) => read(file).split("\n").filter(isCode).length > LINES_MAX);
  assert.deepEqual(
    long.filter((file) => !exceptions.includes(file)),
    [],
  );
  assert.deepEqual(
    exceptions.filter((file) => !long.includes(file)),
    [],
    "no longer needs an exception",
  );
});

test("docs/errors.md has one entry for each error code, with the numbers that clients see", () => {
  const sections = read("docs/errors.md").split(/^### /m).slice(1);
  const documented = sections.map((section) => section.slice(0, section.indexOf("\n")));
  assert.deepEqual([...documented].sort(), Object.keys(ERROR_CODES).sort());
  for (const [code, row] of Object.entries(ERROR_CODES)) {
    const section = sections.find((text) => text.startsWith(`${code}\n`)) ?? "";
    const facts = `MySQL error ${row.errorNumber} (${row.sqlState}), close reason \`${row.closeReason}\`.`;
    assert.ok(section.includes(facts), `${code} should say: ${facts}`);
    assert.match(section, /\*\*What to do:\*\* \S/, code);
  }
});

test("every link from one document to another leads to a file", () => {
  const documents = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
  for (const file of readdirSync(join(PROJECT, "docs"), { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".md")) documents.push(`docs/${file}`);
  }
  const broken: string[] = [];
  for (const document of documents) {
    for (const [, target = ""] of read(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target) || target.startsWith("#")) continue;
      const path = target.replace(/#.*$/, "");
      if (!existsSync(resolve(PROJECT, dirname(document), path))) broken.push(`${document}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

/** Drivers have let a server's answer run as code (CVE-2024-21508, CVE-2024-21511): none may be on the data path. */
test("R6: no MySQL driver is imported, and no text is run as code", () => {
  const drivers = IMPORTS.filter(({ specifier }) => /^(mysql|mariadb)/.test(specifier));
  assert.deepEqual(drivers, []);
  const evaluating = /\beval\(|new Function\(|\bFunction\(["'`]|node:vm["']/;
  const files = readdirSync(join(PROJECT, "src"), { recursive: true, encoding: "utf8" });
  const broken = files.filter(
    (file) => file.endsWith(".ts") && evaluating.test(readFileSync(join(PROJECT, "src", file), "utf8")),
  );
  assert.deepEqual(broken, []);
});
