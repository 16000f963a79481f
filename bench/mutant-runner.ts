/**
 * The process in which mutants are tried. It loads its tests once, runs each twice without a fault, and
 * then takes lines `{"mutant": 7, "tests": [3, 5]}`: the tests are run with that fault switched on, up to the first
 * that fails. Its answers are lines of JSON on file descriptor 3.
 *
 *   bun bench/mutant-runner.ts FAULT FILE…      FAULT is switched on from the start, 0 is none
 */
import { writeSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { collect, failureOf, tests } from "./mutant-tests.ts";

const OUTSIDE = -1;
const [first = "0", ...files] = process.argv.slice(2);
let active = Number(first);
let running = OUTSIDE;
let isCounting = true;
const hits = new Map<number, Set<number>>([[OUTSIDE, new Set()]]);

/** Asked by the sources at every place where a fault can be. */
(globalThis as { isMutant?: (id: number) => boolean }).isMutant = (id) => {
  if (isCounting) hits.get(running)?.add(id);
  return id === active;
};

let uncaught: unknown;
process.on("uncaughtException", (error) => {
  uncaught = error;
});
process.on("unhandledRejection", (error) => {
  uncaught = error;
});

const say = (value: unknown): void => void writeSync(3, `${JSON.stringify(value)}\n`);

async function fails(index: number): Promise<boolean> {
  running = index;
  uncaught = undefined;
  const test = tests[index];
  const failure = test === undefined ? undefined : await failureOf(test);
  running = OUTSIDE;
  return failure !== undefined || uncaught !== undefined;
}

/** The first of the tests that fails. */
async function firstFailure(indices: readonly number[]): Promise<number | undefined> {
  for (const index of indices) {
    say({ begins: index });
    if (await fails(index)) return index;
  }
  return undefined;
}

/** The tests of each file begin at these numbers. */
const begins: number[] = [];
for (const file of files) {
  begins.push(tests.length);
  await collect(file, () => import(pathToFileURL(resolve(file)).href));
}

/** Whether a test can be run twice is not asked of those that take longer: they are taken to be able to. */
const AGAIN_MS = 1_000;

/** @param shares every such-and-such file, from this one on */
async function measure([share = 0, shares = 1]: readonly number[]): Promise<void> {
  const times = new Map<number, number>();
  const own = [...tests.keys()].filter((index) => begins.findLastIndex((begin) => begin <= index) % shares === share);
  for (const index of own) {
    hits.set(index, new Set());
    isCounting = true;
    const start = process.cpuUsage();
    const beganMs = performance.now();
    const isFailed = await fails(index);
    const { user, system } = process.cpuUsage(start);
    const ms = (user + system) / 1000;
    const wallMs = performance.now() - beganMs;
    times.set(index, wallMs);
    isCounting = false;
    say({ index, name: tests[index]?.name, ms, wallMs, isFailed, hits: [...(hits.get(index) ?? [])] });
  }
  const again: number[] = [];
  for (const [index, wallMs] of times) if (wallMs <= AGAIN_MS && (await fails(index))) again.push(index);
  say({ outside: [...(hits.get(OUTSIDE) ?? [])], again });
}

const shares = process.env["MEASURE"] ?? "";
if (shares !== "") await measure(shares.split("/").map(Number));
isCounting = false;
say({ isReady: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { mutant, tests: indices } = JSON.parse(line) as { mutant: number; tests: number[] };
  let rest = indices;
  let killer: number | undefined;
  let isDirty = false;
  for (;;) {
    active = mutant;
    killer = await firstFailure(rest);
    active = 0;
    // A fault may leave something behind: then the test fails without it too.
    isDirty = killer !== undefined && (await fails(killer));
    if (killer === undefined || isDirty) break;
    // A busy machine may have made it fail: once more, with the fault.
    active = mutant;
    if ((await firstFailure([killer])) !== undefined) break;
    rest = rest.slice(rest.indexOf(killer) + 1);
  }
  active = 0;
  say({ killer, isDirty });
}
process.exit(0);
