/** HAProxy as a plain forwarder of bytes, with one thread: what the machine makes of it beside what querycop does. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSupervised } from "./child.ts";
import { eventually } from "./eventually.ts";
import { installServerRoot } from "./install.ts";
import { pickPort } from "./servers.ts";

export interface Haproxy {
  /** One for each of the backends, in their order. */
  readonly ports: readonly number[];
  pid(): number;
  stop(): void;
}

/** How it tells the backend who its client is. */
type ProxyProtocol = "send-proxy" | "send-proxy-v2" | "";

export async function startHaproxy(backendPorts: readonly number[], header: ProxyProtocol = ""): Promise<Haproxy> {
  const root = await installServerRoot("bench");
  const folder = mkdtempSync(join(tmpdir(), "querycop-haproxy-"));
  const config = join(folder, "haproxy.cfg");
  const ports: number[] = [];
  const lines = ["global", "  nbthread 1", "defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 1h"];
  lines.push("  timeout server 1h");
  for (const backendPort of backendPorts) {
    const port = await pickPort();
    ports.push(port);
    lines.push(`listen p${port}`, `  bind 127.0.0.1:${port}`, `  server backend 127.0.0.1:${backendPort} ${header}`);
  }
  writeFileSync(config, `${lines.join("\n")}\n`);
  const { command, args } = root.command("usr/sbin/haproxy", ["-f", config]);
  const pidFile = join(folder, "pid");
  const child = spawnSupervised(command, args, { cwd: folder, pidFile });
  const stop = (): void => {
    child.stdin?.end();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const port of ports) await eventually("HAProxy listens", () => isOpen(port));
  } catch (thrown) {
    stop();
    throw thrown;
  }
  return { ports, pid: () => Number(readFileSync(pidFile, "utf8")), stop };
}

function isOpen(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  return new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy());
}
