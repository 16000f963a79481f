/** What this build is. build.ts replaces the three names; running from sources leaves them undefined. */

declare const QUERYCOP_BUILD_VERSION: string | undefined;
declare const QUERYCOP_BUILD_COMMIT: string | undefined;
declare const QUERYCOP_BUILD_DATE: string | undefined;

export const VERSION: string = typeof QUERYCOP_BUILD_VERSION === "string" ? QUERYCOP_BUILD_VERSION : "0.0.0-source";

/** The full commit id, with `-dirty` when the tree had uncommitted changes; `unknown` outside of a repository. */
export const COMMIT: string = typeof QUERYCOP_BUILD_COMMIT === "string" ? QUERYCOP_BUILD_COMMIT : "unknown";

/** The date of that commit (not of the build, so that the same sources give the same bytes), as YYYY-MM-DD. */
export const BUILD_DATE: string = typeof QUERYCOP_BUILD_DATE === "string" ? QUERYCOP_BUILD_DATE : "unknown";
