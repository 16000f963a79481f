/** Approvals of a load: for these versions of these objects, this table, this way of doing it, and nothing else. */
import { s3Text } from "../base/s3-uri.ts";
import { LoadFailure } from "./load-failure.ts";
import { type AllowedObject, type FoundObjects, findObjects } from "./load-objects.ts";
import type { LoadPlan } from "./load-plan.ts";
import type { LoadSetup } from "./run-load.ts";

export interface LoadApproval {
  /** Resolves once somebody has approved it; rejects with LoadFailure where not. */
  ask(objects: readonly AllowedObject[]): Promise<void>;
  /** Uses the approval up: what the load sends from now on runs under it. Rejects with LoadFailure where it holds no more. */
  use(): Promise<void>;
}

/**
 * All that a load is going to do, for people and to be bound to: two loads with one description do the same. `connection` says
 * where it goes. Holds the operator's own words, such as those of --set.
 */
export function loadDescription(plan: LoadPlan, objects: readonly AllowedObject[], connection: string): string {
  const { target, mode, via, shape, warningsMax, bytesMin, skipsMissing, ledger, keepsOld, accepts } = plan;
  const options = {
    ...shape,
    warningsMax,
    bytesMin,
    skipsMissing,
    ledger,
    keepsOld,
    accepts: [...accepts].sort(),
    decompress: plan.decompressCommand,
  };
  return [
    `LOAD INTO ${JSON.stringify(`${target.schema}.${target.table}`)} BY ${mode} VIA ${via} ON ${connection}`,
    `FROM ${objects.map(versionText).join(", ")}`,
    `WITH ${JSON.stringify(options)}`,
  ].join(" ");
}

/** What the sources stand for, approved where that is asked for. Nothing has changed anywhere before. */
export async function findCleared({ plan, rules, store, signal, approval }: LoadSetup): Promise<FoundObjects> {
  const found = await findObjects(plan, rules, store, signal);
  if (approval === undefined || found.objects.length === 0) return found;
  await approval.ask(found.objects);
  const now = await findObjects(plan, rules, store, signal);
  // SAFETY: people take their time, and the approval is for what they were shown.
  if (versionsOf(now) !== versionsOf(found))
    throw new LoadFailure("the objects are not those any more that the approval is for: load again to ask for another");
  await approval.use();
  return now;
}

function versionText({ object }: AllowedObject): string {
  const { etag, size, version, region } = object;
  const place = region === undefined ? "" : ` in ${region}`;
  const words = [`${size} bytes`, `etag ${etag}`, ...(version === undefined ? [] : [`version ${version}`])];
  return `${s3Text(object)}${place} (${words.join(", ")})`;
}

function versionsOf({ objects }: FoundObjects): string {
  return objects.map(versionText).join();
}
