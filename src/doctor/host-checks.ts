/** The machine querycop runs on: its port, its open files, its disk; and the policy file. */

import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { defaultMemoryBudget, PROCESS_BYTES } from "../base/memory-limit.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import { decodeInitialPacket } from "../mysql/handshake.ts";
import { Leg } from "../net/leg.ts";
import { network } from "../net/network.ts";
import type { ListenTarget } from "../net/transport.ts";
import { BackendGate } from "../session/backend-gate.ts";
import { LOGIN_PACKET_BYTES_MAX, takeLeave } from "../session/mysql/login/backend-login.ts";
import { type Finding, fail, type ListenerCheck, ok, type ProcessCheck, remedy, skip, warn } from "./check.ts";
import { messageOf } from "./messages.ts";
import { speaksPostgres } from "./postgres/ssl-answer.ts";
import { shellWord } from "./shell-words.ts";

const GREETING_MS = 5_000;
const MIB = 1024 * 1024;
const FREE_WARN_BYTES = 1024 * MIB;
const FREE_FAIL_BYTES = 64 * MIB;

export const listenerPort: ListenerCheck = {
  id: "listener.port",
  scope: "listener",
  onPostgres: "same",
  title: "The listener's address can be had",
  about:
    "Listens on the configured address for a moment. When it is taken, the check is content if it greets as MySQL, or answers an SSLRequest as PostgreSQL where `backend.engine` says so, as a running querycop does, and fails otherwise. Warns about a port of the range the system gives to outgoing connections: any of those may hold it when querycop starts.",
  needs: ["config.load"],
  run: async ({ listener, host }, signal) => {
    const { listen } = listener;
    if (listen.socket !== undefined) return judgeSocketFolder(listen.socket);
    if (listen.port === 0) return ok("port 0: the system chooses one at each start");
    const address = `${listen.host}:${listen.port}`;
    const range = host.ephemeralPorts;
    try {
      const target: ListenTarget = { kind: "tcp", host: listen.host, port: listen.port };
      const opened = await network.listen(target, (transport) => transport.destroy());
      opened.close();
    } catch (error) {
      return await explainTaken(error, listener, signal);
    }
    if (range === undefined || listen.port < range[0] || listen.port > range[1]) return ok(`${address} is free`);
    return warn(
      `${address} is free now, but of the range ${range[0]} to ${range[1]} of outgoing connections`,
      remedy(
        "listener.port",
        "Choose a port outside of the range, or reserve it.",
        `sysctl -w net.ipv4.ip_local_reserved_ports=${listen.port}`,
      ),
    );
  },
};

function judgeSocketFolder(path: string): Finding {
  const folder = dirname(path);
  if (mayWrite(folder)) return ok(`${path}: its directory can be written to`);
  return fail(
    `${path}: cannot create it in ${folder}`,
    remedy("listener.port", "Let the user querycop runs as write to that directory.", `ls -ld ${shellWord(folder)}`),
  );
}

async function explainTaken(
  error: unknown,
  { listen, backend }: ListenerConfig,
  signal: AbortSignal,
): Promise<Finding> {
  const { host, port } = listen;
  const code = (error as { code?: string }).code ?? "";
  const address = `${host}:${port}`;
  if (code === "EADDRINUSE") {
    const isMySql = backend.engine === "mysql";
    const there = reachableHost(host);
    const says = isMySql ? await greetingOf(there, port, signal) : await postgresThere(there, port, signal);
    if (says !== undefined) return ok(`${address} is in use and ${says}: querycop seems to be running`);
    return fail(
      `${address} is in use by something that does not ${isMySql ? "greet as MySQL" : "answer as PostgreSQL"}`,
      remedy("listener.port", "Stop it, or set listen.port.", `ss -ltnp 'sport = :${port}'`),
    );
  }
  if (code === "EACCES") {
    return fail(
      `${address}: ports below 1024 need a privilege`,
      remedy(
        "listener.port",
        "Set listen.port to 1024 or more, or let the service manager open it.",
        "systemctl edit querycop.socket",
      ),
    );
  }
  // Deno has the other code for it.
  const text =
    code === "EADDRNOTAVAIL" || code === "EINVAL"
      ? "no interface of this host has that address"
      : code || messageOf(error);
  return fail(
    `${address}: ${text}`,
    remedy("listener.port", "Set listen.host to an address of this host.", "ip -brief address"),
  );
}

function reachableHost(host: string): string {
  if (host === "0.0.0.0" || host === "localhost") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

async function postgresThere(host: string, port: number, signal: AbortSignal): Promise<string | undefined> {
  return (await speaksPostgres(host, port, signal)) ? "answers as PostgreSQL" : undefined;
}

/** By the greeting of whoever listens there, and a polite end. */
async function greetingOf(host: string, port: number, signal: AbortSignal): Promise<string | undefined> {
  try {
    const transport = await network.connect(host, port, AbortSignal.any([signal, AbortSignal.timeout(GREETING_MS)]));
    const gate = new BackendGate(new Leg("backend", transport, LOGIN_PACKET_BYTES_MAX), GREETING_MS);
    try {
      const { payload } = await gate.expectLoginPacket("waiting for its greeting");
      const initial = decodeInitialPacket(payload);
      if (initial.kind !== "HandshakeV10") return undefined;
      await takeLeave({ gate, greeting: initial.handshake });
      return `greets as ${initial.handshake.serverVersion}`;
    } finally {
      gate.destroy();
    }
  } catch {
    return undefined;
  }
}

export const limitsFiles: ProcessCheck = {
  id: "limits.files",
  scope: "process",
  title: "Enough files may be open",
  about:
    "A connection takes two file descriptors. Compares the limit of the process doctor itself runs in (RLIMIT_NOFILE) with `max_connections`: run it as the service runs, since a shell has a limit of its own.",
  needs: ["config.load"],
  run: async ({ config, host }) => {
    const { maxConnections } = config;
    const { connectionsAllowed } = host;
    if (connectionsAllowed === Number.MAX_SAFE_INTEGER) return skip("this system does not tell the limit");
    const detail = `the limit here allows ${connectionsAllowed} connections, max_connections is ${maxConnections}`;
    if (connectionsAllowed >= maxConnections) return ok(detail);
    return warn(
      detail,
      remedy(
        "limits.files",
        "Raise the limit: LimitNOFILE in the systemd unit, ulimit -n in a shell.",
        `ulimit -n ${2 * maxConnections + 64}`,
      ),
    );
  },
};

export const limitsMemory: ProcessCheck = {
  id: "limits.memory",
  scope: "process",
  title: "There is memory for what sessions hold",
  about:
    "Compares `memory_budget`, or what querycop makes of the limit itself, with the memory this process may use: the least of the machine's and of its control groups' limits. Run it as the service runs. The process needs about 100 MiB besides, and a packet of `packet_size_max` must fit in three quarters of the budget, or it is refused.",
  needs: ["config.load"],
  run: async ({ config, host }) => {
    const { bytes, from } = host.memory;
    const budget = config.memoryBudgetBytes ?? defaultMemoryBudget(host.memory);
    const packetMax = Math.max(...config.listeners.map(({ packetBytesMax }) => packetBytesMax));
    const mib = (size: number): string => `${Math.floor(size / MIB)} MiB`;
    const limit = from === "cgroup" ? "the control group's limit" : "the machine's memory";
    const detail = `sessions may hold ${mib(budget)} together; ${limit} is ${mib(bytes)}`;
    if (budget + PROCESS_BYTES > bytes) {
      return warn(
        `${detail}: together with the process that is more than there is`,
        remedy("limits.memory", "Give the process more memory, or lower memory_budget.", "querycop config"),
      );
    }
    if (packetMax > budget * 0.75) {
      return warn(
        `${detail}: a packet of packet_size_max, ${mib(packetMax)}, does not fit and will be refused`,
        remedy("limits.memory", "Lower packet_size_max to what clients send, or give more memory.", "querycop config"),
      );
    }
    return ok(detail);
  },
};

export const auditDisk: ProcessCheck = {
  id: "audit.disk",
  scope: "process",
  title: "The audit log can be written",
  about:
    "The file of `audit.file`, or its directory, must be writable, and its file system have room: warns below 1 GiB, fails below 64 MiB. Without room querycop refuses statements rather than run them unrecorded.",
  needs: ["config.load"],
  run: async ({ config, host }) => {
    const { file } = config.audit;
    if (file === undefined)
      return skip(config.audit.stdout ? "the log goes to standard output" : "no audit.file: no statement is recorded");
    const wanted = dirname(file);
    // querycop makes the last directory itself.
    const folder = statSync(wanted, { throwIfNoEntry: false }) === undefined ? dirname(wanted) : wanted;
    const existing = statSync(file, { throwIfNoEntry: false });
    const target = existing === undefined ? folder : file;
    if ((existing !== undefined && !existing.isFile()) || !mayWrite(target) || !mayWrite(folder)) {
      return fail(
        `cannot write ${file}`,
        remedy(
          "audit.disk",
          "Let the user querycop runs as write the file and its directory.",
          `ls -ld ${shellWord(folder)} ${shellWord(file)}`,
        ),
      );
    }
    return judgeSpace(file, host.freeBytes(folder));
  },
};

function judgeSpace(file: string, bytes: number): Finding {
  const detail = `${file}: ${Math.floor(bytes / MIB)} MiB free`;
  const help = remedy(
    "audit.disk",
    "Make room, or set audit.file to another file system.",
    `df -h ${shellWord(dirname(file))}`,
  );
  if (bytes < FREE_FAIL_BYTES) return fail(detail, help);
  return bytes < FREE_WARN_BYTES ? warn(detail, help) : ok(`${file} can be written`);
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function listenersWithoutEstimates({ listeners }: Config): string[] {
  const without = listeners.filter(({ backend }) => backend.tokenSource === "none").map(({ name }) => name);
  if (without.length === 0) return [];
  return [
    `impact.estimated_rows: listener ${without.join(", ")} has no token source to log in with, so no_estimate decides`,
  ];
}

export const policyLint: ProcessCheck = {
  id: "policy.lint",
  scope: "process",
  title: "The policy loads and holds no surprises",
  about: "Loads `policy.file` as the proxy does and reports what `querycop policy lint` would.",
  needs: ["config.load"],
  run: async ({ config, host }) => {
    const { file } = config.policy;
    if (file === undefined) return skip("no policy.file: the built-in policy");
    if (host.lintPolicy === undefined) return skip("this build has no policy lint");
    const { problems, findings: found, asksForEstimates } = host.lintPolicy(file);
    const findings = asksForEstimates === true ? [...found, ...listenersWithoutEstimates(config)] : found;
    const help = remedy("policy.lint", "Change the lines named above.", `querycop policy lint ${shellWord(file)}`);
    if (problems.length > 0) return fail([`${file} is refused`, ...problems].join("\n"), help);
    return findings.length === 0 ? ok(file) : warn([file, ...findings].join("\n"), help);
  },
};
