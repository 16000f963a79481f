/** Listening sockets that a service manager opened beforehand and hands over: the protocol of sd_listen_fds(3). */
import { fstatSync } from "node:fs";

export interface InheritedSocket {
  readonly fd: number;
  /** FileDescriptorName= of the socket unit; its own name where none was chosen. */
  readonly name: string;
}

type Environment = Record<string, string | undefined>;

/** Behind standard input, output and error. */
const LISTEN_FDS_START = 3;
const SOCKETS_MAX = 256;
const VARIABLES = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] as const;

/**
 * The sockets meant for this process. Takes the variables out of the environment: what this process starts, token commands
 * among them, must not take the sockets for its own. Throws when what was handed over is no socket.
 */
export function takeInheritedSockets(env: Environment, pid: number): InheritedSocket[] {
  const { LISTEN_PID: owner, LISTEN_FDS: count = "", LISTEN_FDNAMES: names = "" } = env;
  for (const variable of VARIABLES) delete env[variable];
  // Variables left over from another process's start say nothing about ours.
  if (owner !== String(pid) || !/^[0-9]{1,3}$/.test(count)) return [];
  const nameList = names.split(":");
  return Array.from({ length: Math.min(Number(count), SOCKETS_MAX) }, (_, index) => {
    const fd = LISTEN_FDS_START + index;
    if (!isSocket(fd)) {
      throw new Error(`Taking over ${count} sockets (LISTEN_FDS): file descriptor ${fd} is not a socket.`);
    }
    return { fd, name: nameList[index] ?? "" };
  });
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

/**
 * Which listener serves which descriptors. A socket named like a listener is that listener's, several may be (one for each
 * address family); the others go in order to the listeners that have none, all of them if there is only one listener.
 * Throws when a socket is left over: nobody would ever answer the clients that connect to it.
 */
export function assignSockets(
  sockets: readonly InheritedSocket[],
  listenerNames: readonly string[],
): ReadonlyMap<string, readonly number[]> {
  const assigned = new Map<string, number[]>();
  const give = (listener: string, fd: number): void => {
    assigned.set(listener, [...(assigned.get(listener) ?? []), fd]);
  };
  const others = sockets.filter(({ fd, name }) => {
    const isNamed = listenerNames.includes(name);
    if (isNamed) give(name, fd);
    return !isNamed;
  });
  const [first] = listenerNames;
  const free = listenerNames.filter((name) => !assigned.has(name));
  const takers = listenerNames.length === 1 && first !== undefined ? others.map(() => first) : free;
  for (const [index, { fd, name }] of others.entries()) {
    const taker = takers[index];
    if (taker === undefined) {
      throw new Error(
        `Taking over ${sockets.length} sockets (LISTEN_FDS): no listener is left for ${JSON.stringify(name)}. ` +
          `Set FileDescriptorName= of the socket unit to a listener's name: ${listenerNames.join(", ")}.`,
      );
    }
    give(taker, fd);
  }
  return assigned;
}
