/** A server that answers as Aurora DSQL does where a PostgreSQL cannot: by a script, after a login without a password. */
import { createServer, type Socket } from "node:net";
import {
  encodeAuthentication,
  encodeErrorResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
  type TransactionStatus,
} from "../../src/postgres/backend-message.ts";
import { encodeMessage, writeString, writeValue } from "../../src/postgres/message.ts";

/** What one Query is answered with: a tag, rows of one column in front of it, or an error. */
export interface ModelAnswer {
  readonly tag?: string;
  readonly column?: string;
  readonly rows?: readonly string[];
  readonly error?: readonly [code: string, message: string];
  readonly status?: TransactionStatus;
}

export interface DsqlModel {
  readonly port: number;
  close(): void;
}

const text = new TextEncoder();

function bytesOf({ tag, column = "", rows = [], error, status = "I" }: ModelAnswer): Uint8Array {
  const parts: Uint8Array[] = [];
  if (error !== undefined) parts.push(encodeErrorResponse({ severity: "ERROR", code: error[0], message: error[1] }));
  else {
    if (rows.length > 0) {
      const description = encodeMessage("T", (body) => {
        writeString(body.uint16BE(1), column).zeros(6).int32BE(25).uint16BE(0xffff).int32BE(-1).uint16BE(0);
      });
      const values = rows.map((row) => encodeMessage("D", (body) => writeValue(body.uint16BE(1), text.encode(row))));
      parts.push(description, ...values);
    }
    parts.push(encodeMessage("C", (body) => writeString(body, tag ?? "SELECT 0")));
  }
  parts.push(encodeReadyForQuery(status));
  return Buffer.concat(parts);
}

export async function startDsqlModel(answer: (sql: string) => ModelAnswer): Promise<DsqlModel> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    let received: Buffer = Buffer.alloc(0);
    let isIn = false;
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (;;) {
        const at = isIn ? 1 : 0;
        if (received.length < at + 4) return;
        const end = at + received.readUInt32BE(at);
        if (received.length < end) return;
        const message = received.subarray(0, end);
        received = received.subarray(end);
        if (!isIn) {
          isIn = true;
          const settings = { server_version: "16.15", client_encoding: "UTF8", standard_conforming_strings: "on" };
          const greeting = Object.entries(settings).map(([parameter, value]) =>
            encodeParameterStatus({ parameter, value }),
          );
          socket.write(Buffer.concat([encodeAuthentication({ kind: "ok" }), ...greeting, encodeReadyForQuery("I")]));
        } else if (message[0] === 0x51) {
          socket.write(bytesOf(answer(message.toString("utf8", 5, message.length - 1))));
        } else {
          socket.end();
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
