/** Texts whose judging is timed: the forms that applications send most, one report, one long insert and one injection. */

export interface TimedText {
  readonly name: string;
  readonly sql: string;
}

export const TIMED_TEXTS: readonly TimedText[] = [
  { name: "point select", sql: "SELECT id, title FROM book WHERE id = 4711 AND owner = 'app' LIMIT 10" },
  {
    name: "update",
    sql: "UPDATE orders SET status = 'sent', changed = NOW() WHERE id = 4711 AND tenant_id = 7",
  },
  {
    name: "report with joins",
    sql:
      "SELECT c.name, COUNT(*), SUM(i.price * i.amount) FROM customer c JOIN orders o ON o.customer_id = c.id " +
      "JOIN item i ON i.order_id = o.id LEFT JOIN coupon u ON u.id = o.coupon_id WHERE o.created >= '2026-01-01' " +
      "AND o.status IN ('paid', 'sent') AND (c.country = 'DE' OR c.country = 'AT') GROUP BY c.id HAVING COUNT(*) > 3 " +
      "ORDER BY 3 DESC LIMIT 50",
  },
  {
    name: "insert of 100 rows",
    sql: `INSERT INTO book (id, title, price) VALUES ${Array.from({ length: 100 }, (_, id) => `(${id}, 'title ${id}', 9.99)`).join(", ")}`,
  },
  {
    name: "injection",
    sql: "SELECT id FROM member WHERE login = 'x' UNION ALL SELECT NULL, CONCAT(0x7171, password, 0x7171) FROM member -- ' AND active = 1",
  },
];
