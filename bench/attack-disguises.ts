/** Ways to write the same SQL so that it looks different, as bypass tools do: one to three of them at a time. */
import type { Chooser } from "./attack-questions.ts";

const PIECES =
  /'(?:[^'\\]|''|\\.)*'|"[^"\\]*"|`[^`]*`|0x[0-9a-f]+|\d+(?:\.\d+)?|@{0,2}[A-Za-z_][\w$]*|\s+|[<>!=|&:]+|./gs;

const isWord = (piece: string): boolean => /^[A-Za-z_]/.test(piece);
const isBlank = (piece: string): boolean => /^\s+$/.test(piece);
const isText = (piece: string): boolean => /^'[\w ]+'$/.test(piece);

type Disguise = (pieces: readonly string[], dice: Chooser) => readonly string[];

const blanks =
  (blank: (dice: Chooser) => string): Disguise =>
  (pieces, dice) =>
    pieces.map((piece) => (isBlank(piece) ? blank(dice) : piece));

/** Keywords that tools wrap or respell. */
const KEYWORDS =
  /^(?:SELECT|UNION|ALL|DISTINCT|FROM|WHERE|AND|OR|ORDER|GROUP|BY|LIMIT|CASE|WHEN|THEN|ELSE|END|IF|LIKE|IN|BETWEEN|NOT|HAVING|EXISTS|INTO|IS|NULL)$/i;

const words =
  (change: (word: string, dice: Chooser) => string): Disguise =>
  (pieces, dice) =>
    pieces.map((piece) => (KEYWORDS.test(piece) ? change(piece, dice) : piece));

/** Over the whole text; patterns are ours and the texts short. */
const rewrite =
  (pattern: RegExp, replacement: string): Disguise =>
  (pieces) =>
    pieces.join("").replace(pattern, replacement).match(PIECES) ?? [];

const DISGUISES: readonly Disguise[] = [
  blanks(() => "/**/"),
  blanks((dice) => `/*${dice.from("x ¦ _ ¦ ** ¦ abc")}*/`),
  blanks((dice) => dice.of("\t", "\n", "\r\n", "\v", "\f", "  ", "\t\n")),
  blanks(() => "--\n"),
  blanks((dice) => `-- ${dice.from("abc ¦ x'y")}\n`),
  blanks((dice) => `#${dice.from("abc ¦ q ¦ ' ")}\n`),
  blanks((dice) => (dice.chance(0.4) ? "/*!*/" : " ")),
  words((word, dice) =>
    [...word].map((letter) => (dice.chance(0.5) ? letter.toLowerCase() : letter.toUpperCase())).join(""),
  ),
  words((word) => word.toLowerCase()),
  words((word, dice) => (dice.chance(0.5) ? `/*!${word}*/` : word)),
  words((word, dice) =>
    dice.chance(0.5) ? `/*!${dice.of("50000", "40000", "00000", "32302", "080000")}${word}*/` : word,
  ),
  (pieces, dice) => [`/*!${dice.of("", "50000", "00000")} ${pieces.join("")}*/`],
  (pieces) => pieces.map((piece, at) => (isWord(piece) && pieces[at + 1] === "(" ? `${piece}/**/` : piece)),
  (pieces) =>
    pieces.map((piece, at) =>
      isWord(piece) &&
      pieces[at + 1] === "(" &&
      !/^(?:COUNT|MIN|MID|SUBSTR\w*|GROUP_CONCAT|CAST|POSITION|TRIM|NOW)$/i.test(piece)
        ? `${piece} `
        : piece,
    ),
  (pieces) => pieces.map((piece) => (isText(piece) ? `0x${Buffer.from(piece.slice(1, -1)).toString("hex")}` : piece)),
  (pieces) =>
    pieces.map((piece) =>
      isText(piece) ? `CHAR(${[...piece.slice(1, -1)].map((letter) => letter.charCodeAt(0)).join(",")})` : piece,
    ),
  (pieces) => pieces.map((piece) => (isText(piece) ? `x'${Buffer.from(piece.slice(1, -1)).toString("hex")}'` : piece)),
  (pieces) =>
    pieces.map((piece) => (isText(piece) && piece.length > 3 ? `CONCAT('${piece[1]}','${piece.slice(2)})` : piece)),
  (pieces) =>
    pieces.map((piece) => (isText(piece) && piece.length > 3 ? `${piece.slice(0, 2)}' '${piece.slice(2)}` : piece)),
  (pieces) => pieces.map((piece) => (isText(piece) ? `_latin1${piece}` : piece)),
  (pieces) => pieces.map((piece) => (isText(piece) ? `BINARY ${piece}` : piece)),
  (pieces) => pieces.map((piece) => (/^\d+$/.test(piece) ? `${piece}e0` : piece)),
  (pieces) => pieces.map((piece) => (/^\d+$/.test(piece) ? `(${piece})` : piece)),
  (pieces) => pieces.map((piece) => (/^\d+$/.test(piece) ? `${piece}.` : piece)),
  (pieces, dice) =>
    pieces.map((piece) =>
      /^\d+$/.test(piece)
        ? dice.of(
            `-(-${piece})`,
            `!0*${piece}`,
            `(SELECT ${piece})`,
            `~~${piece}`,
            `ROUND(${piece})`,
            `CEIL(PI())-3-1+${piece}`,
          )
        : piece,
    ),
  (pieces) =>
    pieces.map((piece) =>
      /^(?:login|password|member|name|id|information_schema|tables)$/i.test(piece) ? `\`${piece}\`` : piece,
    ),
  (pieces) => pieces.map((piece) => (piece === "=" ? " LIKE " : piece)),
  (pieces) => pieces.map((piece) => (piece === "=" ? " RLIKE " : piece)),
  (pieces) => pieces.map((piece) => (piece === "=" ? "<=>" : piece)),
  (pieces) => pieces.map((piece) => (piece === "=" ? " IN " : piece)),
  rewrite(/>\s*(\d+)/g, " NOT BETWEEN 0 AND $1 "),
  rewrite(/=\s*(\d+|'\w*')/g, " BETWEEN $1 AND $1 "),
  rewrite(/=\s*(\d+|'\w*')/g, " IN ($1) "),
  rewrite(/\bAND\b/g, "&&"),
  rewrite(/\bOR\b/g, "||"),
  rewrite(/\bUNION ALL\b/g, "UNION"),
  rewrite(/\bUNION\b(?: ALL)?(?= SELECT)/g, "UNION DISTINCT"),
  rewrite(/\bUNION (?:ALL )?SELECT ([^()]*?) (?=FROM|$)/g, "UNION(SELECT $1)"),
  rewrite(/^ UNION/g, "e0UNION"),
  rewrite(/^ /g, ""),
  rewrite(/,(\d+),1\)/g, " FROM $1 FOR 1)"),
  rewrite(/LIMIT (\d+),(\d+)/g, "LIMIT $2 OFFSET $1"),
  rewrite(/CONCAT\(/g, "CONCAT_WS('',"),
  rewrite(/information_schema\./g, "information_schema 9.e."),
  rewrite(/information_schema\./g, "information_schema/**/."),
  rewrite(/information_schema\.tables/g, "mysql.innodb_table_stats"),
  rewrite(/SLEEP\(/gi, "sleep/**/("),
  rewrite(/ASCII\(/g, "ORD("),
  rewrite(/SUBSTR\(/g, "MID("),
  rewrite(/\bIF\(([^,()]*),([^,()]*),([^,()]*)\)/g, "CASE WHEN ($1) THEN ($2) ELSE ($3) END"),
  rewrite(/\b(AND|OR|SELECT)\s+(?=[\w'])/g, "$1+"),
  rewrite(/\b(AND|OR)\s+(?=[\w'(])/g, "$1~"),
  rewrite(/\b(AND|OR)\s+(?=[\w'(])/g, "$1-"),
  rewrite(/\b(AND|OR)\s+(?=[\w'(])/g, "$1!"),
  rewrite(/\bSELECT (?=\w)/g, "SELECT@_:="),
  rewrite(/\bSELECT (?=[\w(])/g, "SELECT{x "),
  rewrite(/\bSELECT\b/g, "SELECT SQL_NO_CACHE"),
  rewrite(/(VERSION|USER|DATABASE|SCHEMA)\(\)/g, "{f $1()}"),
];

/** The same text in one to three disguises. Not every outcome is SQL; a server has to tell. */
export function disguise(text: string, dice: Chooser): string {
  let pieces: readonly string[] = text.match(PIECES) ?? [];
  for (let times = 1 + dice.below(3); times > 0; times--) {
    pieces =
      dice
        .of(...DISGUISES)(pieces, dice)
        .join("")
        .match(PIECES) ?? [];
  }
  return pieces.join("");
}
