/**
 * Stands in for node:test in a workshop of mutants: the same tests, but any of them can be run again at once in the same
 * process, with one fault or none switched on.
 */
type Action = () => unknown;

class Suite {
  readonly before: Action[] = [];
  readonly beforeEach: Action[] = [];
  readonly afterEach: Action[] = [];
  readonly outer: Suite | undefined;
  readonly name: string;
  isBegun = false;

  constructor(name: string, outer: Suite | undefined) {
    this.name = name;
    this.outer = outer;
  }
}

interface Test {
  readonly name: string;
  readonly suite: Suite;
  readonly timeoutMs: number;
  readonly action: Action;
}

export const tests: Test[] = [];
const TIMEOUT_MS = 60_000;
let suite = new Suite("", undefined);

/** Takes the tests of a file. */
export async function collect(file: string, load: () => Promise<unknown>): Promise<void> {
  suite = new Suite(file, undefined);
  await load();
}

function parsed(args: readonly unknown[]): { timeoutMs: number; action: Action } {
  const action = args.findLast((arg) => typeof arg === "function") as Action | undefined;
  const options = args.find((arg) => typeof arg === "object" && arg !== null) as { timeout?: number } | undefined;
  return { timeoutMs: options?.timeout ?? TIMEOUT_MS, action: action ?? (() => undefined) };
}

export function test(name: string, ...args: unknown[]): void {
  tests.push({ name: `${suite.name} > ${name}`, suite, ...parsed(args) });
}

export function it(name: string, ...args: unknown[]): void {
  test(name, ...args);
}

export function describe(name: string, ...args: unknown[]): void {
  const outer = suite;
  suite = new Suite(`${outer.name} > ${name}`, outer);
  parsed(args).action();
  suite = outer;
}

export const before = (action: Action): void => void suite.before.push(action);
export const beforeEach = (action: Action): void => void suite.beforeEach.push(action);
export const afterEach = (action: Action): void => void suite.afterEach.push(action);
/** What tests of a file share stays for as long as the process lives. */
export const after = (_action: Action): void => undefined;

const outwards = (from: Suite | undefined): Suite[] => (from === undefined ? [] : [from, ...outwards(from.outer)]);

/** Runs one test: how it failed, or undefined. */
export async function failureOf({ suite: own, action, timeoutMs }: Test): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("timed out")), timeoutMs);
  });
  const whole = async (): Promise<void> => {
    const suites = outwards(own);
    for (const each of suites.toReversed()) {
      if (!each.isBegun) for (const hook of each.before) await hook();
      each.isBegun = true;
      for (const hook of each.beforeEach) await hook();
    }
    try {
      await action();
    } finally {
      for (const each of suites) for (const hook of each.afterEach) await hook();
    }
  };
  try {
    await Promise.race([whole(), late]);
    return undefined;
  } catch (error) {
    return error ?? new Error("failed");
  } finally {
    clearTimeout(timer);
  }
}
