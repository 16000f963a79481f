/** Tells the service manager that started this process how far it is: the protocol of sd_notify(3). */
import { spawn } from "node:child_process";
import type { Logger } from "../base/log.ts";

/** systemd-notify waits for the manager to take the message, for five seconds at most. */
const NOTIFY_TIMEOUT_MS = 7_000;

/**
 * Messages go through the program systemd-notify, one after the other: the socket is of a kind that node:dgram cannot
 * open. Without NOTIFY_SOCKET nothing is done.
 */
export class ServiceManager {
  readonly #socket: string | undefined;
  readonly #path: string | undefined;
  readonly #logger: Logger;
  #sent: Promise<void> = Promise.resolve();
  #hasFailed = false;

  /** Takes the variable out of the environment: a token command has nothing to say to the service manager. */
  constructor(env: Record<string, string | undefined>, logger: Logger) {
    this.#socket = env["NOTIFY_SOCKET"] || undefined;
    this.#path = env["PATH"];
    this.#logger = logger;
    delete env["NOTIFY_SOCKET"];
  }

  ready(status: string): void {
    this.#send("READY=1", `STATUS=${status}`);
  }

  stopping(status: string): void {
    this.#send("STOPPING=1", `STATUS=${status}`);
  }

  /** To be followed by ready(). */
  reloading(): void {
    this.#send("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  /** Resolves when every message so far has been delivered or has failed. */
  async sent(): Promise<void> {
    await this.#sent;
  }

  #send(...assignments: readonly string[]): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#sent = this.#sent.then(() => this.#run(socket, assignments));
  }

  #run(socket: string, assignments: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      const fail = (reason: string): void => {
        if (!this.#hasFailed) this.#logger.warn("service manager not told", { state: assignments[0], reason });
        this.#hasFailed = true;
        resolve();
      };
      const child = spawn("systemd-notify", [...assignments], {
        env: { NOTIFY_SOCKET: socket, PATH: this.#path ?? "/usr/bin:/bin" },
        stdio: "ignore",
        timeout: NOTIFY_TIMEOUT_MS,
      });
      child.once("error", (error) => fail(error.message));
      child.once("exit", (code) => (code === 0 ? resolve() : fail(`systemd-notify ended with ${code ?? "a signal"}`)));
    });
  }
}
