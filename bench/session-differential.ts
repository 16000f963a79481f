/**
 * Whether a session can be talked into letting through what its policy denies:
 * `bun bench/session-differential.ts [--kind mysql|mariadb|mariadb11] [--commands <n>] [--seed <n>] [--workers <n>]
 * [--minutes <n>] [--axes <name,…>] [--harmless] [--shrink <n>] [--executable <file>]`. Ends with status 1 when a list of commands had a denied effect.
 */
import { parseArgs } from "node:util";
import type { ServerKind } from "../test/support/accounts.ts";
import type { Axis } from "../test/support/differential-changes.ts";
import { describeList, type Finding, search } from "../test/support/differential-search.ts";

const { values } = parseArgs({
  options: {
    kind: { type: "string", default: "mysql" },
    commands: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    minutes: { type: "string" },
    workers: { type: "string", default: "4" },
    shrink: { type: "string", default: "40" },
    executable: { type: "string" },
    axes: { type: "string" },
    harmless: { type: "boolean", default: false },
  },
});

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const kind = values.kind as ServerKind;
const seed = Number(values.seed);

const seen = new Set<string>();
const onFinding = (finding: Finding): void => {
  const { index, effect, isConfirmed, list, signature } = finding;
  if (seen.has(signature)) return;
  seen.add(signature);
  const again = isConfirmed ? "" : " (once)";
  out(`\n${kind} seed ${seed} list ${index}: ${effect}${again} [${signature}]\n  ${describeList(list)}`);
};

const tally = await search({
  kind,
  seed,
  workers: Number(values.workers),
  executable: values.executable,
  commands: Number(values.commands),
  stop: values.minutes === undefined ? undefined : AbortSignal.timeout(Number(values.minutes) * 60_000),
  shrinkMax: Number(values.shrink),
  axes: values.axes?.split(",") as Axis[] | undefined,
  isHarmlessOnly: values.harmless,
  onFinding,
});
const { lists, commands, refused, errors, held, lost, loginsRefused, denied, crashes, deniedInLog, seconds } = tally;
for (const lastWords of crashes) out(`\nserver lost: ${lastWords}`);
for (const entry of deniedInLog.slice(0, 10)) out(`in the server's log: ${entry}`);
out(
  `\n${kind} seed ${seed}: ${denied} of ${lists} lists had a denied effect, ${deniedInLog.length} denied entries in the ` +
    `server's log; ${commands} commands at ${(commands / seconds).toFixed(0)}/s, ${refused} refused by querycop, ` +
    `${errors} by the server (${held} by read-only transactions); ${lost} sessions, ${crashes.length} servers lost; ` +
    `${loginsRefused} logins refused; ${seen.size} signatures of ${tally.findings.length} findings`,
);
const alarms = [...tally.falseAlarms].sort(([, a], [, b]) => b - a);
const alarmCount = alarms.reduce((sum, [, count]) => sum + count, 0);
for (const [text, count] of alarms.slice(0, 15)) out(`  refused ${count} times: ${text}`);
out(
  `of ${tally.harmlessCommands} commands as applications send them, ${alarmCount} were refused (${((100 * alarmCount) / tally.harmlessCommands).toFixed(2)} %)`,
);
process.exitCode = denied + deniedInLog.length === 0 ? 0 : 1;
