/**
 * Asks real servers which characters are one in a name, and which characters they read in the bytes of one, and prints
 * src/sql/mysql/names/name-table.ts's SAME_LETTERS and src/base/character-table.ts's HIGH_CHARACTERS:
 * `bun bench/names.ts [--kind mysql|mariadb|mariadb11]...`. Ends with status 1 where the committed tables differ.
 *
 * Letters are those that some server gives one weight in utf8mb3_general_ci, or takes for the lower or upper case of
 * another in that or its newest collation, in the whole basic plane; and the cases of this runtime's Unicode, for servers
 * to come. That names are compared so is asked by effect in test/e2e/names.test.ts.
 */
import { parseArgs } from "node:util";
import { HIGH_CHARACTERS } from "../src/base/character-table.ts";
import { UNKNOWN_TEXT } from "../src/base/characters.ts";
import { SAME_LETTERS } from "../src/sql/mysql/names/name-table.ts";
import { lowerAscii } from "../src/sql/mysql/names/names.ts";
import type { ServerKind } from "../test/support/accounts.ts";
import { askAll } from "../test/support/name-oracle.ts";
import { RawClient } from "../test/support/raw-client.ts";
import { startServer } from "../test/support/servers.ts";

const KINDS: readonly ServerKind[] = ["mysql", "mariadb", "mariadb11"];
/** What names are compared by, but for columns. */
const NAMES_COLLATION = "utf8mb3_general_ci";
/** MariaDB 11.8 compares names by the cases of a newer Unicode than the collation's. */
const NEWEST_COLLATION: Readonly<Record<ServerKind, string>> = {
  mysql: "utf8mb4_0900_ai_ci",
  mariadb: "utf8mb4_unicode_520_ci",
  mariadb11: "utf8mb4_uca1400_ai_ci",
};
const PER_STATEMENT = 64;
const LINE_MAX = 110;
/** Signs of their own in src/base/characters.ts: ASCII, bytes, and the letters in ASCII's places. */
const NO_HIGH_CHARACTERS: ReadonlySet<string> = new Set(["ascii", "binary", "swe7"]);

/** All of the basic plane but controls, upper case of ASCII, which the lower stands for, and halves of characters. */
const PLANE: readonly string[] = Array.from({ length: 0x10000 }, (_, code) => code)
  .filter((code) => code > 0x20 && code !== 0x7f && (code < 0x41 || code > 0x5a) && (code < 0xd800 || code > 0xdfff))
  .map((code) => String.fromCharCode(code));

/** Classes of letters that are one. */
class Classes {
  readonly #above = new Map<string, string>();

  #top(letter: string): string {
    let top = letter;
    for (let above = this.#above.get(top); above !== undefined; above = this.#above.get(top)) top = above;
    return top;
  }

  join(left: string, right: string): void {
    const [top = "", other = ""] = [this.#top(lowerAscii(left)), this.#top(lowerAscii(right))].sort();
    if (top !== other) this.#above.set(other, top);
  }

  /** Each by code point, but first the one that stands for the others. */
  words(): string[] {
    const members = new Map<string, string[]>();
    for (const letter of PLANE) {
      const top = this.#top(letter);
      members.set(top, [...(members.get(top) ?? []), letter]);
    }
    return [...members.values()]
      .filter((letters) => letters.length > 1)
      .map((letters) => {
        const first = letters.find((letter) => letter.toUpperCase() !== letter) ?? letters[0];
        return [first, ...letters.filter((letter) => letter !== first)].join("");
      });
  }
}

/** A text of the letter, to which a statement gives a collation. */
type MakeText = (letter: string) => string;

function textIn(collation: string): MakeText {
  const set = collation.slice(0, collation.indexOf("_"));
  return (letter) => `(CONVERT(0x${Buffer.from(letter).toString("hex")} USING ${set}) COLLATE ${collation})`;
}

/** What each letter of the plane becomes, as hexadecimal digits. */
async function askPlane(client: RawClient, make: MakeText): Promise<string[]> {
  const statements: string[] = [];
  for (let at = 0; at < PLANE.length; at += PER_STATEMENT) {
    const some = PLANE.slice(at, at + PER_STATEMENT).map((letter) => `HEX(${make(letter)})`);
    statements.push(`SELECT CONCAT_WS(' ', ${some.join(", ")})`);
  }
  const answers = (await askAll(client, statements)).flatMap(({ cells }) => (cells[0] ?? "").split(" "));
  if (answers.length !== PLANE.length) throw new Error(`asked about ${PLANE.length} letters: ${answers.length} came`);
  return answers;
}

async function joinLetters(client: RawClient, kind: ServerKind, classes: Classes): Promise<void> {
  const byWeight = new Map<string, string>();
  const general = textIn(NAMES_COLLATION);
  for (const [index, weight] of (await askPlane(client, (letter) => `WEIGHT_STRING(${general(letter)})`)).entries()) {
    const letter = PLANE[index] as string;
    classes.join(byWeight.get(weight) ?? letter, letter);
    byWeight.set(weight, letter);
  }
  for (const collation of [NAMES_COLLATION, NEWEST_COLLATION[kind]]) {
    const text = textIn(collation);
    for (const change of ["LOWER", "UPPER"]) {
      for (const [index, bytes] of (await askPlane(client, (letter) => `${change}(${text(letter)})`)).entries()) {
        joinChanged(classes, PLANE[index] as string, Buffer.from(bytes, "hex").toString());
      }
    }
  }
}

/** Letters that become several stay alone: a name would be longer. */
function joinChanged(classes: Classes, letter: string, changed: string): void {
  if (changed.length === 1) classes.join(changed, letter);
}

/** What the server reads in the bytes above ASCII of an alias; where servers differ, nobody knows. */
async function readHighCharacters(client: RawClient, tables: Map<string, string[]>): Promise<void> {
  const listed = "SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS WHERE MAXLEN = 1";
  const [, sets] = await askAll(client, ["SET character_set_results = utf8mb3", listed]);
  for (const set of sets?.cells ?? []) {
    if (NO_HIGH_CHARACTERS.has(set)) continue;
    const statements = Array.from({ length: 128 }, (_, index) =>
      Buffer.concat([Buffer.from("SELECT 1 AS `x"), Buffer.from([0x80 + index]), Buffer.from("`")]),
    );
    const [, ...replies] = await askAll(client, [`SET character_set_client = ${set}`, ...statements]);
    const read = replies.map(({ errorNumber, column }) => {
      const character = column.toString().slice(1);
      return errorNumber !== 0 || character === "?" || character.length !== 1 ? UNKNOWN_TEXT : character;
    });
    const known = tables.get(set);
    tables.set(set, known === undefined ? read : known.map((own, at) => (own === read[at] ? own : UNKNOWN_TEXT)));
    await askAll(client, ["SET character_set_client = utf8mb3"]);
  }
}

/** As it may stand in a source: what is not seen, or turns the line around, by its code. */
function written(text: string): string {
  return text.replace(
    /(?! )[\p{C}\p{M}\p{Z}\ufffd\u0590-\u08ff]/gu,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function printLetters(words: readonly string[]): void {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    const isFull = last === undefined || written(last).length + written(word).length + 1 > LINE_MAX;
    if (isFull) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  console.log("export const SAME_LETTERS: readonly string[] = [");
  for (const line of lines) console.log(`  "${written(line)}",`);
  console.log("];");
}

function printCharacters(tables: ReadonlyMap<string, readonly string[]>): void {
  console.log("export const HIGH_CHARACTERS: Readonly<Record<string, string>> = {");
  for (const [set, characters] of [...tables].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const quarters = [0, 32, 64, 96].map((at) => `    "${written(characters.slice(at, at + 32).join(""))}"`);
    console.log(`  ${set}:\n${quarters.join(" +\n")},`);
  }
  console.log("};");
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { kind: { type: "string", multiple: true } } });
  const classes = new Classes();
  const tables = new Map<string, string[]>();
  for (const kind of KINDS.filter((one) => values.kind?.includes(one) ?? true)) {
    const server = await startServer({ kind });
    try {
      const client = await RawClient.connect("127.0.0.1", server.port);
      await client.login({ ...server.account("admin") });
      await joinLetters(client, kind, classes);
      await readHighCharacters(client, tables);
      client.quit();
    } finally {
      await server.stop();
    }
  }
  for (const letter of PLANE) {
    joinChanged(classes, letter, letter.toLowerCase());
    joinChanged(classes, letter, letter.toUpperCase());
  }
  const words = classes.words();
  printLetters(words);
  printCharacters(tables);
  const committed = SAME_LETTERS.flatMap((line) => line.split(" "));
  const sets = new Set([...tables.keys(), ...Object.keys(HIGH_CHARACTERS)]);
  const differing = [
    ...words.filter((word) => !committed.includes(word)).map((word) => `not in the committed table: ${word}`),
    ...committed.filter((word) => !words.includes(word)).map((word) => `in the committed table only: ${word}`),
    ...[...sets].filter((set) => tables.get(set)?.join("") !== HIGH_CHARACTERS[set]).map((set) => `differs: ${set}`),
  ];
  for (const line of differing) console.error(line);
  if (differing.length > 0) process.exitCode = 1;
}

await main();
