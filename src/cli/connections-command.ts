/** `querycop connections`: its help and options. What it does is loaded when it is asked for. */
import type { ArgsDef } from "citty";
import type { CommandIo } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";

export const connectionsHelp: CommandHelp = {
  name: "connections",
  summary: "List and check the named connections, or make them from lava's",
  example: "  querycop connections check reporting",
  text: [
    "  connections list            Every connection with where it leads and where its password comes from; asks nobody",
    "  connections check NAME      Reads the secret, then doctor's checks of the way to the database and a login; exits with 1",
    "                              if one fails",
    "  connections import FILE     From lava's connections, as DynamoDB exports them, the entries for connections: as YAML",
  ].join("\n"),
  options: [
    ["--usage AUDIT", "list: also how often, when and by which programs each was used, by this audit log"],
    ["--json", "list, check: print JSON"],
  ],
  settings: ["log.level"],
};

export const connectionsArguments: ArgsDef = {
  verb: { type: "positional", valueHint: "list|check|import", required: true },
  name: { type: "positional", valueHint: "NAME or FILE", required: false },
  usage: { type: "string" },
  json: { type: "boolean" },
};

export async function connections(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const { runConnections } = await import("./connections-run.ts");
  return await runConnections(args, io);
}
