/** A folder for one socket that nobody else can reach, gone when this process is, however it ends. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface PrivateFolder {
  readonly path: string;
  readonly socketPath: string;
  remove(): void;
}

/** The size of sun_path less its NUL. */
const SOCKET_PATH_BYTES_MAX = 107;

/** In memory where there is such a place. */
function candidates(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const uid = process.getuid?.();
  const ofUser = uid === undefined ? [] : [`/run/user/${uid}`];
  return [env["XDG_RUNTIME_DIR"] ?? "", ...ofUser, "/dev/shm", tmpdir()].filter((path) => path.startsWith("/"));
}

/** Throws Error where no such folder can be made. */
export function makePrivateFolder(
  env: Readonly<Record<string, string | undefined>>,
  socketName: string,
): PrivateFolder {
  const name = `querycop-${randomBytes(8).toString("hex")}`;
  for (const parent of candidates(env)) {
    const path = join(parent, name);
    const socketPath = join(path, socketName);
    if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX || !isDirectory(parent)) continue;
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch {
      continue;
    }
    const watch = removeBehindUs(path);
    return {
      path,
      socketPath,
      remove: () => {
        rmSync(path, { recursive: true, force: true });
        watch();
      },
    };
  }
  throw new Error(
    "no folder for a private socket can be made: set XDG_RUNTIME_DIR or TMPDIR to one that can be written",
  );
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** A process that is killed cannot clean up: a shell does when the pipe from it ends. */
function removeBehindUs(path: string): () => void {
  const shell = spawn("/bin/sh", ["-c", 'trap "" INT QUIT TERM HUP; read -r _; rm -rf -- "$1"', "sh", path], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH: "/usr/bin:/bin" },
    // Not of the terminal's group: Ctrl-C is not for it.
    detached: true,
  });
  shell.on("error", () => undefined);
  shell.stdin?.on("error", () => undefined);
  shell.unref();
  return () => void shell.stdin?.end();
}
