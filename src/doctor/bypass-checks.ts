/** Whether clients reach the backend without querycop: what can be known from here. */

import { BlockList, isIP } from "node:net";
import { plainAddress } from "../base/address.ts";
import { counted } from "../base/counted.ts";
import { regionOfHost } from "../config/region.ts";
import { fail, type ListenerCheck, ok, remedy, skip, warn } from "./check.ts";
import type { QueryResult, ServerQueries } from "./server-queries.ts";

/** Addresses that no host outside of a network reaches: RFC 1918, 6598, 3927, 4193, 4291, loopback. */
const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["169.254.0.0", 16],
  ["127.0.0.0", 8],
] as const) {
  PRIVATE.addSubnet(network, prefix, "ipv4");
}
PRIVATE.addSubnet("fc00::", 7, "ipv6");
PRIVATE.addSubnet("fe80::", 10, "ipv6");
PRIVATE.addAddress("::1", "ipv6");

export function isPublicAddress(address: string): boolean {
  const plain = plainAddress(address);
  return isIP(plain) !== 0 && !PRIVATE.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
}

export const backendExposure: ListenerCheck = {
  id: "backend.exposure",
  scope: "listener",
  onPostgres: "same",
  title: "The backend is not open to everybody",
  about:
    "Warns when an address of the backend is a public one: then only its firewall keeps clients from going around querycop. Addresses of a private network are fine, and say nothing about who in that network reaches them.",
  needs: ["backend.dns"],
  run: async ({ probe, listener }) => {
    const open = probe.addresses.map(({ address }) => address).filter(isPublicAddress);
    if (open.length === 0) return ok("no public address");
    const isRds = regionOfHost(listener.backend.host) !== undefined;
    const text = `public: ${open.join(" ")}: whoever has a login can go around querycop unless a firewall stops them`;
    return warn(
      text,
      isRds
        ? remedy(
            "backend.exposure",
            "Take the public address away, and let the security group admit querycop's hosts only.",
            "aws rds modify-db-instance --db-instance-identifier INSTANCE --no-publicly-accessible",
          )
        : remedy(
            "backend.exposure",
            "Admit querycop's addresses only: in the firewall, the provider's list of addresses, or the host part of the accounts.",
          ),
    );
  },
};

/** MariaDB and older MySQL have the first table only; MySQL will lose it. */
const TABLES = ["information_schema.processlist", "performance_schema.processlist"] as const;
/** Threads of the server and of RDS itself. */
const SYSTEM_USERS = "'system user', 'event_scheduler', 'rdsadmin', 'rdsrepladmin', 'rdsproxyadmin', 'mysql.session'";

export const serverBypass: ListenerCheck = {
  id: "server.bypass",
  scope: "listener",
  onPostgres: { skip: "not built for PostgreSQL yet" },
  title: "Nobody is connected around querycop",
  about:
    "After the login: are there sessions on the server that come from other hosts than this one. They go around querycop, or through another one. Sees all accounts with the privilege PROCESS only; without it, the sessions of the account logged in. Finding nobody now proves nothing for tomorrow. Not for PostgreSQL yet.",
  needs: ["server.grants"],
  timeoutMs: ({ listener }) => 6 * listener.backend.loginTimeoutMs,
  run: async ({ probe }) => {
    const { queries } = probe;
    if (queries === undefined) return skip("needs a login: querycop doctor --user NAME");
    const seen = await countOthers(queries);
    if (seen === undefined) return skip("the server does not show its sessions");
    const scope = seen.seesAll ? "all accounts" : "this account only, which lacks the privilege PROCESS";
    if (seen.own === "") return fail("the session doctor just opened is not in the server's own list");
    if (seen.sessions === 0) return ok(`no session from elsewhere than ${seen.own}; seen: ${scope}`);
    return warn(
      `${counted(seen.sessions, "session")} of ${counted(seen.users, "account")} from other hosts than ${seen.own}, such as ${seen.example}; seen: ${scope}`,
      remedy(
        "server.bypass",
        "If these are no other querycop: admit querycop's addresses only, or give its accounts that host.",
        "mysql -e 'SELECT user, host, COUNT(*) FROM information_schema.processlist GROUP BY user, host'",
      ),
    );
  },
};

interface Others {
  readonly own: string;
  readonly sessions: number;
  readonly users: number;
  readonly example: string;
  readonly seesAll: boolean;
}

const cellsOf = (answer: QueryResult): readonly (string | undefined)[] | undefined =>
  "row" in answer ? answer.row : undefined;

async function countOthers(queries: ServerQueries): Promise<Others | undefined> {
  for (const table of TABLES) {
    // A host is address:port; IPv6 addresses hold colons themselves.
    const host = "LEFT(host, CHAR_LENGTH(host) - CHAR_LENGTH(SUBSTRING_INDEX(host, ':', -1)) - 1)";
    const own = cellsOf(await queries.firstRow(`SELECT ${host} FROM ${table} WHERE id = CONNECTION_ID()`))?.[0];
    if (own === undefined) continue;
    if (!/^[A-Za-z0-9_.:-]{1,255}$/.test(own)) return { own: "", sessions: 0, users: 0, example: "", seesAll: false };
    const others = cellsOf(
      await queries.firstRow(
        `SELECT COUNT(*), COUNT(DISTINCT user), MIN(${host}) FROM ${table} WHERE host LIKE '%:%' AND ${host} <> '${own}' AND user NOT IN (${SYSTEM_USERS})`,
      ),
    );
    const privilege = cellsOf(
      await queries.firstRow(
        "SELECT COUNT(*) FROM information_schema.user_privileges WHERE privilege_type = 'PROCESS'",
      ),
    );
    if (others === undefined) continue;
    return {
      own,
      sessions: Number(others[0]),
      users: Number(others[1]),
      example: (others[2] ?? "").slice(0, 255),
      seesAll: Number(privilege?.[0] ?? 0) > 0,
    };
  }
  return undefined;
}
