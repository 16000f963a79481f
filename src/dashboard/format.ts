/** Numbers and times in words that fit into a cell. */

const UNITS = ["", "k", "M", "G", "T"];

/** `1.2k`, `1k`; whole numbers below a thousand. */
export function count(value: number): string {
  if (!Number.isFinite(value)) return "–";
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 999.5 && unit < UNITS.length - 1) {
    scaled /= 1000;
    unit++;
  }
  if (unit === 0) return Number.isInteger(scaled) ? String(scaled) : scaled.toFixed(scaled < 10 ? 1 : 0);
  return `${scaled.toFixed(scaled < 9.95 ? 1 : 0).replace(/\.0$/, "")}${UNITS[unit]}`;
}

export function bytes(value: number): string {
  return value < 1000 ? `${Math.round(value)} B` : `${count(value)}B`.replace(/([kMGT])B$/, " $1B");
}

/** Of microseconds: `8 µs`, `1.4 ms`, `12 s`. */
export function duration(us: number | undefined): string {
  if (us === undefined || !Number.isFinite(us)) return "–";
  if (us < 999.5) return `${us < 10 && us > 0 ? us.toFixed(1) : Math.round(us)} µs`;
  if (us < 999_500) return `${(us / 1000).toFixed(us < 9_950 ? 1 : 0)} ms`;
  const seconds = us / 1e6;
  return seconds < 60 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : span(seconds);
}

/** Of seconds: `45 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86_400) return joined(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return joined(Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3600), "h");
}

function joined(first: number, firstUnit: string, second: number, secondUnit: string): string {
  return second === 0 ? `${first} ${firstUnit}` : `${first} ${firstUnit} ${second} ${secondUnit}`;
}

/** `4:05` until then. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export function ago(timeMs: number, nowMs: number): string {
  const seconds = Math.round((nowMs - timeMs) / 1000);
  if (seconds < -1) return `in ${span(-seconds)}`;
  if (seconds < 2) return "just now";
  return `${span(seconds)} ago`;
}

const pad = (value: number): string => String(value).padStart(2, "0");

/** In the reader's own time zone: `2026-11-30 14:05:09`. */
export function absolute(timeMs: number): string {
  const date = new Date(timeMs);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

export function plural(number: number, word: string): string {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}
