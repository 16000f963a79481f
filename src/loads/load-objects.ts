/** What the sources of a load stand for, and whether each of it may be loaded: before anything changes anywhere. */
import { allowsObjects, allowsTable, type ConnectionLoads, type LoadRule } from "../base/load-rule.ts";
import { type S3Address, type S3Pattern, s3Text } from "../base/s3-uri.ts";
import { LoadFailure } from "./load-failure.ts";
import type { LoadPlan } from "./load-plan.ts";
import { readManifest } from "./manifest.ts";
import { OBJECTS_MAX, type ObjectStore, type S3Object } from "./s3-store.ts";

export interface AllowedObject {
  readonly object: S3Object;
  /** Of the rule that allows it: packed and unpacked. */
  readonly bytesMax: number;
}

export interface FoundObjects {
  readonly objects: readonly AllowedObject[];
  /** Those that do not exist, where that is no failure. */
  readonly missing: readonly S3Address[];
}

/** Rejects with LoadFailure for the first that is not allowed, not there, or of another size than it may have. */
export async function findObjects(
  plan: LoadPlan,
  rules: ConnectionLoads,
  store: ObjectStore,
  signal: AbortSignal,
): Promise<FoundObjects> {
  const addresses: S3Address[] = [];
  for (const source of plan.sources) {
    // What is not allowed to be loaded is not looked at either.
    ruleFor(source, plan, rules);
    if (plan.isManifest) addresses.push(...(await readManifest(source, store, signal)));
    else addresses.push(...(source.isPrefix ? await store.list(source, signal) : [source]));
  }
  if (addresses.length > OBJECTS_MAX)
    throw new LoadFailure(`a load has at most ${OBJECTS_MAX} objects: load them in parts`);
  const objects: AllowedObject[] = [];
  const missing: S3Address[] = [];
  const names = addresses.map(s3Text);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new LoadFailure(`${twice}: the manifest names it twice`);
  for (const address of addresses) {
    const { bytesMax } = ruleFor(address, plan, rules);
    const object = await store.find(address, signal);
    if (object !== undefined) objects.push({ object: ofSize(object, plan.bytesMin, bytesMax), bytesMax });
    else if (plan.skipsMissing) missing.push(address);
    else throw new LoadFailure(`${s3Text(address)}: there is no such object`, "missing");
  }
  if (objects.length === 0 && !plan.skipsMissing)
    throw new LoadFailure("there is no object with this prefix", "missing");
  return { objects, missing };
}

function ofSize(object: S3Object, bytesMin: number, bytesMax: number): S3Object {
  const { size } = object;
  const text = `${s3Text(object)} has ${size} bytes`;
  if (size < bytesMin) throw new LoadFailure(`${text}, where --min-size wants ${bytesMin}`);
  if (size > bytesMax) throw new LoadFailure(`${text}, where max_bytes of the connection's loads allows ${bytesMax}`);
  return object;
}

function ruleFor(address: S3Address | S3Pattern, { target, mode }: LoadPlan, rules: ConnectionLoads): LoadRule {
  const loads = rules.filter((rule) => rule.way === "in");
  const ofSource = loads.filter((rule) => allowsObjects(rule, address));
  const ofTable = ofSource.filter((rule) => allowsTable(rule, target.schema, target.table));
  const found = ofTable.find((rule) => rule.modes.includes(mode));
  if (found !== undefined) return found;
  const what = ofSource.length === 0 ? "from there" : ofTable.length === 0 ? "into this table" : `by --mode ${mode}`;
  throw new LoadFailure(`${s3Text(address)}: the connection's loads allow no load ${what}`);
}
