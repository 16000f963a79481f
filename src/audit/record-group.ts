/**
 * Records in short that were written together. The last one ends in the hash of them all: SHA-256 of the hash before them,
 * then their lines up to the last one's `,"hash"`, then its closing brace.
 */
import { hashAtEnd, hashOf } from "./audit-record.ts";

/** `text`: the group's lines up to the last one's `,"hash"`. */
export function groupHash(previousHash: string, text: string): string {
  return hashOf(previousHash + text);
}

export interface ClosedGroup {
  readonly lines: readonly string[];
  /** The hash that the group ends in. */
  readonly hash: string;
  /** A line that belongs to it could not be read. */
  readonly isDamaged: boolean;
  /** The hash that it has, behind that one. */
  hashBehind(previousHash: string): string;
}

/** A group as a reader meets it, line by line. */
export class OpenGroup {
  #lines: string[] = [];
  #isDamaged = false;

  get isEmpty(): boolean {
    return this.#lines.length === 0 && !this.#isDamaged;
  }

  /** Of its lines so far, with their newlines. */
  get bytes(): number {
    return this.#lines.reduce((sum, line) => sum + line.length + 1, 0);
  }

  /** A line was met that may have been one of it. */
  damage(): void {
    this.#isDamaged = true;
  }

  /** The group, where this line is its last; it begins anew then. */
  add(line: string): ClosedGroup | undefined {
    this.#lines.push(line);
    const end = hashAtEnd(line);
    if (end === undefined) return undefined;
    const lines = this.#lines;
    const isDamaged = this.#isDamaged;
    this.clear();
    const hashBehind = (previous: string): string => groupHash(previous, [...lines.slice(0, -1), end.body].join("\n"));
    return { lines, hash: end.hash, isDamaged, hashBehind };
  }

  clear(): void {
    this.#lines = [];
    this.#isDamaged = false;
  }
}
