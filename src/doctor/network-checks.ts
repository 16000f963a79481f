/** The way to the backend up to its greeting: name, addresses, server. */

import { isIP } from "node:net";
import { regionOfHost } from "../config/region.ts";
import { CLIENT_SSL } from "../mysql/constants.ts";
import { decodeInitialPacket } from "../mysql/handshake.ts";
import type { AddressFamily } from "../net/dial.ts";
import { Leg } from "../net/leg.ts";
import { network } from "../net/network.ts";
import { BackendGate } from "../session/backend-gate.ts";
import { BackendRefusal } from "../session/mysql/login/authentication.ts";
import { LOGIN_PACKET_BYTES_MAX, openBackend, takeLeave } from "../session/mysql/login/backend-login.ts";
import {
  type Finding,
  fail,
  type ListenerCheck,
  type ListenerContext,
  ok,
  type ResolvedAddress,
  remedy,
  warn,
} from "./check.ts";
import { protocolThere } from "./foreign-protocols.ts";
import { messageOf } from "./messages.ts";
import { postgresGreeting } from "./postgres/ssl-answer.ts";
import { isHostName } from "./shell-words.ts";

const ADDRESSES_MAX = 16;

export const backendDns: ListenerCheck = {
  id: "backend.dns",
  scope: "listener",
  onPostgres: "same",
  title: "The backend's name can be looked up",
  about:
    "Lists the IPv4 (A) and IPv6 (AAAA) addresses and the alias (CNAME). Fails when there is no address of `backend.address_family`. Warns when the name is an alias of an RDS endpoint and `backend.tls_server_name` is not set: RDS certificates and tokens are for the endpoint's own name.",
  needs: ["config.load"],
  run: async (context) => {
    const { host, addressFamily } = context.listener.backend;
    if (isIP(host) !== 0) {
      context.probe.addresses = [{ address: host, family: isIP(host) }];
      return ok(`${host} is an IP address`);
    }
    let found: readonly ResolvedAddress[];
    try {
      found = await context.host.resolver.lookup(host);
    } catch (error) {
      return fail(
        `${host} cannot be looked up: ${(error as { code?: string }).code ?? messageOf(error)}`,
        remedy(
          "backend.dns",
          "Check the spelling of backend.host and the resolver of this host.",
          `getent ahosts ${host}`,
        ),
      );
    }
    context.probe.addresses = usableAddresses(found, addressFamily);
    return judgeAddresses(context, found, await context.host.resolver.cname(host));
  },
};

function usableAddresses(found: readonly ResolvedAddress[], family: AddressFamily): ResolvedAddress[] {
  const wanted = family === "auto" ? 0 : family === "ipv4" ? 4 : 6;
  const once = new Map(found.map((entry) => [entry.address, entry]));
  return [...once.values()].filter((entry) => wanted === 0 || entry.family === wanted).slice(0, ADDRESSES_MAX);
}

function judgeAddresses(
  { listener, probe }: ListenerContext,
  found: readonly ResolvedAddress[],
  aliases: readonly string[],
): Finding {
  const { host, addressFamily, tlsServerName, tlsMode, tokenSource } = listener.backend;
  const list = (family: number): string =>
    [...new Set(found.filter((entry) => entry.family === family).map(({ address }) => address))].join(" ") || "none";
  const alias = aliases.length === 0 ? "" : `, CNAME ${aliases.join(" ")}`;
  const detail = `${host}: A ${list(4)}, AAAA ${list(6)}${alias}`;
  if (probe.addresses.length === 0) {
    return fail(
      `${detail}: no address of backend.address_family ${addressFamily}`,
      remedy("backend.dns", "Set backend.address_family to auto, or to the family that is there."),
    );
  }
  const endpoint = aliases.find((name) => isRdsName(name));
  const usesName = tlsMode === "verify-full" || tokenSource !== "none";
  if (endpoint === undefined || tlsServerName !== host || isRdsName(host) || !usesName) return ok(detail);
  return warn(
    `${detail}: the certificate and the token must be for the name behind the alias`,
    remedy(
      "backend.dns",
      "Tell querycop the endpoint's own name.",
      `export GATEKEEPER_BACKEND_TLS_SERVER_NAME=${endpoint}`,
    ),
  );
}

function isRdsName(name: string): boolean {
  const lower = name.toLowerCase();
  if (!isHostName(lower)) return false;
  return regionOfHost(lower) !== undefined;
}

export const backendTcp: ListenerCheck = {
  id: "backend.tcp",
  scope: "listener",
  onPostgres: "same",
  title: "Every address of the backend answers",
  about:
    "Connects to each address and ends the connection with a refused login, because a server counts connections that just close and blocks the host after `max_connect_errors` of them; a PostgreSQL does not. Fails when no address answers, warns when some do not.",
  needs: ["backend.dns"],
  timeoutMs: ({ listener }) => listener.backend.connectTimeoutMs + GREETING_MS + 2 * SLACK_MS,
  run: async (context, signal) => {
    const { addresses } = context.probe;
    const attempts = await Promise.all(addresses.map((entry) => tryAddress(context, entry.address, signal)));
    const detail = attempts.map(({ text }) => text).join(", ");
    const failed = attempts.filter(({ code }) => code !== undefined);
    if (failed.length === 0) return ok(detail);
    const code = failed[0]?.code ?? "";
    const { host, port } = context.listener.backend;
    const help = remedy("backend.tcp", ADVICE[code] ?? GENERAL_ADVICE, `nc -vz ${host} ${port}`);
    if (failed.length === attempts.length) return fail(detail, help);
    return warn(`${detail}: querycop goes on with the addresses that answer`, {
      ...help,
      text: `${help.text} Or set backend.address_family to the family that works.`,
    });
  },
};

const GREETING_MS = 3_000;
const SLACK_MS = 2_500;

const GENERAL_ADVICE = "Check that this host may reach the server: security group, routing, firewall.";
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Nothing listens there, or a firewall rejects: check backend.port, and that the server runs.",
  timeout: "Nothing came back: a security group or firewall drops the packets, or the server is in another network.",
  ENETUNREACH: "This host has no route for that address family: set backend.address_family.",
  EHOSTUNREACH: "There is no way to the server from this host: check routing and security group.",
  EADDRNOTAVAIL: "This host has no address of that family: set backend.address_family.",
};

interface Attempt {
  readonly text: string;
  readonly code: string | undefined;
}

async function tryAddress(context: ListenerContext, address: string, signal: AbortSignal): Promise<Attempt> {
  const { engine, port, connectTimeoutMs } = context.listener.backend;
  const deadline = AbortSignal.timeout(connectTimeoutMs);
  const began = performance.now();
  const target = isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
  try {
    const transport = await network.connect(address, port, AbortSignal.any([signal, deadline]));
    const durationMs = Math.round(performance.now() - began);
    // A PostgreSQL neither greets nor counts who leaves.
    if (engine === "mysql") await leaveGreeted(new Leg("backend", transport, LOGIN_PACKET_BYTES_MAX));
    else transport.destroy();
    return { text: `${target} in ${durationMs} ms`, code: undefined };
  } catch (error) {
    const code = deadline.aborted ? "timeout" : ((error as { code?: string }).code ?? "failed");
    return { text: `${target} ${code === "timeout" ? `no answer within ${connectTimeoutMs} ms` : code}`, code };
  }
}

async function leaveGreeted(leg: Leg): Promise<void> {
  const gate = new BackendGate(leg, GREETING_MS);
  try {
    const { payload } = await gate.expectLoginPacket("waiting for its greeting");
    const initial = decodeInitialPacket(payload);
    if (initial.kind === "HandshakeV10") await takeLeave({ gate, greeting: initial.handshake });
  } catch {
    // What is wrong with the greeting is the next check's to say.
  } finally {
    gate.destroy();
  }
}

export const backendGreeting: ListenerCheck = {
  id: "backend.greeting",
  scope: "listener",
  onPostgres: postgresGreeting,
  title: "The backend is what backend.engine says",
  about:
    "Reads the greeting of a MySQL server with the proxy's own code and names version, authentication plugin and whether TLS is offered. Explains the errors a server sends in place of a greeting: 1040 (too many connections), 1129 (host blocked) and 1130 (host not allowed). Where something else answers, such as SSH, HTTP, Redis, MySQL's X protocol or the other engine, it is named. PostgreSQL does not greet: it is known by its answer to an SSLRequest, which also says whether TLS is offered.",
  needs: ["backend.tcp"],
  timeoutMs: ({ listener }) => listener.backend.connectTimeoutMs + listener.backend.loginTimeoutMs + 3 * SLACK_MS,
  run: async (context, signal) => {
    try {
      const connection = await openBackend(context.services, signal);
      const { greeting } = connection;
      context.probe.offersTls = (greeting.capabilities.flags & CLIENT_SSL) !== 0;
      await takeLeave(connection);
      const tls = context.probe.offersTls ? "TLS" : "no TLS";
      return ok(`${greeting.serverVersion}, ${greeting.authPluginName}, offers ${tls}`);
    } catch (error) {
      if (error instanceof BackendRefusal) return explainRefusal(error);
      const who = await protocolThere(context, signal);
      const { host, port } = context.listener.backend;
      return fail(
        who === undefined ? messageOf(error) : `${host}:${port} is not MySQL: ${who} answers there`,
        remedy("backend.greeting", "Let backend.host and backend.port lead to a MySQL server.", "querycop config"),
      );
    }
  },
};

const REFUSALS: Readonly<Record<number, readonly [string, ...string[]]>> = {
  1040: [
    "The server has no free connection: end some, raise max_connections, or lower max_connections of querycop.",
    "mysql -e 'SHOW PROCESSLIST'",
  ],
  1129: [
    "The server has blocked this host after too many broken connections, often TCP health checks: clear the list, MySQL's by the first command, MariaDB's by the second; then make the checks log in.",
    "mysql -e 'TRUNCATE TABLE performance_schema.host_cache'",
    "mysql -e 'FLUSH HOSTS'",
  ],
  1130: [
    "No account of the server allows this host: create one for it.",
    "mysql -e 'SELECT user, host FROM mysql.user'",
  ],
};

function explainRefusal({ errPacket }: BackendRefusal): Finding {
  const [text = "The server refuses connections: its error log says more.", ...commands] =
    REFUSALS[errPacket.errorNumber] ?? [];
  return fail(
    `error ${errPacket.errorNumber} in place of a greeting: ${errPacket.message}`,
    remedy("backend.greeting", text, ...commands),
  );
}
