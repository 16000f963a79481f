/** What serve, config, check-config and wait share: every setting as an option, and the loading of the configuration. */
import type { ArgsDef } from "citty";
import { type LoadResult, loadConfig } from "../config/load.ts";
import { CONFIG_FILE_FLAG } from "../config/schema.ts";
import { SETTINGS } from "../config/settings.ts";
import type { CommandIo } from "./command-io.ts";

const CONFIG_NAME = CONFIG_FILE_FLAG.slice(2);

/** `--config` and one option per setting that has one. */
export const settingArguments: ArgsDef = Object.fromEntries([
  [CONFIG_NAME, { type: "string" as const }],
  ...SETTINGS.flatMap(({ metadata }) =>
    metadata.flag === undefined ? [] : [[metadata.flag.slice(2), { type: "string" as const }]],
  ),
]);

/** Loads the configuration from a command's parsed options, the environment and the file. */
export function loadFromArguments(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<LoadResult> {
  const flags = new Map<string, string>();
  for (const { metadata } of SETTINGS) {
    const value = metadata.flag === undefined ? undefined : args[metadata.flag.slice(2)];
    if (metadata.flag !== undefined && typeof value === "string") flags.set(metadata.flag, value);
  }
  const file = args[CONFIG_NAME];
  return loadConfig({ flags, env: io.env, ...(typeof file === "string" ? { file } : {}) });
}

/** Warnings and problems, one line each, and how many problems there are. */
export function reportFindings(result: LoadResult, io: CommandIo): void {
  for (const warning of result.warnings) io.stderr(`warning: ${warning}\n`);
  if (result.ok) return;
  for (const problem of result.problems) io.stderr(`error: ${problem}\n`);
  const count = result.problems.length;
  io.stderr(`querycop: ${count === 1 ? "1 problem" : `${count} problems`} in the configuration\n`);
}
