import assert from "node:assert/strict";
import { it } from "node:test";
import { BackendProbe } from "../../src/doctor/backend-probe.ts";
import {
  type Finding,
  type ListenerCheck,
  type ListenerContext,
  ok,
  type ProcessCheck,
  type ProcessContext,
} from "../../src/doctor/check.ts";
import { runChecks } from "../../src/doctor/run-checks.ts";

const PROCESS = {} as ProcessContext;

function check(id: string, needs: readonly string[], run: ProcessCheck["run"]): ProcessCheck {
  return { id, scope: "process", title: id, about: "", needs, run };
}

const runAll = (checks: readonly ProcessCheck[], extra: { only?: string; timeoutMs?: number } = {}) =>
  runChecks({ checks, process: PROCESS, listeners: [], ...extra });

it("runChecks() skips what needs a failed check, however far, and names the one that failed", async () => {
  const results = await runAll([
    check("a", [], async () => ({ status: "fail", detail: "broken" })),
    check("b", ["a"], async () => ok("never")),
    check("c", ["b"], async () => ok("never")),
    check("d", [], async () => ({ status: "skip", detail: "does not apply" })),
    check("e", ["d"], async () => ok("runs")),
  ]);
  assert.deepEqual(
    results.map(({ id, status, detail }) => `${id} ${status} ${detail}`),
    ["a fail broken", "b skip needs a", "c skip needs a", "d skip does not apply", "e ok runs"],
  );
});

it("runChecks() runs independent checks at the same time and keeps their order", async () => {
  let release: (finding: Finding) => void = () => undefined;
  const first = new Promise<Finding>((resolve) => {
    release = resolve;
  });
  const results = await runAll([
    check("slow", [], () => first),
    check("fast", [], async () => {
      release(ok("released by the second"));
      return ok("second");
    }),
  ]);
  assert.deepEqual(
    results.map(({ detail }) => detail),
    ["released by the second", "second"],
  );
});

it("runChecks() takes a check that throws for a bug of its own, and one that hangs for a failure", async () => {
  let wasAborted = false;
  const results = await runAll(
    [
      check("throws", [], async () => {
        throw new Error("password=hunter2hunter2");
      }),
      check("hangs", [], (_, signal) => {
        signal.addEventListener("abort", () => {
          wasAborted = true;
        });
        return new Promise(() => undefined);
      }),
      check("after", ["hangs"], async () => ok("never")),
    ],
    { timeoutMs: 20 },
  );
  assert.match(results[0]?.detail ?? "", /^this is a bug in doctor: /);
  assert.equal(results[0]?.detail.includes("hunter2"), false);
  assert.equal(results[1]?.detail, "no result within 20 ms");
  assert.equal(wasAborted, true);
  assert.equal(results[2]?.detail, "needs hangs");
});

it("runChecks() runs each check once, whoever needs it", async () => {
  let runs = 0;
  const counted = check("a", [], async () => {
    runs++;
    return ok("");
  });
  await runAll([counted, check("b", ["a"], async () => ok("")), check("c", ["a", "b"], async () => ok(""))]);
  assert.equal(runs, 1);
});

it("runChecks() with a pattern shows what fits, and what it needs only when that failed", async () => {
  const checks = (status: "ok" | "fail") => [
    check("a", [], async () => ({ status, detail: "" })),
    check("b", ["a"], async () => ok("")),
    check("c", [], async () => ok("")),
  ];
  const ids = async (status: "ok" | "fail") => (await runAll(checks(status), { only: "b" })).map(({ id }) => id);
  assert.deepEqual(await ids("ok"), ["b"]);
  assert.deepEqual(await ids("fail"), ["a", "b"]);
});

it("runChecks() lets nothing in a detail steer the terminal", async () => {
  const [result] = await runAll([check("a", [], async () => ok("\u001b[31mred\u202e\r\nnext\u009b"))]);
  assert.equal(result?.detail, "?[31mred??\nnext?");
});

it("runChecks() lets no check speak MySQL to a backend that speaks PostgreSQL", async () => {
  const ran: string[] = [];
  const ofListener = (id: string, onPostgres: ListenerCheck["onPostgres"]): ListenerCheck => ({
    id,
    scope: "listener",
    onPostgres,
    title: id,
    about: "",
    needs: [],
    run: async () => {
      ran.push(id);
      return ok("");
    },
  });
  const checks = [
    ofListener("shared", "same"),
    ofListener("own", async () => ok("of PostgreSQL")),
    ofListener("none", { skip: "of MySQL only" }),
  ];
  const results = async (engine: string) => {
    const listener = { listener: { name: "one", backend: { engine } }, probe: new BackendProbe() };
    const listeners = [listener as unknown as ListenerContext];
    return (await runChecks({ checks, process: PROCESS, listeners })).map(
      ({ status, detail }) => `${status} ${detail}`,
    );
  };
  assert.deepEqual(await results("postgresql"), ["ok ", "ok of PostgreSQL", "skip of MySQL only"]);
  assert.deepEqual(ran, ["shared"]);
  assert.deepEqual(await results("mysql"), ["ok ", "ok ", "ok "]);
});
