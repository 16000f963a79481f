/** The programs of Debian's systemd package: they check units and speak its protocols where systemd does not run. */
import { type DebianRoot, installRoot } from "./debian-root.ts";

export function installSystemd(): Promise<DebianRoot> {
  return installRoot({
    name: "systemd",
    suite: "bookworm",
    packages: ["systemd", "libsystemd-shared"],
    alone: [],
  });
}
