/** Which page is shown and of what: all of it stands in the address behind the #, so that a view can be sent to others. */
import { signal } from "@preact/signals";

export interface Place {
  readonly page: string;
  /** What comes behind the page, such as the id of a session. */
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

export const place = signal<Place>(read());

function read(): Place {
  const hash = globalThis.location.hash.replace(/^#\/?/, "");
  const [path = "", search = ""] = hash.split("?");
  const [page = "", ...rest] = path.split("/").map(decode);
  return { page: page === "" ? "now" : page, path: rest, query: Object.fromEntries(new URLSearchParams(search)) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

type Query = Readonly<Record<string, string | number | undefined>>;

/** The address of a page, for links. */
export function linkTo(page: string, path: readonly string[] = [], query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== "") search.set(name, String(value));
  const text = search.toString();
  return `#/${[page, ...path].map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

export function go(page: string, path: readonly string[] = [], query: Query = {}): void {
  globalThis.location.hash = linkTo(page, path, query);
}

/** Changes parameters of the view that is shown, without a step in the history: a filter is typed letter by letter. */
export function refine(changes: Query): void {
  const { page, path, query } = place.value;
  globalThis.history.replaceState(null, "", linkTo(page, path, { ...query, ...changes }));
  place.value = read();
}

globalThis.addEventListener("hashchange", () => {
  place.value = read();
});
