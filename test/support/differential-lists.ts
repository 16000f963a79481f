/** Lists of commands for one session, made from a seed: what changes the session's state, and what depends on it. */
import { AXES, type Axis, COLLATIONS, changeOf, noiseOf, storedChange } from "./differential-changes.ts";
import { probesOf } from "./differential-probes.ts";
import { routed } from "./differential-routes.ts";
import { isMariadb, once, type Piece, type Scene } from "./differential-text.ts";

export type Step =
  | { readonly do: "query" | "binary"; readonly text: string; readonly tags: readonly string[] }
  /** Prepared once, executed with each value. */
  | {
      readonly do: "bound";
      readonly text: string;
      readonly values: readonly BoundValue[];
      readonly tags: readonly string[];
    }
  | { readonly do: "schema"; readonly schema: string }
  | {
      readonly do: "change user";
      readonly characterSet: number;
      readonly schema: string;
      readonly hasPassword: boolean;
    }
  | { readonly do: "reset" }
  | { readonly do: "option"; readonly value: 0 | 1 };

/** How a value is bound: sent anew with its type, without its type, or ahead as long data. */
export interface BoundValue {
  readonly value: string;
  readonly as: "string" | "number" | "without type" | "long data";
}

export interface SessionList {
  readonly user: "reader" | "writer";
  /** The id of the collation that the login names. */
  readonly characterSet: number;
  /** Empty: none. */
  readonly schema: string;
  readonly tracksSession: boolean;
  /** Texts that follow each other travel in one packet, so many at a time. */
  readonly perPacket: readonly number[];
  /** Queries that follow each other are sent before the answer to the first is read. */
  readonly isPipelined: boolean;
  /** Which packets are so long that they are judged beside the sessions, and again from the first. */
  readonly isLong: readonly boolean[];
  readonly steps: readonly Step[];
}

export const UTF8MB4 = 45;
function stateCommand({ dice, kind, guarded, free, charset }: Scene): Step {
  const schema = dice.pick([guarded, free]);
  const characterSet = dice.pick([UTF8MB4, COLLATIONS[charset.name] ?? UTF8MB4]);
  return dice.pick<Step>([
    { do: "schema", schema },
    { do: "schema", schema },
    // A login that fails ends a session of MySQL, and leaves one of MariaDB as it was.
    { do: "change user", characterSet, schema, hasPassword: !isMariadb({ kind }) || !once(dice, 3) },
    { do: "reset" },
    { do: "option", value: 1 },
    { do: "option", value: 0 },
  ]);
}

/** MariaDB 10.11 crashes when it runs a loop that the binary protocol prepared. */
const CRASHES_PREPARED = /\bFOR i IN\b/;

function textStep({ dice }: Scene, { text, tags }: Piece): Step {
  return { do: once(dice, 8) && !CRASHES_PREPARED.test(text) ? "binary" : "query", text, tags };
}

/** A change by a bound value. */
function boundChange({ dice, charset }: Scene): Step {
  const [text, values] = dice.pick<readonly [string, readonly string[]]>([
    ["SET sql_mode = ?", ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "", "4"]],
    ["SET @@sql_mode = CONCAT(?, '')", ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"]],
    ["SET @t = ?", ["8", "1", "7"]],
    ["SELECT ? INTO @t", ["8", "1", "7"]],
    ["SET @s = ?", ["SELECT 1", "SELECT data FROM secret"]],
    ["SET character_set_client = ?", [charset.name, "utf8mb4"]],
    ["SET session_track_system_variables = ?", ["", "autocommit"]],
  ]);
  return { do: "bound", text, values: [{ value: dice.pick(values), as: "string" }], tags: ["bound change"] };
}

/** A tenant's rows by a bound value. */
function boundStep({ dice, guarded }: Scene): Step {
  const text = dice.pick([
    `SELECT note FROM ${guarded}.orders WHERE tenant_id = ?`,
    "SELECT note FROM orders WHERE tenant_id = ?",
    `SELECT note FROM ${guarded}.orders WHERE id < ? AND tenant_id = 7`,
  ]);
  const value = (): BoundValue => ({
    value: dice.pick(["7", "7", "8", "1", "7 ", "8e0", "0x8"]),
    as: dice.pick(["string", "number", "without type", "long data"]),
  });
  return { do: "bound", text, values: Array.from({ length: 1 + dice.below(3) }, value), tags: ["bound"] };
}

function block(scene: Scene, axis: Axis): Step[] {
  const { dice } = scene;
  const steps: Step[] = [];
  const add = (pieces: readonly Piece[]): void => void steps.push(...pieces.map((piece) => textStep(scene, piece)));
  for (let count = dice.below(3); count >= 0; count--) {
    if (once(dice, 8)) steps.push(stateCommand(scene));
    else if (once(dice, 5)) add([storedChange(scene)]);
    else if (once(dice, 12)) steps.push(boundChange(scene));
    else add(routed(scene, changeOf(scene, axis)));
  }
  if (once(dice, 3)) add([noiseOf(scene)]);
  for (let count = dice.below(2); count >= 0; count--) {
    const probes = probesOf(scene, axis);
    const last = probes.length - 1;
    add(probes.flatMap((probe, index) => (index === last ? routed(scene, probe) : [probe])));
  }
  if (axis === "variables" && once(dice, 4)) steps.push(boundStep(scene));
  if (once(dice, 6)) add([{ text: "SELECT @s, @x, @y", tags: ["noise"] }]);
  return steps;
}

/** The list of a number on a worker's schemas: the same with every call. */
export function makeList(scene: Scene, axes: readonly Axis[] = AXES): SessionList {
  const { dice } = scene;
  const axis = dice.pick(axes);
  const blocks = 2 + dice.below(4);
  const steps = Array.from({ length: blocks }, () => block(scene, once(dice, 5) ? dice.pick(AXES) : axis)).flat();
  return {
    user: scene.isReadOnly ? "reader" : "writer",
    characterSet: once(dice, 3) ? (COLLATIONS[scene.charset.name] ?? UTF8MB4) : UTF8MB4,
    schema: dice.pick([scene.free, scene.free, scene.guarded, scene.canary, ""]),
    tracksSession: once(dice, 2),
    perPacket: once(dice, 2) ? [1] : Array.from({ length: 1 + dice.below(3) }, () => 1 + dice.below(5)),
    isPipelined: once(dice, 4),
    isLong: once(dice, axis === "variables" ? 3 : 12)
      ? Array.from({ length: 1 + dice.below(4) }, () => once(dice, 2))
      : [],
    steps,
  };
}

function perPacketOf(sizes: readonly number[], index: number): number {
  return sizes[index % sizes.length] ?? 1;
}

const FILLER = ` /* ${"x".repeat(17_000)} */`;

/** The commands of the list: neighbouring texts in one packet, as many as it says, packet by packet and again from the first. */
export function packetsOf(list: Pick<SessionList, "steps" | "perPacket" | "isLong">): readonly Step[] {
  const { steps, perPacket, isLong } = list;
  const packets: Step[] = [];
  let count = 0;
  for (const step of steps) {
    const before = packets.at(-1);
    if (step.do === "query" && before?.do === "query" && count < perPacketOf(perPacket, packets.length - 1)) {
      count += 1;
      packets[packets.length - 1] = {
        do: "query",
        text: `${before.text}; ${step.text}`,
        tags: [...before.tags, ...step.tags],
      };
    } else {
      packets.push(step);
      count = 1;
    }
  }
  return packets.map((step, index) => {
    const isFilled = step.do === "query" && isLong[index % isLong.length] === true;
    return isFilled ? { ...step, text: `${step.text}${FILLER}` } : step;
  });
}
