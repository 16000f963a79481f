/** Whether the clock of this host can be relied upon: tokens and certificates are only good at their time. */
import { execFile } from "node:child_process";
import { ok, type ProcessCheck, remedy, skip, warn } from "./check.ts";
import { resolveProgram } from "./token-command-text.ts";

export const hostClock: ProcessCheck = {
  id: "host.clock",
  scope: "process",
  title: "The clock is kept right",
  about:
    "Asks the system whether its clock is synchronised (`timedatectl`, where there is one). AWS refuses tokens that are dated more than 15 minutes off, and a certificate is valid at its time only. How far the clock is from a token's date and from the server's clock is seen by `token.command`, `token.signer` and `server.settings`.",
  needs: [],
  run: async ({ host }) => {
    const isSynchronised = await host.clockIsSynchronised();
    if (isSynchronised === undefined) return skip("this system does not tell whether its clock is synchronised");
    if (isSynchronised) return ok("synchronised");
    return warn(
      "not synchronised: logins with tokens end when it has drifted by 15 minutes",
      remedy(
        "host.clock",
        "Let the system keep its clock right, by NTP or the host's own service.",
        "timedatectl status",
      ),
    );
  },
};

const TIMEOUT_MS = 3_000;

/** What systemd says; undefined where there is none, as in most containers. */
export function systemClockIsSynchronised(path: string | undefined): Promise<boolean | undefined> {
  const program = path === undefined ? undefined : resolveProgram("timedatectl", path);
  if (program === undefined) return Promise.resolve(undefined);
  const args = ["show", "--property=NTPSynchronized", "--value"];
  return new Promise((resolve) => {
    execFile(program, args, { timeout: TIMEOUT_MS }, (error, stdout) => {
      const word = error === null ? stdout.trim() : "";
      resolve(word === "yes" ? true : word === "no" ? false : undefined);
    });
  });
}
