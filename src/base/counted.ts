/** Numbers in sentences. */

/** `1 session`, `2 sessions`; irregular plurals are given. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
] as const;

/** A time in its two largest units: `42 s`, `12 min 5 s`, `3 d 4 h`. */
export function timeSpan(seconds: number): string {
  const first = UNITS.findIndex(([, unit]) => seconds >= unit);
  if (first === -1) return "0 s";
  const parts: string[] = [];
  let rest = seconds;
  for (const [name, unit] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(rest / unit);
    if (count > 0) parts.push(`${count} ${name}`);
    rest -= count * unit;
  }
  return parts.join(" ");
}
