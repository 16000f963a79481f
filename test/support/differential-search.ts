/** Runs lists of a seed on a stage and cuts those with a denied effect down to what it takes. */
import { type Axis, CHARSETS } from "./differential-changes.ts";
import { makeHarmless } from "./differential-harmless.ts";
import { makeList, packetsOf, type SessionList, type Step } from "./differential-lists.ts";
import type { Outcome } from "./differential-session.ts";
import { canaryOf, DifferentialStage, freeOf, guardedOf, type StageOptions } from "./differential-stage.ts";
import { Dice } from "./digest-oracle.ts";

export interface Finding {
  readonly index: number;
  readonly effect: "read" | "changed" | "lost";
  /** Whether it came again when run alone. */
  readonly isConfirmed: boolean;
  readonly list: SessionList;
  /** The tags of what is left: findings of one signature are of one kind. */
  readonly signature: string;
}

export interface Tally {
  /** Spent on lists, without the starts of servers. */
  seconds: number;
  /** What servers said last that ended by a fault of their own. */
  readonly crashes: string[];
  /** Entries of the server's log that begin with what is denied in any state. */
  readonly deniedInLog: string[];
  lists: number;
  commands: number;
  refused: number;
  errors: number;
  held: number;
  lost: number;
  loginsRefused: number;
  denied: number;
  /** Lists that had a denied effect straight on the server. */
  direct: number;
  readonly findings: Finding[];
  /** Of lists as applications send them. */
  harmlessCommands: number;
  /** How often each text of these was refused. */
  readonly falseAlarms: Map<string, number>;
}

export interface SearchOptions extends StageOptions {
  readonly seed: number;
  /** Ends behind so many commands. */
  readonly commands: number;
  /** Ends it sooner. */
  readonly stop?: AbortSignal | undefined;
  /** So many findings are cut down; the others are counted. */
  readonly shrinkMax: number;
  /** Only lists such as applications send, for the share of false alarms. */
  readonly isHarmlessOnly?: boolean | undefined;
  /** What the lists are about; all of it when not given. */
  readonly axes?: readonly Axis[] | undefined;
  /** So many lists run straight on the server first. */
  readonly directLists?: number;
  readonly onFinding?: (finding: Finding) => void;
}

const isOver = ({ commands }: Tally, options: SearchOptions): boolean =>
  commands >= options.commands || options.stop?.aborted === true;

/** One list in eight is such as applications send. */
const isHarmless = ({ isHarmlessOnly = false }: SearchOptions, index: number): boolean =>
  isHarmlessOnly || (index % 8 >= 6 && index % 16 < 8);

function listOf(stage: DifferentialStage, options: SearchOptions, index: number, worker: number): SessionList {
  const { seed, axes } = options;
  const dice = new Dice(Math.imul(seed, 0x9e3779b1) + index);
  const names = { guarded: guardedOf(worker), free: freeOf(worker), canary: canaryOf(worker) };
  const charset = dice.pick(CHARSETS);
  const scene = { dice, kind: stage.kind, isReadOnly: index % 2 === 0, charset, ...names };
  return isHarmless(options, index) ? makeHarmless(scene) : makeList(scene, axes);
}

/** So many sessions that ended early are looked at: mostly it is one reason. */
const LOST_EXAMINED = 5;
const CRASHES_MAX = 10;

/** Without one step after the other, as long as the effect stays; then one statement per packet, if that does it too. */
async function shrink(
  stage: DifferentialStage,
  list: SessionList,
  worker: number,
  effect: Outcome["effect"],
): Promise<SessionList> {
  let kept = list;
  const isDenied = (outcome: Outcome): boolean => outcome.effect === "read" || outcome.effect === "changed";
  const tryOut = async (candidate: SessionList): Promise<boolean> => {
    const outcome = await stage.run(candidate, worker);
    const does = effect === "lost" ? outcome.effect === effect : isDenied(outcome);
    if (does) kept = candidate;
    return does;
  };
  for (let size = Math.ceil(kept.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = kept.steps.length - size; at >= 0; at -= size) {
      await tryOut({ ...kept, steps: kept.steps.toSpliced(at, size) });
      at = Math.min(at, kept.steps.length);
    }
  }
  if (kept.isPipelined) await tryOut({ ...kept, isPipelined: false });
  if (kept.perPacket.some((count) => count > 1)) await tryOut({ ...kept, perPacket: [1] });
  if (kept.isLong.length > 0) await tryOut({ ...kept, isLong: [] });
  if (kept.characterSet !== 45) await tryOut({ ...kept, characterSet: 45 });
  if (!kept.tracksSession) await tryOut({ ...kept, tracksSession: true });
  return kept;
}

function signatureOf(list: SessionList): string {
  const { steps, perPacket, isPipelined, isLong, characterSet, tracksSession } = list;
  const tags = steps.map((step) =>
    "tags" in step ? `${step.do === "binary" ? "binary " : ""}${step.tags.join(" < ")}` : step.do,
  );
  const packet = [
    ...(perPacket.some((count) => count > 1) ? ["one packet"] : []),
    ...(isPipelined ? ["pipelined"] : []),
    ...(isLong.includes(true) ? ["long"] : []),
  ];
  return [
    ...(characterSet === 45 ? [] : ["login charset"]),
    ...(tracksSession ? [] : ["untracked"]),
    ...packet,
    ...tags,
  ].join(" | ");
}

async function examine(
  stage: DifferentialStage,
  list: SessionList,
  index: number,
  worker: number,
  first: Finding["effect"],
): Promise<Finding> {
  const again = await stage.run(list, worker);
  const { effect } = again;
  if (effect === "none") {
    return { index, effect: first, isConfirmed: false, list, signature: "not again" };
  }
  const small = await shrink(stage, list, worker, effect);
  return { index, effect, isConfirmed: true, list: small, signature: signatureOf(small) };
}

function add(tally: Tally, outcome: Outcome, options: SearchOptions, index: number): void {
  tally.lists += 1;
  tally.commands += outcome.commands;
  tally.refused += outcome.refused.length;
  if (isHarmless(options, index)) {
    tally.harmlessCommands += outcome.commands;
    for (const step of outcome.refused) {
      const text = "text" in step ? step.text : step.do;
      tally.falseAlarms.set(text, (tally.falseAlarms.get(text) ?? 0) + 1);
    }
  }
  tally.errors += outcome.errors;
  tally.held += outcome.held;
  tally.loginsRefused += outcome.isLoginRefused ? 1 : 0;
  if (outcome.effect === "lost") tally.lost += 1;
  else if (outcome.effect !== "none") tally.denied += 1;
}

function newTally(): Tally {
  const counts = {
    lists: 0,
    commands: 0,
    refused: 0,
    errors: 0,
    held: 0,
    lost: 0,
    loginsRefused: 0,
    denied: 0,
    direct: 0,
  };
  const lists = { findings: [], crashes: [], deniedInLog: [] };
  return { seconds: 0, ...counts, ...lists, harmlessCommands: 0, falseAlarms: new Map() };
}

/** Adds to the tally, behind the lists that it has. Throws when the server is gone. */
async function searchOn(stage: DifferentialStage, options: SearchOptions, tally: Tally): Promise<void> {
  const before = stage.deniedInLog().length;
  let next = tally.lists;
  const work = async (worker: number): Promise<void> => {
    while (!isOver(tally, options)) {
      const index = next++;
      const list = listOf(stage, options, index, worker);
      const outcome = await stage.run(list, worker);
      add(tally, outcome, options, index);
      const isExamined = outcome.effect === "lost" ? tally.lost <= LOST_EXAMINED : tally.denied <= options.shrinkMax;
      if (outcome.effect === "none" || !isExamined) continue;
      const finding = await examine(stage, list, index, worker, outcome.effect);
      tally.findings.push(finding);
      options.onFinding?.(finding);
    }
  };
  await Promise.all(Array.from({ length: options.workers }, (_, worker) => work(worker)));
  tally.deniedInLog.push(...stage.deniedInLog().slice(before));
}

/** Runs lists straight on the server: the share of them with an effect says what the lists are worth. */
async function searchDirect(stage: DifferentialStage, options: SearchOptions, tally: Tally): Promise<void> {
  for (let index = 0; index < (options.directLists ?? 0); index++) {
    const { effect } = await stage.run(listOf(stage, options, index, 0), 0, "server");
    if (effect === "read" || effect === "changed") tally.direct += 1;
  }
}

/** Runs lists on a server of the kind, on a new one where a list was too much for the last. */
export async function search(options: SearchOptions): Promise<Tally> {
  const tally = newTally();
  while (!isOver(tally, options)) {
    const stage = await DifferentialStage.start(options);
    const startMs = performance.now();
    try {
      if (tally.crashes.length === 0) await searchDirect(stage, options, tally);
      await searchOn(stage, options, tally);
    } catch (error) {
      tally.crashes.push(`${error}\n${stage.lastWords()}`);
      if (tally.crashes.length > CRASHES_MAX) throw error;
    } finally {
      tally.seconds += (performance.now() - startMs) / 1000;
      await stage.stop();
    }
  }
  return tally;
}

const visible = (text: string): string =>
  text.replaceAll(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);

function describeStep(step: Step): string {
  switch (step.do) {
    case "query":
    case "binary":
      return `${step.do}: ${visible(step.text)}`;
    case "bound":
      return `bound ${step.values.map(({ value, as }) => `${JSON.stringify(value)} as ${as}`).join(", ")}: ${step.text}`;
    case "schema":
      return `COM_INIT_DB ${step.schema}`;
    case "change user":
      return `COM_CHANGE_USER ${step.hasPassword ? "" : "with a wrong password "}charset ${step.characterSet} schema ${step.schema}`;
    case "reset":
      return "COM_RESET_CONNECTION";
    case "option":
      return `COM_SET_OPTION multi statements ${step.value === 1 ? "on" : "off"}`;
  }
}

/** A list as a person repeats it. */
export function describeList(list: SessionList): string {
  const { user, characterSet, schema, tracksSession, isPipelined, isLong } = list;
  const login = `login ${user}, charset ${characterSet}, schema ${schema || "none"}, ${tracksSession ? "with" : "without"} SESSION_TRACK${isPipelined ? ", queries sent together" : ""}${isLong.includes(true) ? `, long texts: ${isLong.map(Number).join("")}` : ""}`;
  return [login, ...packetsOf({ ...list, isLong: [] }).map(describeStep)].join("\n  ");
}
