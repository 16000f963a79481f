/**
 * Run inside a network namespace of its own: a server, clients and querycop between them, and a network that is cut on one
 * leg without a word to anybody. Prints as JSON how many seconds each session lived on behind the cut.
 */
import { encodeQuery } from "../../src/mysql/command.ts";
import { decodeHandshakeV10 } from "../../src/mysql/handshake.ts";
import { runChecked } from "./child.ts";
import { endStage, startStaged } from "./e2e-stage.ts";
import { eventually } from "./eventually.ts";
import { connectPeer, loginPayload, OK_PAYLOAD, ownAnswers, type PacketPeer, startFakeBackend } from "./fake-peers.ts";
import { wireOf } from "./wire-replies.ts";

const SERVER = "10.99.0.1";
const CLIENT = "10.99.0.2";
const GIVEN_UP_MS = 150_000;

/** What a session does when its network is cut. */
type Doing = "idle" | "sending" | "waiting";

const ip = (...args: string[]): Promise<unknown> => runChecked("ip", args);

async function logIn(port: number, user: string, address: string): Promise<PacketPeer> {
  const peer = await connectPeer(port, address);
  const greeting = decodeHandshakeV10((await peer.expect()).payload);
  peer.write(loginPayload(greeting, { user }), 1);
  await peer.expect();
  return peer;
}

async function main(): Promise<void> {
  await ip("link", "set", "lo", "up");
  for (const address of [SERVER, CLIENT]) await ip("address", "add", `${address}/32`, "dev", "lo");
  const waiting: PacketPeer[] = [];
  const backend = await startFakeBackend(
    ownAnswers((peer, payload) => {
      if (Buffer.from(payload).includes("SLEEP")) waiting.push(peer);
      else peer.socket.write(wireOf([OK_PAYLOAD]));
    }),
    0,
    "0.0.0.0",
  );
  const settings = { GATEKEEPER_BACKEND_PORT: String(backend.port), GATEKEEPER_BACKEND_TLS_MODE: "disable" };
  const legs = {
    backend: await startStaged({ ...settings, GATEKEEPER_BACKEND_HOST: SERVER }),
    client: await startStaged({ ...settings, GATEKEEPER_BACKEND_HOST: "127.0.0.1" }),
  };
  const sessions: Record<string, PacketPeer> = {};
  for (const doing of ["idle", "sending", "waiting"] satisfies Doing[]) {
    sessions[`backend ${doing}`] = await logIn(legs.backend.port, `backend ${doing}`, "127.0.0.1");
    sessions[`client ${doing}`] = await logIn(legs.client.port, `client ${doing}`, CLIENT);
  }
  const sleep = encodeQuery(Buffer.from("SELECT SLEEP(1)"), 0);
  for (const name of ["backend waiting", "client waiting", "client sending"]) sessions[name]?.write(sleep, 0);
  await eventually("the statements run", () => waiting.length === 3);
  for (const address of [SERVER, CLIENT]) await ip("address", "delete", `${address}/32`, "dev", "lo");
  const cutMs = performance.now();
  // To one client the answer is on its way, and to the server a statement.
  waiting[2]?.socket.write(wireOf([OK_PAYLOAD]));
  sessions["backend sending"]?.write(sleep, 0);
  const seconds: Record<string, number> = {};
  const names = Object.keys(sessions);
  await eventually(
    "all sessions are over",
    () => {
      for (const event of [...legs.backend.audit(), ...legs.client.audit()]) {
        const user = (event["session"] as { readonly user?: string } | undefined)?.user;
        if (event.type === "disconnect" && user !== undefined) seconds[user] ??= (performance.now() - cutMs) / 1000;
      }
      return names.every((name) => seconds[name] !== undefined);
    },
    GIVEN_UP_MS,
  ).catch(() => undefined);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(names.map((name) => [name, seconds[name] ?? -1])))}\n`);
  await endStage();
  for (const { socket } of Object.values(sessions)) socket.destroy();
  await backend.close();
}

await main();
