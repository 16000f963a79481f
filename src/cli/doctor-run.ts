/** `querycop doctor`: gives the checks what a running proxy would have, prints what they found, and says it by the exit code. */
import { readFileSync, statfsSync } from "node:fs";
import { memoryLimit } from "../base/memory-limit.ts";
import { matchesWildcards } from "../base/wildcards.ts";
import type { LoadResult } from "../config/load.ts";
import { BackendProbe } from "../doctor/backend-probe.ts";
import type { DoctorHost, ListenerContext, NeededPrivileges, PolicyLint, ProcessContext } from "../doctor/check.ts";
import { CHECKS } from "../doctor/checks.ts";
import { systemClockIsSynchronised } from "../doctor/clock-check.ts";
import { configProblems } from "../doctor/configuration-checks.ts";
import { systemResolver } from "../doctor/name-resolver.ts";
import { renderJson, renderText } from "../doctor/render.ts";
import type { CheckResult, Report } from "../doctor/report.ts";
import { runChecks } from "../doctor/run-checks.ts";
import { connectionSnippets } from "../doctor/snippets.ts";
import { parsePolicy } from "../policy/file/policy-file.ts";
import { asksForEstimates } from "../policy/impact.ts";
import { resolveSettings } from "../policy/settings.ts";
import { neededPrivileges } from "../policy/tools/grants.ts";
import { lintPolicy } from "../policy/tools/policy-lint.ts";
import { neededPostgresPrivileges } from "../policy/tools/postgres-grants.ts";
import { isOfPostgres, subjectFor } from "../policy/tools/tool-context.ts";
import { connectionsAllowedByDescriptors } from "../server/open-files.ts";
import { probeServices } from "../server/probe-services.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import {
  describeServedPlatform,
  loadFromArguments,
  reportFindings,
  SERVED_PLATFORM,
  startProblems,
} from "./settings-command.ts";

type Arguments = Readonly<Record<string, unknown>>;

export async function runDoctor(args: Arguments, io: CommandIo): Promise<number> {
  const isJson = args["json"] === true;
  const only = textOf(args["only"]);
  if (only !== undefined && !CHECKS.some(({ id }) => matchesWildcards(only, id))) {
    throw new UsageError(`--only: no check fits ${JSON.stringify(only)}, see querycop doctor --list`);
  }
  if (args["list"] === true) return listChecks(isJson, io);
  const loaded = await loadFromArguments(args, io);
  if (args["snippets"] === true) return printSnippets(loaded, args, io);
  const problems = loaded.ok ? await startProblems(loaded.config) : [];
  if (io.platform !== SERVED_PLATFORM) io.stderr(`note: ${describeServedPlatform(io.platform)}\n`);
  const checks = loaded.ok
    ? await checkAll(loaded, textOf(args["user"]), only, { io, problems })
    : unloadable(loaded.problems);
  const report: Report = { version: io.version.version, checks };
  io.stdout(isJson ? renderJson(report) : renderText(report));
  if (!loaded.ok || problems.length > 0) return EXIT_USAGE;
  const isBad = ({ status }: CheckResult): boolean =>
    status === "fail" || (status === "warn" && args["strict"] === true);
  return checks.some(isBad) ? EXIT_FAILED : EXIT_OK;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function listChecks(isJson: boolean, io: CommandIo): number {
  const rows = CHECKS.map(({ id, title, needs, scope }) => ({ id, title, needs, scope }));
  const width = Math.max(...rows.map(({ id }) => id.length));
  if (isJson) io.stdout(`${JSON.stringify(rows, undefined, 2)}\n`);
  else io.stdout(rows.map(({ id, title }) => `${id.padEnd(width)}  ${title}\n`).join(""));
  return EXIT_OK;
}

function printSnippets(loaded: LoadResult, args: Arguments, io: CommandIo): number {
  if (!loaded.ok) {
    reportFindings(loaded, io);
    return EXIT_USAGE;
  }
  const listeners = loaded.config.listeners.map((listener) => ({
    listener: listener.name,
    snippets: connectionSnippets(listener, textOf(args["user"])),
  }));
  if (args["json"] === true) {
    io.stdout(`${JSON.stringify(listeners, undefined, 2)}\n`);
    return EXIT_OK;
  }
  for (const { listener, snippets } of listeners) {
    io.stdout(`listener ${listener}\n`);
    for (const { driver, text } of snippets) io.stdout(`  ${driver.padEnd(8)} ${text}\n`);
  }
  return EXIT_OK;
}

/** Nothing can be checked by a configuration that does not load. */
function unloadable(problems: readonly string[]): CheckResult[] {
  const rest = CHECKS.filter(({ id }) => id !== "config.load");
  return [
    configProblems(problems),
    ...rest.map(({ id, title }) => ({ id, title, status: "skip" as const, detail: "needs config.load" })),
  ];
}

/** For a process that serves: what would keep it from starting has been looked at. */
export function checkRunning(
  loaded: Extract<LoadResult, { ok: true }>,
  io: CommandIo,
): Promise<readonly CheckResult[]> {
  return checkAll(loaded, undefined, undefined, { io, problems: [] });
}

async function checkAll(
  { config, warnings }: Extract<LoadResult, { ok: true }>,
  user: string | undefined,
  only: string | undefined,
  { io, problems }: { readonly io: CommandIo; readonly problems: readonly string[] },
): Promise<CheckResult[]> {
  // A listener that cannot be made cannot be checked.
  if (problems.some((problem) => problem.startsWith("listener "))) return unloadable(problems);
  const process: ProcessContext = { config, warnings, host: { ...hostOf(io), startProblems: problems }, user };
  const listeners = config.listeners.map(
    (listener): ListenerContext => ({
      ...process,
      listener,
      services: probeServices(listener, config),
      probe: new BackendProbe(),
    }),
  );
  try {
    return await runChecks({ checks: CHECKS, process, listeners, only });
  } finally {
    for (const { services } of listeners) services.tokens?.close();
  }
}

export function hostOf(io: CommandIo): DoctorHost {
  return {
    env: io.env,
    nowMs: Date.now,
    resolver: systemResolver,
    connectionsAllowed: connectionsAllowedByDescriptors(),
    memory: memoryLimit(),
    ephemeralPorts: ephemeralPorts(),
    clockIsSynchronised: () => systemClockIsSynchronised(io.env["PATH"]),
    freeBytes,
    lintPolicy: lintPolicyFile,
    neededPrivileges: privilegesFor,
  };
}

function lintPolicyFile(path: string): PolicyLint {
  const result = parsePolicy(readFileSync(path, "utf8"));
  const lines = (found: readonly { readonly line: number; readonly text: string }[]): string[] =>
    found.map(({ line, text }) => `line ${line}: ${text}`);
  if (result.kind === "refused") return { problems: lines(result.problems), findings: [] };
  const findings = lintPolicy(result.policy, Date.now()).filter(({ isStrictOnly }) => !isStrictOnly);
  return { problems: [], findings: lines(findings), asksForEstimates: asksForEstimates(result.policy) };
}

async function privilegesFor(path: string, user: string, dialect: string): Promise<NeededPrivileges | undefined> {
  const result = parsePolicy(readFileSync(path, "utf8"));
  if (result.kind === "refused") return undefined;
  const { settings, profiles } = resolveSettings(result.policy, subjectFor({ user }), Date.now());
  if (settings.mode !== "enforce") return undefined;
  if (!isOfPostgres({ dialect })) return { profiles, privileges: neededPrivileges(settings, undefined) };
  await loadParser();
  return { profiles, privileges: neededPostgresPrivileges(settings, undefined) };
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Of Linux; undefined elsewhere. */
function ephemeralPorts(): readonly [number, number] | undefined {
  try {
    const [first, last] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "latin1")
      .trim()
      .split(/\s+/)
      .map(Number);
    return first === undefined || last === undefined ? undefined : [first, last];
  } catch {
    return undefined;
  }
}
