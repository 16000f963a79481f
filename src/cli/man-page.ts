/** `querycop man`: the manual page, in the macros of man(7), from the same definitions as help and completion. */
import type { CommandIo } from "./command-io.ts";
import { EXIT_OK } from "./command-io.ts";
import { type CommandShape, type OptionShape, optionsOf } from "./command-shape.ts";
import type { CommandHelp } from "./help.ts";
import { settingArguments } from "./settings-command.ts";

export const manHelp: CommandHelp = {
  name: "man",
  summary: "Print the manual page",
  example: "  querycop man > ~/.local/share/man/man1/querycop.1",
  text: "For man(1): `querycop man | man -l -` shows it.",
  options: [],
  settings: "none",
};

export async function printManPage(io: CommandIo, commands: readonly CommandShape[]): Promise<number> {
  io.stdout(renderManPage(commands));
  return EXIT_OK;
}

/** SAFETY for the formatter: a backslash starts an escape, a dot or quote at the start of a line a request. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll(/^([.'])/gm, "\\&$1");
}

const FILES: ReadonlyArray<readonly [string, string]> = [
  [
    "/etc/querycop/querycop.yaml",
    "Where the systemd unit looks for the configuration; no file is read unless it is named.",
  ],
];

export function renderManPage(commands: readonly CommandShape[]): string {
  const serve = commands.find(({ help }) => help.name === "serve");
  const settings = serve === undefined ? [] : optionsOf(serve).filter(({ isSetting }) => isSetting);
  return [
    '.\\" Printed by: querycop man',
    ".TH QUERYCOP 1",
    ".SH NAME",
    "querycop \\- guard between MySQL clients and a managed MySQL",
    ".SH SYNOPSIS",
    ".B querycop",
    ".RI [ command ]",
    ".RI [ options ]",
    ".SH DESCRIPTION",
    roff(
      "Carries MySQL connections over two TLS legs, logs in with short-lived IAM tokens, gives every statement a risk with its reasons, stops what the policy says, and records all of it.",
    ),
    ".PP",
    roff("Without a command, querycop serves as soon as anything is configured."),
    ".SH COMMANDS",
    ...commands.flatMap(commandSection),
    ".SH SETTINGS",
    roff(
      "Options of the commands that take settings. Each is also an environment variable (GATEKEEPER_, the former name of querycop, and the option's name in capitals) and a key of the file named by --config; the option wins over the variable, the variable over the file.",
    ),
    ...settings.flatMap(optionParagraph),
    ".SH EXIT STATUS",
    "0 fine, 1 failed, 2 wrong command line or configuration.",
    ".SH FILES",
    ...FILES.flatMap(([path, text]) => [".TP", `.I ${roff(path)}`, roff(text)]),
    "",
  ].join("\n");
}

function commandSection(command: CommandShape): string[] {
  const { help } = command;
  const own = optionsOf(command).filter(({ isSetting }) => !isSetting);
  const takes = takesOf(help);
  return [
    `.SS ${roff(`querycop ${help.name}`)}`,
    roff(`${help.summary}.`),
    ".PP",
    ".nf",
    roff(help.example),
    ".fi",
    ".PP",
    ...(help.text.startsWith("  ") ? [".nf", roff(help.text), ".fi"] : [roff(help.text)]),
    ...(takes.length === 0 ? [] : [".PP", ...takes]),
    ...own.flatMap(optionParagraph),
  ];
}

function takesOf({ settings }: CommandHelp): string[] {
  if (settings === "none") return [];
  if (typeof settings === "string") return ["Takes all settings as options."];
  const names = Object.keys(settingArguments(settings)).map((name) => `--${name}`);
  return [roff(`Takes settings as options: ${names.join(", ")}.`)];
}

function optionParagraph({ name, alias, summary, placeholder, choices }: OptionShape): string[] {
  const flags = [`\\fB${roff(`--${name}`)}\\fR`, ...(alias === undefined ? [] : [`\\fB${roff(`-${alias}`)}\\fR`])].join(
    ", ",
  );
  const value = placeholder === "" ? "" : ` \\fI${roff(placeholder)}\\fR`;
  const words = choices.length === 0 || summary.includes(": ") ? "" : `: ${choices.join(", ")}`;
  return [".TP", `${flags}${value}`, roff(`${summary}${words}.`)];
}
