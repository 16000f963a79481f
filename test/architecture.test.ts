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
/** It loads a library that is no text. */
const PARSER_FILE = "src/sql/postgres/parser/library.ts";
const WORKER_FILES = ["src/sql/second-opinion/parse.ts", "src/sql/second-opinion/parse-worker.ts"];

const read = (file: string): string => readFileSync(join(PROJECT, file), "utf8");

function filesBelow(folder: string): string[] {
  return readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" })
    .map((file) => `${folder}/${file}`)
    .filter((file) => /\.tsx?$/.test(file))
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

test("within sql and policy no file imports a floor that stands above it", () => {
  const floors = tableOf("floor").map(([floor = "", cell]) => ({ floor, allowed: list(cell) }));
  const folders = SOURCES.map((file) => dirname(file).slice("src/".length));
  const houses = new Set(floors.map(({ floor }) => floor.split("/")[0]));
  assert.deepEqual([...houses], ["sql"]);
  const broken: string[] = [];
  for (const found of IMPORTS.filter(isRelative)) {
    const from = dirname(found.file).slice("src/".length);
    const to = dirname(targetOf(found)).slice("src/".length);
    const row = floors.find(({ floor }) => floor === from);
    const isOwnHouse = to.split("/")[0] === from.split("/")[0];
    if (row !== undefined && isOwnHouse && to !== from && to !== "sql" && !row.allowed.includes(to)) {
      broken.push(`${found.file} imports ${found.specifier}`);
    }
    if ((to === "policy/tools" || to === "policy/file") && from.startsWith("policy") && from !== "policy/tools") {
      if (from !== to) broken.push(`${found.file} imports ${found.specifier}`);
    }
  }
  assert.deepEqual(broken, []);
  const wings = folders.filter(
    (folder) => folder.startsWith("sql/") && folder !== "sql/mysql" && folder !== "sql/postgres",
  );
  assert.deepEqual([...new Set(wings)].sort(), floors.map(({ floor }) => floor).sort());
});

/** The protocol or dialect whose wing a file stands in; undefined in the hall. */
const wingOf = (file: string): string | undefined =>
  dirname(file)
    .split("/")
    .find((name) => name === "mysql" || name === "postgres");

test("the wings do not know each other, and the hall of session knows neither but for what is to be untied", () => {
  const broken: string[] = [];
  const tied = new Map<string, Set<string>>();
  for (const found of IMPORTS.filter(isRelative)) {
    const target = targetOf(found);
    const [from, to] = [wingOf(found.file), wingOf(target)];
    if (to === undefined || from === to) continue;
    if (from !== undefined) broken.push(`${found.file} imports ${found.specifier}`);
    else if (folderOf(found.file) === "session") {
      tied.set(found.file, (tied.get(found.file) ?? new Set()).add(target));
    }
  }
  assert.deepEqual(broken, []);
  assert.deepEqual(
    [...tied].map(([file, targets]) => [file, [...targets].sort().join(", ")]).sort(),
    tableOf("untie", "docs/decisions/0015-two-wings.md").sort(),
  );
});

test("every relative import ends in .ts or .tsx, leads to a file and stays within src", () => {
  const broken = IMPORTS.filter(isRelative).filter((found) => {
    const target = targetOf(found);
    return !/\.tsx?$/.test(found.specifier) || !target.startsWith("src/") || !existsSync(join(PROJECT, target));
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
    const isLoading = ["node:fs", "node:module"].includes(found.specifier) && found.file === PARSER_FILE;
    if (!allowed.includes("*") && !allowed.includes(found.specifier) && !isWorker && !isLoading) {
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
    if (/(^|\/)(index|utils?|helpers?)\.tsx?$/.test(file)) broken.push(`${file}: name says nothing`);
    if (!/^[a-z0-9]+(-[a-z0-9]+)*\.tsx?$/.test(file.split("/").at(-1) ?? "")) broken.push(`${file}: not kebab-case`);
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
    const told = row.isLoss
      ? `No MySQL error, the connection ends (${row.errorNumber} in records)`
      : `MySQL error ${row.errorNumber} (${row.sqlState})`;
    const facts = `${told}, close reason \`${row.closeReason}\`.`;
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
    (file) => /\.tsx?$/.test(file) && evaluating.test(readFileSync(join(PROJECT, "src", file), "utf8")),
  );
  assert.deepEqual(broken, []);
});

test("one file of PostgreSQL's session has the backend's leg, and it writes under a permit", () => {
  const files = SOURCES.filter((file) => file.startsWith("src/session/postgres/"));
  const those = (pattern: RegExp): string[] => files.filter((file) => pattern.test(read(file))).sort();
  const gate = "src/session/postgres/backend-connection.ts";
  assert.deepEqual(those(/\.write\(/), [gate, "src/session/postgres/client-leg.ts"]);
  assert.deepEqual(those(/new Leg\("backend"/), [gate]);
  assert.deepEqual(those(/\bdialBackend\b/), [gate]);
  const code = read(gate);
  assert.match(code, /readonly #leg: Leg;/);
  assert.match(code, /send\(_permit: BackendPermit, wire: Uint8Array \| Span\)/);
  assert.deepEqual(code.match(/#outgoing\.add\(|\.write\(/g), [".write(", "#outgoing.add("]);
});
