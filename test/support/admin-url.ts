/** Where a querycop of a test or bench answers its administrators, and what its metrics say. */
import { eventually } from "./eventually.ts";
import type { Querycop } from "./querycop.ts";

const LOG_EVENT = "admin API listening";

/** Waits for it: the listeners for clients are open first. */
export async function adminUrlOf(querycop: Querycop): Promise<string> {
  const line = await eventually("the admin API listens", () =>
    querycop.logs().find(({ event }) => event === LOG_EVENT),
  );
  return `http://${line["address"]}`;
}

/** The text of /metrics. */
export async function metricsOf(url: string, adminKey: string): Promise<string> {
  const response = await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${adminKey}` } });
  return await response.text();
}

/** The value of a metric, as it is named there with its labels. */
export function metricIn(text: string, name: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? Number.NaN : Number(line.slice(name.length + 1));
}
