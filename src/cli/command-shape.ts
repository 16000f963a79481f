/** What a command line can hold, for those who do not run it: completion scripts, the man page, tests of the documents. */
import type { ArgsDef } from "citty";
import { CONFIG_FILE_FLAG } from "../config/schema.ts";
import { choicesOf } from "./arguments.ts";
import type { CommandHelp } from "./help.ts";
import { type SettingsTaken, settingsTaken } from "./settings-command.ts";

export interface CommandShape {
  readonly help: CommandHelp;
  readonly args: ArgsDef;
}

export interface OptionShape {
  /** Without dashes. */
  readonly name: string;
  readonly alias: string | undefined;
  readonly summary: string;
  /** `none` for a switch; `file` for a path; `choice` for one of `choices`; `text` for anything else. */
  readonly value: "none" | "file" | "choice" | "text";
  readonly choices: readonly string[];
  /** How the value is called in help. */
  readonly placeholder: string;
  readonly isSetting: boolean;
}

/** The words of a command's first position: `print` of `querycop service print`. */
export function verbsOf({ args }: CommandShape): readonly string[] {
  const verb = args["verb"];
  return verb?.type === "positional" && verb.valueHint !== undefined ? verb.valueHint.split("|") : [];
}

/** Whether files may follow the command and its verb. */
export function takesFiles({ args }: CommandShape): boolean {
  return args["file"]?.type === "positional";
}

export function optionsOf({ help, args }: CommandShape): readonly OptionShape[] {
  const settings = settingOptions(help.settings);
  const own = help.options.map(([left, summary]) => ownOption(left, summary, args));
  const helpOption: OptionShape = {
    name: "help",
    alias: undefined,
    summary: "Show help",
    value: "none",
    choices: [],
    placeholder: "",
    isSetting: false,
  };
  return [...own, ...settings, helpOption];
}

/** `--follow, -f` or `--user NAME`, as help shows it. */
function ownOption(left: string, summary: string, args: ArgsDef): OptionShape {
  const [first = "", second = ""] = left.split(/,? /);
  const name = first.slice(2);
  const argument = args[name];
  const isSwitch = argument?.type === "boolean";
  const choices = argument === undefined ? [] : (choicesOf(argument)?.words ?? []);
  const placeholder = isSwitch ? "" : second;
  const isFile = ["FILE", "CASES", "AUDIT", "PATH"].includes(placeholder);
  return {
    name,
    alias: second.startsWith("-") ? second.slice(1) : undefined,
    summary,
    value: isSwitch ? "none" : isFile ? "file" : choices.length > 0 ? "choice" : "text",
    choices,
    placeholder,
    isSetting: false,
  };
}

function settingOptions(taken: SettingsTaken): OptionShape[] {
  if (taken === "none") return [];
  const config: OptionShape = {
    name: CONFIG_FILE_FLAG.slice(2),
    alias: undefined,
    summary: "Configuration file",
    value: "file",
    choices: [],
    placeholder: "FILE",
    isSetting: true,
  };
  const others = settingsTaken(taken).flatMap(({ metadata, title }): OptionShape[] => {
    if (metadata.flag === undefined) return [];
    const choices = wordsOf(metadata.kind.json);
    return [
      {
        name: metadata.flag.slice(2),
        alias: undefined,
        summary: title,
        value: metadata.kind.isPath ? "file" : choices.length > 0 ? "choice" : "text",
        choices,
        placeholder: metadata.kind.isPath ? "FILE" : "VALUE",
        isSetting: true,
      },
    ];
  });
  return [config, ...others];
}

/** The words a JSON Schema lists, at its top or in one of its alternatives. */
function wordsOf(json: Readonly<Record<string, unknown>>): readonly string[] {
  const { enum: words, anyOf } = json as { enum?: readonly string[]; anyOf?: readonly { enum?: readonly string[] }[] };
  return words ?? anyOf?.flatMap((branch) => branch.enum ?? []) ?? [];
}
