/** TCP connect to a backend: name lookup per connect, both address families raced, one deadline over all. */
import { promises as dns } from "node:dns";
import { isIP } from "node:net";
import { QuerycopError } from "../base/errors.ts";
import { network } from "./network.ts";
import type { Transport } from "./transport.ts";

export type AddressFamily = "auto" | "ipv4" | "ipv6";

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly family: AddressFamily;
  /** Milliseconds for lookup and connect together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Addresses of the name that are not wanted. */
  readonly isAvoided?: ((address: string) => boolean) | undefined;
}

/** RFC 8305 section 5 recommends 250 ms between attempts. */
const ATTEMPT_DELAY_MS = 250;
const ADDRESSES_MAX = 16;

/**
 * Connects to the first address that answers. The name is looked up at every call, because an Aurora failover is a DNS
 * change. Throws QC_BACKEND_DNS or QC_BACKEND_UNREACHABLE, and QC_BACKEND_NOT_WRITER where no address is wanted.
 */
export async function dialBackend(options: DialOptions): Promise<Transport> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
  const addresses = wanted(await lookupAddresses(options, signal), options);
  const errors: string[] = [];
  try {
    return await raceAddresses(addresses, options.port, signal, errors);
  } catch (cause) {
    if (signal.aborted && !deadline.aborted) {
      throw new QuerycopError("QC_CLIENT_CLOSED", "The client went away while the backend was dialled", { cause });
    }
    const target = `${options.host}:${options.port}`;
    const detail = deadline.aborted ? `no answer within ${options.timeoutMs} ms` : errors.join(", ");
    throw new QuerycopError("QC_BACKEND_UNREACHABLE", `Cannot connect to backend ${target}: ${detail}`, { cause });
  }
}

interface Address {
  readonly address: string;
  readonly family: number;
}

async function lookupAddresses(options: DialOptions, signal: AbortSignal): Promise<Address[]> {
  const literal = isIP(options.host);
  if (literal !== 0) return [{ address: options.host, family: literal }];
  let found: Address[];
  try {
    found = await abortable(dns.lookup(options.host, { all: true, order: "verbatim" } as { all: true }), signal);
  } catch (cause) {
    const code = signal.aborted
      ? `no answer within ${options.timeoutMs} ms`
      : ((cause as { code?: string }).code ?? "failed");
    throw new QuerycopError("QC_BACKEND_DNS", `Cannot look up backend host "${options.host}": ${code}`, { cause });
  }
  const wanted = options.family === "auto" ? 0 : options.family === "ipv4" ? 4 : 6;
  const usable = interleaveFamilies(found.filter((entry) => wanted === 0 || entry.family === wanted));
  if (usable.length === 0) {
    throw new QuerycopError(
      "QC_BACKEND_DNS",
      `Backend host "${options.host}" has no ${options.family} address, see GATEKEEPER_BACKEND_ADDRESS_FAMILY`,
    );
  }
  return usable.slice(0, ADDRESSES_MAX);
}

function wanted(addresses: Address[], { host, isAvoided }: DialOptions): Address[] {
  if (isAvoided === undefined) return addresses;
  const left = addresses.filter(({ address }) => !isAvoided(address));
  if (left.length > 0) return left;
  const names = addresses.map(({ address }) => address).join(", ");
  throw new QuerycopError("QC_BACKEND_NOT_WRITER", `Backend host "${host}" leads to readers only: ${names}`);
}

/** The resolver's first family leads, then the families take turns (RFC 8305 section 4). */
function interleaveFamilies(addresses: readonly Address[]): Address[] {
  const first = addresses.filter((entry) => entry.family === addresses[0]?.family);
  const other = addresses.filter((entry) => entry.family !== addresses[0]?.family);
  const result: Address[] = [];
  for (let i = 0; i < Math.max(first.length, other.length); i++) {
    for (const entry of [first[i], other[i]]) if (entry !== undefined) result.push(entry);
  }
  return result;
}

/** Resolves with the first connection; the other attempts are aborted. */
function raceAddresses(
  addresses: readonly Address[],
  port: number,
  signal: AbortSignal,
  errors: string[],
): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const losers = new AbortController();
    let next = 0;
    let pending = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", fail);
      losers.abort();
    };
    const fail = (): void => {
      settle();
      reject(new Error("no address answered"));
    };
    const attempt = (): void => {
      clearTimeout(timer);
      const target = addresses[next++];
      if (target === undefined || losers.signal.aborted) return;
      pending++;
      if (next < addresses.length) timer = setTimeout(attempt, ATTEMPT_DELAY_MS);
      network.connect(target.address, port, losers.signal).then(
        (transport) => {
          if (losers.signal.aborted) {
            transport.destroy();
            return;
          }
          settle();
          resolve(transport);
        },
        (error: Error & { code?: string }) => {
          pending--;
          if (losers.signal.aborted) return;
          errors.push(`${target.address} ${error.code ?? error.message}`);
          if (next < addresses.length) attempt();
          else if (pending === 0) fail();
        },
      );
    };
    signal.addEventListener("abort", fail, { once: true });
    if (signal.aborted) fail();
    else attempt();
  });
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new Error("aborted"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
