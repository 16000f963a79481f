/** Who has used the named connections, as the audit log has it: what really came, not what some job says that it uses. */
import { readAudit } from "../audit/audit-read.ts";

export interface ConnectionUsage {
  logins: number;
  /** RFC 3339. */
  lastUsed: string | undefined;
  /** Logins by program and address, those that came most first. */
  readonly by: Map<string, number>;
}

/** Different ones that are told apart; the rest are counted together. */
const USERS_MAX = 1000;
const OTHERS = "others";

/**
 * By listener name, which for querycop exec, connect and load is the connection's, and for a listener that names none of its
 * own beside `connection:` as well. Rejects with the system's error where the log cannot be read.
 */
export async function connectionUsage(auditFile: string): Promise<ReadonlyMap<string, ConnectionUsage>> {
  const found = new Map<string, ConnectionUsage>();
  for await (const record of readAudit(auditFile, { types: ["login"] })) {
    const session = (record["session"] ?? {}) as Readonly<Record<string, unknown>>;
    const listener = String(session["listener"] ?? "");
    const usage = found.get(listener) ?? { logins: 0, lastUsed: undefined, by: new Map<string, number>() };
    found.set(listener, usage);
    usage.logins++;
    usage.lastUsed = later(usage.lastUsed, record["time"]);
    const address = String(session["clientAddress"] ?? "").replace(/:\d+$/, "");
    const name = `${session["program"] ?? "unnamed program"} from ${address}`;
    const known = usage.by.has(name) || usage.by.size < USERS_MAX ? name : OTHERS;
    usage.by.set(known, (usage.by.get(known) ?? 0) + 1);
  }
  return found;
}

function later(known: string | undefined, time: unknown): string | undefined {
  if (typeof time !== "string") return known;
  return known === undefined || time > known ? time : known;
}

const SHOWN_MAX = 5;

/** Two lines at most, to stand below the connection's own. */
export function usageText(usage: ConnectionUsage | undefined): string {
  if (usage === undefined) return "    not used\n";
  const users = [...usage.by].sort(([, left], [, right]) => right - left);
  const shown = users.slice(0, SHOWN_MAX).map(([name, count]) => `${name} (${count})`);
  const more = users.length > SHOWN_MAX ? `, and ${users.length - SHOWN_MAX} more` : "";
  return `    ${usage.logins} logins, last ${usage.lastUsed}\n    ${shown.join(", ")}${more}\n`;
}
