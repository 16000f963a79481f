/** What a file's mode says of others than its owner. */

export const GROUP_OR_WORLD_WRITABLE = 0o022;
export const GROUP_OR_WORLD_ANY = 0o077;
export const WORLD_READABLE = 0o004;

/**
 * Whether a mode gives others one of these rights. Never on Windows: files have access lists there, and the mode that the
 * runtime makes up says 0666 of every file. No proxy serves on Windows, so nobody relies on it.
 */
export function othersMay(mode: number, rights: number, platform: NodeJS.Platform = process.platform): boolean {
  return platform !== "win32" && (mode & rights) !== 0;
}
