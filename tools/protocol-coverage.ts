/** docs/protocol-coverage.md: what querycop does with each command, printed from the table that does it. */
import { COMMANDS, type CommandDisposition } from "../src/mysql/command.ts";
import { FRONTEND_MESSAGES, type FrontendDisposition } from "../src/postgres/frontend-message.ts";

const MEANINGS: Readonly<Record<CommandDisposition, string>> = {
  judge: "judged by policy, then passed on",
  local: "carried out by querycop itself",
  forward: "passed on",
  refuse: "refused with error 1047",
};

/** Where the disposition does not say it all. */
const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ["COM_STMT_SEND_LONG_DATA", "passed on; dropped, as servers do, for a statement id that was never prepared"],
  [
    "COM_STMT_BULK_EXECUTE",
    "judged by policy, the values of every row, then passed on; refused with error 1047 where both sides have not agreed on MARIADB_CLIENT_STMT_BULK_OPERATIONS",
  ],
]);

const HEAD = `<!-- Generated from src/mysql/command.ts and src/postgres/frontend-message.ts by npm run docs -->

# Protocol coverage

What becomes of each command of the MySQL protocol. Bytes that are not listed, and packets shorter than a command needs,
are refused with error 1047 or 1835 and never reach the backend; the session goes on.

| byte | command | what querycop does | answer |
| --- | --- | --- | --- |
`;

const COMPRESSION = `
## Compression

Neither zlib (\`CLIENT_COMPRESS\`) nor zstd is offered to clients or asked of servers. Both legs would have to be unpacked
and packed again for every packet, for querycop reads and counts them all; between hosts of one network that costs more
time than it saves, and a small compressed frame may unpack into a very large one. A client that asks, such as
\`mysql --compress\` or \`compress: true\` of a driver, goes on uncompressed. One that insists,
\`mysql --compression-algorithms=zstd\` without \`uncompressed\` beside it, tells its user so with its own error 2066.

What is tried against the protocol, and which tests show the answer, is in [known-attacks.md](known-attacks.md).
`;

const POSTGRES_MEANINGS: Readonly<Record<FrontendDisposition, string>> = {
  judge: "to be judged by policy",
  forward: "to be passed on",
  login: "to be read during the login, and to end the connection later",
  refuse: "to be refused",
};

const POSTGRES_HEAD = `
## PostgreSQL: not spoken yet

No listener speaks PostgreSQL's protocol, and no setting makes one speak it. The codecs for it are written and tested
against a real server; this is what their table says of each message of a client, for when it is spoken. A type that is not
listed, and a length above the server's own limit, will end the connection.

| type | message | what is to become of it | longest, as in the server |
| --- | --- | --- | --- |
`;

function renderPostgres(): string {
  const lines = FRONTEND_MESSAGES.flatMap((row) =>
    row === undefined
      ? []
      : [`| ${row.type} | ${row.name} | ${POSTGRES_MEANINGS[row.disposition]} | ${row.lengthMax} |`],
  );
  return `${POSTGRES_HEAD}${lines.join("\n")}\n`;
}

export function renderProtocolCoverage(): string {
  const lines = COMMANDS.flatMap((row) => {
    if (row === undefined) return [];
    const byte = `0x${row.byte.toString(16).padStart(2, "0")}`;
    const answer = row.disposition === "refuse" ? "-" : row.hasResponse ? row.response.replaceAll("-", " ") : "none";
    return [`| ${byte} | ${row.name} | ${EXCEPTIONS.get(row.name) ?? MEANINGS[row.disposition]} | ${answer} |`];
  });
  return `${HEAD}${lines.join("\n")}\n${COMPRESSION}${renderPostgres()}`;
}
