/** More statements whose neighbours are looked at: parameters in every place, accounts and hosts, times of rows, values that stay what they are. */
import type { StatementTexts } from "./statement-texts.ts";

const lines = (text: string): readonly string[] => text.trim().split("\n");
const MARIADB = { dialect: "mariadb", serverVersion: 110806 } as const;

export const MORE_MYSQL_TEXTS: readonly StatementTexts[] = [
  {
    title: "more parameters",
    context: MARIADB,
    texts: lines(`
SELECT a FROM t ORDER BY ? OFFSET ? ROWS FETCH FIRST ? ROWS ONLY
SELECT a FROM t WHERE x.y.b BETWEEN ? AND ? AND @c = ? AND d NOT BETWEEN ? AND ? LIMIT ?, ?
INSERT INTO t (a, b) VALUES (?, f(?)), ((?), ?) ON DUPLICATE KEY UPDATE a = ?, b = VALUES(b) + ?
CALL mysql.p(?, '?'), (?)
EXECUTE IMMEDIATE ? USING ?, @x`),
  },
  {
    title: "more accounts",
    context: {},
    texts: lines(`
CREATE USER 'a'@'10.%', b@localhost, c@\`%\`, "d"@x.y IDENTIFIED BY 'z', ''@'' DEFAULT ROLE r@h
GRANT SELECT ON s.* TO a@'%.example.com', CURRENT_USER() REQUIRE SSL
SET PASSWORD FOR a@h = 'x', DEFINER = b@'h'
RENAME USER a@h TO b@'i', c TO d`),
  },
  {
    title: "times of rows",
    context: MARIADB,
    texts: lines(`
SELECT a FROM t FOR SYSTEM_TIME AS OF '2026-01-01' JOIN u FOR SYSTEM_TIME ALL AS v ON t.a = v.a AND v.b = 1 WHERE t.c = 2
SELECT a FROM (t FOR SYSTEM_TIME BETWEEN (SELECT 1) AND NOW()) LEFT JOIN u USING (a), w FOR SYSTEM_TIME FROM '1' TO '2'
DELETE t FROM t FOR PORTION OF p FROM '1' TO '2' WHERE a = 1`),
  },
  {
    title: "values that stay",
    context: {},
    texts: lines(`
DELETE FROM t WHERE id - id = 0 AND a - a <> 1 OR b % b = 0
DELETE FROM t WHERE COALESCE(id) = id AND LEAST(id) = GREATEST(id, id) OR IFNULL(id, id) = NULLIF(id, 1)
UPDATE t SET a = 1 WHERE IF(TRUE, id, a) = id XOR LAST_INSERT_ID(id) = id AND (id) IN ((id))
DELETE FROM t WHERE CAST(id AS SIGNED) = ABS(id) AND CONCAT(a) LIKE a AND TRIM(a) = LOWER(UPPER(a))`),
  },
];
