/** The ways by which a statement can be made to run, one inside the other. */
import { isMariadb, literalOf, once, type Piece, type Scene, utf8 } from "./differential-text.ts";

/** Names of prepared statements, some of which are one name to a server. */
const NAMES = ["p", "P", "q", "`p-1`", "`p 1`", utf8("pä"), "pa", "`p`"];

interface Route {
  readonly tag: string;
  readonly mariadbOnly?: boolean;
  /** The statements that run the text, one after another. */
  readonly wrap: (scene: Scene, text: string) => readonly string[];
}

const ROUTES: readonly Route[] = [
  { tag: "exec comment", wrap: (_, text) => [`/*!50000 ${text} */`] },
  { tag: "exec comment", mariadbOnly: true, wrap: (_, text) => [`/*M!100000 ${text} */`] },
  {
    tag: "prepare literal",
    wrap: ({ dice }, text) => {
      const name = dice.pick(NAMES);
      return [`PREPARE ${name} FROM ${literalOf(dice, text)}`, `EXECUTE ${name}`];
    },
  },
  {
    tag: "prepare variable",
    wrap: ({ dice }, text) => {
      const name = dice.pick(NAMES);
      return [`SET @s = ${literalOf(dice, text)}`, `PREPARE ${name} FROM @s`, `EXECUTE ${name}`];
    },
  },
  {
    tag: "prepare other variable",
    wrap: ({ dice }, text) => {
      const name = dice.pick(["@S", utf8("@ś"), "@`s`", "@s"]);
      const literal = literalOf(dice, text);
      const assigned = [`SET ${name} = ${literal}`, `SELECT ${literal} INTO ${name}`, `SELECT ${name} := ${literal}`];
      return [
        "SET @s = 'SELECT 1'",
        dice.pick([...assigned, `DO ${name} := ${literal}`]),
        "PREPARE p FROM @s",
        "EXECUTE p",
      ];
    },
  },
  {
    tag: "prepare again",
    wrap: ({ dice }, text) => {
      const [first = "", second = ""] = dice.pick([
        ["p", "P"],
        ["pa", utf8("pä")],
        ["`p-1`", "`P-1`"],
        ["p", "p"],
      ]);
      return [
        `PREPARE ${first} FROM 'SELECT 1'`,
        `PREPARE ${second} FROM ${literalOf(dice, text)}`,
        `EXECUTE ${first}`,
      ];
    },
  },
  {
    tag: "prepare concat",
    wrap: ({ dice }, text) => {
      const at = 1 + dice.below(text.length);
      const parts = `CONCAT(${literalOf(dice, text.slice(0, at))}, ${literalOf(dice, text.slice(at))})`;
      return [`SET @s = ${parts}`, "PREPARE p FROM @s", "EXECUTE p"];
    },
  },
  {
    tag: "prepare bytes",
    wrap: ({ dice }, text) => {
      const hex = Buffer.from(text, "latin1").toString("hex");
      const value = dice.pick([`X'${hex}'`, `0x${hex}`, `CONCAT(X'${hex}')`, `UNHEX('${hex}')`, `_binary X'${hex}'`]);
      return [`SET @s = ${value}`, "PREPARE p FROM @s", "EXECUTE p"];
    },
  },
  {
    tag: "prepare converted",
    wrap: ({ dice, charset }, text) => {
      const literal = literalOf(dice, text);
      const values = [`_${charset.name}${literal}`, `_latin1${literal}`, `CONVERT(${literal} USING ${charset.name})`];
      return [`SET @s = ${dice.pick(values)}`, "PREPARE p FROM @s", "EXECUTE p"];
    },
  },
  {
    tag: "immediate",
    mariadbOnly: true,
    wrap: ({ dice }, text) => [`EXECUTE IMMEDIATE ${literalOf(dice, text)}`],
  },
  {
    tag: "immediate variable",
    mariadbOnly: true,
    wrap: ({ dice }, text) => [`SET @s = ${literalOf(dice, text)}`, "EXECUTE IMMEDIATE @s"],
  },
  {
    tag: "immediate bytes",
    mariadbOnly: true,
    wrap: ({ dice }, text) => {
      const hex = Buffer.from(text, "latin1").toString("hex");
      const at = 1 + dice.below(text.length);
      const halves = [literalOf(dice, text.slice(0, at)), literalOf(dice, text.slice(at))] as const;
      const values = [`X'${hex}'`, `CONCAT(${halves.join(", ")})`, `${halves[0]} ${halves[1]}`];
      return [`EXECUTE IMMEDIATE ${dice.pick(values)}`];
    },
  },
  { tag: "oracle block", mariadbOnly: true, wrap: (_, text) => ["SET sql_mode = ORACLE", `BEGIN ${text}; END`] },
  { tag: "compound", mariadbOnly: true, wrap: (_, text) => [`BEGIN NOT ATOMIC ${text}; END`] },
  { tag: "if", mariadbOnly: true, wrap: (_, text) => [`IF 1 THEN ${text}; END IF`] },
  { tag: "for", mariadbOnly: true, wrap: (_, text) => [`FOR i IN 1..1 DO ${text}; END FOR`] },
  { tag: "case", mariadbOnly: true, wrap: (_, text) => [`CASE WHEN 1 THEN ${text}; END CASE`] },
  {
    tag: "set statement",
    mariadbOnly: true,
    wrap: ({ dice }, text) => [
      `SET STATEMENT ${dice.pick(["max_statement_time=9", "session_track_schema=OFF", "sql_mode='ANSI_QUOTES'", "session_track_system_variables=''"])} FOR ${text}`,
    ],
  },
  {
    tag: "sys procedure",
    wrap: ({ dice }, text) => [
      `CALL sys.${dice.pick(["execute_prepared_stmt", utf8("execute_prepäred_stmt")])}(${literalOf(dice, text)})`,
    ],
  },
  {
    tag: "new procedure",
    wrap: ({ free }, text) => [`CREATE PROCEDURE ${free}.np() BEGIN ${text}; END`, `CALL ${free}.np()`],
  },
  {
    tag: "new function",
    wrap: ({ free }, text) => [
      `CREATE FUNCTION ${free}.nf() RETURNS INT DETERMINISTIC BEGIN ${text}; RETURN 1; END`,
      `DO ${free}.nf()`,
    ],
  },
  {
    tag: "new view",
    wrap: ({ free }, text) => [`CREATE OR REPLACE VIEW ${free}.nv AS ${text}`, `SELECT * FROM ${free}.nv`],
  },
  {
    tag: "new table",
    wrap: ({ dice, free }, text) => [
      `CREATE ${dice.pick(["", "TEMPORARY "])}TABLE ${free}.nt AS ${text}`,
      `SELECT * FROM ${free}.nt`,
    ],
  },
  { tag: "analyze", wrap: ({ kind }, text) => [`${kind === "mysql" ? "EXPLAIN ANALYZE" : "ANALYZE"} ${text}`] },
  { tag: "explain", wrap: (_, text) => [`EXPLAIN FORMAT=JSON ${text}`] },
];

/** The piece as it is, or run by another way, at times by several inside each other. */
export function routed(scene: Scene, piece: Piece, depth = 0): readonly Piece[] {
  const { dice } = scene;
  if (depth > 2 || !once(dice, depth === 0 ? 2 : 4)) return [piece];
  const routes = ROUTES.filter(({ mariadbOnly = false }) => !mariadbOnly || isMariadb(scene));
  const { tag, wrap } = dice.pick(routes);
  const texts = wrap(scene, piece.text);
  const last = texts.length - 1;
  return texts.flatMap((text, index) => {
    const made: Piece = { text, tags: index === last ? [tag, ...piece.tags] : [tag] };
    return index === last ? routed(scene, made, depth + 1) : [made];
  });
}
