/** Statements whose meaning depends on the session's state: harmless in one, denied in another. */
import type { Axis } from "./differential-changes.ts";
import { isMariadb, once, type Piece, type Scene, utf8 } from "./differential-text.ts";

/** What follows a SELECT list whose first item is written, and reads what is denied. */
function tailOf({ dice, guarded }: Scene): string {
  return dice.pick([
    `, data FROM ${guarded}.secret`,
    `, password FROM ${guarded}.member`,
    `, note FROM ${guarded}.orders`,
  ]);
}

/** Whole statements that are denied. */
function deniedOf({ dice, guarded, canary }: Scene): string {
  const texts = [
    `SELECT data FROM ${guarded}.secret`,
    `SELECT password FROM ${guarded}.member`,
    `SELECT note FROM ${guarded}.orders`,
    `UPDATE ${guarded}.orders SET total = 0`,
    `DROP DATABASE ${canary}`,
    `DELETE FROM ${canary}.c`,
    `UPDATE ${canary}.c SET n = n + 1`,
    `INSERT INTO ${canary}.c VALUES (9)`,
    `TRUNCATE TABLE ${canary}.c`,
  ];
  return dice.pick(texts);
}

/** A tail of the SELECT list, or a statement of its own behind a semicolon. */
function payloadOf(scene: Scene): string {
  return once(scene.dice, 3) ? `; ${deniedOf(scene)}` : tailOf(scene);
}

function closed(payload: string): string {
  return payload.startsWith(";") ? `${payload};` : payload;
}

/** The quote that closes is either escaped or not, and what follows is text or code. */
function quoteProbe(scene: Scene, opening: string, closing: string, tag: string): Piece {
  const payload = payloadOf(scene);
  if (once(scene.dice, 2)) {
    return { text: `SELECT ${opening}${closed(payload)} -- ${closing}`, tags: [`${tag} hides`] };
  }
  return { text: `SELECT ${opening} -- ${closing}${payload}`, tags: [`${tag} shows`] };
}

function backslashProbe(scene: Scene): Piece {
  const { dice } = scene;
  const before = dice.pick(["", "a", "x y"]);
  return quoteProbe(scene, `'${before}\\'`, "'", "backslash");
}

function quotesProbe(scene: Scene): Piece {
  return quoteProbe(scene, '1 "a\\"', '"', "double quote");
}

function charsetProbe(scene: Scene): Piece {
  const { dice, charset } = scene;
  const lead = dice.pick(charset.leads);
  const form = dice.below(5);
  if (form === 4) return backslashProbe(scene);
  if (form === 0) return quoteProbe(scene, `1 AS \`a${lead}\``, "`", "lead byte, backtick");
  if (form === 1) return quoteProbe(scene, `1 "a${lead}\\"`, '"', "lead byte, double quote");
  return quoteProbe(scene, `'a${lead}\\'`, "'", "lead byte");
}

function blankProbe(scene: Scene): Piece {
  const { dice, guarded, free, charset } = scene;
  const blank = dice.pick(charset.blanks);
  const texts = [
    `SELECT data AS x${blank}FROM ${guarded}.secret`,
    `SELECT data AS x${blank}FROM secret`,
    `SELECT password AS x${blank}FROM ${guarded}.member`,
    `SELECT data FROM ${free}.pub${blank}JOIN secret`,
    `SELECT 1 --${blank}'\n, data FROM ${guarded}.secret -- '`,
    `SELECT 1 x${blank}FROM ${free}.pub; DROP${blank}DATABASE ${scene.canary}`,
  ];
  return { text: dice.pick(texts), tags: ["blank"] };
}

function schemaProbe(scene: Scene): Piece {
  const { dice } = scene;
  const texts = [
    "SELECT data FROM secret",
    "SELECT * FROM secret",
    "SELECT note FROM orders",
    "SELECT * FROM orders",
    "SELECT password FROM member",
    "UPDATE c SET n = 0",
  ];
  if (!isMariadb(scene)) texts.push("TABLE secret");
  return { text: dice.pick(texts), tags: ["unqualified"] };
}

function pipesProbe(scene: Scene): Piece {
  const { dice, guarded } = scene;
  const texts = [
    `SELECT note FROM ${guarded}.orders WHERE 1 || 1 AND tenant_id = 7`,
    `SELECT note FROM ${guarded}.orders WHERE tenant_id = 7 || 1`,
    `SELECT note FROM ${guarded}.orders WHERE tenant_id = 7 AND NOT 0 || 1`,
  ];
  return { text: dice.pick(texts), tags: ["pipes"] };
}

/** Statements with a parameter that says whose rows come back, and what is run without being said again. */
function variableProbe(scene: Scene): readonly Piece[] {
  const { dice, guarded } = scene;
  const name = dice.pick(["p", "pa", "`p-1`", utf8("pä")]);
  const other = dice.pick([name, "p", "P", "pa"]);
  const variable = dice.pick(["@t", "@T", "@t", utf8("@ţ"), "@`t`"]);
  const text = `SELECT note FROM ${guarded}.orders WHERE tenant_id = ?`;
  const eight = dice.pick([`SET ${variable} = 8`, `SELECT 8 INTO ${variable}`]);
  const value = (): Piece => ({
    text: dice.pick([eight, `SELECT 1; ${eight}`, `SET @t = 7; ${eight}`, "SET @t = 7", "SET @t = 7", "DO 1"]),
    tags: ["value"],
  });
  const noise = (): Piece => ({ text: dice.pick(["SELECT 1; SELECT 2", "SELECT 1", "SET @x = 1"]), tags: ["noise"] });
  const isChangedAgain = once(dice, 2);
  const pieces: Piece[] = [
    { text: `PREPARE ${name} FROM '${text}'`, tags: ["tenant parameter"] },
    value(),
    noise(),
    ...(isChangedAgain ? [value(), noise()] : []),
    { text: `EXECUTE ${other} USING @t`, tags: ["execute using"] },
  ];
  if (isMariadb(scene) && once(dice, 3)) {
    return [{ text: `EXECUTE IMMEDIATE '${text}' USING ${dice.pick(["8", "@t"])}`, tags: ["immediate using"] }];
  }
  return pieces;
}

/** Denied whatever the state: only the ways to run it differ. */
function plainProbe(scene: Scene): Piece {
  return { text: deniedOf(scene), tags: ["denied"] };
}

export function probesOf(scene: Scene, axis: Axis): readonly Piece[] {
  if (once(scene.dice, 12)) return [plainProbe(scene)];
  switch (axis) {
    case "backslash":
      return [backslashProbe(scene)];
    case "quotes":
      return [quotesProbe(scene)];
    case "charset":
      return [charsetProbe(scene)];
    case "blank":
      return [blankProbe(scene)];
    case "schema":
      return [schemaProbe(scene)];
    case "pipes":
      return [pipesProbe(scene)];
    case "tracking":
      return [scene.dice.pick([backslashProbe, quotesProbe, charsetProbe, blankProbe, schemaProbe])(scene)];
    case "variables":
      return variableProbe(scene);
  }
}
