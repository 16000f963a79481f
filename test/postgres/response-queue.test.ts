import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QuerycopError } from "../../src/base/errors.ts";
import { typeByte } from "../../src/postgres/message.ts";
import { FORWARDED_MAX, ResponseQueue } from "../../src/postgres/response-queue.ts";
import { BackendModel, randomStream, runModel } from "../support/postgres-model.ts";
import { randomFrom } from "../support/random.ts";

const NAMES = {
  Q: "Query",
  P: "Parse",
  B: "Bind",
  E: "Execute",
  C: "Close",
  H: "Flush",
  S: "Sync",
  F: "FunctionCall",
  d: "CopyData",
  c: "CopyDone",
  f: "CopyFail",
} as const;

/**
 * A script: words of client messages behind `>`, of the backend's behind `<`. A client's word is the type and whatever
 * tells it apart, `Ds` and `Dp` describe a statement and a portal, `!` in front of it is poison. A backend's word is its
 * type, `=` and the message that it answers; without that it answers nothing. `E!` is fatal.
 */
function play(script: string, queue = new ResponseQueue<string>()): ResponseQueue<string> {
  let isClient = true;
  for (const word of script.split(/\s+/).filter((part) => part !== "")) {
    if (word === ">" || word === "<") {
      isClient = word === ">";
    } else if (isClient) {
      const isPoisoned = word.startsWith("!");
      const plain = isPoisoned ? word.slice(1) : word;
      const target = plain[1] === "s" ? ("statement" as const) : ("portal" as const);
      const type = plain[0] as keyof typeof NAMES | "D";
      const message = type === "D" ? { name: "Describe" as const, target } : { name: NAMES[type] };
      queue.push(message, word, isPoisoned);
    } else {
      const [reply = "", expected] = word.split("=");
      const answer = queue.answer(typeByte(reply), reply.endsWith("!"));
      assert.equal(answer.to?.tag, expected, `${word} in ${script}`);
      assert.equal(answer.isRefusal, reply === "E" && expected?.startsWith("!") === true, `${word} in ${script}`);
    }
  }
  return queue;
}

/** Plays a script after which the queue waits for nothing. */
function accounts(script: string): void {
  const queue = play(script);
  assert.equal(queue.isIdle, true, script);
  assert.equal(queue.length, 0, script);
}

function refuses(script: string): void {
  assert.throws(
    () => play(script),
    (error) => error instanceof QuerycopError && error.code === "QC_BACKEND_PROTOCOL",
    script,
  );
}

describe("ResponseQueue, simple queries", () => {
  it("ends a Query at its ReadyForQuery, whatever its statements answer", () => {
    accounts("> Q1 < T=Q1 D=Q1 D=Q1 C=Q1 Z=Q1");
    accounts("> Q1 < C=Q1 T=Q1 D=Q1 C=Q1 I=Q1 Z=Q1 > Q2 < C=Q2 Z=Q2");
    accounts("> Q1 < E=Q1 Z=Q1");
    accounts("> Q1 < C=Q1 C=Q1 E=Q1 Z=Q1");
  });

  it("answers a blank Query with EmptyQueryResponse", () => {
    accounts("> Q1 < I=Q1 Z=Q1");
  });

  it("keeps Queries that were sent ahead in order", () => {
    accounts("> Q1 Q2 Q3 < C=Q1 Z=Q1 E=Q2 Z=Q2 T=Q3 D=Q3 C=Q3 Z=Q3");
  });

  it("takes notices, parameters and notifications at any moment for answers to nothing", () => {
    accounts("< N S A > Q1 < N T=Q1 S D=Q1 A C=Q1 S Z=Q1 N");
    accounts("> P1 < N > B1 S1 < 1=P1 A 2=B1 S N Z=S1");
  });
});

describe("ResponseQueue, extended queries", () => {
  it("answers in order", () => {
    accounts("> P1 B1 Dp1 E1 S1 < 1=P1 2=B1 T=Dp1 D=E1 C=E1 Z=S1");
    accounts("> P1 Ds1 B1 Dp1 E1 C1 S1 < 1=P1 t=Ds1 T=Ds1 2=B1 n=Dp1 C=E1 3=C1 Z=S1");
    accounts("> P1 Ds1 S1 < 1=P1 t=Ds1 n=Ds1 Z=S1");
    accounts("> B1 E1 H B2 E2 S1 < 2=B1 I=E1 2=B2 C=E2 Z=S1");
  });

  it("resumes a suspended portal", () => {
    accounts("> B1 E1 E2 E3 S1 < 2=B1 D=E1 s=E1 D=E2 s=E2 C=E3 Z=S1");
  });

  it("discards behind an error up to the Sync, a Query and a FunctionCall included", () => {
    accounts("> P1 B1 E1 Q1 F1 P2 C1 S1 P3 S2 < E=P1 Z=S1 1=P3 Z=S2");
    accounts("> B1 E1 E2 S1 < 2=B1 E=E1 Z=S1");
    accounts("> B1 E1 S1 < 2=B1 D=E1 D=E1 E=E1 Z=S1");
    accounts("> Ds1 P1 S1 < E=Ds1 Z=S1");
    accounts("> Ds1 P1 S1 < t=Ds1 E=Ds1 Z=S1");
    accounts("> C1 P1 S1 < E=C1 Z=S1");
  });

  it("discards what is sent behind an error before its Sync comes", () => {
    const queue = play("> P1 < E=P1 > B1 E1 Q1");
    assert.equal(queue.isDiscarding, true);
    play("> S1", queue);
    assert.equal(queue.isDiscarding, false);
    play("> P2 < Z=S1 1=P2", queue);
  });

  it("counts a Sync that fails to commit once", () => {
    accounts("> P1 B1 E1 S1 P2 S2 < 1=P1 2=B1 C=E1 E=S1 Z=S1 1=P2 Z=S2");
  });

  it("counts a Sync of an empty unit", () => {
    accounts("> S1 S2 S3 < Z=S1 Z=S2 Z=S3");
  });

  it("does not wait for an answer to Flush", () => {
    assert.equal(play("> H H").isIdle, true);
    accounts("> P1 H < 1=P1 > H S1 < Z=S1");
  });

  it("ends an open unit at a Query's own ReadyForQuery", () => {
    accounts("> P1 B1 E1 Q1 S1 < 1=P1 2=B1 C=E1 C=Q1 Z=Q1 Z=S1");
    accounts("> P1 Q1 S1 < 1=P1 E=Q1 Z=Q1 Z=S1");
  });

  it("answers a FunctionCall with a value or an error, and ReadyForQuery without a Sync", () => {
    accounts("> F1 F2 Q1 < V=F1 Z=F1 E=F2 Z=F2 C=Q1 Z=Q1");
  });
});

describe("ResponseQueue, COPY", () => {
  it("FROM STDIN of a Query", () => {
    accounts("> Q1 < G=Q1 > d d c < C=Q1 Z=Q1");
    accounts("> Q1 < G=Q1 > d f < E=Q1 Z=Q1 > Q2 < C=Q2 Z=Q2");
    // Two in one text, and one that was written ahead.
    accounts("> Q1 < G=Q1 > d c < C=Q1 G=Q1 > c < C=Q1 C=Q1 Z=Q1");
    accounts("> Q1 d d c Q2 < G=Q1 C=Q1 Z=Q1 C=Q2 Z=Q2");
    // It fails before it begins: the rest of it is ignored.
    accounts("> Q1 d d c Q2 < E=Q1 Z=Q1 C=Q2 Z=Q2");
  });

  it("TO STDOUT of a Query and of an Execute", () => {
    accounts("> Q1 < H=Q1 d=Q1 d=Q1 c=Q1 C=Q1 Z=Q1");
    accounts("> Q1 < H=Q1 d=Q1 E=Q1 Z=Q1");
    accounts("> B1 E1 S1 < 2=B1 H=E1 d=E1 c=E1 C=E1 Z=S1");
    accounts("> B1 E1 S1 < 2=B1 H=E1 d=E1 E=E1 Z=S1");
  });

  it("FROM STDIN of an Execute swallows the Syncs in front of its end", () => {
    accounts("> B1 E1 < 2=B1 G=E1 > d c S1 < C=E1 Z=S1");
    accounts("> B1 E1 S1 H < 2=B1 G=E1 > d c S2 < C=E1 Z=S2");
    accounts("> B1 E1 S1 H S2 < 2=B1 G=E1 > d S3 c S4 < C=E1 Z=S4");
    accounts("> B1 E1 S1 < 2=B1 G=E1 > d c S2 Q1 < C=E1 Z=S2 C=Q1 Z=Q1");
  });

  it("that fails before it begins leaves the early Sync its answer", () => {
    accounts("> B1 E1 S1 d c S2 < 2=B1 E=E1 Z=S1 Z=S2");
    accounts("> P1 B1 E1 S1 Q1 < E=P1 Z=S1 C=Q1 Z=Q1");
  });

  it("that fails discards up to the Sync behind it", () => {
    accounts("> B1 E1 < 2=B1 G=E1 > d d c S1 Q1 < E=E1 Z=S1 C=Q1 Z=Q1");
    accounts("> B1 E1 < 2=B1 G=E1 > d f S1 < E=E1 Z=S1");
    accounts("> B1 E1 < 2=B1 G=E1 E=E1 > d d c P2 S1 < Z=S1");
  });

  it("that fails with a Sync in front of its end leaves open which Sync is answered, until the backend says so", () => {
    // Swallowed: the ReadyForQuery is the second Sync's, and the Parse is answered behind it.
    const swallowed = play("> B1 E1 S1 < 2=B1 G=E1 > d c S2 P2 S3 < E=E1 Z");
    assert.equal(swallowed.isIdle, false);
    assert.equal(swallowed.isCertain, false);
    play("< 1=P2 Z=S3", swallowed);
    assert.equal(swallowed.isIdle, true);
    // Not swallowed, for the COPY failed before it read: both are answered.
    const both = play("> B1 E1 S1 < 2=B1 G=E1 > d c S2 P2 S3 < E=E1 Z Z=S2");
    play("< 1=P2 Z=S3", both);
    assert.equal(both.isIdle, true);
    // Of a Query the same.
    play("> Q1 S1 < G=Q1 > c S2 Q2 < E=Q1 Z=Q1 Z Z=S2 C=Q2 Z=Q2");
    play("> Q1 S1 < G=Q1 > c S2 Q2 < E=Q1 Z=Q1 Z C=Q2 Z=Q2");
  });

  it("says that it runs, for as long as it may", () => {
    const queue = play("> Q1 < G=Q1 > d");
    assert.equal(queue.isCopyIn, true);
    play("> c < C=Q1", queue);
    assert.equal(queue.isCopyIn, false);
  });

  it("data and ends that no COPY waits for are ignored, as servers ignore them", () => {
    accounts("> d c f Q1 c < C=Q1 Z=Q1 > f");
  });
});

describe("ResponseQueue, refusals", () => {
  it("finds the error that stands for a refused message", () => {
    accounts("> !Q1 < E=!Q1 Z=!Q1");
    accounts("> !P1 B1 E1 S1 < E=!P1 Z=S1");
    accounts("> P1 !B1 E1 S1 < 1=P1 E=!B1 Z=S1");
    accounts("> P1 B1 !E1 S1 P2 S2 < 1=P1 2=B1 E=!E1 Z=S1 1=P2 Z=S2");
    accounts("> !F1 Q1 < E=!F1 Z=!F1 C=Q1 Z=Q1");
  });

  it("lets a refused message behind an error be discarded as the original would have been", () => {
    accounts("> P1 !P2 !Q1 S1 !P3 S2 < E=P1 Z=S1 E=!P3 Z=S2");
  });

  it("ends where a refused message does not fail", () => {
    for (const reply of ["C", "T", "I", "Z", "G", "H", "D"]) refuses(`> !Q1 < ${reply}`);
    for (const reply of ["1", "Z"]) refuses(`> !P1 S1 < ${reply}`);
    refuses("> !B1 S1 < 2");
    for (const reply of ["C", "D", "s", "I", "G"]) refuses(`> !E1 S1 < ${reply}`);
    for (const reply of ["V", "Z"]) refuses(`> !F1 < ${reply}`);
  });

  it("does not take a fatal error, which may come at any moment, for a refusal", () => {
    play("> !Q1 < E!");
    play("< E!");
    refuses("> Q1 < E! Z");
  });
});

describe("ResponseQueue, a backend out of step", () => {
  it("is found out", () => {
    for (const reply of ["1", "2", "3", "T", "n", "D", "C", "I", "s", "Z", "E", "G", "H", "d", "c", "V", "t"]) {
      refuses(`< ${reply}`);
    }
    for (const reply of ["R", "K", "v", "W", "x"]) refuses(`> Q1 < ${reply}`);
    refuses("> P1 < 2");
    refuses("> B1 < 1");
    refuses("> P1 S1 < Z");
    refuses("> P1 S1 < E=P1 E");
    refuses("> Q1 < Z");
    refuses("> Q1 < T=Q1 Z");
    refuses("> Q1 < s");
    refuses("> Q1 < 1");
    refuses("> Q1 < d");
    refuses("> Q1 < E=Q1 C");
    refuses("> Q1 < C=Q1 Z=Q1 Z");
    refuses("> Ds1 < T");
    refuses("> Ds1 < t=Ds1 t");
    refuses("> Dp1 < t");
    refuses("> E1 < T");
    refuses("> E1 S1 < H=E1 D");
    refuses("> E1 S1 < G=E1 C");
    refuses("> E1 P1 c S1 < G=E1 C");
    refuses("> F1 < C");
    refuses("> S1 < C");
    refuses("> S1 < E");
    refuses("> P1 S1 < 1=P1 E=S1 E");
    refuses("> P1 S1 S2 < 1=P1 Z=S1 E");
  });

  it("cannot be sent more than a bounded number of messages without an answer", () => {
    const queue = new ResponseQueue<number>();
    assert.throws(() => {
      for (let count = 0; count < 2 * FORWARDED_MAX; count++) queue.push({ name: "Sync" }, count);
    }, RangeError);
  });

  it("does not look twice at what is passed over, however much a client sends of it", () => {
    const ends = new ResponseQueue<number>();
    const discarded = play("> P1 < E=P1");
    for (let count = 0; count < 200_000; count++) {
      ends.push({ name: "CopyDone" }, count);
      discarded.push({ name: "Bind" }, "B");
      assert.ok(ends.isIdle && ends.length === 0);
      assert.ok(discarded.isDiscarding && discarded.length === 0);
    }
    play("> S1 < Z=S1", discarded);
    assert.equal(discarded.isIdle, true);
  });

  it("follows a bounded number of cases of a COPY that failed", () => {
    const syncs = Array.from({ length: 16 }, () => "S").join(" ");
    refuses(`> E1 ${syncs} c S < G=E1 E=E1`);
    refuses(`> Q1 ${syncs} c S < G=Q1 E=Q1`);
    play(`> E1 ${syncs} c S1 < G=E1 C=E1 Z=S1`);
  });

  it("may answer a pipeline of 10,000 units late", () => {
    const queue = new ResponseQueue<number>();
    for (let unit = 0; unit < 10_000; unit++) {
      for (const name of ["Parse", "Bind", "Execute", "Sync"] as const) queue.push({ name }, unit);
    }
    for (let unit = 0; unit < 10_000; unit++) {
      for (const reply of "12CZ") assert.equal(queue.answer(typeByte(reply)).to?.tag, unit);
    }
    assert.equal(queue.isIdle, true);
  });
});

describe("ResponseQueue, beside a model of the backend", () => {
  it("accounts every answer to random streams, however far the client is ahead", () => {
    const counts = { answers: 0, open: 0, refusals: 0, uncertain: 0 };
    for (let seed = 0; seed < 2000; seed++) {
      const random = randomFrom(seed);
      runModel(new BackendModel(random), randomStream(random), random, counts, `seed ${seed}`);
    }
    assert.ok(counts.answers > 80_000, `${counts.answers} answers`);
    assert.ok(counts.refusals > 3000, `${counts.refusals} refusals`);
    assert.ok(counts.uncertain < 20, `${counts.uncertain} ended uncertain`);
    assert.ok(counts.open > 0 && counts.open < counts.answers / 20, `${counts.open} left open`);
  });
});
