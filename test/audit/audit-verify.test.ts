import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { createPassingAuditKey } from "../../src/audit/audit-key.ts";
import { encodeRecord, hashAtEnd, hashedLine } from "../../src/audit/audit-record.ts";
import { verifyAudit, verifyAuditFiles } from "../../src/audit/audit-verify.ts";
import { isInShort } from "../../src/audit/compact-record.ts";
import { groupHash } from "../../src/audit/record-group.ts";
import { listSegments } from "../../src/audit/segment-files.ts";
import { intent, KEY, openLog, outcome, SESSION, withFolder } from "./audit-fixture.ts";

interface Sample {
  /** Two runs of several files each; every file's text by its name. */
  readonly files: Map<string, string>;
  readonly checkpoints: string[];
}

/** Records of statements in short, and all of them whole. */
const samples: Readonly<Record<"short" | "whole", Sample>> = {
  short: { files: new Map(), checkpoints: [] },
  whole: { files: new Map(), checkpoints: [] },
};
const FORMS = ["short", "whole"] as const;
let { files: sample, checkpoints } = samples.whole;
const activePath = "audit.ndjson";

before(async () => {
  await writeSample("short", 1200);
  await writeSample("whole", 2500);
});

async function writeSample(form: (typeof FORMS)[number], segmentBytesMax: number): Promise<void> {
  const { files, checkpoints: kept } = samples[form];
  await withFolder(async (_folder, path) => {
    for (let run = 1; run <= 2; run++) {
      const session = { ...SESSION, id: `run${run}` };
      const log = openLog(
        path,
        { segmentBytesMax },
        { checkpointRecords: 7, copyCheckpoint: (line) => kept.push(line), isCompact: form === "short" },
      );
      log.append({ type: "connect", session });
      for (let i = 1; i <= 12; i++) {
        log.append(intent(i, session));
        if (i % 3 === 0) log.append(outcome(i, session));
        else log.appendSoon(outcome(i, session));
      }
      log.append({ type: "disconnect", session, reason: "client-closed" });
      log.append({ type: "stop", reason: "SIGTERM" });
      await log.close();
    }
    for (const file of [...listSegments(path).map((segment) => segment.path), path]) {
      files.set(file.slice(path.lastIndexOf("/") + 1), readFileSync(file, "latin1"));
    }
  });
}

/** A test of each form. */
function testForms(name: string, run: () => Promise<void>): void {
  for (const form of FORMS) {
    test(`${name}: records of statements ${form === "short" ? "in short" : "whole"}`, async () => {
      ({ files: sample, checkpoints } = samples[form]);
      await run();
    });
  }
}

/** Verifies the sample after `change`. */
async function verifyChanged(
  change: (files: Map<string, string>) => void,
  options: Parameters<typeof verifyAudit>[1] = {},
): Promise<Awaited<ReturnType<typeof verifyAudit>>> {
  const files = new Map(sample);
  change(files);
  let result: Awaited<ReturnType<typeof verifyAudit>> | undefined;
  await withFolder(async (folder) => {
    for (const [name, text] of files) writeFileSync(join(folder, name), text, "latin1");
    result = await verifyAudit(join(folder, activePath), options);
  });
  assert.ok(result);
  return result;
}

const names = (): string[] => [...sample.keys()];
const linesOf = (name: string): string[] => (sample.get(name) ?? "").split("\n").slice(0, -1);
const kinds = (result: { problems: readonly { kind: string }[] }): string[] => result.problems.map(({ kind }) => kind);

testForms("verifyAudit() finds an untouched log whole", async () => {
  assert.ok(names().length >= 8);
  const found = await verifyChanged(() => undefined, { checkpoints, trustedKeys: [KEY.keyId] });
  assert.deepEqual(found.problems, []);
  assert.equal(found.isWhole, true);
  assert.equal(found.runs.length, 2);
  assert.ok(found.runs.every((run) => run.isStopped && run.unsigned === 0));
  assert.deepEqual(found.intents, { intents: 24, outcomes: 24, unknown: 0, examples: [] });
  assert.deepEqual(found.keyIds, [KEY.keyId]);
  assert.equal(found.checkpoints, checkpoints.length);
  assert.equal(
    found.records,
    [...sample.keys()].reduce((sum, name) => sum + linesOf(name).length, 0),
  );
  assert.equal(found.beginsWith, undefined);
});

/** Every byte with QUERYCOP_TEST_SCALE=full. */
const STEP = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 1 : 101;

testForms("verifyAudit() finds any one changed byte, wherever it is", async () => {
  await withFolder(async (folder) => {
    const restore = (): void => {
      for (const [name, text] of sample) writeFileSync(join(folder, name), text, "latin1");
    };
    restore();
    let tried = 0;
    for (const [file, name] of names().entries()) {
      const text = sample.get(name) ?? "";
      // decodeRecord() is tried with every byte; here it is about places in files, so each newline and some of the rest.
      const places = [...text].flatMap((char, i) => (char === "\n" || i % STEP === file % STEP ? [i] : []));
      for (const i of places) {
        const other = String.fromCharCode(text.charCodeAt(i) ^ (1 << (tried % 8)));
        writeFileSync(join(folder, name), text.slice(0, i) + other + text.slice(i + 1), "latin1");
        const { isWhole, tornBytes } = await verifyAudit(join(folder, activePath));
        // Without its last newline the log's last record cannot be told from one that is just being written.
        const isLast = name === activePath && i === text.length - 1;
        assert.equal(isWhole && tornBytes === 0, false, name);
        assert.equal(isWhole, isLast, `${name} byte ${i}: ${JSON.stringify(text[i])} → ${JSON.stringify(other)}`);
        tried++;
      }
      writeFileSync(join(folder, name), text, "latin1");
    }
    assert.ok(tried > 200, String(tried));
    if (STEP === 1) console.log(`${tried} bytes changed, each found`);
    assert.equal((await verifyAudit(join(folder, activePath))).isWhole, true);
  });
});

testForms("verifyAudit() finds any one record removed, doubled or exchanged with its neighbour", async () => {
  for (const name of names()) {
    const lines = linesOf(name);
    for (let i = 0; i < lines.length; i++) {
      const isEnd = name === activePath && i === lines.length - 1;
      const edits: [string, string[]][] = [
        ["removed", lines.toSpliced(i, 1)],
        ["doubled", lines.toSpliced(i, 0, lines[i] ?? "")],
        ["exchanged", i + 1 < lines.length ? lines.toSpliced(i, 2, lines[i + 1] ?? "", lines[i] ?? "") : []],
      ];
      for (const [what, edited] of edits) {
        if (edited.length === 0 && lines.length > 1) continue;
        const found = await verifyChanged((files) => files.set(name, edited.map((line) => `${line}\n`).join("")));
        // Cutting the very end needs a checkpoint kept elsewhere: see below.
        assert.equal(found.isWhole, isEnd && what === "removed", `${name} record ${i} ${what}`);
      }
    }
  }
});

testForms("verifyAudit() finds a file that is removed, renamed away or emptied", async () => {
  for (const name of names().slice(1, -1)) {
    const kindsFound = kinds(await verifyChanged((files) => files.delete(name)));
    assert.ok(kindsFound.includes("missing-segment") || kindsFound.includes("cut-end"), `${name}: ${kindsFound}`);
    assert.equal((await verifyChanged((files) => files.set(name, ""))).isWhole, false, name);
  }
});

testForms("verifyAudit() does not mind the names of files", async () => {
  await withFolder(async (folder, path) => {
    const paths: string[] = [];
    for (const [index, text] of [...sample.values()].reverse().entries()) {
      const file = join(folder, `part${index}`);
      writeFileSync(file, text, "latin1");
      paths.push(file);
    }
    const found = await verifyAuditFiles(paths, { activePath: path });
    assert.deepEqual(found.problems, []);
    assert.equal(found.runs.length, 2);
  });
});

testForms("verifyAudit() reports where it begins when the oldest files are gone", async () => {
  const [first = "", second = ""] = names();
  const one = await verifyChanged((files) => files.delete(first));
  assert.equal(one.isWhole, true);
  assert.equal(one.beginsWith?.seq, linesOf(first).length + 1);
  const firstRun = [...sample].filter(([, text]) => text.includes('"id":"run1"')).map(([name]) => name);
  assert.ok(firstRun.includes(second));
  const two = await verifyChanged((files) => firstRun.forEach((name) => void files.delete(name)));
  assert.deepEqual([two.isWhole, two.runs.length, two.beginsWith?.seq], [true, 1, 1]);
});

testForms("verifyAudit() finds a cut end by a kept checkpoint, and the cut end of a run by the next one", async () => {
  const lines = linesOf(activePath);
  const cut = (files: Map<string, string>): void => {
    files.set(activePath, `${lines.slice(0, -1).join("\n")}\n`);
  };
  assert.equal((await verifyChanged(cut)).isWhole, true);
  assert.deepEqual(kinds(await verifyChanged(cut, { checkpoints })), ["missing-checkpoint"]);
  assert.deepEqual(kinds(await verifyChanged((files) => files.delete(activePath), { checkpoints })).slice(0, 1), [
    "missing-checkpoint",
  ]);
  const lastOfRun1 = names().findLast((name) => sample.get(name)?.includes('"id":"run1"')) ?? "";
  const found = await verifyChanged((files) =>
    files.set(lastOfRun1, `${linesOf(lastOfRun1).slice(0, -1).join("\n")}\n`),
  );
  assert.deepEqual(kinds(found), ["cut-end"]);
});

/** Writes a file's records anew, as someone would who knows the format but lacks the key. */
function forge(name: string, change: (line: string) => string): string {
  let previous = { seq: 0, hash: "" };
  let forged = "";
  let group = "";
  for (const [index, line] of linesOf(name).entries()) {
    const changed = change(line);
    const end = hashAtEnd(changed);
    if (isInShort(line)) {
      group += group === "" ? (end?.body ?? changed) : `\n${end?.body ?? changed}`;
      if (end === undefined) continue;
      previous = { seq: JSON.parse(line).seq, hash: groupHash(previous.hash, group) };
      forged += hashedLine(group, previous.hash);
      group = "";
      continue;
    }
    const { seq, time, prev, hash: _hash, ...event } = JSON.parse(changed);
    if (index === 0) previous = { seq: seq - 1, hash: prev };
    const record = encodeRecord(event, previous, Date.parse(time));
    forged += record.line;
    previous = record;
  }
  return forged;
}

testForms("verifyAudit() finds a recomputed chain by the checkpoints' signatures", async () => {
  const forged = forge(activePath, (line) => line.replace('"rows":1', '"rows":2'));
  assert.notEqual(forged, sample.get(activePath));
  const found = await verifyChanged((files) => files.set(activePath, forged));
  assert.ok(kinds(found).every((kind) => kind === "wrong-signature"));
  assert.equal(found.isWhole, false);
});

test("verifyAudit() finds one record that was written anew with a hash of its own", async () => {
  ({ files: sample, checkpoints } = samples.whole);
  for (const name of names()) {
    const lines = linesOf(name);
    for (let i = 1; i + 1 < lines.length; i++) {
      const { seq, time, prev, hash: _hash, ...event } = JSON.parse(lines[i] ?? "");
      const forged = encodeRecord(
        { ...event, rows: 99 },
        { seq: seq - 1, hash: prev },
        Date.parse(time),
      ).line.trimEnd();
      const found = await verifyChanged((files) => files.set(name, `${lines.toSpliced(i, 1, forged).join("\n")}\n`));
      assert.ok(kinds(found).includes("broken-chain"), `${name} record ${i}`);
    }
  }
});

test("verifyAudit() finds a group of records in short that was written anew with a hash of its own", async () => {
  ({ files: sample, checkpoints } = samples.short);
  let tried = 0;
  for (const name of names()) {
    const lines = linesOf(name);
    for (let i = 1; i + 1 < lines.length; i++) {
      const before = hashAtEnd(lines[i - 1] ?? "");
      const end = isInShort(lines[i] ?? "") ? hashAtEnd(lines[i] ?? "") : undefined;
      if (before === undefined || end === undefined) continue;
      const body = end.body.replace(/"n":\d+/, '"n":99');
      const forged = hashedLine(body, groupHash(before.hash, body)).trimEnd();
      const found = await verifyChanged((files) => files.set(name, `${lines.toSpliced(i, 1, forged).join("\n")}\n`));
      assert.ok(kinds(found).includes("broken-chain") || kinds(found).includes("wrong-hash"), `${name} record ${i}`);
      tried++;
    }
  }
  assert.ok(tried > 5, String(tried));
});

test("verifyAudit() finds a record in short that refers to what is not before it", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(intent(1));
    const { seq, hash } = log.head;
    const body = `{"seq":${seq + 1},"time":"2026-11-30T12:00:00.000Z","s":${seq - 1},"e":${seq},"n":2`;
    appendFileSync(path, hashedLine(body, groupHash(hash, body)));
    assert.deepEqual(kinds(await verifyAudit(path)), ["unreadable-record"]);
    await log.close();
  });
});

test("verifyAudit() finds a number that was left out of a chain that is whole", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(intent(1));
    const { seq, hash } = log.head;
    appendFileSync(path, encodeRecord({ type: "stop", reason: "x" }, { seq: seq + 1, hash }, Date.now()).line);
    assert.deepEqual(kinds(await verifyAudit(path)), ["sequence-gap"]);
    await log.close();
  });
});

test("verifyAudit() finds a log signed with a key that is not the trusted one", async () => {
  const stranger = createPassingAuditKey();
  await withFolder(async (_folder, path) => {
    const log = openLog(path, {}, { key: stranger });
    log.append(intent(1));
    await log.close();
    assert.equal((await verifyAudit(path)).isWhole, true, "the log's own word is taken");
    const found = await verifyAudit(path, { trustedKeys: [KEY.keyId] });
    assert.deepEqual(kinds(found), ["unknown-key"]);
    assert.deepEqual((await verifyAudit(path, { trustedKeys: [stranger.publicKey] })).problems, []);
  });
});

test("verifyAudit() names a checkpoint that is damaged or of another log", async () => {
  const damaged = await verifyChanged(() => undefined, { checkpoints: ["{}"] });
  assert.deepEqual(kinds(damaged), ["missing-checkpoint"]);
  await withFolder(async (_folder, path) => {
    const others: string[] = [];
    const log = openLog(path, {}, { copyCheckpoint: (line) => others.push(line) });
    await log.close();
    assert.deepEqual(kinds(await verifyChanged(() => undefined, { checkpoints: others })), ["missing-checkpoint"]);
  });
});

test("verifyAudit() pairs intents with outcomes", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(intent(1));
    log.append(intent(2));
    log.append(outcome(1));
    log.append(intent(3));
    log.append(intent(5));
    log.append(outcome(5));
    log.append(intent(4, { ...SESSION, id: "s2" }));
    log.append({ type: "disconnect", session: SESSION, reason: "internal" });
    await log.close();
    const found = await verifyAudit(path);
    assert.deepEqual(found.problems, []);
    assert.deepEqual([found.intents.intents, found.intents.outcomes, found.intents.unknown], [5, 2, 3]);
    assert.deepEqual(
      found.intents.examples.map(({ session, ordinal }) => [session, ordinal]),
      [
        ["s1", 2],
        ["s1", 3],
        ["s2", 4],
      ],
    );
  });
});

test("verifyAudit() finds an intent recorded twice and an outcome without one", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(intent(1));
    log.append(intent(1));
    log.append(outcome(1));
    log.append(outcome(2));
    await log.close();
    assert.deepEqual(kinds(await verifyAudit(path)), ["duplicate-intent", "outcome-without-intent"]);
  });
});

testForms(
  "verifyAudit() takes what lies behind the last record of the active file as a write under way, elsewhere as damage",
  async () => {
    const tail = '{"seq":99';
    const active = await verifyChanged((files) => files.set(activePath, `${files.get(activePath)}${tail}`));
    assert.deepEqual([active.isWhole, active.tornBytes], [true, tail.length]);
    const [first = ""] = names();
    const finished = await verifyChanged((files) => files.set(first, `${files.get(first)}${tail}`));
    assert.deepEqual(kinds(finished), ["torn-record"]);
  },
);

test("verifyAudit() bounds what it reports", async () => {
  await withFolder(async (_folder, path) => {
    await openLog(path).close();
    appendFileSync(path, "x\n".repeat(5000));
    const found = await verifyAudit(path);
    assert.deepEqual([found.problemCount, found.problems.length], [5000, 100]);
  });
});

test("verifyAudit() reads a line without end in bounded memory", async () => {
  await withFolder(async (_folder, path) => {
    await openLog(path).close();
    appendFileSync(path, `${"x".repeat(20_000_000)}\n`);
    assert.deepEqual(kinds(await verifyAudit(path)), ["unreadable-record"]);
  });
});

test("verifyAudit() of a log that does not exist finds nothing", async () => {
  await withFolder(async (_folder, path) => {
    const found = await verifyAudit(path);
    assert.deepEqual([found.files, found.records, found.isWhole], [0, 0, true]);
  });
});

test("verifyAudit() follows runs by what they continue when the clock was set back", async () => {
  await withFolder(async (folder, path) => {
    const clocks = [Date.UTC(2026, 5, 1), Date.UTC(2020, 0, 1), Date.UTC(2026, 5, 2)];
    for (const wall of clocks) {
      const clock = { wallMs: () => wall, monotonicMs: () => performance.now() };
      const log = openLog(path, { clock });
      log.append(intent(1, { ...SESSION, id: String(wall) }));
      await log.close();
    }
    assert.deepEqual((await verifyAudit(path)).problems, []);
    const [oldest] = listSegments(path);
    copyFileSync(oldest?.path ?? "", join(folder, "copy"));
    renameSync(join(folder, "copy"), path);
    assert.equal((await verifyAudit(path)).isWhole, false);
    unlinkSync(path);
  });
});
