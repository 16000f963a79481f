/**
 * What the data guard lets through of responses that come in pieces of any size, under every kind of limit, as a page to
 * read: test/golden/data-guard.txt has a line for each piece. Sizes, pieces and pauses come from seeds.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DataGuard,
  type DataGuardLimits,
  type GuardNotice,
  type ResponseMeter,
} from "../../src/session/limits/data-guard.ts";
import { UserWindows } from "../../src/session/limits/user-windows.ts";
import { assertGoldenPart } from "../config/golden.ts";
import { Dice } from "../support/digest-oracle.ts";
import { NO_DATA_LIMITS } from "../support/session-harness.ts";

const HEADER_BYTES = 4;
const RESPONSES = 9;
const KIB = 1024;

/** Packets of a byte that says how long they are: each is a row, and the one that ends a response has the length 0. */
class Meter implements ResponseMeter {
  rows = 0;
  readonly resultSets = 1;
  bytes = 0;
  rowsMax = Number.POSITIVE_INFINITY;
  isRowTooMany = false;
  end: unknown;
  packetBytesLeft = 0;
  packetBoundary: number | undefined;
  #header = 0;
  #length = 0;

  get isInHeader(): boolean {
    return this.#header > 0;
  }

  feed(chunk: Uint8Array): number {
    this.packetBoundary = this.packetBytesLeft === 0 && this.#header === 0 ? 0 : undefined;
    let at = 0;
    while (at < chunk.length && this.end === undefined) {
      if (this.packetBytesLeft > 0) {
        const taken = Math.min(this.packetBytesLeft, chunk.length - at);
        at += taken;
        this.packetBytesLeft -= taken;
        if (this.packetBytesLeft === 0) this.packetBoundary = at;
        continue;
      }
      if (this.#header === 0 && this.rows >= this.rowsMax && chunk[at] !== 0) {
        this.isRowTooMany = true;
        break;
      }
      if (this.#header === 0) this.#length = (chunk[at] as number) * 16;
      at++;
      if (++this.#header < HEADER_BYTES) continue;
      this.#header = 0;
      if (this.#length === 0) this.end = "ok";
      else this.rows++;
      this.packetBytesLeft = this.#length;
      if (this.#length === 0) this.packetBoundary = at;
    }
    this.bytes += at;
    return at;
  }
}

function response(dice: Dice): Buffer {
  const rows = Array.from({ length: dice.below(9) }, () => {
    const length = 1 + dice.below(30);
    return Buffer.concat([Buffer.from([length, 0, 0, 0]), Buffer.alloc(length * 16, 1)]);
  });
  return Buffer.concat([...rows, Buffer.alloc(HEADER_BYTES)]);
}

const CASES: readonly (readonly [title: string, limits: Partial<DataGuardLimits>])[] = [
  ["bytes of a response", { responseBytesMax: 900 }],
  ["rows of a response", { responseRowsMax: 4 }],
  ["both", { responseBytesMax: 1500, responseRowsMax: 5 }],
  ["bytes of a connection", { windowBytesMax: 18 * KIB }],
  ["bytes of a user", { userWindowBytesMax: 19 * KIB }],
  ["rows of a user", { userWindowRowsMax: 11 }],
  [
    "all of them",
    {
      responseBytesMax: 2000,
      windowBytesMax: 20 * KIB,
      userWindowBytesMax: 22 * KIB,
      userWindowRowsMax: 30,
      responseRowsMax: 7,
    },
  ],
  ["bytes, told alone", { responseBytesMax: 900, limitAction: "warn" }],
  [
    "windows, told alone",
    { windowBytesMax: 3000, userWindowBytesMax: 4000, userWindowRowsMax: 9, limitAction: "warn" },
  ],
  [
    "bytes, with the end of the connection",
    { responseBytesMax: 900, windowBytesMax: 17 * KIB, limitAction: "terminate" },
  ],
];

for (const [index, [title, limits]] of CASES.entries()) {
  test(`DataGuard admits what test/golden/data-guard.txt holds: ${title}`, () => {
    const dice = new Dice(index);
    const lines: string[] = [];
    const notices: GuardNotice[] = [];
    let nowMs = 5_000;
    let user = "ann";
    const guard = new DataGuard({
      limits: { ...NO_DATA_LIMITS, ...limits },
      users: new UserWindows(3),
      user: () => user,
      clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
      notify: (notice) => notices.push(notice),
      holdBackBytes: 512,
    });
    for (let round = 0; round < RESPONSES; round++) {
      user = dice.below(4) === 0 ? "bob" : "ann";
      guard.apply(dice.below(5) === 0 ? { responseRowsMax: 3 } : undefined);
      const refusal = guard.refusal();
      lines.push(
        `response ${round} of ${user} at ${nowMs}${refusal === undefined ? "" : ` refused: ${refusal.message}`}`,
      );
      guard.beginResponse();
      const meter = new Meter();
      const whole = response(dice);
      let rest = whole;
      while (rest.length > 0 && meter.end === undefined) {
        const piece = rest.subarray(0, 1 + dice.below(dice.below(3) === 0 ? 8 : 700));
        const { fedBytes, forwardBytes, isHeldBack, cut, hasBoundary } = guard.admit(meter, piece);
        assert.ok(forwardBytes <= fedBytes && fedBytes <= piece.length);
        guard.forwarded(forwardBytes, meter.rows);
        const said = notices.splice(0).map(({ action, limit, used }) => `${action} ${limit} ${used}`);
        const marks = [isHeldBack ? "held" : "", cut ?? "", hasBoundary ? "" : "inside", ...said].filter(
          (mark) => mark !== "",
        );
        lines.push(`  ${piece.length}: ${fedBytes} ${forwardBytes} ${marks.join(", ")}`.trimEnd());
        nowMs += dice.below(300);
        if (cut !== undefined) {
          guard.cut(cut, meter);
          lines.push(`  cut: ${JSON.stringify(guard.cutOff)} ${guard.errorFor(cut).message}`);
          break;
        }
        rest = rest.subarray(fedBytes);
        if (fedBytes === 0) break;
      }
      nowMs += dice.below(3) === 0 ? 40_000 : dice.below(2_000);
    }
    assertGoldenPart("data-guard.txt", title, lines);
  });
}
