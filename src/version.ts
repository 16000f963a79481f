/** Which querycop this is. build.ts replaces the QUERYCOP_BUILD_… names; run from sources they do not exist. */

declare const QUERYCOP_BUILD_VERSION: string | undefined;
declare const QUERYCOP_BUILD_COMMIT: string | undefined;
declare const QUERYCOP_BUILD_DATE: string | undefined;
declare const QUERYCOP_BUILD_RELEASE_KEY: string | undefined;

export interface VersionInfo {
  readonly name: "querycop";
  readonly version: string;
  /** The git commit, with "-dirty" behind it for changed sources; "unknown" outside of a build. */
  readonly commit: string;
  /** The date of that commit, YYYY-MM-DD, or "unknown". */
  readonly date: string;
  /** What it runs on: "bun 1.4.5". */
  readonly runtime: string;
}

/** The version in package.json; a test holds the two together. */
const SOURCE_VERSION = "0.1.0";

/** The key that signs releases, as minisign writes public keys; undefined where the build was given none. */
export const RELEASE_KEY: string | undefined =
  typeof QUERYCOP_BUILD_RELEASE_KEY === "undefined" ? undefined : QUERYCOP_BUILD_RELEASE_KEY;

function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return `bun ${bun}`;
  return deno === undefined ? `node ${node}` : `deno ${deno}`;
}

export const VERSION: VersionInfo = {
  name: "querycop",
  version: typeof QUERYCOP_BUILD_VERSION === "undefined" ? SOURCE_VERSION : QUERYCOP_BUILD_VERSION,
  commit: typeof QUERYCOP_BUILD_COMMIT === "undefined" ? "unknown" : QUERYCOP_BUILD_COMMIT,
  date: typeof QUERYCOP_BUILD_DATE === "undefined" ? "unknown" : QUERYCOP_BUILD_DATE,
  runtime: runtimeName(),
};
