/** Builds the AWSAuthenticationPlugin test fixture and lets tests set what it accepts and read what it saw. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChecked } from "./child.ts";
import { SERVERS_CACHE } from "./debian-root.ts";
import { requireTool } from "./install.ts";

/** What the server takes for a good token. */
export interface IamSettings {
  /** The host:port that tokens may be for. */
  readonly endpoints: readonly string[];
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** When given, the token must carry it. */
  readonly sessionToken?: string;
  /** Added to the server's clock: a token minted now looks that much older. */
  readonly clockOffsetS?: number;
}

/** One login attempt as the server saw it. */
export interface IamAttempt {
  readonly timeMs: number;
  readonly user: string;
  readonly tls: boolean;
  readonly endpoint: string;
  readonly tokenBytes: number;
  readonly tokenSha256: string;
  readonly accepted: boolean;
  /** Empty when accepted. */
  readonly reason: string;
}

export const IAM_PLUGIN_FILE = "aws_authentication_plugin.so";

const SOURCE = fileURLToPath(new URL("./iam-plugin/aws_authentication_plugin.c", import.meta.url));

/** Compiles the plugin unless this very source has been compiled before; returns the path of the shared object. */
export async function buildIamPlugin(): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(SOURCE)).digest("hex").slice(0, 16);
  const folder = join(SERVERS_CACHE, `iam-plugin-${hash}`);
  const file = join(folder, IAM_PLUGIN_FILE);
  if (existsSync(file)) return file;
  await requireTool("gcc");
  mkdirSync(folder, { recursive: true });
  const draft = `${file}.${process.pid}`;
  await runChecked("gcc", ["-shared", "-fPIC", "-O2", "-Wall", "-o", draft, SOURCE]);
  renameSync(draft, file);
  return file;
}

export function writeIamSettings(file: string, settings: IamSettings): void {
  const lines = [
    `endpoints=${settings.endpoints.join(",")}`,
    `region=${settings.region}`,
    `access_key_id=${settings.accessKeyId}`,
    `secret_access_key=${settings.secretAccessKey}`,
    `clock_offset_s=${settings.clockOffsetS ?? 0}`,
  ];
  if (settings.sessionToken !== undefined) lines.push(`session_token=${settings.sessionToken}`);
  // The plugin may be reading: it must see the old file or the new one.
  writeFileSync(`${file}.new`, `${lines.join("\n")}\n`);
  renameSync(`${file}.new`, file);
}

export function readIamAttempts(file: string): IamAttempt[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as IamAttempt);
}
