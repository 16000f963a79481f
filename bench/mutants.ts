/**
 * How well the unit tests hold the sources: small faults are put into them one at a time, and a test must fail. Not part
 * of the tests: it runs them hundreds of times.
 *
 *   bun bench/mutants.ts [--count 400] [--seed 1] [--only src/sql/mysql/digest/digest.ts] [--list]
 *   bun bench/mutants.ts --part src/session      those of the sample that are in one folder, or in some: src/sql,src/policy
 *   bun bench/mutants.ts --again report.txt      those that survived in an earlier run with the same count and seed
 *   bun bench/mutants.ts --after report.txt      those that an earlier run with the same count and seed did not come to
 *
 *   --jobs N             so many processes try faults at a time: most tests of sessions wait
 *   --tests FILE,FILE    asks the tests of these files alone
 *   --slowest MS         asks a test that takes longer by the clock only where none that is quicker comes to the place
 *   --budget MS          asks no more tests of a fault than that, by the clock, the best first: for a first look
 *
 * Faults: a comparison or logical operator turned into its neighbour, a condition negated, a number changed by one, a
 * truth turned round, a call or assignment left out. They are drawn evenly over the places where one is possible.
 *
 * All of them are built into a copy of the sources, where each can be switched on. The tests are loaded once and run
 * without a fault, and must pass: that says which of them come to which place, and how long they take. A fault is then
 * tried with those tests alone, those that find the most in the shortest time first. Behind each failure the same test
 * is run without the fault: if that fails too, both are tried again in a process of their own, and the test must pass in
 * another one without the fault; if it does not, it must fail with the fault once more, or the machine was too busy and
 * the next tests are asked. A test hangs only if it does not without the fault at the same time. A fault whose place is met
 * while modules are loaded, or by a test that cannot be run twice, is switched on from the start of a process.
 *
 * The last lines count the killed, and name each survivor with what was changed: look at them, some change nothing.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Mutant, mutantsOf } from "./mutant-faults.ts";
import { type Answer, type Measured, Runner, Workshop } from "./mutant-workshop.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));

/** The folders of which a sample is drawn, and those of the tests that hold them. */
const FOLDERS = ["src/sql", "src/policy", "src/session"];
const TESTS = ["test/sql", "test/policy", "test/session"];

/** A numbered list of words, written by a tool. */
const GENERATED = "/keywords.ts";

/** xorshift32: the same seed draws the same faults. */
function dice(seed: number): (below: number) => number {
  let state = seed === 0 ? 1 : seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function draw(all: Mutant[], count: number, seed: number): Mutant[] {
  const next = dice(seed);
  const left = [...all];
  const drawn: Mutant[] = [];
  while (drawn.length < count && left.length > 0) drawn.push(...left.splice(next(left.length), 1));
  return drawn;
}

/** Tests that are not loaded after this long will not be. */
const LOADING_MS = 120_000;

type Fate = "killed" | "hung" | "survived" | "unseen";

type Said = Partial<Measured> & { index?: number; outside?: number[]; again?: number[]; isReady?: true };

/** One of those that try faults at the same time: its process, ready for the next fault. */
interface Hand {
  runner?: Runner;
}

/** The tests of some files, and what is known of them. */
class Bench {
  readonly #workshop: Workshop;
  readonly #files: readonly string[];
  readonly #tests: Measured[] = [];
  readonly #finds = new Map<number, number>();
  /** The faults met while modules are loaded, and the tests that pass only once. */
  readonly #outside = new Set<number>();
  readonly #once = new Set<number>();

  constructor(workshop: Workshop, files: readonly string[]) {
    this.#workshop = workshop;
    this.#files = files;
  }

  /** Runs every test without a fault, twice. */
  async measure(): Promise<void> {
    const kept = join(tmpdir(), `querycop-mutants-${this.#workshop.fingerprint(this.#files)}.json`);
    const lines = existsSync(kept) ? (JSON.parse(readFileSync(kept, "utf8")) as Said[]) : await this.#measured();
    writeFileSync(kept, JSON.stringify(lines));
    for (const said of lines) {
      if (said.index !== undefined) this.#tests[said.index] = said as Measured;
      for (const id of said.outside ?? []) this.#outside.add(id);
      for (const index of said.again ?? []) this.#once.add(index);
    }
    const failed = this.#tests.filter(({ isFailed }) => isFailed);
    const wholeMs = this.#tests.reduce((sum, { wallMs }) => sum + wallMs, 0);
    console.log(
      `${this.#files.length} files, ${this.#tests.length} tests, ${Math.round(wholeMs / 1000)} s, ${this.#once.size} pass only once`,
    );
    for (const { name } of failed) console.log(`not asked, fails without a fault: ${name}`);
    if (failed.length > this.#tests.length / 100) throw new Error("too many tests fail without a fault");
  }

  async #measured(): Promise<Said[]> {
    const shares = Array.from({ length: JOBS }, (_, share) => this.#measuredShare(share));
    return (await Promise.all(shares)).flat();
  }

  async #measuredShare(share: number): Promise<Said[]> {
    const runner = new Runner(this.#workshop, this.#files, 0, `${share}/${JOBS}`);
    const lines: Said[] = [];
    for (;;) {
      const said = (await runner.next()) as Said | undefined;
      if (said === undefined) throw new Error("the tests end their process");
      if (said.isReady === true) break;
      lines.push(said);
    }
    runner.close();
    return lines;
  }

  async fateOf(id: number, hand: Hand): Promise<[Fate, string?]> {
    const able = [...this.#tests.keys()].filter((index) => this.#tests[index]?.isFailed === false);
    const meeting = able.filter((index) => this.#tests[index]?.hits.includes(id));
    const isOutside = this.#outside.has(id);
    if (meeting.length === 0 && !isOutside) return ["unseen"];
    const found = await this.#try(id, this.#ordered(meeting.filter((index) => !this.#once.has(index))), hand);
    const rest = isOutside ? able : meeting.filter((index) => this.#once.has(index));
    return found[0] === "survived" && rest.length > 0 ? await this.#try(id, this.#ordered(rest)) : found;
  }

  /** @param hand none: in a process that has the fault from its start */
  async #try(id: number, tests: readonly number[], hand?: Hand): Promise<[Fate, string?]> {
    if (tests.length === 0) return ["survived"];
    const runner = hand === undefined ? await this.#started(id) : (hand.runner ?? (await this.#started(0)));
    if (runner === undefined) return ["killed", "the loading of the tests"];
    const answer = await this.#asked(runner, id, tests);
    if (hand === undefined || answer.isDirty || answer.end !== undefined) {
      runner.close();
      delete hand?.runner;
    } else hand.runner = runner;
    if (answer.end === "ended") {
      return hand === undefined ? ["killed", "the end of the process"] : await this.#try(id, tests);
    }
    const { killer } = answer;
    if (killer === undefined) return ["survived"];
    if (answer.isDirty && hand !== undefined) return await this.#try(id, tests);
    // In a process of its own a test comes behind others that may have left something.
    const isFalse = hand === undefined && tests.length > 1 && (await this.#passes(killer, id));
    if (isFalse || ((answer.isDirty || answer.end === "hung") && !(await this.#passes(killer)))) {
      return await this.#try(id, tests.slice(tests.indexOf(killer) + 1), hand);
    }
    this.#finds.set(killer, (this.#finds.get(killer) ?? 0) + 1);
    return [answer.end === "hung" ? "hung" : "killed", this.#tests[killer]?.name ?? ""];
  }

  #asked(runner: Runner, id: number, tests: readonly number[]): Promise<Answer> {
    return runner.ask(id, new Map(tests.map((index) => [index, this.#tests[index] as Measured])));
  }

  /** Whether the test passes now by itself, in a process that has the fault from its start. */
  async #passes(test: number, fault = 0): Promise<boolean> {
    const runner = await this.#started(fault);
    if (runner === undefined) return false;
    const { killer, end } = await this.#asked(runner, fault, [test]);
    runner.close();
    return killer === undefined && end === undefined;
  }

  /** A process with the tests loaded; none where the fault does not let them load. */
  async #started(id: number): Promise<Runner | undefined> {
    const runner = new Runner(this.#workshop, this.#files, id);
    const timer = setTimeout(() => runner.close(), LOADING_MS);
    const isReady = (await runner.next()) !== undefined;
    clearTimeout(timer);
    return isReady ? runner : undefined;
  }

  #ordered(tests: readonly number[]): number[] {
    const msOf = (index: number): number => this.#tests[index]?.wallMs ?? 0;
    const price = (index: number): number => (1 + msOf(index)) / (1 + (this.#finds.get(index) ?? 0));
    const quick = tests.filter((index) => msOf(index) <= Number(values.slowest));
    let leftMs = Number(values.budget);
    return [...(quick.length > 0 ? quick : tests)]
      .sort((a, b) => price(a) - price(b))
      .filter((index, place) => {
        leftMs -= msOf(index);
        return leftMs > 0 || place === 0;
      });
  }
}

function sources(only: string): string[] {
  if (only !== "") return [only];
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.endsWith(GENERATED))
      .map((name) => `${folder}/${name}`)
      .sort(),
  );
}

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "400" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    part: { type: "string", default: "" },
    again: { type: "string", default: "" },
    after: { type: "string", default: "" },
    jobs: { type: "string", default: "2" },
    tests: { type: "string", default: "" },
    budget: { type: "string", default: "3600000" },
    slowest: { type: "string", default: "600000" },
    list: { type: "boolean", default: false },
  },
});

const JOBS = Number(values.jobs);

const told = (mutant: Mutant): string =>
  `${mutant.file}:${mutant.line}: ${JSON.stringify(mutant.was.slice(0, 80))} -> ${JSON.stringify(mutant.text.slice(0, 80))}`;
const all = sources(values.only).flatMap((file) => mutantsOf(file, readFileSync(join(PROJECT, file), "utf8")));
const before = values.again === "" ? undefined : readFileSync(values.again, "utf8").split("\n");
const drawn = draw(all, Number(values.count), Number(values.seed)).filter(
  (mutant) =>
    values.part.split(",").some((part) => mutant.file.startsWith(part)) &&
    (before?.some((line) => /^(?:survived|unseen) /.test(line) && line.endsWith(told(mutant))) ?? true),
);

const tried = values.after === "" ? [] : readFileSync(values.after, "utf8").split("\n");
const wasTried = (mutant: Mutant): boolean =>
  tried.some((line) => /^\d+\/\d+ /.test(line) && line.replace(/^\S+ \w+ /, "").startsWith(told(mutant)));

function testFiles(): string[] {
  const named = values.tests.split(",");
  return TESTS.flatMap((folder) =>
    readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`),
  )
    .filter((file) => file.endsWith(".test.ts") && (values.tests === "" || named.includes(file)))
    .sort();
}

async function tryAll(): Promise<void> {
  const fates = new Map<Mutant, Fate>();
  const workshop = new Workshop(drawn);
  try {
    const bench = new Bench(workshop, testFiles());
    await bench.measure();
    const left = [...drawn.entries()].filter(([, mutant]) => !wasTried(mutant));
    const tryNext = async (): Promise<void> => {
      const hand: Hand = {};
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const [index, mutant] = next;
        const [fate, by] = await bench.fateOf(index + 1, hand);
        fates.set(mutant, fate);
        console.log(`${fates.size}/${drawn.length} ${fate} ${told(mutant)}${by === undefined ? "" : ` by ${by}`}`);
      }
      hand.runner?.close();
    };
    await Promise.all(Array.from({ length: JOBS }, tryNext));
  } finally {
    workshop.close();
  }
  const count = (wanted: Fate): number => [...fates.values()].filter((fate) => fate === wanted).length;
  const killed = count("killed") + count("hung");
  console.log(
    `\nseed ${values.seed}: ${killed} of ${drawn.length} killed, ${count("hung")} of them by hanging (${all.length} possible)`,
  );
  for (const [mutant, fate] of fates)
    if (fate === "survived" || fate === "unseen") console.log(`${fate} ${told(mutant)}`);
}

if (values.list) for (const mutant of drawn) console.log(told(mutant));
else await tryAll();
