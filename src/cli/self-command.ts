/** `querycop self verify`: whether a file is what a signed release holds. Nothing here changes a file. */
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import type { ArgsDef } from "citty";
import { RELEASE_KEY } from "../version.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { checkSignature, parseReleaseKey, type ReleaseKey } from "./release-signature.ts";

const SIGNATURE_ENDING = ".minisig";
/** A release has some ten files. */
const LIST_BYTES_MAX = 65_536;

export const selfHelp: CommandHelp = {
  name: "self",
  summary: "Check an executable against the signed list of a release",
  example: "  querycop self verify ./querycop-linux-x64 --sums ./SHA256SUMS",
  text: [
    "  self verify [FILE]   Checks the list's signature, then that FILE is in the list; without FILE this very executable",
    "The signature lies beside the list, as SHA256SUMS.minisig; minisign can check it as well. Changes and downloads nothing.",
  ].join("\n"),
  options: [
    ["--sums FILE", "The list SHA256SUMS of the release; required"],
    ["--public-key KEY", "The key that must have signed it, RW…; default: the one this executable was released with"],
  ],
  settings: "none",
};

export const selfArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "verify" },
  file: { type: "positional", required: false, valueHint: "FILE" },
  sums: { type: "string" },
  "public-key": { type: "string" },
};

/** What people look for here, and where it is instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  update: "querycop does not replace its own file: run install.sh again, or your package manager",
  uninstall: "querycop does not remove its own file: rm it; docs/upgrade.md lists what else there may be",
};

export async function runSelf(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const verb = String(args["verb"]);
  if (verb !== "verify") throw new UsageError(Object.hasOwn(ELSEWHERE, verb) ? ELSEWHERE[verb] : "expected verify");
  const sums = args["sums"];
  if (typeof sums !== "string") throw new UsageError("--sums is required: the SHA256SUMS of the release");
  const key = keyOf(args["public-key"]);
  const file = typeof args["file"] === "string" ? args["file"] : process.execPath;

  const list = readList(sums);
  const signature = checkSignature(list, readList(`${sums}${SIGNATURE_ENDING}`).toString("utf8"), key);
  if ("problem" in signature)
    return failed(`${sums}${SIGNATURE_ENDING} does not vouch for ${sums}: ${signature.problem}`, io);
  const hash = await sha256(file);
  const name = nameInList(list.toString("latin1"), basename(file), hash);
  if (name === undefined) return failed(`${file} is not what ${sums} lists: its SHA-256 is ${hash}`, io);
  io.stdout(`ok: ${file} is ${name}, signed: ${signature.comment}\n`);
  return EXIT_OK;
}

function failed(text: string, io: CommandIo): number {
  io.stderr(`querycop: ${text}\n`);
  return EXIT_FAILED;
}

function keyOf(given: unknown): ReleaseKey {
  const text = typeof given === "string" ? given : RELEASE_KEY;
  if (text === undefined)
    throw new UsageError("--public-key is required: this executable was built without a release key");
  const key = parseReleaseKey(text);
  if (key === undefined) throw new UsageError("--public-key: expected the 56 characters of a minisign key, RW…");
  return key;
}

function readList(path: string): Buffer {
  const { size } = statSync(path);
  if (size > LIST_BYTES_MAX) throw new Error(`${path}: ${size} bytes, a list has at most ${LIST_BYTES_MAX}`);
  return readFileSync(path);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

/** A file that has a name of the list must be that one; another, such as an installed `querycop`, may be any. */
function nameInList(list: string, name: string, hash: string): string | undefined {
  const rows = list.split("\n").map((line) => line.split(/ [ *]/, 2));
  const named = rows.filter(([, listed]) => listed === name);
  return (named.length > 0 ? named : rows).find(([listedHash]) => listedHash === hash)?.[1];
}
