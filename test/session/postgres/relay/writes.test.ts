import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeNoticeResponse, encodeReadyForQuery } from "../../../../src/postgres/backend-message.ts";
import { BackendWalker } from "../../../../src/postgres/backend-walker.ts";
import { encodeFrontendMessage } from "../../../../src/postgres/frontend-message.ts";
import { encodeMessage, writeString } from "../../../../src/postgres/message.ts";
import { MessageReader } from "../../../../src/postgres/message-reader.ts";
import { BackendRelay } from "../../../../src/session/postgres/relay/backend-relay.ts";
import { Outgoing } from "../../../../src/session/postgres/relay/outgoing.ts";

const DESCRIPTION = encodeMessage("T", (body) => body.uint16BE(0));
const ROW = encodeMessage("D", (body) => body.uint16BE(0));
const COMPLETE = encodeMessage("C", (body) => writeString(body, "SELECT 2"));
const ANSWER = Uint8Array.from(Buffer.concat([DESCRIPTION, ROW, ROW, COMPLETE, encodeReadyForQuery("I")]));

const RUN = Uint8Array.from(
  Buffer.concat([
    encodeFrontendMessage({
      name: "Bind",
      portal: "",
      statement: "s",
      parameterFormats: [],
      values: [Uint8Array.of(49)],
      resultFormats: [],
    }),
    encodeFrontendMessage({ name: "Describe", target: "portal", of: "" }),
    encodeFrontendMessage({ name: "Execute", portal: "", rowsMax: 0 }),
    encodeFrontendMessage({ name: "Sync" }),
  ]),
);

function writer() {
  const writes: Uint8Array[] = [];
  const outgoing = new Outgoing((bytes) => {
    writes.push(bytes);
    return true;
  });
  return { writes, outgoing };
}

describe("a statement of PostgreSQL's", () => {
  it("goes back in one write of the very chunk that its answer came in", () => {
    const { writes, outgoing } = writer();
    const walker = new BackendWalker();
    walker.push(ANSWER);
    for (let piece = walker.next(); piece !== undefined; piece = walker.next()) outgoing.add(piece);
    outgoing.flush();
    assert.equal(writes.length, 1);
    assert.equal(writes[0], ANSWER);
  });

  it("goes to the backend in one write of the very chunk that its messages came in", () => {
    const { writes, outgoing } = writer();
    const reader = new MessageReader({ lengthMax: 1024 });
    reader.push(RUN);
    for (let message = reader.next(); message !== undefined; message = reader.next()) outgoing.add(message);
    outgoing.flush();
    assert.equal(writes.length, 1);
    assert.equal(writes[0], RUN);
  });

  it("is one write with what is put in between", () => {
    const { writes, outgoing } = writer();
    outgoing.add(ANSWER.subarray(0, DESCRIPTION.length));
    outgoing.add(ROW);
    outgoing.add(COMPLETE);
    outgoing.flush();
    outgoing.flush();
    assert.deepEqual(
      writes.map((bytes) => [...bytes]),
      [[...DESCRIPTION, ...ROW, ...COMPLETE]],
    );
  });

  it("takes nothing more of its answer while the client has no room", async () => {
    const notice = encodeNoticeResponse({ severity: "NOTICE", code: "00000", message: "next" });
    const chunks = [notice, notice];
    let makeRoom = (): void => undefined;
    const room = new Promise<void>((resolve) => {
      makeRoom = resolve;
    });
    const walker = new BackendWalker();
    const relay = new BackendRelay({
      services: { options: { writeTimeoutMs: 60_000 } },
      backend: { walker, takeChunk: () => chunks.shift(), isFinished: true },
      client: { leg: { isDead: false, drained: () => room }, send: () => false },
      queue: { answer: () => ({ to: undefined, isRefusal: false }) },
      progressed: () => undefined,
    } as never);
    const running = relay.run();
    assert.equal(chunks.length, 1);
    makeRoom();
    await running;
    assert.equal(chunks.length, 0);
  });
});
