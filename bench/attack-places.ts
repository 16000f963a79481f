/** Statements of an application, each with one place that takes what a client sent. */
export type PlaceKind = "number" | "single" | "double" | "order" | "limit" | "name" | "quotedName";

export interface Place {
  readonly kind: PlaceKind;
  /** `?` marks the place; `(` before it in the text makes it one that may have to be closed. */
  readonly text: string;
  /** Parentheses that are open at the place. */
  readonly open: number;
  /** Whether rows are chosen at the place, so that a condition and another query may follow. */
  readonly isCondition: boolean;
}

const place = (kind: PlaceKind, text: string, open = 0, isCondition = true): Place => ({
  kind,
  text,
  open,
  isCondition,
});

export const PLACES: readonly Place[] = [
  place("number", "SELECT id, title, price FROM item WHERE id = ?"),
  place("number", "SELECT * FROM item WHERE shop = 3 AND id = ? LIMIT 1"),
  place(
    "number",
    "SELECT i.id, i.title FROM item i JOIN shop s ON s.id = i.shop WHERE (s.open = 1 AND i.id = ?) ORDER BY i.id DESC",
    1,
  ),
  place("number", "SELECT id FROM item WHERE kind IN (?)", 1),
  place("number", "SELECT id FROM item WHERE kind IN (1, ?, 3) AND shop = 2", 1),
  place("number", "SELECT COUNT(*) FROM item WHERE price > ? AND shop = 3"),
  place("number", "SELECT id FROM item WHERE price BETWEEN ? AND 900"),
  place("number", "SELECT id FROM (SELECT id, shop FROM item WHERE shop = ?) x WHERE x.id > 5", 1),
  place("number", "SELECT kind, COUNT(*) FROM item GROUP BY kind HAVING COUNT(*) > ?"),
  place("number", "SELECT id FROM item WHERE shop = ? GROUP BY id HAVING COUNT(*) > 2"),
  place("number", "SELECT id, IF(price > ?, 1, 0) AS dear FROM item WHERE shop = 2", 1, false),
  place("number", "UPDATE item SET stock = 6 WHERE id = ?"),
  place("number", "UPDATE item SET price = ? WHERE id = 4", 0, false),
  place("number", "DELETE FROM basket WHERE id = ?"),
  place("number", "DELETE FROM basket WHERE member = ? AND item = 8 LIMIT 1"),
  place("number", "INSERT INTO visit (member, item) VALUES (7, ?)", 1, false),
  place("number", "INSERT INTO visit (member, item, at) VALUES (?, 5, NOW())", 1, false),
  place("number", "INSERT INTO visit (member, item) VALUES (7, 2) ON DUPLICATE KEY UPDATE hits = ?", 0, false),
  place("single", "SELECT id, name FROM member WHERE login = '?' AND active = 1"),
  place("single", "SELECT * FROM member WHERE login = '?' AND password = 'b1946ac9' LIMIT 1"),
  place("single", "SELECT * FROM member WHERE (login = '?' OR email = 'x@example.org') AND active = 1", 1),
  place("single", "SELECT id, title FROM item WHERE title LIKE '%?%' ORDER BY title LIMIT 20"),
  place("single", "SELECT id FROM member WHERE LOWER(email) = LOWER('?')", 1),
  place("single", "SELECT id FROM item WHERE kind IN ('a', '?')", 1),
  place("single", "SELECT id, title FROM item WHERE MATCH(title) AGAINST('?' IN BOOLEAN MODE)", 1),
  place("single", "SELECT id FROM visit WHERE at >= '?' AND at < '2026-01-01'"),
  place("single", "INSERT INTO member (login, name) VALUES ('?', 'Kim')", 1, false),
  place("single", "INSERT INTO member (login, name) VALUES ('kim', '?')", 1, false),
  place("single", "INSERT INTO member SET login = 'kim', name = '?'", 0, false),
  place("single", "UPDATE member SET name = '?' WHERE id = 3", 0, false),
  place("single", "UPDATE member SET seen = NOW() WHERE login = '?'"),
  place("single", "DELETE FROM session WHERE token = '?'"),
  place("double", 'SELECT id, name FROM member WHERE login = "?" AND active = 1'),
  place("double", 'SELECT id FROM member WHERE (email = "?")', 1),
  place("double", 'UPDATE member SET name = "?" WHERE id = 3', 0, false),
  place("order", "SELECT id, title FROM item WHERE shop = 3 ORDER BY ?", 0, false),
  place("order", "SELECT id, title FROM item ORDER BY ? DESC LIMIT 10", 0, false),
  place("order", "SELECT id, title FROM item WHERE shop = 3 ORDER BY price, ?", 0, false),
  place("order", "SELECT kind, COUNT(*) FROM item WHERE shop = 3 GROUP BY ?", 0, false),
  place("limit", "SELECT id, title FROM item WHERE shop = 3 LIMIT ?", 0, false),
  place("limit", "SELECT id, title FROM item ORDER BY id LIMIT 10 OFFSET ?", 0, false),
  place("name", "SELECT ? FROM item WHERE id = 3", 0, false),
  place("name", "SELECT id, ? FROM item WHERE shop = 3", 0, false),
  place("quotedName", "SELECT id, `?` FROM item WHERE shop = 3", 0, false),
  place("quotedName", "SELECT id FROM item WHERE shop = 3 ORDER BY `?` ASC", 0, false),
];

/** A value that the application itself might send. */
export const MEANT: Readonly<Record<PlaceKind, string>> = {
  number: "1",
  single: "x",
  double: "x",
  order: "title",
  limit: "5",
  name: "title",
  quotedName: "title",
};
