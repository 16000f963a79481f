/** COM_STMT_PREPARE_OK and the binary values of parameters: page_protocol_com_stmt_{prepare,execute}. */

import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { CLIENT_OPTIONAL_RESULTSET_METADATA, OK_HEADER } from "./constants.ts";

export interface StmtPrepareOk {
  readonly statementId: number;
  readonly columns: number;
  readonly parameters: number;
  readonly warnings: number;
  /** False when CLIENT_OPTIONAL_RESULTSET_METADATA is agreed and the session has turned metadata off. */
  readonly hasDefinitions: boolean;
}

/** Reads the packet only; the definitions that follow are separate packets. */
export function decodeStmtPrepareOk(payload: Uint8Array, capabilityFlags: number): StmtPrepareOk {
  return decodeStmtPrepareOkAt(new ByteReader(payload, "COM_STMT_PREPARE_OK"), capabilityFlags);
}

export function decodeStmtPrepareOkAt(reader: ByteReader, capabilityFlags: number): StmtPrepareOk {
  const header = reader.uint8();
  if (header !== OK_HEADER) reader.fail(`COM_STMT_PREPARE_OK begins with ${header}, expected 0`);
  const statementId = reader.uint32();
  const columns = reader.uint16();
  const parameters = reader.uint16();
  reader.skip(1);
  const warnings = reader.uint16();
  const hasFlag = (capabilityFlags & CLIENT_OPTIONAL_RESULTSET_METADATA) !== 0 && reader.remaining > 0;
  const hasDefinitions = !hasFlag || reader.uint8() !== 0;
  return { statementId, columns, parameters, warnings, hasDefinitions };
}

export function encodeStmtPrepareOk(prepared: StmtPrepareOk, capabilityFlags: number): Uint8Array {
  const writer = new ByteWriter(13)
    .uint8(OK_HEADER)
    .uint32(prepared.statementId)
    .uint16(prepared.columns)
    .uint16(prepared.parameters)
    .uint8(0)
    .uint16(prepared.warnings);
  if ((capabilityFlags & CLIENT_OPTIONAL_RESULTSET_METADATA) !== 0) writer.uint8(prepared.hasDefinitions ? 1 : 0);
  return writer.finish();
}
