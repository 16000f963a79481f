/**
 * Sessions of PostgreSQL as pages to read: what the client sends (>), what reaches the server (=), what the client gets (<),
 * what is recorded (!) and told to the log (#). The server is postgres-model-server.ts.
 */
import { decodeErrorFields } from "../../src/postgres/backend-message.ts";
import type { BackendPiece } from "../../src/postgres/backend-walker.ts";
import { encodeFrontendMessage, type FrontendMessage } from "../../src/postgres/frontend-message.ts";
import { eventually } from "./eventually.ts";
import { PostgresClient, PostgresError, type PostgresLogin, rowsIn } from "./postgres-client.ts";
import { lineOf, type PostgresModelOptions, PostgresModelServer } from "./postgres-model-server.ts";
import { type PostgresProxy, type PostgresProxyOptions, startPostgresProxy } from "./postgres-proxy.ts";
import { counted, countedSince, eventLine, fields, wholeEventLine } from "./transcript-lines.ts";

const WAIT_MS = 20_000;

export interface StageOptions extends Omit<PostgresProxyOptions, "backendPort"> {
  readonly model?: PostgresModelOptions;
  /** Everything is told that does not pass with this run: for pages that only a sum is kept of. */
  readonly isWhole?: boolean;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
export const query = (sql: string): FrontendMessage => ({ name: "Query", sql: bytes(sql) });
export const parse = (statement: string, sql: string): FrontendMessage => ({
  name: "Parse",
  statement,
  sql: bytes(sql),
  parameterTypes: [],
});
export const bind = (portal: string, statement: string, values: readonly string[] = []): FrontendMessage => ({
  name: "Bind",
  portal,
  statement,
  parameterFormats: [],
  values: values.map(bytes),
  resultFormats: [],
});
export const execute = (portal = "", rowsMax = 0): FrontendMessage => ({ name: "Execute", portal, rowsMax });
export const describing = (target: "statement" | "portal", of: string): FrontendMessage => ({
  name: "Describe",
  target,
  of,
});
export const closing = (target: "statement" | "portal", of: string): FrontendMessage => ({ name: "Close", target, of });
export const data = (text: string): FrontendMessage => ({ name: "CopyData", data: bytes(text) });
export const SYNC: FrontendMessage = { name: "Sync" };
export const FLUSH: FrontendMessage = { name: "Flush" };
export const COPY_DONE: FrontendMessage = { name: "CopyDone" };

/** What is of one run alone in a text that a client reads. */
function steady(line: string): string {
  return (
    line
      .replace(/within \d+ ms/g, "within … ms")
      // With as many digits as there were, the message is as long as it says.
      .replace(/(E(?:\\u0000){3}).(?=S[A-Z]+\\u0000.*within … ms)/g, "$1…")
      .replace(/(decision|request|session) (?=[\w-]*\d)[\w-]+/g, "$1 …")
      .replace(/\bd\d{6}\b|approvalId=[\w-]+/g, "…")
  );
}

export class PostgresStage {
  readonly lines: string[] = [];
  readonly model: PostgresModelServer;
  readonly proxy: PostgresProxy;
  readonly #before: ReadonlyMap<string, string>;
  readonly #isWhole: boolean;
  #last: PostgresClient | undefined;
  #shown = "";

  private constructor(model: PostgresModelServer, proxy: PostgresProxy, isWhole: boolean) {
    this.model = model;
    this.proxy = proxy;
    this.#isWhole = isWhole;
    this.#before = counted(proxy.metrics.render(), isWhole);
  }

  static async open({
    model: modelOptions = {},
    isWhole = false,
    ...options
  }: StageOptions = {}): Promise<PostgresStage> {
    const model = new PostgresModelServer(modelOptions);
    const proxy = await startPostgresProxy({ backendPort: await model.listen(), ...options });
    return new PostgresStage(model, proxy, isWhole);
  }

  /** The one that has logged in last. */
  get client(): PostgresClient {
    if (this.#last === undefined) throw new Error("nobody has logged in");
    return this.#last;
  }

  note(line: string): void {
    this.lines.push(steady(line).replaceAll("\n", " "));
  }

  /** Logs in, or is refused; the client before it leaves first. */
  async logIn(login: Partial<PostgresLogin> = {}): Promise<PostgresClient | undefined> {
    const { user = "app", database = "shop", ...more } = login;
    await this.leave();
    this.note(`> login ${user} ${more.isTls === true ? "with TLS " : ""}${JSON.stringify(more.settings ?? {})}`);
    try {
      const client = await PostgresClient.logIn({ port: this.proxy.port, user, database, ...more });
      this.#last = client;
      const { keyData, parameters, asked } = client;
      this.note(
        `< asked ${asked.join()}, ${JSON.stringify([...parameters])}, a key of ${keyData?.secretKey.length ?? 0} bytes`,
      );
      return client;
    } catch (thrown) {
      if (!(thrown instanceof PostgresError)) this.note(`< ${thrown instanceof Error ? thrown.message : thrown}`);
      else this.note(`< ${[...thrown.fields.fields].map(([letter, text]) => `${letter}=${text}`).join(" ")}`);
      await this.ended();
      return undefined;
    } finally {
      this.flush();
    }
  }

  /** Sends without waiting for an answer. */
  send(...messages: readonly FrontendMessage[]): void {
    for (const message of messages) this.note(`> ${lineOf(message)}`);
    this.client.write(...messages.map(encodeFrontendMessage));
  }

  /** Sends, and reads as many ReadyForQuery as that brings. */
  async say(...messages: readonly FrontendMessage[]): Promise<void> {
    this.send(...messages);
    await this.read(messages.filter(({ name }) => ["Query", "Sync", "FunctionCall"].includes(name)).length);
  }

  /** What the client gets up to so many ReadyForQuery, or the end. */
  async read(ready = 1): Promise<void> {
    const pieces = await this.client.untilReady(ready);
    this.note(`< ${pieces.map(pieceText).join(" ")}`);
    if (pieces.at(-1)?.type !== READY && ready > 0) {
      this.note("< the end");
      await this.ended();
    }
    this.flush();
  }

  /** Up to a message of this type. */
  async readTo(type: string): Promise<void> {
    const pieces: BackendPiece[] = [];
    for (;;) {
      const piece = await this.client.next();
      if (piece !== undefined) pieces.push(piece);
      if (piece === undefined || piece.type === type.charCodeAt(0)) break;
    }
    this.note(`< ${pieces.map(pieceText).join(" ")}`);
  }

  /** All sessions are over. */
  async ended(): Promise<void> {
    await eventually("all sessions are over", () => this.proxy.sessions.size === 0, WAIT_MS);
  }

  /** The id of the request that waits for an approval. */
  async asked(): Promise<string> {
    const pending = () => this.proxy.approvals.list().find(({ state }) => state === "pending")?.id;
    return await eventually("a request waits", pending, WAIT_MS);
  }

  /** It has come to the server. */
  async seen(what: RegExp): Promise<void> {
    await eventually(`the server sees ${what}`, () => this.model.seen.some((line) => what.test(line)), WAIT_MS);
  }

  /** How the sessions stand, where that has changed. */
  view(): void {
    const shown = [...this.proxy.sessions].map((session) => {
      const { isIdle, isAtRest, isLoggingIn, holdsLoginPlace } = session;
      const { commands, bytesToClient, bytesToBackend, ...view } = session.view();
      const isCounted = bytesToClient === session.bytesToClient && bytesToBackend === session.bytesToBackend;
      const isEven = commands % 2 === 0;
      const bytes = this.#isWhole ? { commands, bytesToClient, bytesToBackend } : {};
      const told = { ...view, ...bytes, isIdle, isAtRest, isLoggingIn, holdsLoginPlace, isCounted, isEven };
      return `  ${fields(told, this.#isWhole)}`;
    });
    if (shown.join("\n") !== this.#shown) this.lines.push(...shown);
    this.#shown = shown.join("\n");
  }

  flush(): void {
    const { events, log } = this.proxy;
    for (const line of this.model.seen.splice(0)) this.note(`= ${line}`);
    const lineOfEvent = this.#isWhole ? wholeEventLine : eventLine;
    for (const event of events.splice(0)) this.note(lineOfEvent(event));
    for (const { level, event, fields: more } of log.splice(0)) {
      this.note(`# ${level} ${event} ${fields(more, this.#isWhole)}`);
    }
  }

  /** The client leaves. */
  async leave(): Promise<void> {
    this.#last?.close();
    await this.ended();
    this.flush();
  }

  /** The same, and what was counted is told. */
  async close(): Promise<void> {
    await this.leave();
    for (const line of countedSince(this.#before, this.proxy.metrics.render(), this.#isWhole)) this.note(line);
    await this.proxy.close();
    await this.model.close();
  }
}

const READY = 0x5a;

function pieceText(piece: BackendPiece): string {
  const letter = String.fromCharCode(piece.type);
  if (letter === "E" || letter === "N") {
    const body = piece.kind === "message" ? piece.body : piece.wire.subarray(5);
    const { severity, code, message, fields: all } = decodeErrorFields(body);
    const more = ["D", "H"].flatMap((name) => (all.has(name) ? [`${name}: ${all.get(name)}`] : []));
    return `${letter}(${[severity, code, message, ...more].join(" ")})`;
  }
  if (letter === "D") return `D(${rowsIn(piece.wire).join(" ")})`;
  const body = piece.kind === "message" ? piece.body : piece.wire;
  const isPlain = ["C", "Z", "S", "d"].includes(letter);
  return isPlain ? `${letter}(${JSON.stringify(Buffer.from(body).toString("latin1"))})` : letter;
}
