/** What happens while the page is open: one stream of events, whether it runs, and how old what it tells is. */
import { effect, signal } from "@preact/signals";
import { call, principal, sessionEnded } from "./api.ts";
import type { Principal } from "./api-types.ts";

export type Stream = "connecting" | "live" | "lost";

export const stream = signal<Stream>("connecting");
/** By the reader's wish. */
export const isPaused = signal(false);
/** When the process was heard of last. */
export const heardAt = signal(Date.now());
/** Ticks every second, for ages and countdowns. */
export const clock = signal(Date.now());
/** By type; under `*` all, for events that may have been missed. */
const listeners = new Map<string, Set<() => void>>();

const ADMIN_TYPES = ["hold", "approval", "statement-blocked", "policy-change", "config-load", "connect", "disconnect"];
const APPROVER_TYPES = ["hold", "approval"];
const ANY = "*";
const RETRY_MS = 3_000;
/** The process says something every five seconds. */
const SILENT_MS = 12_000;

/** Calls back when an event of these types came, or events may have been missed. Returns how to end it. */
export function onEvents(types: readonly string[], told: () => void): () => void {
  const all = [...types, ANY];
  for (const type of all) listeners.set(type, (listeners.get(type) ?? new Set()).add(told));
  return () => {
    for (const type of all) listeners.get(type)?.delete(told);
  };
}

function tell(type: string): void {
  heardAt.value = Date.now();
  for (const told of listeners.get(type) ?? []) told();
}

let source: EventSource | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;

function close(): void {
  clearTimeout(retry);
  source?.close();
  source = undefined;
}

function open({ role }: Principal): void {
  close();
  const types = role === "admin" ? ADMIN_TYPES : APPROVER_TYPES;
  const opened = new EventSource(`events?type=${types.join(",")}`);
  source = opened;
  opened.addEventListener("heartbeat", () => {
    stream.value = "live";
    heardAt.value = Date.now();
  });
  opened.addEventListener("missed", () => tell(ANY));
  for (const type of types) opened.addEventListener(type, () => tell(type));
  opened.addEventListener("error", () => {
    stream.value = "lost";
    if (opened.readyState !== EventSource.CLOSED) return;
    // It was refused: because the session is over, or there are too many readers.
    retry = setTimeout(() => void again(), RETRY_MS);
  });
}

async function again(): Promise<void> {
  const who = await call<Principal>("GET", "auth/session").catch(() => undefined);
  if (principal.value === null) return;
  if (who !== undefined) {
    open(who);
    tell(ANY);
  } else if (principal.value) retry = setTimeout(() => void again(), RETRY_MS);
  else sessionEnded();
}

/** While somebody is logged in, looks, and has not paused it. */
export function keepListening(): void {
  const isVisible = signal(!document.hidden);
  document.addEventListener("visibilitychange", () => {
    isVisible.value = !document.hidden;
  });
  setInterval(() => {
    if (document.hidden) return;
    clock.value = Date.now();
    if (stream.value === "live" && !isPaused.value && Date.now() - heardAt.value > SILENT_MS) stream.value = "lost";
  }, 1_000);
  effect(() => {
    const who = principal.value;
    if (!who || isPaused.value || !isVisible.value) return;
    stream.value = "connecting";
    open(who);
    tell(ANY);
    return close;
  });
}

export function togglePause(): void {
  isPaused.value = !isPaused.value;
}
