/** How one reader likes to see things, kept in this browser. */
import { effect, signal } from "@preact/signals";

type TimeStyle = "relative" | "absolute";

const KEY = "querycop.time";

function stored(): TimeStyle {
  try {
    return localStorage.getItem(KEY) === "absolute" ? "absolute" : "relative";
  } catch {
    return "relative";
  }
}

export const timeStyle = signal<TimeStyle>(stored());

effect(() => {
  try {
    localStorage.setItem(KEY, timeStyle.value);
  } catch {
    // Storage may be switched off; then it lasts as long as the page.
  }
});

export function toggleTimeStyle(): void {
  timeStyle.value = timeStyle.value === "relative" ? "absolute" : "relative";
}
