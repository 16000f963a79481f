import assert from "node:assert/strict";
import { it } from "node:test";
import type { Finding, ListenerContext, ProcessContext } from "../../src/doctor/check.ts";
import { auditDisk, limitsFiles, limitsMemory, listenerPort, policyLint } from "../../src/doctor/host-checks.ts";
import { inFolder } from "../config/folder.ts";
import { startDoctorBackend } from "./doctor-backend.ts";

const SIGNAL = new AbortController().signal;
const MIB = 1024 * 1024;

const processWith = (config: object, host: object): ProcessContext => ({ config, host }) as unknown as ProcessContext;

const statusOf = ({ status, detail }: Finding): string => `${status}: ${detail}`;

it("audit.disk warns and fails by the room that is left", async () => {
  const file = inFolder("room.ndjson");
  const withFree = async (bytes: number): Promise<string> =>
    statusOf(await auditDisk.run(processWith({ audit: { file } }, { freeBytes: () => bytes }), SIGNAL));
  assert.match(await withFree(5000 * MIB), /^ok: .*can be written$/);
  assert.match(await withFree(1023 * MIB), /^warn: .*1023 MiB free$/);
  assert.match(await withFree(63 * MIB), /^fail: .*63 MiB free$/);
});

it("audit.disk fails for a directory that is not there", async () => {
  const file = inFolder("no/such/folder/audit.ndjson");
  const finding = await auditDisk.run(processWith({ audit: { file } }, { freeBytes: () => 0 }), SIGNAL);
  assert.match(statusOf(finding), /^fail: cannot write/);
});

it("limits.files compares the limit with max_connections", async () => {
  const withLimit = async (connectionsAllowed: number): Promise<Finding> =>
    limitsFiles.run(processWith({ maxConnections: 1000 }, { connectionsAllowed }), SIGNAL);
  assert.equal((await withLimit(1000)).status, "ok");
  const short = await withLimit(480);
  assert.equal(statusOf(short), "warn: the limit here allows 480 connections, max_connections is 1000");
  assert.deepEqual(short.remedy?.commands, ["ulimit -n 2064"]);
  assert.equal((await withLimit(Number.MAX_SAFE_INTEGER)).status, "skip");
});

it("limits.memory compares the budget with the memory there is, and with the largest packet", async () => {
  const withMemory = async (bytes: number, memoryBudgetBytes?: number): Promise<string> => {
    const config = { listeners: [{ packetBytesMax: 64 * MIB }], memoryBudgetBytes };
    return statusOf(await limitsMemory.run(processWith(config, { memory: { bytes, from: "cgroup" } }), SIGNAL));
  };
  assert.match(
    await withMemory(1024 * MIB),
    /^ok: sessions may hold 309 MiB together; the control group's limit is 1024/,
  );
  assert.match(await withMemory(256 * MIB), /^warn: .*a packet of packet_size_max, 64 MiB, does not fit/);
  assert.match(await withMemory(256 * MIB, 200 * MIB), /^warn: .*more than there is/);
});

it("listener.port warns of a free port that outgoing connections may take", async () => {
  const backend = await startDoctorBackend();
  await backend.close();
  const { port } = backend;
  const check = async (range: readonly [number, number] | undefined): Promise<string> => {
    const listener = { listen: { host: "127.0.0.1", port } };
    const context = { listener, host: { ephemeralPorts: range } } as unknown as ListenerContext;
    return statusOf(await listenerPort.run(context, SIGNAL));
  };
  assert.equal(
    await check([port, port]),
    `warn: 127.0.0.1:${port} is free now, but of the range ${port} to ${port} of outgoing connections`,
  );
  assert.equal(await check([port + 1, port + 2]), `ok: 127.0.0.1:${port} is free`);
  assert.equal(await check(undefined), `ok: 127.0.0.1:${port} is free`);
});

it("listener.port fails for an address that is not of this host, and for a socket that cannot be made", async () => {
  const check = async (listen: object): Promise<string> => {
    const context = { listener: { listen }, host: { ephemeralPorts: undefined } } as unknown as ListenerContext;
    return statusOf(await listenerPort.run(context, SIGNAL));
  };
  assert.match(await check({ host: "192.0.2.1", port: 15_336 }), /^fail: 192\.0\.2\.1:15336: no interface/);
  assert.match(await check({ socket: inFolder("no-such-folder/mysql.sock") }), /^fail: .*cannot create it in/);
  assert.match(await check({ socket: inFolder("mysql.sock") }), /^ok: /);
});

it("policy.lint reports findings as warnings and refusals as failures", async () => {
  const check = async (problems: readonly string[], findings: readonly string[]): Promise<string> => {
    const context = processWith({ policy: { file: "p.yaml" } }, { lintPolicy: () => ({ problems, findings }) });
    return statusOf(await policyLint.run(context, SIGNAL));
  };
  assert.equal(await check([], []), "ok: p.yaml");
  assert.equal(await check([], ["line 3: expired"]), "warn: p.yaml\nline 3: expired");
  const listeners = [
    { name: "writer", backend: { tokenSource: "rds-signer" } },
    { name: "reader", backend: { tokenSource: "none" } },
  ];
  const lintPolicy = () => ({ problems: [], findings: [], asksForEstimates: true });
  const context = processWith({ policy: { file: "p.yaml" }, listeners }, { lintPolicy });
  assert.match(statusOf(await policyLint.run(context, SIGNAL)), /^warn: .*listener reader has no token source/s);
  assert.equal(await check(["line 1: unknown key"], []), "fail: p.yaml is refused\nline 1: unknown key");
});
