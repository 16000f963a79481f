/** A file system of 1 MiB, or as asked, that a test may fill and switch to read-only. Needs root, or user namespaces; never skips. */
import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { namespaceArguments } from "./namespaces.ts";

export interface SmallDisk {
  readonly folder: string;
  /** Takes all the room there is. */
  fill(): void;
  /** Gives it back. */
  makeRoom(): void;
  /** Such as "ro" or "nr_inodes=4". */
  remount(options: string): Promise<void>;
}

/** Mounts in a namespace of its own and remounts as told line by line; all of it is gone when it ends. */
const SCRIPT = `
mount -t tmpfs -o "size=$1,mode=700" tmpfs "$0" || exit 1
echo ready
while read -r options; do mount --options-mode ignore -t tmpfs -o "remount,$options" tmpfs "$0" && echo done || echo failed; done
`;

/** A disk is filled with pieces of this size, then of a page, then of a byte. */
const PIECE_BYTES = 256 * 1024;

export async function withSmallDisk(run: (disk: SmallDisk) => Promise<void>, size = "1m"): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), "querycop-disk-"));
  const mountPoint = join(parent, "disk");
  mkdirSync(mountPoint);
  const holder = spawn("unshare", [...namespaceArguments("mount"), "sh", "-c", SCRIPT, mountPoint, size], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let errors = "";
  holder.stderr.on("data", (text) => {
    errors += String(text);
  });
  const answers = createInterface({ input: holder.stdout })[Symbol.asyncIterator]();
  const exited = new Promise((resolve) => holder.once("close", resolve));
  const expect = async (wanted: string): Promise<void> => {
    const { value } = await answers.next();
    if (value !== wanted)
      throw new Error(`Cannot mount a small file system (root or user namespaces needed): ${errors}`);
  };
  try {
    await expect("ready");
    // The files of another mount namespace are reached through a process that lives in it.
    const folder = join(`/proc/${holder.pid}/root`, mountPoint);
    const filler = join(folder, "filler");
    await run({
      folder,
      fill() {
        writeFileSync(filler, "");
        for (let bytes = PIECE_BYTES; bytes > 0; ) {
          try {
            appendFileSync(filler, Buffer.alloc(bytes));
          } catch (error) {
            if ((error as { code?: string }).code !== "ENOSPC") throw error;
            bytes = bytes === 1 ? 0 : bytes > 4096 ? 4096 : 1;
          }
        }
      },
      makeRoom: () => unlinkSync(filler),
      async remount(options) {
        holder.stdin.write(`${options}\n`);
        await expect("done");
      },
    });
  } finally {
    holder.stdin.end();
    await exited;
    rmSync(parent, { recursive: true, force: true });
  }
}
