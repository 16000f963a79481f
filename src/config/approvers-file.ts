/** The approvers file: whose keys the admin API takes. Holds hashes, so that reading it lets nobody in. */
import { API_ROLES, type ApiRole } from "../base/api-role.ts";
import { readBoundedFile, writableByOthers } from "./file-access.ts";
import type { Approver } from "./schema.ts";

export type ApproversFile = { readonly approvers: readonly Approver[] } | { readonly problems: readonly string[] };

const FILE_BYTES_MAX = 256 * 1024;
const NAME_LENGTH_MAX = 64;
const SHA256_HEX_LENGTH = 64;

/** What a key or an approver may be called. */
export function isName(name: string): boolean {
  return (
    name !== "" &&
    name.length <= NAME_LENGTH_MAX &&
    [...name].every((character) => character > " " && character < "\u007f")
  );
}

function isHash(text: string): boolean {
  return (
    text.length === SHA256_HEX_LENGTH && [...text.toLowerCase()].every((digit) => "0123456789abcdef".includes(digit))
  );
}

const isRole = (word: string): word is ApiRole => API_ROLES.some((role) => role === word);

/** Problems name lines, never their content. */
export function loadApproversFile(path: string): ApproversFile {
  const read = readBoundedFile(path, FILE_BYTES_MAX);
  if ("problem" in read) return { problems: [read.problem] };
  const writable = writableByOthers(path, read.mode);
  if (writable !== undefined) return { problems: [writable] };
  const approvers = new Map<string, Approver>();
  const problems: string[] = [];
  for (const [index, raw] of read.bytes.toString("utf8").split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const [name = "", sha256 = "", role = "approver", ...more] = line.split(":");
    const at = `${path}:${index + 1}`;
    if (!isName(name))
      problems.push(`${at}: expected a name of at most ${NAME_LENGTH_MAX} characters before the colon`);
    else if (name === "admin") problems.push(`${at}: admin is the name of ADMIN_API_KEY's holder: choose another`);
    else if (!isHash(sha256))
      problems.push(`${at}: expected the SHA-256 of a key, not a key: printf %s KEY | sha256sum`);
    else if (!isRole(role) || more.length > 0) {
      problems.push(`${at}: expected name:hash, name:hash:admin or name:hash:requester`);
    } else if (approvers.has(name)) problems.push(`${at}: this name already has a key above`);
    else approvers.set(name, { name, role, sha256: sha256.toLowerCase() });
  }
  return problems.length > 0 ? { problems } : { approvers: [...approvers.values()] };
}
