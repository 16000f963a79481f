/** Which users a token may be minted for. Asked before anything is started on a client's word. */
import { QuerycopError } from "../base/errors.ts";
import { matchesWildcards } from "../base/wildcards.ts";

const USER_CHARS_MAX = 80;
const SHOWN_CHARS_MAX = 80;

/**
 * Throws QC_USER_NOT_ALLOWED unless the name is well formed and on the list (exact names, `*` for any run of characters).
 * Without a list every well-formed name is allowed.
 *
 * SAFETY: the name reaches a shell command's environment, and from there an argument of a program that may read
 * `file://` and `http://` values or take a leading `-` as an option. Quoting in the command does not help against that,
 * so the characters that make it possible are refused here.
 */
export function checkTokenUser(user: string, allowed: readonly string[] | undefined): void {
  if (!isWellFormed(user)) {
    throw refusal(
      user,
      "only letters, digits and _ . @ + - are allowed, at most 80, beginning with a letter, digit or _",
    );
  }
  if (allowed !== undefined && !allowed.some((pattern) => matchesWildcards(pattern, user))) {
    throw refusal(user, "the name is not in the list of users that tokens may be minted for");
  }
}

function refusal(user: string, why: string): QuerycopError {
  const shown = user.length > SHOWN_CHARS_MAX ? `${user.slice(0, SHOWN_CHARS_MAX)}…` : user;
  return new QuerycopError("QC_USER_NOT_ALLOWED", `Cannot mint a token for user ${JSON.stringify(shown)}: ${why}`, {
    clientMessage: `querycop: this user may not log in with a token: ${why}`,
  });
}

function isWellFormed(user: string): boolean {
  if (user.length === 0 || user.length > USER_CHARS_MAX) return false;
  for (let i = 0; i < user.length; i++) {
    const unit = user.charCodeAt(i);
    if (!isWordUnit(unit) && (i === 0 || !".@+-".includes(String.fromCharCode(unit)))) return false;
  }
  return true;
}

function isWordUnit(unit: number): boolean {
  return (
    (unit >= 0x30 && unit <= 0x39) || (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x61 && unit <= 0x7a) || unit === 0x5f
  );
}
