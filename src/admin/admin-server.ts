/** The HTTP server of the admin API: its limits on connections, headers and time. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type Clock, SYSTEM_CLOCK } from "../base/clock.ts";
import type { AdminOptions, AdminServer, Operations } from "../server/operations.ts";
import { AddressLimits } from "./address-limits.ts";
import { ConnectionLimits } from "./connection-limits.ts";
import { Credentials } from "./credentials.ts";
import { loadDashboard } from "./dashboard-bundle.ts";
import { Dispatcher } from "./dispatch.ts";
import { adminRoutes, DESCRIBED_ROUTES, type RouteOptions } from "./routes.ts";

/** For metrics, which count by route. */
export const ADMIN_ROUTE_PATHS: readonly string[] = [...new Set(adminRoutes(DESCRIBED_ROUTES).map(({ path }) => path))];

/** To have the address again when the certificate is replaced: ten seconds. */
const REOPEN_ATTEMPTS = 100;
const REOPEN_PAUSE_MS = 100;

const LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
} as const;

/** Rejects with the system's error when the address is taken. */
export async function startAdminServer(
  options: AdminOptions,
  operations: Operations,
  clock: Clock = SYSTEM_CLOCK,
  dashboard: RouteOptions["loadDashboard"] = loadDashboard,
): Promise<AdminServer> {
  const credentials = new Credentials(options.adminKey, options.namedKeys, clock);
  const dispatcher = new Dispatcher({
    routes: adminRoutes({ ...options, loadDashboard: dashboard }),
    operations,
    credentials,
    limits: new AddressLimits(clock),
    isTls: options.tls !== undefined,
    basePath: options.basePath,
    hostNames: hostNamesOf(options.listen),
  });
  const sockets = new ConnectionLimits();
  const listener: RequestListener = (request, response) => {
    const { socket } = request;
    sockets.asked(socket);
    void dispatcher.dispatch(request, response).then((isIdentified) => sockets.answered(socket, isIdentified));
  };
  const open = async (tls: AdminOptions["tls"], target: AdminOptions["listen"]): Promise<Server> => {
    const opened =
      tls === undefined
        ? createServer(LIMITS, listener)
        : createTlsServer({ ...LIMITS, ...tls, minVersion: "TLSv1.2" }, listener);
    opened.on("connection", (socket: Socket) => sockets.add(socket));
    opened.on("clientError", (_error, socket) => socket.destroy());
    await listen(opened, target);
    return opened;
  };
  let { tls } = options;
  let server = await open(tls, options.listen);
  const address = server.address() as AddressInfo | string | null;
  const port = typeof address === "object" && address !== null ? address.port : 0;
  let replaced = Promise.resolve();
  // Bun's servers keep the certificate they began with: another takes the address over, within milliseconds.
  const replaceTls = async (next: AdminOptions["tls"]): Promise<void> => {
    if (options.listen.kind === "unix") throw new Error("the certificate of a unix socket is not replaced");
    const target = { ...options.listen, port };
    server.close();
    server = await persistently(async (attempt) => {
      const material = attempt % 2 === 0 ? next : tls;
      const opened = await open(material, target);
      tls = material;
      return opened;
    });
  };
  return {
    port,
    replaceKeys: (adminKey, namedKeys) => credentials.replaceKeys(adminKey, namedKeys),
    replaceTls: (next) => {
      replaced = replaced.catch(() => undefined).then(() => replaceTls(next));
      return replaced;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        sockets.destroyAll();
      }),
  };
}

/** Somebody else may have the address for a moment, and a certificate may turn out not to do: then the one before does. */
async function persistently<Value>(work: (attempt: number) => Promise<Value>): Promise<Value> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt);
    } catch (thrown) {
      if (attempt === REOPEN_ATTEMPTS) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, REOPEN_PAUSE_MS));
    }
  }
}

/** Names a browser on this machine may use; whoever calls from elsewhere has to have a key, whatever name it uses. */
function hostNamesOf(listen: AdminOptions["listen"]): ReadonlySet<string> | undefined {
  if (listen.kind === "unix") return undefined;
  const { host } = listen;
  const isLoopback = host === "localhost" || host === "::1" || host.startsWith("127.");
  return isLoopback ? new Set(["localhost", host]) : undefined;
}

function listen(server: Server, target: AdminOptions["listen"]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const opened = (): void => {
      server.removeListener("error", reject);
      resolve();
    };
    if (target.kind === "tcp") server.listen(target.port, target.host, opened);
    else {
      removeStaleSocket(target.path);
      server.listen(target.path, () => {
        chmodSync(target.path, 0o660);
        opened();
      });
    }
  });
}

function removeStaleSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
}
