/** The account of what sessions hold, as large as the configuration says or as the machine allows. */
import process from "node:process";
import { MemoryBudget } from "../base/memory-budget.ts";
import { defaultMemoryBudget, memoryLimit } from "../base/memory-limit.ts";
import type { Config } from "../config/schema.ts";
import { collectGarbage, collectYoungGarbage } from "../net/bun-garbage.ts";
import { GarbageWatch } from "./garbage-watch.ts";

const LOOK_MS = 100;

export function memoryBudget({ memoryBudgetBytes }: Config): MemoryBudget {
  const limit = memoryLimit();
  const budget = new MemoryBudget(memoryBudgetBytes ?? defaultMemoryBudget(limit), collectYoungGarbage);
  const watch = new GarbageWatch({
    limitBytes: limit.bytes,
    residentBytes: () => process.memoryUsage.rss(),
    heldBytes: () => budget.used,
    collect: (what) => (what === "young" ? collectYoungGarbage() : collectGarbage(false)),
  });
  setInterval(() => {
    budget.isSqueezed = watch.look(performance.now());
  }, LOOK_MS).unref();
  return budget;
}
