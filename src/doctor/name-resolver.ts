/** Names by the resolver sessions use (dns.lookup), and aliases by DNS itself. */
import { promises as dns } from "node:dns";
import type { NameResolver } from "./check.ts";

/** An alias is nice to know; nobody waits long for it. */
const CNAME_MS = 2_000;

export const systemResolver: NameResolver = {
  lookup: (host) => dns.lookup(host, { all: true, order: "verbatim" } as { all: true }),
  cname: async (host) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<string[]>((resolve) => {
      timer = setTimeout(() => resolve([]), CNAME_MS);
    });
    try {
      return await Promise.race([dns.resolveCname(host), late]);
    } catch {
      return [];
    } finally {
      clearTimeout(timer);
    }
  },
};
