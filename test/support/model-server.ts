/**
 * A server for transcripts of sessions: it keeps a session's settings as MySQL and MariaDB do, reports them where it is told
 * to, answers querycop's questions from them, and prepares anything. It runs nothing.
 */
import { CLIENT_DEPRECATE_EOF } from "../../src/mysql/constants.ts";
import { encodeErrPacket } from "../../src/mysql/generic-response.ts";
import type { HandshakeV10 } from "../../src/mysql/handshake.ts";
import { acceptLogin, GREETING, type PacketPeer, serveCommands } from "./fake-peers.ts";
import {
  AUTOCOMMIT,
  binaryRow,
  CURSOR_EXISTS,
  columnCount,
  columnDefinition,
  eof,
  fileRequest,
  IN_TRANSACTION,
  LAST_ROW_SENT,
  MORE_RESULTS,
  okWith,
  prepareOk,
  rowsEnd,
  textRow,
} from "./wire-replies.ts";

const QUERY = 3;
const INIT_DB = 2;
const CHANGE_USER = 0x11;
const FIELD_LIST = 4;
const STATISTICS = 9;
const PREPARE = 0x16;
const EXECUTE = 0x17;
const LONG_DATA = 0x18;
const CLOSE = 0x19;
const SET_OPTION = 0x1b;
const FETCH = 0x1c;
const RESET_CONNECTION = 0x1f;

const ROWS = /^\s*(?:SELECT|SHOW|TABLE)\b(?!.*\bINTO\b)/is;

interface Settings {
  schema: string;
  sqlMode: string;
  client: string;
  connection: string;
  tracked: string;
  tracksSchema: boolean;
}

const FIRST: Settings = {
  schema: "shop",
  sqlMode: "",
  client: "utf8mb4",
  connection: "utf8mb4",
  tracked: "time_zone",
  tracksSchema: true,
};

export interface ModelOptions {
  readonly greeting?: HandshakeV10;
  /** A server that has no such variable refuses the SET. */
  readonly refusesTracking?: boolean;
  readonly tableCase?: string;
  /** Statements of a packet are answered one by one, files are asked for, and cursors give rows. */
  readonly isThorough?: boolean;
}

export class ModelServer {
  /** What has come in, querycop's own included. */
  readonly seen: string[] = [];
  readonly #options: ModelOptions;

  constructor(options: ModelOptions = {}) {
    this.#options = options;
  }

  readonly script = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer, this.#options.greeting ?? GREETING);
    const session = new ModelSession(this.#options);
    await serveCommands(peer, (payload) => {
      this.seen.push(
        `${payload[0]?.toString(16)} ${JSON.stringify(Buffer.from(payload.subarray(1)).toString("latin1"))}`,
      );
      return session.answer(payload);
    });
  };
}

export class ModelSession {
  readonly #options: ModelOptions;
  #now: Settings = { ...FIRST };
  #flags = AUTOCOMMIT;
  #prepared = 0;
  readonly #texts = new Map<number, string>();
  #isTakingFile = false;

  constructor(options: ModelOptions) {
    this.#options = options;
  }

  answer(payload: Uint8Array): readonly Uint8Array[] {
    return (this.#options.isThorough === true ? this.#thoroughly(payload) : undefined) ?? this.#briefly(payload);
  }

  #thoroughly(payload: Uint8Array): readonly Uint8Array[] | undefined {
    if (this.#isTakingFile) {
      this.#isTakingFile = payload.length > 0;
      return this.#isTakingFile ? [] : [okWith(this.#flags, { affectedRows: 2 })];
    }
    const text = Buffer.from(payload.subarray(1)).toString("latin1");
    const statementId = payload.length >= 5 ? Buffer.from(payload).readUInt32LE(1) : 0;
    switch (payload[0]) {
      case QUERY:
        return text.startsWith("SELECT CAST(") || text.startsWith("SET session_track_system_variables=IF(")
          ? undefined
          : this.#packet(text);
      case PREPARE:
        if (text.includes("FAIL")) return undefined;
        this.#texts.set(this.#prepared + 1, text);
        return [...(this.#briefly(payload) ?? []), ...(text.includes("?") ? this.#between() : [])];
      case EXECUTE:
        if ((this.#texts.get(statementId) ?? "").includes("LATE")) return [refused()];
        if (!/^SELECT/i.test(this.#texts.get(statementId) ?? "")) return undefined;
        return ((payload[5] ?? 0) & 1) === 0
          ? [columnCount(1), columnDefinition("c0"), ...this.#between(), binaryRow("1"), binaryRow("22"), this.#end()]
          : [columnCount(1), columnDefinition("c0"), this.#end(CURSOR_EXISTS)];
      case FETCH:
        return this.#texts.has(statementId) ? [binaryRow("1"), this.#end(LAST_ROW_SENT)] : undefined;
      default:
        return undefined;
    }
  }

  /** Each statement's answer, up to the first that fails or asks for a file. */
  #packet(text: string): readonly Uint8Array[] {
    const parts = text.split(";").filter((part) => part.trim() !== "");
    const answers: Uint8Array[] = [];
    for (const [index, part] of parts.entries()) {
      const more = index < parts.length - 1 ? MORE_RESULTS : 0;
      const file = /^\s*LOAD DATA LOCAL INFILE '(\w+)'/.exec(part)?.[1];
      if (file !== undefined) {
        this.#isTakingFile = true;
        return [...answers, fileRequest(file)];
      }
      if (part.includes("FAIL")) return [...answers, refused()];
      if (ROWS.test(part)) answers.push(...this.#rows([["1"], ["2"], ["3"]], more));
      else answers.push(this.#changed(() => this.#run(part.trim()), more));
    }
    return answers.length === 0 ? [refused()] : answers;
  }

  #briefly(payload: Uint8Array): readonly Uint8Array[] {
    const text = Buffer.from(payload.subarray(1)).toString("latin1");
    switch (payload[0]) {
      case QUERY:
        return this.#query(text);
      case INIT_DB:
        return [this.#changed(() => this.#use(text))];
      case CHANGE_USER:
      case RESET_CONNECTION:
        this.#now = { ...FIRST };
        this.#flags = AUTOCOMMIT;
        return [okWith(this.#flags)];
      case PREPARE:
        return text.includes("FAIL") ? [refused()] : prepareOk(++this.#prepared, text.split("?").length - 1);
      case EXECUTE:
        return [okWith(this.#flags, { affectedRows: 1 })];
      case FIELD_LIST:
        return [columnDefinition("c0"), this.#end()];
      case SET_OPTION:
        return [this.#end()];
      case STATISTICS:
        return [Buffer.from("Uptime: 7")];
      case FETCH:
        return [refused()];
      case LONG_DATA:
      case CLOSE:
        return [];
      default:
        return [okWith(this.#flags)];
    }
  }

  #query(text: string): readonly Uint8Array[] {
    if (text.startsWith("SELECT CAST(")) return this.#ownQuestion(text);
    if (text.includes("FAIL")) return [refused()];
    const parts = text.split(";").filter((part) => part.trim() !== "");
    // Answers of packets are told as one: the first result decides nothing here.
    if (parts.length === 1 && ROWS.test(text)) return this.#rows([["1"], ["2"], ["3"]]);
    return [
      this.#changed(() => {
        for (const part of parts) this.#run(part.trim());
      }),
    ];
  }

  #run(text: string): void {
    if (text.startsWith("SET session_track_system_variables=IF(")) {
      if (this.#options.refusesTracking === true) throw new Error("unknown variable");
      this.#now.tracked = `${this.#now.tracked},sql_mode,character_set_client,character_set_connection,collation_connection,session_track_system_variables`;
      this.#now.tracksSchema = true;
      return;
    }
    const use = /^USE (\w+)/i.exec(text)?.[1];
    if (use !== undefined) this.#use(use);
    const mode = /sql_mode\s*=\s*'(\w*)'/i.exec(text)?.[1];
    if (mode !== undefined) this.#now.sqlMode = mode;
    const charset = /NAMES (\w+)/i.exec(text)?.[1];
    if (charset !== undefined) Object.assign(this.#now, { client: charset, connection: charset });
    const tracked = /session_track_system_variables\s*=\s*'([^']*)'/i.exec(text)?.[1];
    if (tracked !== undefined) this.#now.tracked = tracked;
    if (/^CALL/i.test(text)) Object.assign(this.#now, { sqlMode: "ANSI_QUOTES", schema: "pay" });
    if (/^(?:BEGIN|START TRANSACTION)/i.test(text)) this.#flags |= IN_TRANSACTION;
    if (/^(?:COMMIT|ROLLBACK)(?! TO)/i.test(text)) this.#flags &= ~IN_TRANSACTION;
  }

  #use(schema: string): void {
    this.#now.schema = schema;
  }

  /** OK with what has changed and is tracked. The probe has all of it reported. */
  #changed(change: () => void, more = 0): Uint8Array {
    const before = { ...this.#now };
    try {
      change();
    } catch {
      return refused();
    }
    const { schema, sqlMode, client, connection, tracked, tracksSchema } = this.#now;
    const isAll = tracked.length > before.tracked.length;
    const values: [name: string, value: string, isChanged: boolean][] = [
      ["session_track_system_variables", tracked, tracked !== before.tracked],
      ["sql_mode", sqlMode, sqlMode !== before.sqlMode],
      ["character_set_client", client, client !== before.client],
      ["collation_connection", `${connection}_general_ci`, connection !== before.connection],
    ];
    const names = tracked.split(",");
    const reported = values.filter(([name, , isChanged]) => names.includes(name) && (isAll || isChanged));
    const systemVariables = new Map(reported.map(([name, value]) => [name, value]));
    const isMoved = tracksSchema && schema !== before.schema;
    if (systemVariables.size === 0 && !isMoved) return okWith(this.#flags | more, { affectedRows: 1 });
    return okWith(this.#flags | more, { sessionState: { systemVariables, ...(isMoved ? { schema } : {}) } });
  }

  #ownQuestion(text: string): readonly Uint8Array[] {
    const { sqlMode, client, connection, schema, tracked, tracksSchema } = this.#now;
    if (text.includes("lower_case_table_names")) return this.#rows([[this.#options.tableCase ?? "0"]]);
    const row = [sqlMode, client, connection, schema];
    return this.#rows([text.includes("session_track_schema") ? [...row, tracked, tracksSchema ? "1" : "0"] : row]);
  }

  get #isClassic(): boolean {
    return ((this.#options.greeting ?? GREETING).capabilities.flags & CLIENT_DEPRECATE_EOF) === 0;
  }

  /** Between definitions and rows. */
  #between(): readonly Uint8Array[] {
    return this.#isClassic ? [eof(this.#flags)] : [];
  }

  #end(more = 0): Uint8Array {
    return this.#isClassic ? eof(this.#flags | more) : rowsEnd(this.#flags | more);
  }

  #rows(rows: readonly (readonly string[])[], more = 0): Uint8Array[] {
    const columns = rows[0]?.length ?? 1;
    const definitions = Array.from({ length: columns }, (_, index) => columnDefinition(`c${index}`));
    return [
      columnCount(columns),
      ...definitions,
      ...this.#between(),
      ...rows.map((row) => textRow(...row)),
      this.#end(more),
    ];
  }
}

function refused(): Uint8Array {
  return encodeErrPacket({ errorNumber: 1064, sqlState: "42000", message: "refused" });
}
