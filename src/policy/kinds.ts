/**
 * The names of statement kinds in policies. A statement is of its own kind, and counts as every other kind whose work it
 * does: CREATE OR REPLACE TABLE drops a table, ON DUPLICATE KEY UPDATE updates rows. Denials and points look at all of
 * them.
 */
import {
  POSTGRES_KINDS,
  STATEMENT_KINDS,
  type StatementFacts,
  type StatementKind,
  type StatementModifier,
} from "../sql/facts.ts";
import { compileGlob, type NameMatcher } from "./glob.ts";

/** What ALTER TABLE can do and no kind of statement is named for. */
export const LOSSES = ["drop-column", "drop-partition"] as const;

export type KindName = StatementKind | (typeof LOSSES)[number];

const ALL_KINDS: readonly StatementKind[] = [...STATEMENT_KINDS, ...POSTGRES_KINDS];

const KIND_NAMES: readonly KindName[] = [...ALL_KINDS, ...LOSSES];

const ONLY_ITSELF: readonly KindName[] = [];

/** What a kind does besides, whatever its words. The servers ask for these privileges too. */
const ALWAYS: Readonly<Partial<Record<StatementKind, readonly KindName[]>>> = {
  replace: ["insert", "delete"],
  "replace-select": ["insert", "delete"],
  "insert-select": ["insert"],
  "update-multi": ["update"],
  "delete-multi": ["delete"],
  "load-data": ["insert"],
  "load-xml": ["insert"],
  table: ["select"],
  "handler-open": ["select"],
  "handler-read": ["select"],
  merge: ["insert", "update", "delete"],
  "copy-in": ["insert"],
  "copy-from-file": ["insert"],
  "copy-from-program": ["insert"],
  "copy-out": ["select"],
  "copy-to-file": ["select"],
  "copy-to-program": ["select"],
  "create-foreign-table": ["create-table"],
  "drop-foreign-table": ["drop-table"],
  "drop-materialized-view": ["drop-view"],
  "drop-owned": ["drop-table", "revoke"],
  "alter-role-set": ["alter-user"],
};

/** What a word of ALTER TABLE or REPAIR TABLE makes of it; the first is the name that tells it best. */
const ALTERATIONS: readonly (readonly [StatementModifier, readonly KindName[]])[] = [
  ["drops-rows", ["drop-table", "truncate"]],
  ["drops-partition", ["drop-partition", "drop-table", "truncate"]],
  ["drops-column", ["drop-column"]],
  ["renames-table", ["rename-table"]],
  ["adds-index", ["create-index"]],
  ["drops-index", ["drop-index"]],
];

const KINDS: ReadonlySet<string> = new Set(ALL_KINDS);

const DROP_KINDS: ReadonlyMap<StatementKind, StatementKind> = new Map(
  ALL_KINDS.filter((kind) => kind.startsWith("create-")).flatMap((kind) => {
    const drop = kind === "create-loadable-function" ? "drop-function" : kind.replace("create-", "drop-");
    return KINDS.has(drop) ? [[kind, drop as StatementKind] as const] : [];
  }),
);

/** False for a loss, which no kind of statement is named for. */
export function isKind(name: KindName): name is StatementKind {
  return KINDS.has(name);
}

/** The other kinds that the statement counts as. */
export function countsAs(statement: StatementFacts): readonly KindName[] {
  const { kind, modifiers } = statement;
  const always = ALWAYS[kind] ?? ONLY_ITSELF;
  if (modifiers.length === 0) return always;
  const added = byModifiers(statement);
  return added.length === 0 ? always : [...always, ...added];
}

function byModifiers({ kind, modifiers }: StatementFacts): readonly KindName[] {
  if (kind === "alter-table" || kind === "repair-table") {
    return ALTERATIONS.flatMap(([modifier, kinds]) => (modifiers.includes(modifier) ? kinds : ONLY_ITSELF));
  }
  if (modifiers.includes("on-duplicate-key-update")) return ["update"];
  if (!modifiers.includes("or-replace")) return ONLY_ITSELF;
  if (kind === "load-data" || kind === "load-xml") return ["delete"];
  const drop = DROP_KINDS.get(kind);
  return drop === undefined ? ONLY_ITSELF : [drop];
}

/**
 * What a list of permissions must name besides the statement's own kind: what it destroys or overwrites, which the name
 * of its kind does not say.
 */
export function alsoNeeds(statement: StatementFacts): KindName | undefined {
  const [first] = statement.modifiers.length === 0 ? ONLY_ITSELF : byModifiers(statement);
  return first === undefined || NAMED_BY_ALTER.has(first) ? undefined : first;
}

const NAMED_BY_ALTER: ReadonlySet<KindName> = new Set<KindName>([
  "drop-column",
  "rename-table",
  "create-index",
  "drop-index",
]);

/** Whether a matcher of denyKind() means the statement. */
export function matchesKind(matcher: NameMatcher, statement: StatementFacts): KindName | undefined {
  if (matcher.matches(statement.kind)) return statement.kind;
  return countsAs(statement).find((kind) => matcher.matches(kind));
}

/**
 * A name in a list of denials: a kind, a glob over kinds, or the beginning of kinds up to a hyphen, which is their family:
 * `delete` is also delete-multi, `drop` everything that drops. Throws RangeError when no kind matches, because a typing
 * error would protect nothing.
 */
export function compileDeniedKind(text: string): NameMatcher {
  return existing(text, familyMatcher(text));
}

function familyMatcher(text: string): NameMatcher {
  const exact = compileGlob(text);
  if (/[*?]/.test(text)) return exact;
  const beginning = compileGlob(`${text}-*`);
  return { ...exact, matches: (name) => exact.matches(name) || beginning.matches(name) };
}

/** A name in a list of permissions: a kind or a glob over kinds, and nothing that it does not say. Throws RangeError. */
export function compileAllowedKind(text: string): NameMatcher {
  return existing(text, compileGlob(text));
}

function existing(text: string, matcher: NameMatcher): NameMatcher {
  if (KIND_NAMES.some((kind) => matcher.matches(kind))) return matcher;
  throw new RangeError(`no statement kind matches "${text}", see docs/policy.md`);
}

/** The kinds of the matcher's families that it leaves out, for who believes to have denied all of them. */
export function leftOut(matcher: NameMatcher): { readonly family: string; readonly kinds: readonly KindName[] }[] {
  const families = new Set(KIND_NAMES.filter((kind) => matcher.matches(kind)).map(familyOf));
  return [...families].flatMap((family) => {
    const kinds = KIND_NAMES.filter((kind) => familyOf(kind) === family && !matcher.matches(kind));
    return kinds.length === 0 ? [] : [{ family, kinds }];
  });
}

/** Kinds that do the same to other rows or in another form; everything else is a family of its own. */
const FAMILIES = ["insert", "replace", "update", "delete", "grant", "revoke", "execute"] as const;

function familyOf(kind: KindName): string {
  return FAMILIES.find((family) => kind === family || kind.startsWith(`${family}-`)) ?? kind;
}
