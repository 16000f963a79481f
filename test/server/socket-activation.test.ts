import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import test from "node:test";
import { assignSockets, type InheritedSocket, takeInheritedSockets } from "../../src/server/socket-activation.ts";

const sockets = (...names: string[]): InheritedSocket[] => names.map((name, index) => ({ fd: 3 + index, name }));
const assigned = (names: string[], listeners: string[]): Record<string, readonly number[]> =>
  Object.fromEntries(assignSockets(sockets(...names), listeners));

test("assignSockets() gives a socket to the listener of its name, whatever the order", () => {
  assert.deepEqual(assigned(["reader", "writer"], ["writer", "reader"]), { writer: [4], reader: [3] });
});

test("assignSockets() gives sockets without a listener's name to listeners in their order", () => {
  assert.deepEqual(assigned(["querycop.socket", "querycop.socket"], ["writer", "reader"]), {
    writer: [3],
    reader: [4],
  });
  assert.deepEqual(assigned(["x", "writer"], ["writer", "reader"]), { writer: [4], reader: [3] });
});

test("assignSockets() gives one listener several sockets", () => {
  assert.deepEqual(assigned(["a", "b"], ["default"]), { default: [3, 4] });
  assert.deepEqual(assigned(["writer", "writer"], ["writer", "reader"]), { writer: [3, 4] });
});

test("assignSockets() refuses a socket that nobody would serve", () => {
  assert.throws(() => assigned(["a", "b", "c"], ["writer", "reader"]), /no listener is left for "c".*writer, reader/);
  assert.throws(() => assigned(["writer", "reader", "other"], ["writer", "reader"]), /"other"/);
});

test("takeInheritedSockets() ignores variables meant for another process, and removes them", () => {
  const env = { LISTEN_PID: "1", LISTEN_FDS: "1", LISTEN_FDNAMES: "default", OTHER: "stays" };
  assert.deepEqual(takeInheritedSockets(env, 2), []);
  assert.deepEqual(env, { OTHER: "stays" });
});

test("takeInheritedSockets() ignores a count that is none", () => {
  for (const count of ["", "0", "-1", "1x", "1e3", "99999999999"]) {
    assert.deepEqual(takeInheritedSockets({ LISTEN_PID: "7", LISTEN_FDS: count }, 7), []);
  }
});

test("takeInheritedSockets() refuses a descriptor that is no socket", () => {
  // Whatever this process has there, or nothing: more descriptors than any of it are sockets.
  const file = openSync("/dev/null", "r");
  assert.throws(
    () => takeInheritedSockets({ LISTEN_PID: "7", LISTEN_FDS: "200" }, 7),
    /descriptor \d+ is not a socket/,
  );
  closeSync(file);
});
