/** Records of what has happened anyway, or will: nothing waits for them, and nothing depends on them. */

/** Never throws, now or later: an audit log that cannot record tells its own state and counts what it lost. */
export function recordBestEffort(record: () => void | Promise<void>): void {
  try {
    const pending = record();
    if (pending instanceof Promise) pending.catch(() => undefined);
  } catch {
    // See above.
  }
}
