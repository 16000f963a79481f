/** Rules of the admin API's settings, and the keys they lead to. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadApproversFile } from "./approvers-file.ts";
import { isReadableByAll, readBoundedFile, writableByOthers } from "./file-access.ts";
import { checkCertificatePair } from "./pem-files.ts";
import { isLoopbackHost, problemOfSocketPath } from "./rules.ts";
import type { Approver, ProcessSettings } from "./schema.ts";

const ADMIN_KEY_BYTES_MAX = 4096;
const ADMIN_KEY_LENGTH_MIN = 16;
/** What LoadCredential= of the unit calls it. */
const CREDENTIAL_NAME = "admin-api-key";

/** Who may use the admin API. */
export interface ApiAccess {
  readonly adminApiKey?: string;
  readonly adminKeyFile?: string;
  readonly approvers: readonly Approver[];
}

export interface ApiCheck {
  readonly settings: ProcessSettings;
  /** Where systemd put the unit's credentials. */
  readonly credentialsDirectory: string | undefined;
  readonly problem: (key: string, text: string | undefined) => void;
  readonly warn: (key: string, text: string) => void;
}

export function checkApi(check: ApiCheck): ApiAccess {
  const { api } = check.settings;
  const { adminApiKey, adminKeyFile } = checkKey(check);
  const approvers = checkApprovers(check);
  checkTls(check);
  if (api.socket !== undefined) check.problem("api.socket", problemOfSocketPath(api.socket));
  else if (!isLoopbackHost(api.host)) {
    const hasKey = adminApiKey !== undefined || check.settings.adminApiKeyFile !== undefined;
    if (!hasKey) {
      const text = `${api.host} can be reached from other machines and the admin API has no key: set ADMIN_API_KEY, or 127.0.0.1`;
      check.problem("api.host", text);
    }
    if (api.tlsCert === undefined) {
      const text = `${api.host} can be reached from other machines and keys would cross the network in plaintext: set api.tls_cert, or 127.0.0.1`;
      check.problem("api.host", text);
    }
  }
  return {
    approvers,
    ...(adminApiKey === undefined ? {} : { adminApiKey }),
    ...(adminKeyFile === undefined ? {} : { adminKeyFile }),
  };
}

function checkKey({ settings, credentialsDirectory, problem, warn }: ApiCheck): Omit<ApiAccess, "approvers"> {
  let key = settings.adminApiKey === undefined ? undefined : withoutLineEnd(settings.adminApiKey);
  if (key !== undefined && !isHeaderText(key)) {
    problem(
      "admin_api_key",
      "holds a character that no request can carry: use printable ASCII, as openssl rand -hex 16 makes it",
    );
  }
  const credential = credentialsDirectory === undefined ? undefined : join(credentialsDirectory, CREDENTIAL_NAME);
  const isCredential = key === undefined && credential !== undefined && existsSync(credential);
  const file = settings.adminApiKeyFile ?? (isCredential ? credential : undefined);
  if (file !== undefined) {
    if (key !== undefined) problem("admin_api_key_file", "has no effect beside ADMIN_API_KEY: remove one of the two");
    const read = readAdminKey(file);
    if ("problem" in read) problem("admin_api_key_file", read.problem);
    else key = read.key;
    if ("warning" in read) warn("admin_api_key_file", read.warning);
  }
  if (key !== undefined && key.length < ADMIN_KEY_LENGTH_MIN) {
    warn("admin_api_key", "is short enough to be guessed: make one with openssl rand -hex 16");
  }
  return {
    ...(key === undefined ? {} : { adminApiKey: key }),
    ...(file === undefined ? {} : { adminKeyFile: file }),
  };
}

/** Secrets made from files end as the files do. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, "");
}

/** What can stand in an Authorization header as it is. */
function isHeaderText(key: string): boolean {
  return /^[ -~]*$/.test(key);
}

/** Reads a file whose first line is the key. */
export function readAdminKey(path: string): { key: string; warning?: string } | { problem: string } {
  const read = readBoundedFile(path, ADMIN_KEY_BYTES_MAX);
  if ("problem" in read) return read;
  const writable = writableByOthers(path, read.mode);
  if (writable !== undefined) return { problem: writable };
  const key = (read.bytes.toString("utf8").split("\n")[0] ?? "").trim();
  if (key === "") return { problem: `${path} is empty: its first line must be the key` };
  if (!isHeaderText(key))
    return { problem: `${path} holds a character that no request can carry: use printable ASCII` };
  return isReadableByAll(read.mode)
    ? { key, warning: `${path} is readable by everyone: run chmod 600 ${path}` }
    : { key };
}

function checkApprovers({ settings, problem }: ApiCheck): readonly Approver[] {
  const { approversFile } = settings.api;
  if (approversFile === undefined) return [];
  const read = loadApproversFile(approversFile);
  if ("approvers" in read) return read.approvers;
  for (const text of read.problems) problem("api.approvers_file", text);
  return [];
}

function checkTls({ settings, problem, warn }: ApiCheck): void {
  const { tlsCert, tlsKey } = settings.api;
  if (tlsCert !== undefined && tlsKey === undefined) problem("api.tls_key", "is needed with api.tls_cert");
  if (tlsCert === undefined && tlsKey !== undefined) problem("api.tls_cert", "is needed with api.tls_key");
  if (tlsCert === undefined || tlsKey === undefined) return;
  const pair = checkCertificatePair(tlsCert, tlsKey);
  problem("api.tls_cert", pair.certProblem);
  problem("api.tls_key", pair.keyProblem);
  if (pair.keyWarning !== undefined) warn("api.tls_key", pair.keyWarning);
}
