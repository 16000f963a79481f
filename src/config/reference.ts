/** The schema in the forms people read: reference page, example file, option list. Pure text, the same every time. */
import { CONFIG_FILE_ENV, CONFIG_FILE_FLAG } from "./schema.ts";
import { CONNECTION_SETTINGS, SETTING_BY_KEY, SETTINGS, type Setting } from "./settings.ts";

const GENERATED = "Generated from src/config/schema.ts by npm run docs";

/** The first part of a key, or nothing for settings at the top level. */
function groupOf(setting: Setting): string {
  const dot = setting.key.indexOf(".");
  return dot === -1 ? "" : setting.key.slice(0, dot);
}

/** Settings by group, in the order of the schema; those without a group last, under the empty name. */
function byGroup(settings: readonly Setting[]): Map<string, Setting[]> {
  const groups = new Map<string, Setting[]>();
  for (const setting of settings) {
    const name = groupOf(setting);
    groups.set(name, [...(groups.get(name) ?? []), setting]);
  }
  const ungrouped = groups.get("") ?? [];
  groups.delete("");
  return groups.set("", ungrouped);
}

const GROUP_TITLES: Readonly<Record<string, string>> = {
  listen: "Where clients connect",
  backend: "The database",
  proxy: "TLS towards clients",
  api: "Admin API",
  log: "Log",
  audit: "Audit",
  policy: "Policy",
  approvals: "Approvals",
  token: "Tokens",
};

function anchorOf(key: string): string {
  return key.replaceAll(".", "-").replaceAll("_", "-");
}

function defaultOf(setting: Setting): string {
  if (setting.required) return "required";
  return setting.defaultText === undefined ? "unset" : `\`${setting.defaultText}\``;
}

const PLANNED = " **Checked, but without effect in this version.**";

function renderEntry(setting: Setting, anchorPrefix = ""): string {
  const { env, flag, kind, since, example, secret, isPlanned } = setting.metadata;
  const names = [env, flag].filter((name) => name !== undefined).map((name) => `\`${name}\``);
  const facts = [
    `Default: ${defaultOf(setting)}`,
    `Values: ${kind.describe}`,
    ...(secret ? ["Secret: never printed, not allowed in the file"] : []),
    `Since ${since}`,
  ];
  return [
    `<a id="${anchorPrefix}${anchorOf(setting.key)}"></a>`,
    `#### \`${setting.key}\``,
    "",
    `**${setting.title}.** ${setting.description}${isPlanned ? PLANNED : ""}`,
    "",
    ...(names.length === 0 ? ["File only."] : [`${names.join(" · ")}`]),
    "",
    `${facts.join(" · ")}`,
    ...(example === undefined ? [] : ["", `Example: \`${example}\``]),
    "",
  ].join("\n");
}

function renderGroups(settings: readonly Setting[], ungrouped: string): string[] {
  const lines: string[] = [];
  for (const [group, members] of byGroup(settings)) {
    lines.push(`### ${GROUP_TITLES[group] ?? ungrouped}`, "", ...members.map((setting) => renderEntry(setting)));
  }
  return lines;
}

function renderTable(): string[] {
  const rows = SETTINGS.map((setting) => {
    const name = setting.metadata.env === undefined ? "" : `\`${setting.metadata.env}\``;
    return `| [\`${setting.key}\`](#${anchorOf(setting.key)}) | ${name} | ${defaultOf(setting)} | ${setting.title} |`;
  });
  return ["| Key in the file | Environment variable | Default | What |", "|---|---|---|---|", ...rows, ""];
}

const REFERENCE_HEAD = `# Configuration

<!-- ${GENERATED}. Do not edit. -->

querycop is told what to do by command-line options, environment variables and a YAML file. Where they differ, the
option wins over the variable, the variable over the file, the file over the default. \`querycop config\` shows every
effective value and where it came from; \`querycop check-config\` runs all checks of a start and starts nothing.

The file is named by \`${CONFIG_FILE_FLAG}\` or \`${CONFIG_FILE_ENV}\`; none is read from the working directory or any other
place by itself. [querycop.example.yaml](../querycop.example.yaml) holds every setting with its default, and
[querycop.schema.json](querycop.schema.json) lets editors complete and check it.

- Every problem is reported at once, one line each, and the exit code is 2.
- Variables begin with \`GATEKEEPER_\`, the name that querycop had before: what was set up under that name goes on. \`QUERYCOP_\`
  is the prefix of what querycop tells a token command, and of no setting: a setting's name behind it is an error, unless
  that setting is set.
- An unknown key, and an unknown variable that begins with \`GATEKEEPER_\`, is an error. An empty variable counts as not set.
- A change of a setting takes effect on restart. The files that settings name are read again while querycop runs: policy,
  users, certificates, CA bundles.
- Durations carry a unit (\`500ms\`, \`30s\`, \`10m\`, \`1h\`), sizes too (\`64KiB\`, \`64MiB\`, \`1GiB\`).
- A path in the file is relative to the file's directory; elsewhere, to the working directory.
- A file that its group or others may write is refused: \`chmod go-w querycop.yaml\`.

## Several listeners

Variables and options describe one listener. For several, each with its own backend, use \`listeners:\` in the file.
The settings marked "per listener" below go into its entries; written at the top level they are shared by all entries.

\`\`\`yaml
backend:
  tls_mode: verify-full
  tls_ca_file: /etc/ssl/certs/rds-global-bundle.pem
  token_source: rds-signer
client_auth: password
users_file: users
listeners:
  - name: writer
    listen: { port: 15336 }
    backend: { host: mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com, role: writer }
  - name: reader
    listen: { port: 15337 }
    backend: { host: mydb.cluster-ro-abcdefghijkl.eu-central-1.rds.amazonaws.com, role: reader }
\`\`\`

## Named connections

A database with its account and the place of its password, under a name of 1 to 63 of \`a-z\`, \`0-9\`, dot, hyphen and
underscore. A listener leads to one with \`connection: NAME\`; \`querycop exec NAME -- PROGRAM\` and \`querycop connect NAME\`
need no listener, see [jobs.md](jobs.md). What is written here wins; a secret of Amazon RDS fills in the rest.

\`\`\`yaml
connections:
  reporting:
    description: nightly reports
    host: mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com
    user: reporting
    database: shop
    tls_ca_file: /etc/ssl/certs/rds-global-bundle.pem
  ingest:
    secret_id: prod/ingest
    tls_ca_file: /etc/ssl/certs/rds-global-bundle.pem
\`\`\`

The settings of an entry are listed under "Per connection" below; all others are those of the top level.

## All settings
`;

/** Under the title that they have for a backend. */
const DIFFERENT_IN_CONNECTIONS: ReadonlySet<string> = new Set(["host", "port", "tls_mode"]);

/** Those that mean what they mean for a listener's backend are named alone. */
function renderConnections(): string[] {
  const isOwn = ({ key, title }: Setting): boolean => {
    const ofBackend = SETTING_BY_KEY.get(`backend.${key}`);
    return ofBackend === undefined || DIFFERENT_IN_CONNECTIONS.has(key) || ofBackend.title !== title;
  };
  const own = CONNECTION_SETTINGS.filter(isOwn);
  const others = CONNECTION_SETTINGS.filter((setting) => !isOwn(setting));
  return [
    "In the entries of `connections:`, in the file only. As for a listener's backend, under `The database`:",
    `${others.map(({ key }) => `\`${key}\``).join(", ")}.`,
    "",
    ...own.map((setting) => renderEntry(setting, "connections-")),
  ];
}

/** docs/configuration.md */
export function renderReference(): string {
  const listener = SETTINGS.filter((setting) => setting.scope === "listener");
  const rest = SETTINGS.filter((setting) => setting.scope === "process");
  return [
    REFERENCE_HEAD,
    ...renderTable(),
    "## Per listener",
    "",
    ...renderGroups(listener, "The listener itself"),
    "## Per connection",
    "",
    ...renderConnections(),
    "## For the process",
    "",
    ...renderGroups(rest, "The process itself"),
  ]
    .join("\n")
    .trimEnd()
    .concat("\n");
}

const EXAMPLE_WIDTH = 118;

/** Text as comment lines of bounded width. */
function commentLines(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > EXAMPLE_WIDTH && line !== `${indent}#`) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

function exampleValue(setting: Setting): string {
  const value = setting.defaultText ?? setting.metadata.example ?? "";
  const needsQuotes = value.startsWith("*") || value.includes(": ") || value.includes(" #") || value.includes('"');
  return needsQuotes && !/^[{[]/.test(value) ? `'${value.replaceAll("'", "''")}'` : value;
}

/** A setting as a comment: with its default, or with an example when it has none. */
function exampleLines(setting: Setting, indent: string): string[] {
  const names = setting.metadata.env === undefined ? "" : ` ${setting.metadata.env}.`;
  return [
    ...commentLines(
      `${setting.title}.${names} ${setting.description}${setting.metadata.isPlanned ? " Without effect in this version." : ""}`,
      indent,
    ),
    `${indent}#${setting.metadata.key}: ${exampleValue(setting)}`,
  ];
}

function exampleGroup(group: string, members: readonly Setting[]): string[] {
  const indent = group === "" ? "" : "  ";
  const lines: string[] = [];
  lines.push(...(group === "" ? [] : [`# ---- ${GROUP_TITLES[group] ?? group}`, `${group}:`]));
  for (const setting of members) {
    if (setting.metadata.secret || setting.key === "name") continue;
    if (setting.required) {
      lines.push(...commentLines(`${setting.title}. ${setting.metadata.env}. ${setting.description}`, indent));
      lines.push(`${indent}${setting.metadata.key}: ${setting.metadata.example ?? ""}`);
    } else lines.push(...exampleLines(setting, indent));
    lines.push("");
  }
  return lines;
}

const EXAMPLE_HEAD = `# yaml-language-server: $schema=docs/querycop.schema.json
# Every setting of querycop. #key: value is a default, or an example if there is none: remove the # to set it.
# ${GENERATED}; explained in docs/configuration.md.
# Use it with: querycop serve --config querycop.yaml
`;

/** Not to be switched on line by line. */
const EXAMPLE_CONNECTIONS = `# ---- Named connections, for listeners (connection: NAME), querycop exec and querycop connect
#connections:
#  reporting:
#    host: mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com
#    user: reporting
#    tls_ca_file: /etc/ssl/certs/rds-global-bundle.pem
#  ingest:
#    secret_id: prod/ingest
#    tls_ca_file: /etc/ssl/certs/rds-global-bundle.pem
`;

/** querycop.example.yaml: loads as it is, and does the same as the defaults with the one required key. */
export function renderExample(): string {
  const lines = [EXAMPLE_HEAD];
  lines.push(EXAMPLE_CONNECTIONS);
  for (const scope of ["listener", "process"] as const) {
    const groups = byGroup(SETTINGS.filter((setting) => setting.scope === scope));
    for (const [group, members] of groups) lines.push(...exampleGroup(group, members));
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

/** The options of a command that takes these settings, each with its values, variable and default, for --help. */
export function renderOptions(settings: readonly Setting[]): string {
  const rows: Array<readonly [option: string, what: string, variable: string]> = [
    [`${CONFIG_FILE_FLAG} PATH`, "The configuration file", `(${CONFIG_FILE_ENV})`],
  ];
  for (const { metadata, title, defaultText } of settings) {
    const planned = metadata.isPlanned ? "; without effect yet" : "";
    const fallback = (defaultText === undefined ? "" : `; default ${defaultText}`) + planned;
    const what = `${title}: ${metadata.kind.describe}`;
    if (metadata.flag !== undefined) rows.push([metadata.flag, what, `(${metadata.env}${fallback})`]);
    else if (metadata.env !== undefined) rows.push(["", title, `(${metadata.env}, variable only${planned})`]);
  }
  const width = Math.max(...rows.map(([option]) => option.length));
  return rows
    .flatMap(([option, what, variable]) => {
      const line = `  ${option.padEnd(width)}  ${what}`;
      const isShort = line.length + 1 + variable.length <= OPTION_LINE_WIDTH;
      return isShort ? [`${line} ${variable}`] : [line, `${" ".repeat(width + 4)}${variable}`];
    })
    .join("\n");
}

const OPTION_LINE_WIDTH = 120;
