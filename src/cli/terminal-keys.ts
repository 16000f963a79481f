/** Keys of a terminal as they are pressed, for commands that draw on it. */
import process from "node:process";

/**
 * Each piece of input, without echo and without waiting for a line. Ends when the signal aborts, at SIGTERM and at SIGHUP, and
 * leaves the terminal as it was. Standard input must be a terminal.
 */
export async function* terminalKeys(signal: AbortSignal): AsyncGenerator<string> {
  const { stdin } = process;
  const pressed: string[] = [];
  let isOver = signal.aborted;
  let wake = (): void => undefined;
  const take = (chunk: Buffer): void => {
    pressed.push(chunk.toString("latin1"));
    wake();
  };
  const end = (): void => {
    isOver = true;
    wake();
  };
  stdin.setRawMode(true);
  stdin.on("data", take);
  signal.addEventListener("abort", end);
  for (const name of ENDING) process.on(name, end);
  try {
    while (!isOver) {
      for (let key = pressed.shift(); key !== undefined; key = pressed.shift()) yield key;
      if (isOver) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    stdin.off("data", take);
    signal.removeEventListener("abort", end);
    for (const name of ENDING) process.off(name, end);
    stdin.setRawMode(false);
    stdin.pause();
  }
}

const ENDING = ["SIGTERM", "SIGHUP"] as const;
