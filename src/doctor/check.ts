/** What a check is, what it may look at, and what it brings back. Findings are data; how they look is render.ts's matter. */
import type { MemoryLimit } from "../base/memory-limit.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import type { SessionServices } from "../session/session-services.ts";
import type { BackendProbe } from "./backend-probe.ts";

/** `skip`: the check does not apply, or what it needs has failed. */
export type FindingStatus = "ok" | "warn" | "fail" | "skip";

export interface Remedy {
  /** What to do, as a sentence. */
  readonly text: string;
  /** Shell commands that do it or tell more; words in capitals stand for what doctor cannot know. */
  readonly commands: readonly string[];
  /** Path of the page that says more. */
  readonly docs: string;
}

/** Never holds a token, a password or what a token command printed. */
export interface Finding {
  readonly status: FindingStatus;
  /** One line, or several with the most important first. */
  readonly detail: string;
  readonly remedy?: Remedy;
}

/** The machine as the checks see it: handed in, so that tests can give another one. */
export interface DoctorHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly nowMs: () => number;
  readonly resolver: NameResolver;
  /** Client connections for which the open files limit of this process suffices. */
  readonly connectionsAllowed: number;
  /** What this process may use. */
  readonly memory: MemoryLimit;
  /** First and last port the system gives to outgoing connections; undefined where it does not say. */
  readonly ephemeralPorts: readonly [number, number] | undefined;
  /** Undefined where the system does not say. */
  readonly clockIsSynchronised: () => Promise<boolean | undefined>;
  /** Bytes that can still be written below a directory. */
  readonly freeBytes: (folder: string) => number;
  /** Problems of a policy file, one line each; undefined where this build cannot tell. */
  readonly lintPolicy: ((path: string) => PolicyLint) | undefined;
  /** What the policy lets the user do, in privileges; undefined where it does not load or refuses nothing. */
  readonly neededPrivileges?: (
    path: string,
    user: string,
    engine: ListenerConfig["backend"]["engine"],
  ) => Promise<NeededPrivileges | undefined>;
  /** What would keep a start from succeeding although the configuration loads, one line each. */
  readonly startProblems?: readonly string[];
}

export interface PolicyLint {
  readonly problems: readonly string[];
  readonly findings: readonly string[];
  /** Whether the impact guard needs logins of its own, which take a token source. */
  readonly asksForEstimates?: boolean;
}

export interface NeededPrivileges {
  readonly profiles: readonly string[];
  /** Of PostgreSQL's those on tables, CREATE on schemas, and OWNER for what the owner of a table alone may. */
  readonly privileges: ReadonlySet<string>;
}

export interface NameResolver {
  /** All addresses the system's resolver has for the name, in its order. Rejects with an error that has a `code`. */
  lookup(host: string): Promise<readonly ResolvedAddress[]>;
  /** The names the name is an alias of; empty when it is none or nobody can be asked. */
  cname(host: string): Promise<readonly string[]>;
}

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

export interface ProcessContext {
  readonly config: Config;
  /** Warnings of the configuration, one line each. */
  readonly warnings: readonly string[];
  readonly host: DoctorHost;
  /** The user to log in as; undefined when none was named. */
  readonly user: string | undefined;
}

export interface ListenerContext extends ProcessContext {
  readonly listener: ListenerConfig;
  /** What a session of this listener would use. */
  readonly services: SessionServices;
  /** What earlier checks of this listener have found out. */
  readonly probe: BackendProbe;
}

interface CheckHead {
  /** Stable: scripts select by it. */
  readonly id: string;
  readonly title: string;
  /** For the documentation: what is looked at, and when it warns or fails. */
  readonly about: string;
  /** Checks that must not have failed before this one makes sense. */
  readonly needs: readonly string[];
}

export interface ProcessCheck extends CheckHead {
  readonly scope: "process";
  run(context: ProcessContext, signal: AbortSignal): Promise<Finding>;
}

/** Run once for each listener. */
export type RunListenerCheck = (context: ListenerContext, signal: AbortSignal) => Promise<Finding>;

export interface ListenerCheck extends CheckHead {
  readonly scope: "listener";
  /** For a backend that speaks PostgreSQL: the same, this in its place, or why there is nothing to look at. */
  readonly onPostgres: "same" | RunListenerCheck | { readonly skip: string };
  /** Milliseconds after which it is given up, where the engine's own limit is too short. */
  timeoutMs?(context: ListenerContext): number;
  readonly run: RunListenerCheck;
}

export type Check = ProcessCheck | ListenerCheck;

export const ok = (detail: string): Finding => ({ status: "ok", detail });
export const skip = (detail: string): Finding => ({ status: "skip", detail });
export const warn = (detail: string, remedy?: Remedy): Finding => finding("warn", detail, remedy);
export const fail = (detail: string, remedy?: Remedy): Finding => finding("fail", detail, remedy);

function finding(status: FindingStatus, detail: string, remedy: Remedy | undefined): Finding {
  return { status, detail, ...(remedy === undefined ? {} : { remedy }) };
}

const PAGE = "docs/doctor.md";

/** The section of a check in the doctor's page: GitHub drops the dots of a heading. */
export function docsOf(id: string): string {
  return `${PAGE}#${id.replaceAll(".", "")}`;
}

export function remedy(id: string, text: string, ...commands: string[]): Remedy {
  return { text, commands, docs: docsOf(id) };
}
