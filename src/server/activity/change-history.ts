/** What was read again and which policies were in force since the start; so many of each, the oldest make room. */
import type { PolicyChange } from "../live-policy.ts";
import type { ReloadOutcome } from "../operations.ts";

const GENERATIONS_MAX = 50;
const TEXT_CHARACTERS_MAX = 8 * 1024 * 1024;
const RELOADS_MAX = 100;

export interface PolicyGeneration {
  /** Counted from 1 since the start. */
  readonly number: number;
  /** RFC 3339. */
  readonly time: string;
  /** The hash of its text, as decisions name it; `refused` where the file had a problem and nothing changed. */
  readonly version: string;
  readonly fromVersion: string | undefined;
  readonly outcome: "ok" | "error";
  /** start, signal, file, or the name of the key that asked. */
  readonly by: string;
  /** Undefined for the built-in policy, for what was refused, and where it had to make room. */
  readonly text: string | undefined;
}

export interface ReloadEntry {
  /** RFC 3339. */
  readonly time: string;
  readonly by: string;
  readonly outcomes: readonly ReloadOutcome[];
}

export class ChangeHistory {
  readonly #generations: PolicyGeneration[] = [];
  readonly #reloads: ReloadEntry[] = [];
  #number = 0;

  addPolicy({ outcome, fromVersion, toVersion, policyText, by }: PolicyChange, wallMs: number): void {
    const time = new Date(wallMs).toISOString();
    this.#number++;
    this.#generations.push({
      number: this.#number,
      time,
      version: toVersion,
      fromVersion,
      outcome,
      by,
      text: policyText,
    });
    if (this.#generations.length > GENERATIONS_MAX) this.#generations.shift();
    const characters = (): number => this.#generations.reduce((sum, { text }) => sum + (text?.length ?? 0), 0);
    for (let oldest = 0; characters() > TEXT_CHARACTERS_MAX && oldest < this.#generations.length - 1; oldest++) {
      const generation = this.#generations[oldest];
      if (generation !== undefined) this.#generations[oldest] = { ...generation, text: undefined };
    }
  }

  /** What changed nothing is not kept. */
  addReload(outcomes: readonly ReloadOutcome[], by: string, wallMs: number): void {
    const changed = outcomes.filter(
      ({ outcome, needsRestart }) => outcome !== "unchanged" || needsRestart !== undefined,
    );
    if (changed.length === 0) return;
    this.#reloads.push({ time: new Date(wallMs).toISOString(), by, outcomes: changed });
    if (this.#reloads.length > RELOADS_MAX) this.#reloads.shift();
  }

  /** The newest first. */
  get generations(): readonly PolicyGeneration[] {
    return [...this.#generations].reverse();
  }

  /** The newest first. */
  get reloads(): readonly ReloadEntry[] {
    return [...this.#reloads].reverse();
  }
}
