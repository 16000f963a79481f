/** `querycop config` and `querycop check-config`: what the configuration comes to, and whether it holds. */
import type { EffectiveSetting } from "../config/effective.ts";
import type { LoadResult } from "../config/load.ts";
import { type CommandIo, EXIT_OK, EXIT_USAGE } from "./command-io.ts";
import {
  describeServedPlatform,
  loadForStart,
  loadFromArguments,
  reportFindings,
  SERVED_PLATFORM,
} from "./settings-command.ts";

function originOf(setting: EffectiveSetting): string {
  if (setting.source === "derived") return `from ${setting.where ?? ""}`;
  return setting.where ?? setting.source;
}

/** Values may hold line breaks and anything else an operator wrote: one line each, all the same. */
function printable(value: string | undefined): string {
  if (value === undefined) return "-";
  return value.includes("\n") || value.includes("\t") ? JSON.stringify(value) : value;
}

const VALUE_WIDTH_MAX = 60;

/** One line per setting: key, value, origin. */
function renderEffective(settings: readonly EffectiveSetting[]): string {
  const keyWidth = Math.max(...settings.map((setting) => setting.key.length));
  const widths = settings.map((setting) => printable(setting.value).length).filter((width) => width <= VALUE_WIDTH_MAX);
  const valueWidth = Math.max(...widths);
  return settings
    .map(
      (setting) =>
        `${setting.key.padEnd(keyWidth)}  ${printable(setting.value).padEnd(valueWidth)}  ${originOf(setting)}\n`,
    )
    .join("");
}

function writeJson(io: CommandIo, value: unknown): void {
  io.stdout(`${JSON.stringify(value, undefined, 2)}\n`);
}

function jsonOfFailure(result: Extract<LoadResult, { ok: false }>): unknown {
  return { ok: false, problems: result.problems, warnings: result.warnings };
}

export async function showConfig(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const result = await loadFromArguments(args, io);
  if (args["json"] === true) {
    writeJson(
      io,
      result.ok ? { ok: true, settings: result.effective, warnings: result.warnings } : jsonOfFailure(result),
    );
  } else {
    reportFindings(result, io);
    if (result.ok) io.stdout(renderEffective(result.effective));
  }
  return result.ok ? EXIT_OK : EXIT_USAGE;
}

export async function checkConfig(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const result = await loadForStart(args, io);
  if (args["json"] === true) {
    writeJson(io, result.ok ? { ok: true, problems: [], warnings: result.warnings } : jsonOfFailure(result));
  } else {
    reportFindings(result, io);
    if (result.ok) {
      for (const { name, backend } of result.config.listeners) {
        io.stdout(`ok: listener ${name} to ${backend.host}:${backend.port}, TLS ${backend.tlsMode}\n`);
      }
      const { file, stdout } = result.config.audit;
      if (io.platform !== SERVED_PLATFORM) io.stderr(`note: ${describeServedPlatform(io.platform)}\n`);
      if (file === undefined && !stdout) io.stderr("note: no audit.file, so no statement is recorded\n");
    }
  }
  return result.ok ? EXIT_OK : EXIT_USAGE;
}
