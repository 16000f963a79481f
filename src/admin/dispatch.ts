/**
 * One request from its headers to its answer.
 *
 *   one Host, a known name ─► route ─► credential ─► calls per second ─► role ─► origin ─► query, body ─► handler ─► record
 *
 * SAFETY: everything is refused that no line here lets through: a route without `access: "public"` demands a credential.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { plainAddress, UNIX_SOCKET } from "../base/address.ts";
import { QuerycopError } from "../base/errors.ts";
import type { Operations } from "../server/operations.ts";
import type { DeliveryVerdict } from "../server/webhook-inbox.ts";
import type { AddressLimits } from "./address-limits.ts";
import { bearerKey, type Credentials, type Identified, sessionCookie } from "./credentials.ts";
import { problemOf } from "./json-schema.ts";
import { readBody } from "./request-body.ts";
import { type Call, matchPath, Refusal, type Reply, type Route } from "./route.ts";
import { sendReply } from "./send-reply.ts";

export interface DispatchOptions {
  readonly routes: readonly Route[];
  readonly operations: Operations;
  readonly credentials: Credentials;
  readonly limits: AddressLimits;
  readonly isTls: boolean;
  readonly basePath: string;
  /** Names by which a browser may know this API; any, where it is reachable from elsewhere and demands a key. */
  readonly hostNames: ReadonlySet<string> | undefined;
}

interface Matched {
  readonly route: Route;
  readonly path: Readonly<Record<string, string>>;
}

/** Everything known of a request on its way; filled in step by step. */
interface Progress {
  route: Route | undefined;
  identified: Identified | undefined;
  target: string | undefined;
  /** Address and port. */
  from: string;
  /** Too many calls are not recorded one by one: that would only move the flood to the disk. */
  isRecorded: boolean;
}

/** A page that stays open is recorded so often, for each of its routes. */
const POLL_RECORD_MS = 5 * 60_000;
const POLLERS_MAX = 1024;

export class Dispatcher {
  readonly #options: DispatchOptions;
  /** When a caller's polling of a route was recorded last, oldest first. */
  readonly #polls = new Map<string, number>();

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Answers the request. Never rejects. Resolves with whether it came with a right key or session. */
  async dispatch(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const progress: Progress = {
      route: undefined,
      identified: undefined,
      target: undefined,
      from: "",
      isRecorded: true,
    };
    const address = addressOf(request);
    // The socket may be gone when there is an answer.
    const { remotePort } = request.socket;
    progress.from = remotePort === undefined ? address : `${address}:${remotePort}`;
    let status: number;
    try {
      const reply = await this.#answer(request, address, progress);
      status = "stream" in reply ? 200 : reply.status;
      if ("json" in reply) progress.target = reply.target;
      sendReply(request, response, reply);
    } catch (thrown) {
      const refusal = this.#refusalFrom(thrown);
      status = refusal.status;
      sendReply(request, response, replyOf(refusal));
    }
    this.#note(request, status, progress);
    return progress.identified !== undefined;
  }

  async #answer(request: IncomingMessage, address: string, progress: Progress): Promise<Reply> {
    const { credentials, operations, isTls, basePath } = this.#options;
    const host = this.#requireHost(request);
    const url = urlOf(request);
    const pathname = withoutBase(url.pathname, basePath);
    // Without the slash a page's own addresses would lead elsewhere.
    if (pathname === "") return { status: 308, json: {}, headers: { Location: `${basePath}/` } };
    const { route, path } = this.#findRoute(request, pathname);
    progress.route = route;
    const cookie = sessionCookie(request.headers.cookie);
    const identified = this.#identify(request, cookie, address, progress);
    progress.identified = identified;
    const isHealthCheck = route.access === "public" && route.isRoutine === true;
    const isLogin = route.access === "public" && route.body !== undefined;
    // A health check must not fail because somebody at the same address calls too often.
    if (!isHealthCheck && !isLogin) this.#requirePace(callerOf(identified, address), progress);
    this.#requireAccess(route, identified);
    this.#requireOrigin(request, host, route, identified);
    const query = queryOf(url, route);
    const principal = identified?.principal;
    const isStillValid = (): boolean => this.#principalOf(request, cookie)?.name === principal?.name;
    const lastEventId = request.headers["last-event-id"];
    const about = {
      isTls,
      basePath,
      isStillValid,
      lastEventId: typeof lastEventId === "string" ? lastEventId : undefined,
    };
    const call = { ...about, operations, credentials, principal, clientAddress: address, path, query, cookie };
    if (!isLogin) return await this.#handle(request, route, call);
    try {
      return await this.#handle(request, route, call);
    } catch (thrown) {
      // Nor must the right key. What was none is counted behind it.
      if (thrown instanceof Refusal && thrown.status === 401) this.#countWrongKey(address, progress);
      this.#requirePace(address, progress);
      throw thrown;
    }
  }

  async #handle(request: IncomingMessage, route: Route, call: Omit<Call, "body">): Promise<Reply> {
    if (route.body === undefined) return await route.handle({ ...call, body: undefined });
    const { text, json: body } = await readBody(request);
    // SAFETY: nothing is said of a body before it is known whose it is.
    if (route.isSigned === true) requireSignature(request, text, call.operations);
    const problem = problemOf(body, route.body);
    if (problem !== undefined) throw new Refusal(400, "bad-request", problem);
    return await route.handle({ ...call, body });
  }

  /**
   * SAFETY: a page whose name was made to point at this address (DNS rebinding) has that name in Host. Names of this
   * machine and addresses cannot be anybody else's.
   */
  #requireHost(request: IncomingMessage): string {
    const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host");
    const { host } = request.headers;
    if (hosts.length !== 1 || host === undefined || host === "")
      throw new Refusal(400, "bad-host", "one Host header is needed");
    const { hostNames } = this.#options;
    const name = nameOfHost(host);
    if (hostNames === undefined || hostNames.has(name) || isIP(name) !== 0) return host;
    throw new Refusal(
      403,
      "bad-host",
      "the admin API is called by its address, by localhost, or by the name in api.host",
    );
  }

  #findRoute(request: IncomingMessage, pathname: string): Matched {
    const method = request.method === "HEAD" ? "GET" : (request.method ?? "");
    const found: Matched[] = [];
    for (const route of this.#options.routes) {
      const path = matchPath(route.path, pathname);
      if (path !== undefined) found.push({ route, path });
    }
    const matched = found.find(({ route }) => route.method === method);
    if (matched !== undefined) return matched;
    if (found.length === 0) throw new Refusal(404, "not-found", "there is no such route, see /openapi.json");
    throw new Refusal(405, "method-not-allowed", `allowed here: ${found.map(({ route }) => route.method).join(", ")}`);
  }

  #requirePace(caller: string, progress: Progress): void {
    if (this.#options.limits.take(caller)) return;
    progress.isRecorded = false;
    throw new Refusal(429, "too-many-requests", "at most 10 requests per second with one key or from one address");
  }

  #countWrongKey(address: string, progress: Progress): void {
    const seconds = this.#options.limits.failed(address);
    if (seconds === 0) return;
    progress.isRecorded = false;
    throw new Refusal(429, "locked", `too many wrong keys from this address, try again in ${seconds} s`);
  }

  /**
   * SAFETY: a key is compared before anything is said about the address it comes from: others there may guess as often
   * as they like, and the right key is let in all the same.
   */
  #identify(
    request: IncomingMessage,
    cookie: string | undefined,
    address: string,
    progress: Progress,
  ): Identified | undefined {
    const { limits } = this.#options;
    const key = bearerKey(request.headers.authorization);
    if (key === undefined && cookie === undefined) return undefined;
    const principal = this.#principalOf(request, cookie);
    if (principal !== undefined) {
      limits.succeeded(address);
      return { principal, isCookie: key === undefined };
    }
    // A cookie of before a restart is no attempt to guess one.
    if (key !== undefined) this.#countWrongKey(address, progress);
    return undefined;
  }

  #principalOf(request: IncomingMessage, cookie: string | undefined): Identified["principal"] | undefined {
    const { credentials } = this.#options;
    const key = bearerKey(request.headers.authorization);
    if (key !== undefined) return credentials.ofKey(key);
    return cookie === undefined ? undefined : credentials.ofSession(cookie);
  }

  #requireAccess(route: Route, identified: Identified | undefined): void {
    const access = route.access ?? "admin";
    if (access === "public") return;
    if (!this.#options.credentials.hasKeys) {
      throw new Refusal(401, "no-key", "no key is configured, set ADMIN_API_KEY or admin_api_key_file");
    }
    if (identified === undefined)
      throw new Refusal(401, "unauthorized", "a valid key is needed: Authorization: Bearer");
    const { role } = identified.principal;
    if (role === "admin" || access === "requester" || access === role) return;
    const what = role === "requester" ? "asking for approvals" : "approvals";
    throw new Refusal(403, "forbidden", `this key is for ${what} only`);
  }

  /** SAFETY: a browser says which page a request comes from; one that changes something must come from our own. */
  #requireOrigin(request: IncomingMessage, host: string, route: Route, identified: Identified | undefined): void {
    const { origin } = request.headers;
    const site = request.headers["sec-fetch-site"];
    const scheme = this.#options.isTls ? "https" : "http";
    const isOwn = origin === `${scheme}://${host}`;
    const isForeign = (origin !== undefined && !isOwn) || site === "cross-site" || site === "same-site";
    const isUnproved = identified?.isCookie === true && route.method !== "GET" && !isOwn;
    if (isForeign || isUnproved) throw new Refusal(403, "bad-origin", "requests from pages of others are refused");
  }

  #refusalFrom(thrown: unknown): Refusal {
    if (thrown instanceof Refusal) return thrown;
    if (thrown instanceof QuerycopError) return new Refusal(503, thrown.code, thrown.clientMessage);
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.#options.operations.logger.error("admin request failed", { error });
    return new Refusal(500, "internal", "internal error, see the querycop log");
  }

  #isFirstPoll({ path }: Route, identified: Identified | undefined): boolean {
    const key = `${identified?.principal.name} ${path}`;
    const nowMs = performance.now();
    const recordedMs = this.#polls.get(key);
    if (recordedMs !== undefined && nowMs - recordedMs < POLL_RECORD_MS) return false;
    this.#polls.delete(key);
    const [oldest] = this.#polls.keys();
    if (this.#polls.size >= POLLERS_MAX && oldest !== undefined) this.#polls.delete(oldest);
    this.#polls.set(key, nowMs);
    return true;
  }

  #note(request: IncomingMessage, status: number, progress: Progress): void {
    const { operations } = this.#options;
    const { route, identified } = progress;
    operations.metrics.adminRequests.of(route?.path ?? "other", `${Math.floor(status / 100)}xx`).value++;
    const isQuiet = route === undefined || (status < 400 && route.isRoutine === true) || route.access === "public";
    if (!progress.isRecorded || (isQuiet && route?.method !== "POST")) return;
    if (status < 400 && route?.isPolled === true && !this.#isFirstPoll(route, identified)) return;
    operations.record({
      type: "admin-call",
      principal: identified?.principal.name,
      clientAddress: progress.from,
      method: request.method ?? "",
      route: route?.path ?? "other",
      status,
      target: progress.target,
    });
  }
}

const SIGNATURE_REFUSALS: Readonly<Record<Exclude<DeliveryVerdict, "genuine">, readonly [number, string]>> = {
  forged: [401, "the signature is not one of approvals.webhook_secret_file"],
  late: [401, "webhook-timestamp is more than five minutes away from the time here"],
  replayed: [409, "this webhook-id has been taken already"],
  busy: [429, "too many deliveries in ten minutes"],
  "no-secret": [503, "approvals.webhook_secret_file cannot be used, see querycop doctor"],
};

function requireSignature({ headers }: IncomingMessage, body: string, { approvalInbox }: Operations): void {
  const header = (name: string): string => String(headers[name] ?? "");
  const delivery = {
    id: header("webhook-id"),
    timestamp: header("webhook-timestamp"),
    signature: header("webhook-signature"),
    body,
  };
  const verdict = approvalInbox?.judge(delivery);
  if (verdict === undefined)
    throw new Refusal(404, "not-found", "no system may answer here: approvals.webhook_approvers");
  if (verdict === "genuine") return;
  const [status, message] = SIGNATURE_REFUSALS[verdict];
  throw new Refusal(status, verdict, message);
}

function withoutBase(pathname: string, basePath: string): string {
  const isWithin = basePath !== "" && (pathname === basePath || pathname.startsWith(`${basePath}/`));
  return isWithin ? pathname.slice(basePath.length) : pathname;
}

function callerOf(identified: Identified | undefined, address: string): string {
  return identified === undefined ? address : `key ${identified.principal.name}`;
}

function replyOf({ status, code, message }: Refusal): Reply {
  const headers: Record<string, string> = {};
  if (status === 401) headers["WWW-Authenticate"] = 'Bearer realm="querycop"';
  if (status === 429) headers["Retry-After"] = "1";
  return { status, json: { error: { code, message } }, headers };
}

function addressOf(request: IncomingMessage): string {
  const { remoteAddress } = request.socket;
  return remoteAddress === undefined ? UNIX_SOCKET : plainAddress(remoteAddress);
}

/** `[::1]:8080` → `::1` */
function nameOfHost(host: string): string {
  const end = host.startsWith("[") ? host.indexOf("]") + 1 : host.indexOf(":");
  const name = end <= 0 ? host : host.slice(0, end);
  // What follows is a port, or all of it is no name at all.
  if (!isPortOrNothing(host.slice(name.length))) return "";
  return name.startsWith("[") ? name.slice(1, -1) : name.toLowerCase();
}

function isPortOrNothing(text: string): boolean {
  return text === "" || (text.startsWith(":") && [...text.slice(1)].every((digit) => digit >= "0" && digit <= "9"));
}

/** The path as it was sent: `/a/../b` is no other way to say `/b`. */
function urlOf(request: IncomingMessage): { readonly pathname: string; readonly search: URLSearchParams } {
  const target = request.url ?? "";
  if (!target.startsWith("/")) throw new Refusal(400, "bad-request", "the request's target is not a path");
  const question = target.indexOf("?");
  if (question === -1) return { pathname: target, search: new URLSearchParams() };
  return { pathname: target.slice(0, question), search: new URLSearchParams(target.slice(question + 1)) };
}

function queryOf({ search }: { readonly search: URLSearchParams }, route: Route): Record<string, string> {
  const known = route.query ?? {};
  const values: Record<string, string> = {};
  for (const [name, value] of search) {
    const schema = Object.hasOwn(known, name) ? known[name] : undefined;
    if (schema === undefined) throw new Refusal(400, "bad-request", `query.${name.slice(0, 64)}: is unknown`);
    if (Object.hasOwn(values, name)) throw new Refusal(400, "bad-request", `query.${name}: is given twice`);
    const typed = schema.type === "integer" ? Number(value === "" ? "none" : value) : value;
    const problem = schema.type === "boolean" ? undefined : problemOf(typed, schema, `query.${name}`);
    if (problem !== undefined) throw new Refusal(400, "bad-request", problem);
    values[name] = value;
  }
  return values;
}
