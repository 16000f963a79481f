/** The advice that the sources give: the commands of doctor's remedies, and the texts that name settings. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { PROJECT } from "./document-commands.ts";

export interface SourceText {
  /** From the root of the project, with its line. */
  readonly where: string;
  /** With `${…}` for what is only known when it is told. */
  readonly text: string;
}

/** What may stand where doctor puts something in, by the expression it comes from. */
const SAMPLES: Readonly<Record<string, string>> = {
  host: "localhost",
  "backend.host": "localhost",
  port: "3306",
  "listen.port": "15336",
  endpoint: "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com",
  'shellWord(`${tlsServerName}:${engine === "mysql" ? 3306 : 5432}`)':
    "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com:3306",
  'isHostName(name) ? name : "NAME"': "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com",
  "shellWord(path)": "file",
  'shellWord(broken[0]?.path ?? "")': "file",
  "shellWord(file)": "policy.yaml",
  "shellWord(folder)": ".",
  "shellWord(dirname(file))": ".",
  RDS_BUNDLE_URL: "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
  "2 * maxConnections + 64": "264",
  handedOver: "--property=LoadCredential=users:/etc/querycop/users",
  name: "app",
  "CREATE(name)": "CREATE USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'",
  place: "us-east-1",
  "STARTTLS[engine]": "postgres",
  "token.scheme": "https://",
  "signerOf(context.listener)": "rds-signer",
};

/** Every text of the sources that is one: with a blank in it. Comments and the names of modules are none. */
export function sourceTexts(folder: string): SourceText[] {
  return filesBelow(folder).flatMap((file) => {
    const found: SourceText[] = [];
    const source = parse(file);
    const visit = (node: ts.Node): void => {
      const text = textOf(node);
      if (text?.includes(" ") === true) found.push({ where: whereIs(node, source, file), text });
      if (text === undefined || !ts.isTemplateExpression(node)) ts.forEachChild(node, visit);
      else for (const span of node.templateSpans) ts.forEachChild(span, visit);
    };
    visit(source);
    return found;
  });
}

/** The commands that are handed to `remedy()`, as they would be shown. Throws where it cannot know one. */
export function remedyCommands(): SourceText[] {
  // It defines remedy(), whose arguments are names there.
  const files = filesBelow("src/doctor").filter((file) => file !== "src/doctor/check.ts");
  return files.flatMap((file) => {
    const source = parse(file);
    const constants = constantsOf(source);
    const found: SourceText[] = [];
    const add = (node: ts.Expression): void => {
      const where = whereIs(node, source, file);
      if (ts.isSpreadElement(node)) {
        for (const text of spreadTexts(node.expression, source)) found.push({ where, text: sampled(text, where) });
        return;
      }
      for (const text of commandTexts(node, constants)) found.push({ where, text: sampled(text, where) });
    };
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && node.expression.getText(source) === "remedy")
        node.arguments.slice(2).forEach(add);
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}

function sampled(text: string, where: string): string {
  return text.replaceAll(/\$\{((?:[^{}]|\$\{[^{}]*\})*)\}/g, (_, expression: string) => {
    const sample = SAMPLES[expression];
    if (sample === undefined) throw new Error(`${where}: test/support/remedies.ts has no sample for ${expression}`);
    return sample;
  });
}

/** A literal, or the literals that a name of the file or a call of it stands for. */
function commandTexts(node: ts.Expression, constants: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const text = textOf(node);
  if (text !== undefined) return [text];
  if (ts.isIdentifier(node)) return constants.get(node.text) ?? [];
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) return constants.get(node.expression.text) ?? [];
  return [];
}

/** `...commands` is filled from tables of the same file; a mapping holds its template. */
function spreadTexts(node: ts.Expression, source: ts.SourceFile): readonly string[] {
  const found: string[] = [];
  const root = ts.isIdentifier(node) ? source : node;
  const visit = (inner: ts.Node): void => {
    const text = textOf(inner);
    if (text !== undefined && isCommand(text)) found.push(text);
    ts.forEachChild(inner, visit);
  };
  visit(root);
  return [...new Set(found)];
}

const COMMAND =
  /^(?:mysql|mysqladmin|psql|aws|querycop|chmod|ls|df|date|ss|nc|ip|getent|openssl|systemctl|timedatectl) /;

function isCommand(text: string): boolean {
  return COMMAND.test(text) && !text.endsWith(".");
}

/** Names of the file with the literals in what they are set to, or in what they return. */
function constantsOf(source: ts.SourceFile): Map<string, readonly string[]> {
  const constants = new Map<string, readonly string[]>();
  const literalsIn = (node: ts.Node): string[] => {
    const own = textOf(node);
    const below: string[] = [];
    ts.forEachChild(node, (child) => void below.push(...literalsIn(child)));
    return own === undefined ? below : [own];
  };
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined && ts.isIdentifier(node.name)) {
      constants.set(node.name.text, literalsIn(node.initializer));
    }
    if (ts.isFunctionDeclaration(node) && node.name !== undefined && node.body !== undefined) {
      constants.set(node.name.text, literalsIn(node.body));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return constants;
}

function textOf(node: ts.Node): string | undefined {
  if (ts.isStringLiteral(node) && !ts.isImportDeclaration(node.parent)) return node.text;
  if (ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  const spans = node.templateSpans.map((span) => `\${${span.expression.getText()}}${span.literal.text}`);
  return node.head.text + spans.join("");
}

function filesBelow(folder: string): string[] {
  const names = readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".ts")).map((name) => `${folder}/${name}`);
}

function parse(file: string): ts.SourceFile {
  const text = readFileSync(join(PROJECT, file), "utf8");
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
}

function whereIs(node: ts.Node, source: ts.SourceFile, file: string): string {
  return `${file}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}
