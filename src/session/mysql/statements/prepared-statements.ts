/** The statements a session has prepared, and what it has said about their parameters so far. All of it is bounded. */
import { createHash, type Hash } from "node:crypto";
import { MalformedPacketError } from "../../../base/bytes.ts";
import { type ParameterType, parameterTypeCode } from "../../../mysql/binary-value.ts";
import { type BulkRows, decodeBulkRows } from "../../../mysql/bulk-rows.ts";
import type { Capabilities } from "../../../mysql/constants.ts";
import { decodeBoundParameters } from "../../../mysql/prepared-statement.ts";
import type { MysqlPreparedText } from "../../../policy/mysql/prepared-text.ts";
import type { SessionEffect } from "../../../policy/session-effect.ts";
import type { BoundValue } from "../../../sql/facts.ts";

/** Of one value sent in pieces, as much as any rule looks at; of all such values of a session together. */
const LONG_VALUE_BYTES_MAX = 65_536;
const LONG_VALUES_BYTES_MAX = 1_048_576;

/** MariaDB takes this id for the statement prepared last, so that a client need not wait for the id. */
const LAST_PREPARED = 0xffffffff;

/** A value that came in COM_STMT_SEND_LONG_DATA packets. */
interface LongValue {
  /** Its beginning; undefined when it was too much to keep. */
  head: Uint8Array | undefined;
  /** Of the whole value, for an approval of it. */
  readonly hash: Hash;
}

export class PreparedStatement {
  readonly statementId: number;
  readonly text: MysqlPreparedText;
  readonly parameters: number;
  readonly longValues = new Map<number, LongValue>();
  /** Ordinal of its last COM_STMT_EXECUTE: what a COM_STMT_FETCH belongs to. */
  executedAs: number | undefined;
  /** What making a row may do to the session: rows behind a cursor are made when they are fetched. */
  fetchEffect: SessionEffect = "none";
  /** What an execution that leaves its types out repeats. */
  #types: readonly ParameterType[] | undefined;
  #areTypesInDoubt = false;

  constructor(statementId: number, text: MysqlPreparedText, parameters: number) {
    this.statementId = statementId;
    this.text = text;
    this.parameters = parameters;
  }

  /** What a COM_STMT_EXECUTE binds. Throws MalformedPacketError. */
  bind(parameterBytes: Uint8Array, executeFlags: number, { flags }: Capabilities): Binding {
    const bound = decodeBoundParameters(parameterBytes, {
      parameters: this.parameters,
      capabilityFlags: flags,
      executeFlags,
      longData: this.longValues,
      ...(this.#types === undefined ? {} : { previousTypes: this.#types }),
    });
    const values: BoundValue[] = [];
    for (let index = 0; index < this.parameters; index++) {
      const value = bound[index]?.value;
      values.push(value === "long-data" ? this.longValues.get(index)?.head : value);
    }
    return { values, types: bound };
  }

  /** What a COM_STMT_BULK_EXECUTE binds: the first row's values, and all rows. Throws MalformedPacketError. */
  bindRows(rowBytes: Uint8Array, bulkFlags: number): Binding {
    // Servers refuse it, too: a row cannot say that a value came before.
    if (this.longValues.size > 0) throw new MalformedPacketError("a value was sent ahead in pieces");
    const rows = decodeBulkRows(rowBytes, {
      parameters: this.parameters,
      bulkFlags,
      ...(this.#types === undefined ? {} : { previousTypes: this.#types }),
    });
    const [values = []] = rows.values();
    return { values, types: rows.types, rows };
  }

  /** What the packet of an execution leaves out: types sent before, and values sent before. */
  describeRest({ types }: Binding): string {
    const codes = types.map(parameterTypeCode);
    const sentBefore = [...this.longValues].map(([parameter, { hash }]) => [parameter, hash.copy().digest("hex")]);
    return JSON.stringify([codes, sentBefore]);
  }

  /** The execution was sent: the server has taken its types, and has used up the values sent before. */
  afterExecution({ types }: Binding, isOk: boolean): void {
    this.longValues.clear();
    if (isOk) {
      this.#types = types.slice(0, this.parameters);
      this.#areTypesInDoubt = false;
    } else if (this.#types === undefined) {
      if (!this.#areTypesInDoubt) this.#types = types.slice(0, this.parameters);
    } else if (!areSameTypes(this.#types, types)) {
      // SAFETY: the server may have failed before or after it took the new types. They have to be sent again.
      this.#types = undefined;
      this.#areTypesInDoubt = true;
    }
  }
}

function areSameTypes(known: readonly ParameterType[], sent: readonly ParameterType[]): boolean {
  return known.every(({ type, isUnsigned }, index) => {
    return type === sent[index]?.type && isUnsigned === sent[index]?.isUnsigned;
  });
}

export interface Binding {
  readonly values: readonly BoundValue[];
  readonly types: readonly ParameterType[];
  /** Of a COM_STMT_BULK_EXECUTE. */
  readonly rows?: BulkRows;
}

export class PreparedStatements {
  readonly #byId = new Map<number, PreparedStatement>();
  /** Told of the bytes of text that are kept, and, negative, of those that are not any more. */
  onKept: (bytes: number) => void = () => undefined;
  #lastId: number | undefined;

  get size(): number {
    return this.#byId.size;
  }

  find(sentId: number): PreparedStatement | undefined {
    return this.#byId.get(sentId === LAST_PREPARED ? (this.#lastId ?? sentId) : sentId);
  }

  add(statement: PreparedStatement): void {
    this.#forget(statement.statementId);
    this.onKept(statement.text.sql.length);
    this.#byId.set(statement.statementId, statement);
    this.#lastId = statement.statementId;
  }

  /** A statement could not be prepared: what is pipelined behind it must not run the one before. */
  forgetLast(): void {
    this.#lastId = undefined;
  }

  close(sentId: number): void {
    const statement = this.find(sentId);
    if (statement !== undefined) this.#forget(statement.statementId);
  }

  #forget(statementId: number): void {
    const statement = this.#byId.get(statementId);
    if (statement === undefined) return;
    this.#byId.delete(statementId);
    this.onKept(-statement.text.sql.length);
  }

  clear(): void {
    for (const id of [...this.#byId.keys()]) this.#forget(id);
    this.#lastId = undefined;
  }

  /** Keeps the beginning of a value sent in pieces. */
  addLongData(statement: PreparedStatement, parameter: number, data: Uint8Array): void {
    // Servers answer the execution with an error: there is no such parameter.
    if (parameter >= statement.parameters) return;
    const known = statement.longValues.get(parameter);
    const value = known ?? { head: NO_BYTES, hash: createHash("sha256") };
    if (known === undefined) statement.longValues.set(parameter, value);
    value.hash.update(data);
    if (value.head === undefined) return;
    const added = data.subarray(0, LONG_VALUE_BYTES_MAX - value.head.length);
    const isTooMuch = added.length > 0 && this.#longBytes() + added.length > LONG_VALUES_BYTES_MAX;
    value.head = isTooMuch ? undefined : Buffer.concat([value.head, added]);
  }

  #longBytes(): number {
    let bytes = 0;
    for (const { longValues } of this.#byId.values()) {
      for (const { head } of longValues.values()) bytes += head?.length ?? 0;
    }
    return bytes;
  }
}

const NO_BYTES = new Uint8Array(0);
