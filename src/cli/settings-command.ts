/** What commands with settings share: which of them are options, and the loading of the configuration. */

import type { ArgsDef } from "citty";
import { counted } from "../base/counted.ts";
import { type ConfigUse, type LoadResult, loadConfig, nameVariables } from "../config/load.ts";
import { CONFIG_FILE_FLAG, type Config } from "../config/schema.ts";
import { SETTINGS, type Setting } from "../config/settings.ts";
import type { CommandIo } from "./command-io.ts";

const CONFIG_NAME = CONFIG_FILE_FLAG.slice(2);

/** All of them, listed in the command's help or not, or those with these keys; `--config` comes with any. */
export type SettingsTaken = "none" | "all" | "listed" | readonly string[];

/** The settings that are options of a command, in the order of the schema. */
export function settingsTaken(taken: SettingsTaken): readonly Setting[] {
  if (taken === "none") return [];
  return typeof taken === "string" ? SETTINGS : SETTINGS.filter(({ key }) => taken.includes(key));
}

/** `--config` and one option for each of the settings that has one. */
export function settingArguments(taken: SettingsTaken): ArgsDef {
  if (taken === "none") return {};
  const flags = settingsTaken(taken).flatMap(({ metadata }) => metadata.flag?.slice(2) ?? []);
  return Object.fromEntries([CONFIG_NAME, ...flags].map((name) => [name, { type: "string" as const }]));
}

type Arguments = Readonly<Record<string, unknown>>;

/** Where querycop may serve: the one system that its promises were held to. */
export const SERVED_PLATFORM = "linux";

/** What is told where it is another. */
export function describeServedPlatform(platform: string): string {
  return `the proxy runs on Linux only, and this is ${platform}: run it in a container or virtual machine`;
}

/** Loads the configuration from a command's parsed options, the environment and the file. */
export function loadFromArguments(args: Arguments, io: CommandIo): Promise<LoadResult> {
  return load(args, io, "start");
}

/**
 * For commands that talk to a running querycop or read what it wrote: the files that only its process can read, such as
 * credentials that the service manager hands to it, are not asked for, nor is what they have no use for.
 */
export function loadForRunning(args: Arguments, io: CommandIo, use: Exclude<ConfigUse, "start">): Promise<LoadResult> {
  return load(args, io, use);
}

/** As a start would, with all that makes a start fail. */
export async function loadForStart(args: Arguments, io: CommandIo): Promise<LoadResult> {
  const result = await loadFromArguments(args, io);
  if (!result.ok) return result;
  const problems = await startProblems(result.config);
  return problems.length === 0 ? result : { ok: false, problems, warnings: result.warnings };
}

/** What keeps a start with this configuration from succeeding. */
export async function startProblems(config: Config): Promise<readonly string[]> {
  const { preflight } = await import("../server/preflight.ts");
  const problems = preflight(config);
  return config.file === undefined ? problems.map(nameVariables) : problems;
}

function load(args: Arguments, io: CommandIo, use: ConfigUse): Promise<LoadResult> {
  const flags = new Map<string, string>();
  for (const { metadata } of SETTINGS) {
    const value = metadata.flag === undefined ? undefined : args[metadata.flag.slice(2)];
    if (metadata.flag !== undefined && typeof value === "string") flags.set(metadata.flag, value);
  }
  const file = args[CONFIG_NAME];
  return loadConfig({ flags, env: io.env, use, ...(typeof file === "string" ? { file } : {}) });
}

/** Warnings and problems, one line each, and how many problems there are. */
export function reportFindings(result: LoadResult, io: CommandIo): void {
  for (const warning of result.warnings) io.stderr(`warning: ${warning}\n`);
  if (result.ok) return;
  for (const problem of result.problems) io.stderr(`error: ${problem}\n`);
  io.stderr(`querycop: ${counted(result.problems.length, "problem")} in the configuration\n`);
}
