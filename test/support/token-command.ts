/** A token command for tests: counts its runs, prints what a file holds, and does whatever else a test wants of it. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class TokenCommand {
  readonly folder: string;

  constructor(token: string) {
    this.folder = mkdtempSync(join(tmpdir(), "querycop-token-"));
    this.setToken(token);
  }

  /** A command line for GATEKEEPER_BACKEND_TOKEN_CMD; `shell` runs between the counting and the printing. */
  commandLine(shell = ":"): string {
    return `echo "$$ $QUERYCOP_BACKEND_USER" >> ${this.folder}/runs; ${shell}; cat ${this.folder}/token`;
  }

  setToken(token: string): void {
    writeFileSync(join(this.folder, "token"), `${token}\n`);
  }

  /** For each run so far the process id of its shell and the user it was for. */
  runs(): { readonly pid: number; readonly user: string }[] {
    const file = join(this.folder, "runs");
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => ({ pid: Number(line.split(" ", 1)[0]), user: line.slice(line.indexOf(" ") + 1) }));
  }

  forgetRuns(): void {
    rmSync(join(this.folder, "runs"), { force: true });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Whether a process exists; a zombie counts as gone. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const status = existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, "utf8") : "";
  return status !== "" && !/^State:\s+Z/m.test(status);
}
