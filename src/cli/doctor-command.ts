/** `querycop doctor`: its help and options. What it does is loaded when it is asked for, since no other command needs it. */
import type { ArgsDef } from "citty";
import type { CommandIo } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";

export const doctorHelp: CommandHelp = {
  name: "doctor",
  summary: "Check everything between here and the database, and say what to do",
  example: "  querycop doctor --config /etc/querycop/querycop.yaml --user app",
  text: "Checks files, name, addresses, TLS, token, login and host with the proxy's own code. Changes nothing.\nExits with 1 if a check fails. More in docs/doctor.md.",
  options: [
    ["--user NAME", "Log in as this user with a token, and look at the server's settings"],
    ["--only PATTERN", "Run the checks whose id fits; * stands for any text"],
    ["--strict", "Take warnings for failures in the exit code"],
    ["--list", "Print the ids and titles of all checks"],
    ["--snippets", "Print how to connect to each listener, driver by driver"],
    ["--json", "Print JSON"],
  ],
  settings: "all",
};

export const doctorArguments: ArgsDef = {
  user: { type: "string" },
  only: { type: "string" },
  strict: { type: "boolean" },
  list: { type: "boolean" },
  snippets: { type: "boolean" },
  json: { type: "boolean" },
};

export async function doctor(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const { runDoctor } = await import("./doctor-run.ts");
  return runDoctor(args, io);
}
