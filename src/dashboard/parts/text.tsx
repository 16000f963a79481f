/** Text from strangers, times, and the little words that pages share. */
import { useState } from "preact/hooks";
import { visibleText } from "../../base/visible-text.ts";
import { absolute, ago } from "../format.ts";
import { clock } from "../live.ts";
import { timeStyle } from "../preferences.ts";

/** Whatever a client may have chosen: nothing in it can hide, or turn the direction of what stands beside it. */
export function Shown({ text }: { readonly text: string | undefined }) {
  return text === undefined || text === "" ? <span class="faint">–</span> : <bdi>{visibleText(text)}</bdi>;
}

/** `isExact` where rows are told apart by their times. */
export function When({ time, isExact = false }: { readonly time: string | number; readonly isExact?: boolean }) {
  const timeMs = typeof time === "number" ? time : Date.parse(time);
  if (Number.isNaN(timeMs)) return <span class="faint">–</span>;
  const exact = absolute(timeMs);
  const isRelative = timeStyle.value === "relative" && !isExact;
  return (
    <time dateTime={new Date(timeMs).toISOString()} title={isRelative ? exact : ago(timeMs, clock.value)}>
      {isRelative ? ago(timeMs, clock.value) : exact}
    </time>
  );
}

const KEYWORDS = new Set(
  (
    "SELECT FROM WHERE INSERT INTO VALUES UPDATE SET DELETE DROP TABLE ALTER CREATE TRUNCATE JOIN LEFT RIGHT INNER OUTER " +
    "ON AND OR NOT NULL IS IN EXISTS BETWEEN LIKE GROUP BY ORDER HAVING LIMIT OFFSET UNION ALL DISTINCT AS CASE WHEN " +
    "THEN ELSE END GRANT REVOKE TO CALL EXECUTE PREPARE BEGIN START TRANSACTION COMMIT ROLLBACK SHOW EXPLAIN REPLACE " +
    "LOAD DATA INDEX DATABASE SCHEMA VIEW WITH RETURNING FOR LOCK USE DESC ASC IF IGNORE DUPLICATE KEY"
  ).split(" "),
);

/** Above this a text is shown as it is: each coloured word is an element of its own. */
const COLOURED_MAX = 20_000;

interface Token {
  readonly text: string;
  readonly kind: "word" | "keyword" | "name" | "value" | "other";
}

/** For the eye alone: what a statement means is said by the analysis, never by its colours. */
function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  for (const [text] of sql.matchAll(/`[^`]*`|"[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_$]*|\?+|[^`"'A-Za-z_?]+|./gsu)) {
    const first = text[0] ?? "";
    if (first === "`" || first === '"') tokens.push({ text, kind: "name" });
    else if (first === "?" || first === "'") tokens.push({ text, kind: "value" });
    else if (/[A-Za-z_]/.test(first))
      tokens.push({ text, kind: KEYWORDS.has(text.toUpperCase()) ? "keyword" : "word" });
    else tokens.push({ text, kind: "other" });
  }
  return tokens;
}

/** A statement, whole. SAFETY: text nodes only, with everything written out that hides or turns. */
export function Sql({ text, isBlock = false }: { readonly text: string; readonly isBlock?: boolean }) {
  const visible = visibleText(text);
  const shown =
    visible.length > COLOURED_MAX || !isBlock
      ? visible
      : tokensOf(visible).map(({ text: part, kind }, index) => (
          <span key={index} class={`sql-${kind}`}>
            {part}
          </span>
        ));
  if (!isBlock)
    return (
      <code class="sql" dir="ltr" title={visible.slice(0, 2_000)}>
        {shown}
      </code>
    );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a statement that is wider than the page is scrolled by keyboard
    <section class="sql-block" tabIndex={0} aria-label="Statement text">
      <code dir="ltr">{shown}</code>
    </section>
  );
}

export function Copy({ text, what }: { readonly text: string; readonly what: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => {
        setCopied(true);
        setTimeout(() => setCopied(false), 1_500);
      },
      () => undefined,
    );
  };
  return (
    <button type="button" class="quiet" onClick={copy} aria-label={`Copy ${what}`}>
      {isCopied ? "Copied" : "Copy"}
    </button>
  );
}

export function Empty({ title, children }: { readonly title: string; readonly children?: preact.ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children === undefined ? null : <p>{children}</p>}
    </div>
  );
}

export function Problem({ text }: { readonly text: string | undefined }) {
  return text === undefined ? null : (
    <p class="problem" role="alert">
      {text}
    </p>
  );
}

const VERDICTS: Readonly<Record<string, readonly [mark: string, word: string, kind: string]>> = {
  allow: ["●", "allowed", "ok"],
  warn: ["▲", "warned", "warn"],
  block: ["■", "blocked", "bad"],
  "require-approval": ["◆", "held", "hold"],
  pending: ["◆", "waiting", "hold"],
  approved: ["●", "approved", "ok"],
  used: ["●", "has run", "ok"],
  denied: ["■", "denied", "bad"],
  expired: ["○", "expired", "faint"],
  cancelled: ["○", "cancelled", "faint"],
  ok: ["●", "ok", "ok"],
  fail: ["■", "fail", "bad"],
  error: ["■", "error", "bad"],
  skip: ["○", "skipped", "faint"],
  idle: ["○", "idle", "faint"],
  busy: ["●", "busy", "ok"],
  login: ["○", "login", "faint"],
  held: ["◆", "held", "hold"],
};

/** A state in a word and a mark: its colour only helps. */
export function Badge({ of }: { readonly of: string }) {
  const [mark, word, kind] = VERDICTS[of] ?? ["·", of, "faint"];
  return (
    <span class={`badge badge-${kind}`}>
      <span aria-hidden="true">{mark}</span>
      {word}
    </span>
  );
}

export function Facts({
  rows,
}: {
  readonly rows: readonly (readonly [name: string, value: preact.ComponentChildren])[];
}) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
