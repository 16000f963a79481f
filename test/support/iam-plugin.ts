/** Builds the AWSAuthenticationPlugin test fixture and lets tests set what it accepts and read what it saw. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compileOnce } from "./compile.ts";

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

/** Returns the path of the shared object. */
export function buildIamPlugin(): Promise<string> {
  const flags = ["-shared", "-fPIC"];
  return compileOnce({ source: SOURCE, name: "iam-plugin", outputFile: IAM_PLUGIN_FILE, flags });
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
