/** Texts that repeat something, for tests and benches that ask whether judging them stays linear. */

/** Every kind of rule that looks at the names and values of a statement. */
export const STRICT_POLICY = `version: 1
multi_statements: true
read_only: false
tenants:
  - { tables: [a, b, orders, "t*"], column: tenant_id, value: 7 }
  - { tables: [item], column: tenant_id }
canary_tables: [canary]
sensitive: { columns: [member.iban, birthday], tables: [diary] }
require_where: [a, b]
deny:
  tables: [secret, shop.payroll]
  columns: [member.password, t1.x, a.password, iban]
  functions: [danger]
impact: { estimated_rows: { block: 1000 }, no_estimate: block, max_changed_rows: 5 }
exceptions:
  - { id: e, reason: r, expires: 2999-01-01, rules: [perf.unbounded], tables: [a] }
`;

export interface WorstText {
  readonly head: string;
  /** Put together, they are repeated; `#` in them is the number of the repetition. */
  readonly unit: readonly string[];
  readonly tail: string;
}

export function repeated({ head, unit, tail }: WorstText, bytes: number): string {
  const part = unit.join("");
  const parts: string[] = [head];
  let length = head.length + tail.length;
  for (let index = 0; length < bytes; index++) {
    const next = part.includes("#") ? part.replaceAll("#", String(index)) : part;
    parts.push(next);
    length += Math.max(1, next.length);
  }
  parts.push(tail);
  return parts.join("");
}

export const HEADS: readonly string[] = [
  "",
  "SELECT 1",
  "SELECT a.id FROM a JOIN b ON a.tenant_id = 7 WHERE a.id = 1",
  "SELECT * FROM a, b, c WHERE 1 = 1",
  "SELECT password FROM member WHERE id = 1",
  "UPDATE a, b SET a.x = 1",
  "DELETE a",
  "INSERT INTO a (tenant_id, x) VALUES (7, 1)",
  "ALTER TABLE member ADD x INT",
  "CREATE TABLE a (x INT",
  "CREATE TRIGGER t BEFORE INSERT ON member FOR EACH ROW BEGIN ",
  "GRANT SELECT",
  "SET @a = 1",
  "SHOW TABLES",
  "CALL p(1",
];

export const TAILS: readonly string[] = [
  "",
  ")",
  "; SELECT 1",
  " FROM a",
  " WHERE a.tenant_id = 7",
  " END",
  "'",
  " ON 1",
];

export const FRAGMENTS: readonly string[] = [
  // Conditions
  " AND a.tenant_id = b.tenant_id",
  " AND b.tenant_id = a.tenant_id",
  " AND a#.tenant_id = a.tenant_id",
  " AND a.tenant_id = 7",
  " AND a.tenant_id = ?",
  " AND a.x = CONCAT('p', b.y)",
  " AND x IN (1, 2)",
  " AND NOT x = 1",
  " OR 1 = 1",
  " AND x BETWEEN 1 AND 2",
  " AND password LIKE 'a%'",
  " AND ASCII(SUBSTR(password, 1)) > 1",
  " AND CONCAT(password, 0x41) = 1",
  " AND (SELECT password FROM member LIMIT 1) = 'x'",
  " AND EXISTS (SELECT 1 FROM b WHERE b.tenant_id = a.tenant_id)",
  " AND SLEEP(0)",
  " AND CASE WHEN x THEN 1 END",
  // Sources
  ", a",
  ", b AS b#",
  ", t# AS a",
  ", secret",
  ", diary",
  ", information_schema.column_statistics",
  ", (SELECT 7 AS tenant_id) AS d#",
  ", member AS m# ",
  " JOIN b ON a.tenant_id = b.tenant_id",
  " LEFT JOIN b",
  " ON 1 = 1",
  " JOIN b b# USING (tenant_id)",
  " NATURAL JOIN member",
  " JOIN (b",
  ", ((SELECT 1))",
  // Columns and expressions
  ", password",
  ", m.password",
  ", a.*",
  ", *",
  ", x# AS password",
  ", x = 1",
  ", SUBSTR(password, 1)",
  ", f#(1)",
  ", @v := 1",
  ", @@sql_mode",
  ", 'a'",
  ", ?",
  ", (7, 1)",
  ", (7, password)",
  " + 1",
  "(",
  ")",
  " IN (1",
  ", COUNT(*) OVER (PARTITION BY x)",
  ", JSON_TABLE('[]', '$' COLUMNS (c INT PATH '$')) AS j#",
  // Queries
  " UNION SELECT password FROM member",
  " UNION TABLE member",
  " UNION ALL SELECT NULL, 1",
  " ORDER BY password",
  " LIMIT 1",
  "(SELECT ",
  "(SELECT 1 FROM a WHERE ",
  " WITH c# AS (SELECT * FROM a) SELECT 1 FROM c#",
  " FROM a",
  " WHERE x = 1",
  // Statements
  "; SELECT 1",
  "; DROP TABLE a",
  "; SELECT * FROM a",
  "; DELETE FROM a",
  "; UPDATE a SET x = 1",
  "; PREPARE p FROM 'SELECT * FROM a WHERE x = 1 OR 1 = 1'",
  "; EXECUTE p USING @a",
  "; SET @a = 'x'",
  "; SET sql_mode = ''",
  "; USE shop",
  "; EXPLAIN SELECT * FROM a",
  "; SET STATEMENT max_statement_time = 1 FOR SELECT 1",
  " SET STATEMENT max_statement_time = 1 FOR ",
  " EXPLAIN ",
  "; PREPARE p# FROM 'DELETE FROM a'; EXECUTE p#",
  "; CALL sys.execute_prepared_stmt('SELECT 1')",
  "; IF 1 THEN SELECT 1; END IF",
  "BEGIN NOT ATOMIC ",
  "DECLARE tenant_id# INT; ",
  "SET NEW.password = OLD.password; ",
  "IF NEW.x THEN ",
  // Definitions and administration
  ", ADD x# INT",
  ", RENAME COLUMN password TO p#",
  ", RENAME TO t#",
  ", ENGINE=FEDERATED",
  ", CONNECTION='mysql://a:b@c/d'",
  ", EXCHANGE PARTITION p WITH TABLE member",
  ", CHECK (x = 1)",
  ", x# INT REFERENCES member (password)",
  " UNION=(a, b)",
  ", SELECT (x#)",
  " (SELECT 1)",
  " TO u@h",
  // Text
  " /* a */",
  " /*!50000 + 1 */",
  " /*!50#1 */",
  " /*!99999 ",
  " -- x\n",
  " /*+ SET_VAR(x=1) */",
  " 'x''y'",
  ' "x"',
  " `x`",
  " \\'",
  " 0x41",
  " _utf8mb4'x'",
  " xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
  "x",
  ".x",
  "\u00e9",
];
