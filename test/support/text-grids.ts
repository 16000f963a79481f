/** Conditions of two operands and what stands between them, each with each: what a rule says of a pair is seen in all pairs. */

const words = (text: string): readonly string[] => text.trim().split("\n");

interface Grid {
  readonly left: readonly string[];
  readonly right: readonly string[];
  readonly between: readonly string[];
  /** Where the condition stands: `?` is its place. */
  readonly within: readonly string[];
}

export const MYSQL_GRID: Grid = {
  left: words(`
id
t.id
\`ID\`
id - id
id + 0
id * 1
-id
(id)
ABS(id)
COALESCE(id, id)
IFNULL(id, 1)
GREATEST(id, id)
CONCAT(id)
LOWER(a)
IF(id, id, id)
CASE WHEN id THEN id END
id ^ id
id DIV id
id % 1
1
0.4
'1'
NULL
TRUE
@a
RAND()
(SELECT 1)
(SELECT b FROM u)
(id, a)
id COLLATE utf8mb4_bin
BINARY id
id -> '$.x'
x'31'
DATE '2020-01-01'`),
  right: words(`
id
u.id
1
-1
'x'
''
NULL
NULLIF(id, id)
id - id
ABS(id)
a
LAST_INSERT_ID(id)
CAST(id AS CHAR)
(SELECT MAX(id) FROM t)
@@version
DATABASE()
0x41
1 + 1
?`),
  between: words(`
=
<=>
<>
<
>=
IS NOT NULL OR id =
IS NULL AND id =
LIKE
NOT REGEXP
IN (1, id) OR 1 =
NOT IN (id, NULL) XOR 0 =
BETWEEN id AND
NOT BETWEEN 1 AND
AND
OR
XOR
AND NOT
||
&&
SOUNDS LIKE
MEMBER OF (a) OR 1 >
IS NOT TRUE OR b <
:=`),
  within: words(`
DELETE FROM t WHERE ?
UPDATE t JOIN u ON ? SET t.a = 1
SELECT a FROM t WHERE b = 1 OR ? ORDER BY c
SELECT a FROM t GROUP BY b HAVING NOT (?)`),
};

export const POSTGRES_GRID: Grid = {
  left: words(`
id
t.id
"Id"
id - id
id + 0
-id
(id)
abs(id)
coalesce(id, id)
greatest(id, 1)
lower(a)
CASE WHEN id THEN id END
id::text
CAST(id AS int)
1
'1'
NULL
true
random()
(SELECT 1)
(SELECT b FROM u LIMIT 1)
(id, a)
ARRAY[id, 1]
a COLLATE "C"
a ->> 'x'
current_user
$1`),
  right: words(`
id
u.id
1
'x'
''
NULL
nullif(id, id)
id - id
abs(id)
a
1::int
(SELECT max(id) FROM t)
version()
current_date
1 + 1
ANY (ARRAY[1, id])`),
  between: words(`
=
<>
<
>=
IS DISTINCT FROM
IS NOT NULL OR id =
IS NULL AND id =
LIKE
NOT ILIKE
~
!~*
IN (1, id) OR 1 =
NOT IN (id, NULL) AND 0 =
BETWEEN id AND
AND
OR
AND NOT
||
OPERATOR(pg_catalog.=)`),
  within: words(`
DELETE FROM t WHERE ?
SELECT a FROM t JOIN u ON ? WHERE b = 1
SELECT a FROM t WHERE b = 1 OR ?`),
};

/** Every so-many-th of all texts with this between the operands. */
export function* gridTexts({ left, right, within }: Grid, between: string, each: number): Generator<string> {
  let count = between.length;
  for (const place of within) {
    for (const one of left) {
      for (const other of right) {
        if (count++ % each === 0) yield place.replace("?", () => `${one} ${between} ${other}`);
      }
    }
  }
}
