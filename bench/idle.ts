/**
 * What sessions cost that do nothing: `bun bench/idle.ts [--sessions <n>] [--seconds <n>]`.
 *
 * Logs so many clients in through the executable, lets them be silent, and quotes querycop's processor time in percent of
 * one core, and its resident memory for each. Needs an open files limit of a little more than two for each session.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startCrowdBackend } from "../test/support/crowd.ts";
import { logIn } from "../test/support/fake-peers.ts";
import { type Querycop, startQuerycop } from "../test/support/querycop.ts";

const LOGINS_AT_A_TIME = 50;
const TICKS_PER_SECOND = 100;
const SETTLE_MS = 10_000;

/** Seconds of processor time so far. */
function processorSeconds(querycop: Querycop): number {
  const fields = readFileSync(`/proc/${querycop.pid()}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function residentKib(querycop: Querycop): number {
  return Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${querycop.pid()}/status`, "latin1"))?.[1]);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { sessions: { type: "string", default: "10000" }, seconds: { type: "string", default: "60" } },
  });
  const sessions = Number(values.sessions);
  const backend = await startCrowdBackend();
  const querycop = await startQuerycop({
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_PORT: String(backend.port),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_MAX_CONNECTIONS: String(sessions + 100),
    GATEKEEPER_CONNECTIONS_PER_ADDRESS: "off",
    GATEKEEPER_LOG_LEVEL: "info",
  });
  const emptyKib = residentKib(querycop);
  for (let done = 0; done < sessions; done += LOGINS_AT_A_TIME) {
    await Promise.all(Array.from({ length: LOGINS_AT_A_TIME }, () => logIn(querycop.port)));
  }
  await delay(SETTLE_MS);
  assert.equal(backend.open, sessions);
  const seconds = Number(values.seconds);
  const before = processorSeconds(querycop);
  await delay(seconds * 1000);
  const percent = ((processorSeconds(querycop) - before) / seconds) * 100;
  const each = (residentKib(querycop) - emptyKib) / sessions;
  process.stdout.write(`${sessions} silent sessions: ${percent.toFixed(2)} % of a core, ${each.toFixed(1)} KiB each\n`);
  await querycop.stop();
  process.exit(0);
}

await main();
