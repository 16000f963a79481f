/** `querycop completion bash|zsh|fish`: scripts that complete commands, verbs, options and their values. */
import type { ArgsDef } from "citty";
import { type CommandIo, EXIT_OK, UsageError } from "./command-io.ts";
import { type CommandShape, type OptionShape, optionsOf, takesFiles, verbsOf } from "./command-shape.ts";
import type { CommandHelp } from "./help.ts";

export const completionHelp: CommandHelp = {
  name: "completion",
  summary: "Print a completion script for a shell",
  example: "  source <(querycop completion bash)",
  text: [
    "  completion bash   For bash: ~/.local/share/bash-completion/completions/querycop",
    "  completion zsh    For zsh: a file _querycop in a folder of $fpath",
    "  completion fish   For fish: ~/.config/fish/completions/querycop.fish",
  ].join("\n"),
  options: [],
  settings: "none",
};

export const completionArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "bash|zsh|fish" },
};

type Render = (commands: readonly CommandShape[]) => string;

const SHELLS: Readonly<Record<string, Render>> = { bash: renderBash, zsh: renderZsh, fish: renderFish };

export async function printCompletion(
  args: Readonly<Record<string, unknown>>,
  io: CommandIo,
  commands: readonly CommandShape[],
): Promise<number> {
  io.stdout(renderCompletion(String(args["verb"]), commands));
  return EXIT_OK;
}

/** Throws a UsageError for a shell there is no script for. */
export function renderCompletion(shell: string, commands: readonly CommandShape[]): string {
  const render = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (render === undefined) throw new UsageError(`expected one of ${Object.keys(SHELLS).join(", ")}`);
  return render(commands);
}

/** Without a command, options are those of serve. */
function serveOf(commands: readonly CommandShape[]): CommandShape {
  const serve = commands.find(({ help }) => help.name === "serve");
  if (serve === undefined) throw new Error("there is no command serve");
  return serve;
}

function flagsOf(command: CommandShape): string[] {
  return optionsOf(command).flatMap(({ name, alias }) => [`--${name}`, ...(alias === undefined ? [] : [`-${alias}`])]);
}

/** Options with a value, once each, by what their value is. */
function valueOptions(commands: readonly CommandShape[]): readonly OptionShape[] {
  const all = commands.flatMap((command) => optionsOf(command)).filter(({ value }) => value !== "none");
  // Commands may mean different words by the same option: those of all are offered.
  const choicesOf = (wanted: string): readonly string[] =>
    all.filter(({ name }) => name === wanted).flatMap(({ choices }) => choices);
  const last = new Map(all.map((option) => [option.name, option]));
  return [...last.values()].map((option) => ({ ...option, choices: [...new Set(choicesOf(option.name))] }));
}

function renderBash(commands: readonly CommandShape[]): string {
  const names = commands.map(({ help }) => help.name);
  const values = valueOptions(commands);
  const flagPattern = (kind: OptionShape["value"]): string =>
    values
      .filter(({ value }) => value === kind)
      .map(({ name }) => `--${name}`)
      .join(" | ");
  const choices = values.filter(({ value }) => value === "choice");
  return `# bash completion for querycop; printed by: querycop completion bash
_querycop() {
  local current previous command words
  COMPREPLY=()
  current=\${COMP_WORDS[COMP_CWORD]}
  previous=\${COMP_WORDS[COMP_CWORD - 1]}
  # "--option=value" comes as three words.
  if [[ $current == = ]]; then current=; fi
  if [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  case $previous in
${choices.map((option) => `    --${option.name}) words='${option.choices.join(" ")}' ;;`).join("\n")}
    ${flagPattern("file")})
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    ${flagPattern("text")}) return ;;
  esac
  if [[ -z $words ]]; then
    command=serve
    if ((COMP_CWORD > 1)); then command=\${COMP_WORDS[1]}; fi
    case $command in
${commands.map(bashCase).join("\n")}
      *) words='${flagsOf(serveOf(commands)).join(" ")}' ;;
    esac
    if ((COMP_CWORD == 1)); then words="${names.join(" ")} help $words"; fi
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _querycop querycop
`;
}

function bashCase(command: CommandShape): string {
  const verbs = verbsOf(command);
  const flags = flagsOf(command).join(" ");
  const files = takesFiles(command)
    ? `
        if [[ $current != -* ]] && ((COMP_CWORD > ${verbs.length > 0 ? 2 : 1})); then
          compopt -o filenames 2>/dev/null
          mapfile -t COMPREPLY < <(compgen -f -- "$current")
          return
        fi`
    : "";
  const verbWords = verbs.length === 0 ? "" : `\n        if ((COMP_CWORD == 2)); then words='${verbs.join(" ")}'; fi`;
  return `      ${command.help.name})${files}\n        words='${flags}'${verbWords} ;;`;
}

const zshQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** In an _arguments specification brackets and colons have a meaning. */
const zshText = (text: string): string => text.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`);

function renderZsh(commands: readonly CommandShape[]): string {
  return `#compdef querycop
# zsh completion for querycop; printed by: querycop completion zsh
_querycop() {
  local -a commands
  commands=(
${commands.map(({ help }) => `    ${zshQuote(`${help.name}:${help.summary.replaceAll(":", "\\:")}`)}`).join("\n")}
  )
  if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  local command=$words[2]
  if [[ $command == -* ]]; then
    command=serve
  else
    shift words
    ((CURRENT--))
  fi
  case $command in
${commands.map(zshCase).join("\n")}
  esac
}
if [[ $funcstack[1] == _querycop ]]; then
  _querycop "$@"
else
  compdef _querycop querycop
fi
`;
}

function zshCase(command: CommandShape): string {
  const verbs = verbsOf(command);
  const specs = [
    ...optionsOf(command).map(zshOption),
    ...(verbs.length === 0 ? [] : [`1:verb:(${verbs.join(" ")})`]),
    ...(takesFiles(command) ? ["*:file:_files"] : []),
  ];
  return `    ${command.help.name})\n      _arguments \\\n${specs.map((spec) => `        ${zshQuote(spec)}`).join(" \\\n")}\n      ;;`;
}

function zshOption({ name, summary, value, choices, placeholder }: OptionShape): string {
  const head = `--${name}${value === "none" ? "" : "="}[${zshText(summary)}]`;
  if (value === "none") return head;
  const action = value === "file" ? "_files" : value === "choice" ? `(${choices.join(" ")})` : "";
  return `${head}:${zshText(placeholder.toLowerCase())}:${action}`;
}

const fishQuote = (text: string): string => `'${text.replaceAll(/['\\]/g, (character) => `\\${character}`)}'`;

function renderFish(commands: readonly CommandShape[]): string {
  const names = commands.map(({ help }) => help.name).join(" ");
  return `# fish completion for querycop; printed by: querycop completion fish
function __querycop_at
    # Whether the command is $argv[1]; with a second argument, whether so many words stand before the one completed.
    set -l words (commandline -opc)
    set -l command ''
    if set -q words[2]; and not string match -q -- '-*' $words[2]
        set command $words[2]
    end
    test "$command" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    test (count $words) $argv[2..]
end
complete -c querycop -f
${commands.map(({ help }) => `complete -c querycop -n '__querycop_at ""' -a ${help.name} -d ${fishQuote(help.summary)}`).join("\n")}
complete -c querycop -n '__querycop_at ""' -a help -d 'Show help' # of: ${names}
${fishOptions('""', serveOf(commands))}
${commands.map(fishCase).join("\n")}
`;
}

function fishCase(command: CommandShape): string {
  const { name } = command.help;
  const verbs = verbsOf(command);
  return [
    ...(verbs.length === 0 ? [] : [`complete -c querycop -n '__querycop_at ${name} -eq 2' -a '${verbs.join(" ")}'`]),
    ...(takesFiles(command)
      ? [`complete -c querycop -n '__querycop_at ${name} -gt ${verbs.length > 0 ? 2 : 1}' -F`]
      : []),
    fishOptions(name, command),
  ].join("\n");
}

function fishOptions(at: string, command: CommandShape): string {
  return optionsOf(command)
    .map(({ name, alias, summary, value, choices }) => {
      const short = alias === undefined ? "" : ` -s ${alias}`;
      const values = { none: "", file: " -r -F", text: " -x", choice: ` -x -a '${choices.join(" ")}'` }[value];
      return `complete -c querycop -n '__querycop_at ${at}' -l ${name}${short}${values} -d ${fishQuote(summary)}`;
    })
    .join("\n");
}
