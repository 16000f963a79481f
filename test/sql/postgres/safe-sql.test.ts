import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { Lexer, TOKEN } from "../../../src/sql/postgres/lexing/lexer.ts";
import {
  allow,
  build,
  ISO_DATE,
  ident,
  integer,
  join,
  keyword,
  literal,
  regex,
  SafeSql,
  TENANT_SLUG,
  UnsafeSqlError,
  UUID,
} from "../../../src/sql/postgres/writing/safe-sql.ts";

const lexer = new Lexer();

/** The kinds of the tokens, as either reading of strings has them. */
function kindsOf(sql: string, strings: "standard" | "escape"): number[] {
  lexer.run(encodeUtf8(sql), strings);
  return [...lexer.kinds.subarray(0, lexer.count)];
}

test("build() puts values that are safe into a template, and nothing else", () => {
  const sql = build("SELECT {cols} FROM {t} WHERE tenant_id = {tid} AND n < {n} ORDER BY {c} {d}", {
    cols: join([ident("a"), ident('b"c')]),
    t: ident("public", "entities"),
    tid: regex("acme-1", TENANT_SLUG),
    n: integer(-7n),
    c: ident("created_at"),
    d: keyword("desc", ["ASC", "DESC"]),
  });
  assert.equal(
    String(sql),
    `SELECT "a", "b""c" FROM "public"."entities" WHERE tenant_id = 'acme-1' AND n < (-7) ORDER BY "created_at" DESC`,
  );
});

test("values without the form that they must have are refused, and so are templates that do not fit", () => {
  const refused: readonly (() => unknown)[] = [
    () => ident(""),
    () => ident("x".repeat(64)),
    () => ident("a\0b"),
    () => ident(),
    () => keyword("ASC; DROP TABLE x", ["ASC", "DESC"]),
    () => allow("deleted", ["active", "archived"]),
    () => regex("acme'; --", TENANT_SLUG),
    () => regex("acme\n", TENANT_SLUG),
    () => regex("2026-11-30x", ISO_DATE),
    () => regex("x", UUID),
    () => integer("1; DROP"),
    () => integer(1.5),
    () => integer("1e9"),
    () => literal("a\0b"),
    () => build("SELECT {a}", {}),
    () => build("SELECT 1", { a: integer(1) }),
    () => build("SELECT {toString}", {}),
    () => build("SELECT {a}", { a: "1" as unknown as SafeSql }),
    () => new SafeSql("x", undefined as never),
    () => join([integer(1)], "; "),
  ];
  for (const make of refused) assert.throws(make, UnsafeSqlError, String(make));
});

test("any text stays one literal and any name one name, however the server reads strings", () => {
  const texts = fc.string({ unit: fc.constantFrom("'", '"', "\\", "a", " ", "-", ";", "$", "\n", "é", "E") });
  fc.assert(
    fc.property(texts, (text) => {
      for (const strings of ["standard", "escape"] as const) {
        const kinds = kindsOf(`(${literal(text)})`, strings);
        assert.equal(kinds.length, 3, text);
        assert.ok(kinds[1] === TOKEN.STRING || kinds[1] === TOKEN.ESCAPE_STRING);
        if (text !== "") assert.deepEqual(kindsOf(`${ident(text.slice(0, 30))}`, strings), [TOKEN.QUOTED_NAME]);
      }
    }),
  );
});
