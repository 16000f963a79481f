/** A copy of the project in which faults are tried, and the processes that try them. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Mutant, withFaults } from "./mutant-faults.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const TICKS_PER_S = 100;
/** A test hangs when a processor has worked for this long on it, and for ten times what it takes without a fault. */
const HUNG_CPU_S = 5;
/** By the clock, and three times what it takes without a fault: longer than any test waits. */
const HUNG_MS = 120_000;

/** A test as a process without a fault ran it. */
export interface Measured {
  readonly name: string;
  /** A processor's. */
  readonly ms: number;
  /** By the clock: some tests wait. */
  readonly wallMs: number;
  readonly isFailed: boolean;
  /** The faults whose places it came to. */
  readonly hits: readonly number[];
}

export interface Answer {
  /** The test that failed, or hung. */
  readonly killer?: number;
  /** The test that failed goes on failing without the fault. */
  readonly isDirty: boolean;
  /** That the process cannot be asked again, and why. */
  readonly end?: "hung" | "ended";
}

/** A copy of the project with all faults of a sample built in, and its tests ready to be run again and again. */
export class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), "querycop-mutants-"));

  constructor(sample: readonly Mutant[]) {
    for (const { name } of readdirSync(PROJECT, { withFileTypes: true })) {
      if (name === "node_modules") symlinkSync(join(PROJECT, name), join(this.folder, name));
      else if (!name.startsWith(".") && name !== "dist") {
        cpSync(join(PROJECT, name), join(this.folder, name), { recursive: true });
      }
    }
    for (const file of new Set(sample.map((mutant) => mutant.file))) {
      const own = [...sample.entries()].filter(([, mutant]) => mutant.file === file);
      const path = join(this.folder, file);
      writeFileSync(
        path,
        withFaults(
          readFileSync(path, "utf8"),
          own.map(([index, mutant]) => [index + 1, mutant]),
        ),
      );
    }
    this.#replaceNodeTest();
  }

  #replaceNodeTest(): void {
    for (const name of readdirSync(join(this.folder, "test"), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts")) continue;
      const path = join(this.folder, "test", name);
      const text = readFileSync(path, "utf8");
      const named = text
        .replace(/^import test, \{/m, "import { test,")
        .replace(/^import test from "node:test"/m, 'import { test } from "node:test"');
      const up = "../".repeat(name.split("/").length);
      writeFileSync(path, named.replace(/from "node:test"/g, `from "${up}bench/mutant-tests.ts"`));
    }
  }

  /** The same for the same sources, test files and faults. */
  fingerprint(tests: readonly string[]): string {
    const hash = createHash("sha256");
    for (const folder of ["src", "test"]) {
      for (const name of readdirSync(join(this.folder, folder), { recursive: true, encoding: "utf8" }).sort()) {
        const isOther = name.endsWith(".test.ts") && !tests.includes(`${folder}/${name}`);
        if (!/\.(?:ts|sql|txt)$/.test(name) || isOther) continue;
        hash.update(name).update(readFileSync(join(this.folder, folder, name)));
      }
    }
    return hash.digest("hex").slice(0, 24);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One process of a workshop with the tests of some files. */
export class Runner {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  /** @param fault switched on from the start, while the tests are loaded; 0 is none
   *  @param share which of the test files are measured: "0/2" every second one */
  constructor(workshop: Workshop, tests: readonly string[], fault: number, share?: string) {
    const args = ["bench/mutant-runner.ts", String(fault), ...tests];
    this.#child = spawn(process.execPath, args, {
      cwd: workshop.folder,
      stdio: ["pipe", "ignore", process.env["DEBUG"] === undefined ? "ignore" : "inherit", "pipe"],
      env: { ...process.env, MEASURE: share ?? "" },
      detached: true,
    });
    this.#child.stdin?.on("error", () => undefined);
    this.#reader = createInterface({ input: this.#child.stdio[3] as NodeJS.ReadableStream });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** The next line that the process says; undefined when it has ended. */
  async next(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    return done === true ? undefined : JSON.parse(value);
  }

  /** @param tests as they ran without a fault */
  async ask(mutant: number, tests: ReadonlyMap<number, Measured>): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify({ mutant, tests: [...tests.keys()] })}\n`);
    let test: number | undefined;
    let beganCpuS = this.#cpuS();
    let beganMs = performance.now();
    let isHung = false;
    const watch = setInterval(() => {
      const { ms = 0, wallMs = 0 } = test === undefined ? {} : (tests.get(test) ?? {});
      const isBusy = this.#cpuS() - beganCpuS >= HUNG_CPU_S + (10 * ms) / 1000;
      if (!isBusy && performance.now() - beganMs < HUNG_MS + 3 * wallMs) return;
      isHung = true;
      this.close();
    }, 500);
    let answer: (Answer & { begins?: number }) | undefined;
    do {
      answer = (await this.next()) as typeof answer;
      if (answer?.begins === undefined) break;
      test = answer.begins;
      beganCpuS = this.#cpuS();
      beganMs = performance.now();
    } while (answer !== undefined);
    clearInterval(watch);
    if (isHung) return { killer: test, isDirty: false, end: "hung" } as Answer;
    return answer ?? { isDirty: false, end: "ended" };
  }

  /** How long a processor has worked for the process, after proc(5). */
  #cpuS(): number {
    try {
      const fields = readFileSync(`/proc/${this.#child.pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
    } catch {
      return 0;
    }
  }

  close(): void {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}
