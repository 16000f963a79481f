/** Namespaces of Linux for a program that a test starts: as root, or as who has root's rights within them only. */
import process from "node:process";

/** Arguments for the program `unshare`. */
export function namespaceArguments(...kinds: readonly ("mount" | "net")[]): string[] {
  const own = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  return [...own, ...kinds.map((kind) => `--${kind}`)];
}
