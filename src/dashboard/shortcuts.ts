/** Keys for who does not like the mouse. None of them acts while something is written, and none on a row that has moved. */
import { signal } from "@preact/signals";
import { principal } from "./api.ts";
import { togglePause } from "./live.ts";
import { go } from "./location.ts";

/** What lies over the page. */
export const overlay = signal<"none" | "palette" | "help">("none");

export interface Target {
  readonly key: string;
  readonly page: string;
  readonly title: string;
  readonly isForApprovers?: true;
}

export const TARGETS: readonly Target[] = [
  { key: "n", page: "now", title: "Now" },
  { key: "a", page: "approvals", title: "Approvals", isForApprovers: true },
  { key: "s", page: "sessions", title: "Sessions" },
  { key: "t", page: "statements", title: "Statements" },
  { key: "u", page: "audit", title: "Audit" },
  { key: "p", page: "policy", title: "Policy" },
  { key: "h", page: "health", title: "Health" },
  { key: "c", page: "access", title: "Access" },
];

export const HELP: readonly (readonly [keys: string, what: string])[] = [
  ...TARGETS.map(({ key, title }) => [`g ${key}`, title] as const),
  ["/", "Filter the list"],
  ["j  k", "Next and previous row"],
  ["Enter", "Open the row"],
  ["a", "Approve, then Enter to confirm"],
  ["d", "Deny"],
  ["p", "Pause or go on"],
  ["Ctrl K", "Palette: pages, sessions, decisions"],
  ["Esc", "Back"],
  ["?", "This sheet"],
];

/** Keys of the page that is shown: `a` on an approval. */
const ofPage = new Map<string, () => void>();

/** Returns how to end it. */
export function onKey(key: string, act: () => void): () => void {
  ofPage.set(key, act);
  return () => {
    if (ofPage.get(key) === act) ofPage.delete(key);
  };
}

const CHORD_MS = 1_500;
let chordUntilMs = 0;

function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, dialog") !== null;
}

function walk(step: number): void {
  const links = [...document.querySelectorAll<HTMLElement>("main .row-link")];
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const GENERAL: Readonly<Record<string, () => void>> = {
  "/": () => document.querySelector<HTMLElement>("main .filter-box")?.focus(),
  "?": () => {
    overlay.value = "help";
  },
  j: () => walk(1),
  k: () => walk(-1),
  p: togglePause,
  Escape: () => globalThis.history.back(),
};

function pressed(event: KeyboardEvent): void {
  if (principal.value === null || principal.value === undefined) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    overlay.value = overlay.value === "palette" ? "none" : "palette";
    return;
  }
  const isModified = event.ctrlKey || event.metaKey || event.altKey;
  if (isModified || event.defaultPrevented || overlay.value !== "none") return;
  if (isWriting(event.target)) {
    if (event.key === "Escape") (event.target as HTMLElement).blur();
    return;
  }
  if (performance.now() < chordUntilMs) {
    chordUntilMs = 0;
    const target = TARGETS.find(({ key }) => key === event.key);
    if (target === undefined) return;
    event.preventDefault();
    go(target.page);
    return;
  }
  if (event.key === "g") {
    chordUntilMs = performance.now() + CHORD_MS;
    return;
  }
  const act = ofPage.get(event.key) ?? GENERAL[event.key];
  if (act === undefined) return;
  event.preventDefault();
  act();
}

export function listenForShortcuts(): void {
  document.addEventListener("keydown", pressed);
}
