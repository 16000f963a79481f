/** Help texts. A worked example comes first; the options are printed from the schema. */
import { renderOptions } from "../config/reference.ts";
import type { VersionInfo } from "../version.ts";
import { type SettingsTaken, settingsTaken } from "./settings-command.ts";

export interface CommandHelp {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  readonly example: string;
  /** What it does, in a few lines. */
  readonly text: string;
  /** Options of its own, left column and right column. */
  readonly options: ReadonlyArray<readonly [string, string]>;
  /** Which settings are options of it as well. */
  readonly settings: SettingsTaken;
}

function columns(rows: ReadonlyArray<readonly [string, string]>): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}

export function renderCommandHelp(command: CommandHelp): string {
  const own = [...command.options, ["--help", "Show this text"] as const];
  return `Example:\n${command.example}\n\nUsage: querycop ${command.name} [options]\n\n${command.text}\n\nOptions:\n${columns(own)}${renderSettings(command.settings)}`;
}

function renderSettings(taken: SettingsTaken): string {
  if (taken === "none") return "";
  if (taken === "all") return "\nEvery setting is an option as well: querycop serve --help lists them.\n";
  return `\nSettings (option, what it is and may be, environment variable); more in docs/configuration.md:\n${renderOptions(settingsTaken(taken))}\n`;
}

const EXAMPLE = `  export GATEKEEPER_BACKEND_HOST=mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com
  export GATEKEEPER_BACKEND_TLS_MODE=verify-full
  export GATEKEEPER_BACKEND_TLS_CA_FILE=/etc/ssl/certs/rds-global-bundle.pem
  querycop
  mysql --host=127.0.0.1 --port=15336 --user=app -p`;

export function renderHelp(version: VersionInfo, commands: readonly CommandHelp[]): string {
  return `querycop ${version.version}: a guard between MySQL clients and a managed MySQL

Example:
${EXAMPLE}

Usage: querycop [command] [options]

Commands:
${columns(commands.map((command) => [command.name, command.summary]))}
Without a command, querycop serves as soon as anything is configured. Every setting is an option of serve, an
environment variable and a key of the file named by --config: querycop serve --help lists them. The variables begin
with GATEKEEPER_, which was the name of querycop before.

Exit codes: 0 fine, 1 failed, 2 wrong command line or configuration.
`;
}
