/** What a server answers, as payloads and as wire bytes, for scripts that play one. */
import { ByteWriter, concatBytes } from "../../src/base/bytes.ts";
import {
  CLIENT_DEPRECATE_EOF,
  CLIENT_SESSION_TRACK,
  EOF_HEADER,
  LOCAL_INFILE_HEADER,
} from "../../src/mysql/constants.ts";
import { encodeEofPacket, encodeOkPacket, type SessionState } from "../../src/mysql/generic-response.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import { encodeStmtPrepareOk } from "../../src/mysql/prepared-statement.ts";
import { AllowAllJudge } from "../../src/server/allow-all-judge.ts";
import type { Judgement, StatementJudge, StatementRequest } from "../../src/session/statement/statement-judge.ts";
import { BACKEND_FLAGS, GREETING } from "./fake-peers.ts";

export const AUTOCOMMIT = 0x0002;
export const IN_TRANSACTION = 0x0001;
export const MORE_RESULTS = 0x0008;
export const CURSOR_EXISTS = 0x0040;
export const LAST_ROW_SENT = 0x0080;

/** A server whose result sets have EOF_Packets, as those of old clients. */
export const CLASSIC_GREETING = {
  ...GREETING,
  capabilities: { flags: (BACKEND_FLAGS & ~CLIENT_DEPRECATE_EOF) >>> 0, mariadb: 0 },
};

export function okWith(
  statusFlags: number,
  ok: { readonly affectedRows?: number; readonly info?: string; readonly sessionState?: SessionState } = {},
): Uint8Array {
  return encodeOkPacket(
    {
      header: 0,
      affectedRows: ok.affectedRows ?? 0,
      lastInsertId: 0,
      statusFlags,
      warnings: 0,
      info: Buffer.from(ok.info ?? ""),
      ...(ok.sessionState === undefined ? {} : { sessionState: ok.sessionState }),
    },
    CLIENT_SESSION_TRACK,
  );
}

/** The OK_Packet that ends rows under CLIENT_DEPRECATE_EOF. */
export function rowsEnd(statusFlags = AUTOCOMMIT): Uint8Array {
  const info = new Uint8Array(0);
  return encodeOkPacket(
    { header: EOF_HEADER, affectedRows: 0, lastInsertId: 0, statusFlags, warnings: 0, info },
    CLIENT_SESSION_TRACK,
  );
}

export function eof(statusFlags = AUTOCOMMIT): Uint8Array {
  return encodeEofPacket({ warnings: 0, statusFlags });
}

/** Its name in the table is another. */
export function columnDefinition(name: string): Uint8Array {
  const text = (value: string): Uint8Array => Buffer.from(value);
  return new ByteWriter()
    .lenencBytes(text("def"))
    .lenencBytes(text("appdb"))
    .lenencBytes(text("items"))
    .lenencBytes(text("items"))
    .lenencBytes(text(name))
    .lenencBytes(text("o".repeat(name.length)))
    .lenencInteger(0x0c)
    .uint16(45)
    .uint32(1024)
    .uint8(0xfd)
    .uint16(0)
    .uint8(31)
    .zeros(2)
    .finish();
}

export function textRow(...values: readonly (string | Uint8Array | null)[]): Uint8Array {
  const writer = new ByteWriter();
  for (const value of values) {
    if (value === null) writer.uint8(0xfb);
    else writer.lenencBytes(typeof value === "string" ? Buffer.from(value) : value);
  }
  return writer.finish();
}

/** A binary row of strings without NULLs. */
export function binaryRow(...values: readonly string[]): Uint8Array {
  const writer = new ByteWriter().uint8(0).zeros(Math.floor((values.length + 9) / 8));
  for (const value of values) writer.lenencBytes(Buffer.from(value));
  return writer.finish();
}

export function columnCount(count: number): Uint8Array {
  return new ByteWriter().lenencInteger(count).finish();
}

/** A whole result set of one column under CLIENT_DEPRECATE_EOF. */
export function resultSet(rows: readonly Uint8Array[], statusFlags = AUTOCOMMIT): Uint8Array[] {
  return [columnCount(1), columnDefinition("a"), ...rows, rowsEnd(statusFlags)];
}

/** The same with EOF_Packets. */
export function classicResultSet(rows: readonly Uint8Array[], statusFlags = AUTOCOMMIT): Uint8Array[] {
  return [columnCount(1), columnDefinition("a"), eof(statusFlags), ...rows, eof(statusFlags)];
}

export function prepareOk(statementId: number, parameters = 0, columns = 0): Uint8Array[] {
  const head = encodeStmtPrepareOk({ statementId, columns, parameters, warnings: 0, hasDefinitions: true }, 0);
  return [head, ...Array.from({ length: parameters + columns }, (_, index) => columnDefinition(`p${index}`))];
}

export function fileRequest(name: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(LOCAL_INFILE_HEADER), Buffer.from(name)]);
}

/** Wire bytes of consecutive packets. */
export function wireOf(payloads: readonly Uint8Array[], firstSequenceId = 1): Buffer {
  let sequenceId = firstSequenceId;
  const wires: Uint8Array[] = [];
  for (const payload of payloads) {
    wires.push(encodePacket(payload, sequenceId & 0xff));
    sequenceId += Math.floor(payload.length / 0xffffff) + 1;
  }
  return Buffer.from(concatBytes(wires));
}

/** Commands about a statement the server has prepared. */
export function statementCommand(command: number, statementId: number, rest: readonly number[] = []): Uint8Array {
  return new ByteWriter().uint8(command).uint32(statementId).bytes(Uint8Array.from(rest)).finish();
}

/** COM_STMT_EXECUTE without parameters. */
export function executePayload(statementId: number, flags = 0): Uint8Array {
  return statementCommand(0x17, statementId, [flags, 1, 0, 0, 0]);
}

/** Blocks every text that contains the word, allows the rest. */
export class WordBlockingJudge implements StatementJudge {
  readonly readsSql = false;
  readonly judged: string[] = [];
  readonly #allow = new AllowAllJudge();
  readonly #word: string;

  constructor(word: string) {
    this.#word = word;
  }

  judge(request: StatementRequest): Judgement {
    const text = Buffer.from(request.sql).toString();
    this.judged.push(text);
    const judgement = this.#allow.judge(request);
    if (!text.includes(this.#word)) return judgement;
    return { ...judgement, action: "block", errorNumber: 1148, sqlState: "42000", clientMessage: "querycop: blocked" };
  }
}
