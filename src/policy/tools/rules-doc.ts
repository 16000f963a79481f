/** docs/rules.md, printed from the table of rules. */

import { RULE_CATEGORIES, type RuleCategory } from "../policy.ts";
import type { Rule } from "../rules/rule.ts";
import { RULES } from "../rules/rules.ts";
import { CATEGORY_POINTS_MAX, LEVEL_SCORES } from "../score.ts";

const CATEGORY_TITLES: Readonly<Record<RuleCategory, string>> = {
  injection: "Injected code",
  obfuscation: "Disguise",
  recon: "Looking around",
  file: "Files and buckets",
  cloud: "Cloud services",
  schema: "Definitions",
  privilege: "Accounts and privileges",
  admin: "Administration",
  dml: "Writes",
  dynamic: "Dynamic SQL",
  access: "Whose data",
  hygiene: "Habits",
  context: "Surroundings",
  policy: "What the policy states",
};

/** The whole document. */
export function renderRulesMarkdown(): string {
  const { medium, high, critical } = LEVEL_SCORES;
  const caps = Object.entries(CATEGORY_POINTS_MAX).map(([category, points]) => `${category} ${points}`);
  const lines = [
    "# Rules",
    "",
    "Printed from the table of rules by `npm run docs`; do not edit.",
    "",
    "A statement's risk is the sum of its rules, each counted once, at most 100. A packet counts as its worst",
    "statement, and a text that can be read in several ways counts as its worst reading.",
    `Levels: low below ${medium}, medium from ${medium}, high from ${high}, critical from ${critical}.`,
    `A rule set can add at most: ${caps.join(", ")}. \`querycop explain\` shows the sum for a statement.`,
    "",
  ];
  for (const category of RULE_CATEGORIES) {
    const rules = RULES.filter((rule) => rule.category === category);
    lines.push(`## ${CATEGORY_TITLES[category]} (rule set \`${category}\`)`, "");
    for (const rule of rules) lines.push(...renderRule(rule));
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

function renderRule(rule: Rule): string[] {
  const { example } = rule;
  const policy = example.policy === undefined ? [] : [`With \`${example.policy}\`:`];
  const subject = example.subject === undefined ? [] : [`For ${renderSubject(example.subject)}:`];
  const session = example.context === undefined ? [] : [`In a session with ${renderSubject(example.context)}:`];
  const opinion =
    example.disagreements === undefined
      ? []
      : [`When the second parser also sees ${example.disagreements.map((one) => `the ${one.about} ${one.detail}`)}:`];
  const engine = example.engine === "postgresql" ? ["In PostgreSQL:"] : [];
  const given = [...engine, ...policy, ...subject, ...session, ...opinion].join(" ");
  return [
    `### ${rule.id}`,
    "",
    `${rule.title}. Points: ${rule.points}.`,
    "",
    ...(given === "" ? [] : [given, ""]),
    "```sql",
    visible(example.sql),
    "```",
    "",
    `Instead: ${rule.rewrite}.`,
    "",
  ];
}

function renderSubject(subject: object): string {
  return Object.entries(subject)
    .map(([key, value]) => `${key} ${Array.isArray(value) ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}

const EXAMPLE_LENGTH_MAX = 160;

/** Control characters as escapes; long lists cut. */
function visible(sql: string): string {
  let text = "";
  for (const character of sql) {
    const code = character.codePointAt(0) ?? 0;
    text += code < 0x20 ? `\\x${code.toString(16).padStart(2, "0")}` : character;
  }
  return text.length <= EXAMPLE_LENGTH_MAX ? text : `${text.slice(0, EXAMPLE_LENGTH_MAX)} …`;
}
