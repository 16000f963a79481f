/**
 * A PostgreSQL for transcripts of sessions: it asks for the login as it is told to, answers the two protocols of queries as
 * servers do, with an error skipping up to Sync, and keeps the state of the transaction. It runs nothing: what a statement
 * does is told by words in its text.
 */
import { createServer, type Server, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import {
  type Authentication,
  encodeAuthentication,
  encodeBackendKeyData,
  encodeErrorResponse,
  encodeNegotiateProtocolVersion,
  encodeNoticeResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
  type TransactionStatus,
} from "../../src/postgres/backend-message.ts";
import { decodeFrontendMessage, type FrontendMessage } from "../../src/postgres/frontend-message.ts";
import { decodePasswordMessage, decodeSaslInitialResponse } from "../../src/postgres/login-message.ts";
import { encodeMd5Password } from "../../src/postgres/md5-password.ts";
import { encodeMessage, writeString } from "../../src/postgres/message.ts";
import { MessageReader } from "../../src/postgres/message-reader.ts";
import { makeScramVerifier, offeredMechanisms, ScramServer } from "../../src/postgres/scram.ts";
import { encodeEncryptionAnswer, type StartupMessage, StartupReader } from "../../src/postgres/startup.ts";

export interface PostgresModelOptions {
  readonly method?: "trust" | "cleartext" | "md5" | "scram" | "gss";
  readonly password?: string;
  readonly parameters?: Readonly<Record<string, string>>;
  /** Begins TLS where it is asked for. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** What is sent in place of AuthenticationOk and all behind it. */
  readonly instead?: (startup: StartupMessage) => readonly Uint8Array[];
  /** The key that it gives out; none where undefined. */
  readonly hasKey?: boolean;
  readonly channelBinding?: Uint8Array;
  /** Says that it speaks no newer minor version of the protocol than this. */
  readonly minor?: number;
}

const MODEL_PARAMETERS = {
  server_version: "15.20",
  client_encoding: "UTF8",
  standard_conforming_strings: "on",
  application_name: "",
};
const KEY = { processId: 4711, secretKey: Uint8Array.of(1, 2, 3, 4) };
const SALT = Uint8Array.of(9, 8, 7, 6);
const LENGTH_MAX = 2 ** 28;
const VERIFIER_SALT = new Uint8Array(16).fill(5);

export class PostgresModelServer {
  /** What has come in: logins, messages, cancels. */
  readonly seen: string[] = [];
  readonly options: PostgresModelOptions;
  readonly #sockets = new Set<Socket>();
  readonly #running = new Set<ModelConnection>();
  #server: Server | undefined;

  constructor(options: PostgresModelOptions = {}) {
    this.options = options;
  }

  /** Resolves to its port. */
  async listen(): Promise<number> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      const connection = new ModelConnection(this, socket);
      this.#running.add(connection);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        this.#running.delete(connection);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as { port: number }).port;
  }

  /** Stops what runs, as the statement that waits there tells its client. */
  cancel(processId: number): void {
    this.seen.push(`cancel ${processId}`);
    for (const connection of this.#running) connection.cancel();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) =>
      this.#server === undefined ? resolve() : this.#server.close(() => resolve()),
    );
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const failed = (code: string, message: string): Uint8Array => encodeErrorResponse({ severity: "ERROR", code, message });
const fatal = (code: string, message: string): Uint8Array => encodeErrorResponse({ severity: "FATAL", code, message });
const tagged = (tag: string): Uint8Array => encodeMessage("C", (body) => writeString(body, tag));
const bare = (type: string): Uint8Array => encodeMessage(type);

const DESCRIPTION = encodeMessage("T", (body) => {
  writeString(body.uint16BE(1), "a").int32BE(0).uint16BE(0).int32BE(25).uint16BE(0xffff).int32BE(-1).uint16BE(0);
});
const row = (value: string): Uint8Array =>
  encodeMessage("D", (body) => body.uint16BE(1).int32BE(value.length).bytes(Buffer.from(value)));
const copying = (type: "G" | "H"): Uint8Array => encodeMessage(type, (body) => body.uint8(0).uint16BE(0));
const ROWS = ["1", "2", "3"];

class ModelConnection {
  readonly #server: PostgresModelServer;
  #socket: Socket;
  readonly #startup = new StartupReader();
  readonly #messages = new MessageReader({ lengthMax: LENGTH_MAX });
  #phase: "startup" | "login" | "commands" | "over" = "startup";
  #begun: StartupMessage | undefined;
  #scram: ScramServer | undefined;
  #status: TransactionStatus = "I";
  #isSkipping = false;
  #isCopyIn: "query" | "extended" | undefined;
  #isWaiting = false;
  readonly #out: Uint8Array[] = [];
  readonly #texts = new Map<string, string>();
  readonly #portals = new Map<string, { text: string; at: number }>();
  readonly #reports: Uint8Array[] = [];

  constructor(server: PostgresModelServer, socket: Socket) {
    this.#server = server;
    this.#socket = socket;
    this.#listen();
  }

  #listen(): void {
    this.#socket.on("data", (chunk: Buffer) => {
      try {
        this.#take(chunk);
      } catch (thrown) {
        this.#server.seen.push(`the model fails: ${String(thrown)}`);
        this.#socket.destroy();
      }
    });
    this.#socket.on("end", () => this.#socket.end());
  }

  #take(chunk: Uint8Array): void {
    if (this.#phase === "startup") this.#startup.push(chunk);
    else this.#messages.push(chunk);
    while (this.#phase === "startup" && this.#begin());
    while (this.#phase !== "startup" && this.#phase !== "over" && !this.#isWaiting) {
      const message = this.#messages.next();
      if (message === undefined) break;
      if (this.#phase === "login") this.#answer(message.body);
      else this.#readBytes(message.type, message.body);
    }
    if (this.#phase !== "commands") this.#flush();
  }

  /** One packet of the connection's beginning; false where there is none more. */
  #begin(): boolean {
    const packet = this.#startup.next();
    if (packet === undefined) return false;
    const { seen, options } = this.#server;
    if (packet.kind === "SSLRequest") {
      seen.push("SSLRequest");
      this.#socket.write(encodeEncryptionAnswer(options.tls !== undefined));
      if (options.tls !== undefined) this.#secure(options.tls);
      return false;
    }
    if (packet.kind === "CancelRequest") {
      this.#server.cancel(packet.processId);
      this.#phase = "over";
      this.#socket.end();
      return false;
    }
    if (packet.kind !== "StartupMessage") throw new Error(packet.kind);
    const { user, database, minor, settings, protocolOptions } = packet;
    seen.push(`login ${user} ${database} 3.${minor} ${JSON.stringify([...settings])} ${protocolOptions.join()}`);
    this.#begun = packet;
    this.#messages.push(this.#startup.takeRest());
    this.#phase = "login";
    if (options.minor !== undefined && options.minor < minor) {
      this.#out.push(encodeNegotiateProtocolVersion({ minor: options.minor, unknownOptions: [] }));
    }
    this.#ask();
    return false;
  }

  #secure(tls: { readonly cert: string; readonly key: string }): void {
    this.#socket.removeAllListeners("data");
    this.#socket.removeAllListeners("end");
    const secure = new TLSSocket(this.#socket, { isServer: true, ...tls });
    secure.on("error", () => undefined);
    this.#socket = secure;
    this.#listen();
  }

  #ask(): void {
    const { method = "trust", channelBinding } = this.#server.options;
    const send = (request: Exclude<Authentication, { kind: "unsupported" }>): void => {
      this.#out.push(encodeAuthentication(request));
    };
    if (method === "trust") this.#welcome();
    else if (method === "cleartext") send({ kind: "cleartext" });
    else if (method === "md5") send({ kind: "md5", salt: SALT });
    else if (method === "gss") this.#out.push(encodeMessage("R", (body) => body.int32BE(7)));
    else send({ kind: "sasl", mechanisms: offeredMechanisms(channelBinding) });
  }

  #answer(body: Uint8Array): void {
    const { method, password = "", channelBinding } = this.#server.options;
    if (method !== "scram") {
      const given = text(decodePasswordMessage(body));
      const user = this.#begun?.user ?? "";
      const wanted = method === "md5" ? encodeMd5Password(user, Buffer.from(password), SALT) : password;
      this.#server.seen.push(`password by ${method}: ${given === wanted ? "right" : "wrong"}`);
      if (given === wanted) this.#welcome();
      else this.#refuse();
      return;
    }
    if (this.#scram === undefined) {
      const { mechanism, data } = decodeSaslInitialResponse(body);
      const verifier = makeScramVerifier(Buffer.from(password), VERIFIER_SALT);
      this.#scram = new ScramServer({ verifier, channelBinding });
      this.#server.seen.push(`SASL ${mechanism}`);
      const first = this.#scram.first(mechanism, data ?? new Uint8Array(0));
      this.#out.push(encodeAuthentication({ kind: "sasl-continue", data: first }));
      return;
    }
    try {
      const { serverFinal } = this.#scram.final(body);
      this.#server.seen.push("SASL proved");
      this.#out.push(encodeAuthentication({ kind: "sasl-final", data: serverFinal }));
      this.#welcome();
    } catch {
      this.#refuse();
    }
  }

  #refuse(): void {
    this.#out.push(fatal("28P01", `password authentication failed for user "${this.#begun?.user}"`));
    this.#leave();
  }

  #leave(): void {
    this.#phase = "over";
    this.#flush();
    this.#socket.end();
  }

  #welcome(): void {
    const { options } = this.#server;
    const begun = this.#begun;
    if (begun === undefined) return;
    this.#phase = "commands";
    if (options.instead !== undefined) {
      this.#out.push(...options.instead(begun));
      this.#flush();
      return;
    }
    const parameters = new Map(Object.entries({ ...MODEL_PARAMETERS, ...options.parameters }));
    for (const [name, value] of begun.settings) parameters.set(name, value);
    this.#out.push(encodeAuthentication({ kind: "ok" }));
    for (const [parameter, value] of parameters) this.#out.push(encodeParameterStatus({ parameter, value }));
    if (options.hasKey !== false) this.#out.push(encodeBackendKeyData(KEY));
    this.#out.push(encodeReadyForQuery("I"));
    this.#flush();
  }

  cancel(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#out.push(failed("57014", "canceling statement due to user request"));
    this.#ready();
    this.#take(new Uint8Array(0));
  }

  #flush(): void {
    if (this.#out.length > 0) this.#socket.write(Buffer.concat(this.#out.splice(0)));
  }

  #ready(): void {
    this.#out.push(...this.#reports.splice(0), encodeReadyForQuery(this.#status));
    this.#flush();
  }

  #fail(code: string, message: string): void {
    this.#out.push(failed(code, message));
    if (this.#status === "T") this.#status = "E";
  }

  #readBytes(type: number, body: Uint8Array): void {
    let message: FrontendMessage;
    try {
      message = decodeFrontendMessage(type, body, "other");
    } catch {
      this.#server.seen.push(`${String.fromCharCode(type)} that is malformed ${JSON.stringify(text(body))}`);
      if (this.#isSkipping) return;
      this.#fail("08P01", "invalid message format");
      this.#isSkipping = true;
      this.#flush();
      return;
    }
    this.#read(message);
  }

  #read(message: FrontendMessage): void {
    this.#server.seen.push(lineOf(message));
    if (message.name === "Terminate") this.#leave();
    else if (this.#isCopyIn !== undefined) this.#readCopy(message);
    else if (message.name === "Sync") {
      this.#isSkipping = false;
      this.#ready();
    } else if (message.name === "Query") this.#query(text(message.sql));
    else if (message.name === "FunctionCall") {
      this.#fail("42883", "function with OID 0 does not exist");
      this.#ready();
    } else if (message.name === "Flush") this.#flush();
    else if (!this.#isSkipping && !message.name.startsWith("Copy")) this.#extended(message);
  }

  #query(sql: string): void {
    const parts = sql.split(";").filter((part) => part.trim() !== "");
    if (parts.length === 0) this.#out.push(bare("I"));
    for (const part of parts) {
      const end = this.#run(part.trim(), true);
      if (end === "waits") return;
      if (end === "copies") {
        this.#isCopyIn = "query";
        this.#flush();
        return;
      }
      if (end === "failed") break;
    }
    if (this.#phase === "commands") this.#ready();
  }

  /** Puts the answers to one statement out. */
  #run(sql: string, isDescribed: boolean): "done" | "failed" | "waits" | "copies" {
    const word = /^[A-Za-z!]*/.exec(sql)?.[0].toUpperCase() ?? "";
    if (word.startsWith("!")) return this.#failWith("42601", 'syntax error at or near "!"');
    if (/DIE/.test(sql)) {
      this.#out.push(fatal("57P01", "terminating connection due to administrator command"));
      this.#leave();
      return "failed";
    }
    if (/VANISH/.test(sql)) {
      this.#phase = "over";
      this.#socket.destroy();
      return "failed";
    }
    if (this.#status === "E" && !/^(?:ROLLBACK|COMMIT)$/.test(word)) {
      return this.#failWith("25P02", "current transaction is aborted");
    }
    if (/FAIL/.test(sql)) return this.#failWith("42P01", "relation does not exist");
    if (/SLOW/.test(sql)) {
      this.#flush();
      this.#isWaiting = true;
      return "waits";
    }
    if (/NOTICE/.test(sql)) this.#out.push(encodeNoticeResponse({ severity: "NOTICE", code: "00000", message: "hi" }));
    if (/NOTIFY/.test(sql))
      this.#out.push(encodeMessage("A", (body) => void writeString(writeString(body.int32BE(7), "c"), "p")));
    const set = /^SET (\w+) (?:=|TO) '([^']*)'/i.exec(sql);
    if (set !== null) this.#reports.push(encodeParameterStatus({ parameter: set[1] ?? "", value: set[2] ?? "" }));
    return this.#answerTo(word, sql, isDescribed);
  }

  #failWith(code: string, message: string): "failed" {
    this.#fail(code, message);
    return "failed";
  }

  #answerTo(word: string, sql: string, isDescribed: boolean): "done" | "copies" {
    switch (word) {
      case "SELECT":
      case "FETCH":
      case "SHOW":
        if (isDescribed) this.#out.push(DESCRIPTION);
        this.#out.push(...ROWS.map(row), tagged(`${word} ${ROWS.length}`));
        return "done";
      case "BEGIN":
        this.#status = "T";
        break;
      case "COMMIT":
      case "ROLLBACK":
        this.#status = "I";
        break;
      case "COPY":
        if (/FROM STDIN/i.test(sql)) {
          this.#out.push(copying("G"));
          return "copies";
        }
        this.#out.push(
          copying("H"),
          encodeMessage("d", (body) => body.bytes(Buffer.from("1\n"))),
          bare("c"),
          tagged("COPY 1"),
        );
        return "done";
      case "INSERT":
        this.#out.push(tagged("INSERT 0 1"));
        return "done";
      case "UPDATE":
      case "DELETE":
        this.#out.push(tagged(`${word} 2`));
        return "done";
      default:
    }
    this.#out.push(tagged(word));
    return "done";
  }

  #readCopy(message: FrontendMessage): void {
    if (message.name === "CopyDone" || message.name === "CopyFail") {
      const how = this.#isCopyIn;
      this.#isCopyIn = undefined;
      if (message.name === "CopyDone") this.#out.push(tagged("COPY 2"));
      else this.#fail("57014", "COPY from stdin failed");
      if (how === "query") this.#ready();
      else if (message.name === "CopyFail") this.#isSkipping = true;
    }
  }

  #extended(message: FrontendMessage): void {
    const end = this.#step(message);
    if (end === undefined) return;
    this.#fail(...end);
    this.#isSkipping = true;
    this.#flush();
  }

  /** What is wrong with it, if anything. */
  #step(message: FrontendMessage): [code: string, message: string] | undefined {
    switch (message.name) {
      case "Parse": {
        const sql = text(message.sql);
        if (sql.startsWith("!") || sql.includes("FAIL")) return ["42601", "syntax error"];
        this.#texts.set(message.statement, sql);
        this.#out.push(bare("1"));
        return undefined;
      }
      case "Bind": {
        const sql = this.#texts.get(message.statement);
        if (message.parameterFormats.length > message.values.length)
          return ["08P01", "bind message has too many formats"];
        if (sql === undefined) return ["26000", "prepared statement does not exist"];
        this.#portals.set(message.portal, { text: sql, at: 0 });
        this.#out.push(bare("2"));
        return undefined;
      }
      case "Describe":
        this.#out.push(...(message.target === "statement" ? [encodeMessage("t", (body) => body.uint16BE(0))] : []));
        this.#out.push(message.of.includes("w") ? bare("n") : DESCRIPTION);
        return undefined;
      case "Execute":
        return this.#execute(message.portal, message.rowsMax);
      case "Close":
        if (message.target === "statement") this.#texts.delete(message.of);
        else this.#portals.delete(message.of);
        this.#out.push(bare("3"));
        return undefined;
      default:
        return ["08P01", `unexpected ${message.name}`];
    }
  }

  #execute(name: string, rowsMax: number): [code: string, message: string] | undefined {
    const portal = this.#portals.get(name);
    if (portal === undefined) return ["34000", "portal does not exist"];
    if (rowsMax > 0 && portal.text.startsWith("SELECT")) {
      const rows = ROWS.slice(portal.at, portal.at + rowsMax);
      portal.at += rowsMax;
      this.#out.push(...rows.map(row), portal.at < ROWS.length ? bare("s") : tagged(`SELECT ${rows.length}`));
      return undefined;
    }
    if (portal.text === "") {
      this.#out.push(bare("I"));
      return undefined;
    }
    const end = this.#run(portal.text, false);
    if (end === "failed") this.#isSkipping = true;
    if (end === "copies") {
      this.#isCopyIn = "extended";
      this.#flush();
    }
    return undefined;
  }
}

/** One message as a page shows it. */
export function lineOf(message: FrontendMessage): string {
  const { name, ...rest } = message;
  const parts = Object.entries(rest).map(([key, value]) => {
    if (value instanceof Uint8Array) return JSON.stringify(text(value));
    if (Array.isArray(value)) {
      return `${key}=[${value.map((item) => (item instanceof Uint8Array ? JSON.stringify(text(item)) : String(item))).join()}]`;
    }
    return `${key}=${JSON.stringify(value)}`;
  });
  return [name, ...parts].join(" ");
}
