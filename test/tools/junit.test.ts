import assert from "node:assert/strict";
import test from "node:test";
import { judgeRun, readReport, worthASecondRun } from "../../tools/junit.ts";

const BUN_REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" assertions="0" failures="1" skipped="1" time="0.05">
  <testsuite name="test/a.test.ts" file="test/a.test.ts" tests="3">
    <testcase name="decode() refuses &lt;x&gt; &amp; y" classname="" time="0.001" file="test/a.test.ts" line="3" assertions="0" />
    <testcase name="fails" classname="" time="0.001" file="test/a.test.ts" line="4" assertions="0">
      <failure type="AssertionError" message="1 !== 2&#10;">AssertionError: 1 !== 2</failure>
    </testcase>
    <testcase name="needs &quot;aws&quot;" classname="" time="0" file="test/a.test.ts" line="5" assertions="0">
      <skipped />
    </testcase>
    <testsuite name="group" file="test/a.test.ts" line="8" tests="1">
      <testcase name="x" classname="group" time="0" file="test/a.test.ts" line="8" assertions="0" />
    </testsuite>
  </testsuite>
</testsuites>
`;

const DENO_REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="3" failures="0" errors="1" time="0.009">
    <testsuite name="./test/c.test.ts" tests="3" disabled="1" errors="1" failures="0">
        <testcase name="x" classname="./test/c.test.ts" time="0.001" line="2" col="1">
        </testcase>
        <testcase name="ends the runner" classname="./test/c.test.ts" time="0.000" line="3" col="1">
            <error message="Cancelled"/>
        </testcase>
        <testcase name="later" classname="./test/c.test.ts" time="0.000" line="6" col="1">
            <skipped/>
        </testcase>
    </testsuite>
</testsuites>
`;

test("readReport() counts what bun test reports", () => {
  const report = readReport(BUN_REPORT);
  assert.deepEqual([report.passed, report.failed, report.skipped], [2, 1, 1]);
  assert.deepEqual([...report.files], ["test/a.test.ts"]);
  assert.deepEqual(report.skippedNames, ['test/a.test.ts: needs "aws"']);
  assert.deepEqual(report.failures, ["test/a.test.ts: fails\n    AssertionError: 1 !== 2"]);
});

test("readReport() counts what deno test reports, cancelled tests as failed", () => {
  const report = readReport(DENO_REPORT);
  assert.deepEqual([report.passed, report.failed, report.skipped], [1, 1, 1]);
  assert.deepEqual([...report.files], ["test/c.test.ts"]);
});

test("judgeRun() adds no failure to a run in which every file reported", () => {
  const { totals, problems } = judgeRun(["test/a.test.ts"], BUN_REPORT, 1, true);
  assert.deepEqual(totals, { passed: 2, failed: 1, skipped: 1 });
  assert.deepEqual(problems, []);
});

test("judgeRun() fails a file that reported nothing, whatever the exit code", () => {
  const { totals, problems } = judgeRun(["test/a.test.ts", "test/b.test.ts"], BUN_REPORT, 0, true);
  assert.equal(totals.failed, 2);
  assert.match(problems.join(), /^test\/b\.test\.ts reported no test/);
});

test("judgeRun() fails a run without a report", () => {
  const { totals, problems } = judgeRun(["test/a.test.ts", "test/b.test.ts"], undefined, 0, true);
  assert.deepEqual(totals, { passed: 0, failed: 1, skipped: 0 });
  assert.deepEqual(problems, ["the runner reported no test at all"]);
});

test("judgeRun() does not trust a report that was cut off", () => {
  for (let length = 0; length < DENO_REPORT.trimEnd().length; length += 1) {
    const { totals } = judgeRun(["test/c.test.ts"], DENO_REPORT.slice(0, length), 0, true);
    assert.deepEqual(totals, { passed: 0, failed: 1, skipped: 0 });
  }
});

test("judgeRun() fails a runner that ended badly although its tests passed", () => {
  const allPassed = BUN_REPORT.replace(/<failure.*?<\/failure>/s, "");
  assert.equal(judgeRun(["test/a.test.ts"], allPassed, 0, true).totals.failed, 0);
  assert.equal(judgeRun(["test/a.test.ts"], allPassed, 1, true).totals.failed, 1);
});

test("judgeRun() fails a run without test files", () => {
  assert.equal(judgeRun([], undefined, 0, true).totals.failed, 1);
});

test("judgeRun() does not look for files in a report that does not name them", () => {
  const { totals } = judgeRun(["test/b.test.ts"], DENO_REPORT, 1, false);
  assert.deepEqual(totals, { passed: 1, failed: 1, skipped: 1 });
});

test("worthASecondRun() names the files that failed, if they are few and nothing else was wrong", () => {
  const files = ["test/a.test.ts", "test/b.test.ts"];
  const run = judgeRun(["test/a.test.ts"], BUN_REPORT, 1, true);
  assert.deepEqual(worthASecondRun(run, files, 1), ["test/a.test.ts"]);
  assert.deepEqual(worthASecondRun(run, files, 0), []);
  assert.deepEqual(worthASecondRun(run, ["test/b.test.ts"], 3), [], "it cannot be run by itself");
  const silent = judgeRun(files, BUN_REPORT, 1, true);
  assert.deepEqual(worthASecondRun(silent, files, 3), [], "a file that reported nothing");
  const whole = judgeRun(["test/a.test.ts"], BUN_REPORT.replace(/<failure.*<\/failure>/, ""), 0, true);
  assert.deepEqual(worthASecondRun(whole, files, 3), []);
});
