/** Data of the API that a component shows: fetched, fetched again in time and on events, kept while it is fetched again. */
import { useEffect, useRef, useState } from "preact/hooks";
import { call, messageOf } from "./api.ts";
import { isPaused, onEvents } from "./live.ts";

export interface Resource<Data> {
  readonly data: Data | undefined;
  readonly error: string | undefined;
  readonly reload: () => void;
}

interface ResourceOptions {
  readonly everyMs?: number;
  /** Audit events on which it is fetched again. */
  readonly on?: readonly string[];
}

/** However many events come. */
const RELOAD_PAUSE_MS = 400;

/** Undefined paths are not fetched. */
export function useResource<Data>(
  path: string | undefined,
  { everyMs, on = [] }: ResourceOptions = {},
): Resource<Data> {
  const [state, setState] = useState<{ path?: string; data?: Data; error?: string }>({});
  const [turn, setTurn] = useState(0);
  const fetchedAt = useRef(0);
  const events = on.join();
  useEffect(() => {
    if (path === undefined) return;
    let isCurrent = true;
    fetchedAt.current = Date.now();
    call<Data>("GET", path).then(
      (data) => isCurrent && setState({ path, data }),
      (thrown) =>
        isCurrent &&
        setState((before) => ({ ...(before.path === path ? before : { path }), error: messageOf(thrown) })),
    );
    return () => {
      isCurrent = false;
    };
  }, [path, turn]);
  useEffect(() => {
    if (path === undefined) return;
    let waiting: ReturnType<typeof setTimeout> | undefined;
    const again = (): void => {
      if (document.hidden || isPaused.value || waiting !== undefined) return;
      const pauseMs = Math.max(0, fetchedAt.current + RELOAD_PAUSE_MS - Date.now());
      waiting = setTimeout(() => {
        waiting = undefined;
        setTurn((number) => number + 1);
      }, pauseMs);
    };
    const timer = everyMs === undefined ? undefined : setInterval(again, everyMs);
    const end = events === "" ? undefined : onEvents(events.split(","), again);
    return () => {
      clearInterval(timer);
      clearTimeout(waiting);
      end?.();
    };
  }, [path, everyMs, events]);
  // What another path has brought stays until this one's is there: nothing jumps.
  const isOwn = state.path === path;
  return { data: state.data, error: isOwn ? state.error : undefined, reload: () => setTurn((number) => number + 1) };
}
