/** Settings that can change while querycop runs. So far one: the level of its log. */
import { readFileSync } from "node:fs";
import type { Logger } from "../base/log.ts";
import type { ReloadOutcome, SettingView } from "./operations.ts";

/** Reads the configuration as at the start and takes over what can change, unless something is wrong with it. */
export type RereadSettings = () => Promise<
  { readonly problems: readonly string[] } | { readonly settings: readonly SettingView[] }
>;

const LIVE_KEYS: ReadonlySet<string> = new Set(["log.level"]);

export class LiveSettings {
  /** The configuration file; without one nothing can have changed. */
  readonly file: string | undefined;
  readonly #reread: RereadSettings | undefined;
  readonly #logger: Logger;
  #settings: readonly SettingView[];
  #inForce: string | undefined;

  constructor(
    file: string | undefined,
    settings: readonly SettingView[],
    reread: RereadSettings | undefined,
    logger: Logger,
  ) {
    this.file = reread === undefined ? undefined : file;
    this.#settings = settings;
    this.#reread = reread;
    this.#logger = logger;
    this.#inForce = this.#content();
  }

  /** In force. */
  get current(): readonly SettingView[] {
    return this.#settings;
  }

  /** Undefined where there is no file. Never rejects. */
  async reload(): Promise<ReloadOutcome | undefined> {
    if (this.file === undefined || this.#reread === undefined) return undefined;
    const what = `settings of ${this.file}`;
    const found = this.#content();
    if (found !== undefined && found === this.#inForce) return { what, outcome: "unchanged" };
    const read = await this.#reread().catch((thrown: unknown) => ({ problems: [`${what}: ${String(thrown)}`] }));
    if ("problems" in read) return { what, outcome: "refused", problems: read.problems.join("\n") };
    this.#inForce = found;
    const { isTaken, waiting } = this.#take(read.settings);
    const needsRestart = waiting.length === 0 ? {} : { needsRestart: waiting.join(", ") };
    return { what, outcome: isTaken ? "replaced" : "unchanged", ...needsRestart };
  }

  /** Takes over what can change. What cannot is named in the log as well: a file's change has no other reader. */
  #take(settings: readonly SettingView[]): { readonly isTaken: boolean; readonly waiting: readonly string[] } {
    const before = new Map(this.#settings.map(({ key, value }) => [key, value]));
    const keys = new Set([...before.keys(), ...settings.map(({ key }) => key)]);
    const now = new Map(settings.map(({ key, value }) => [key, value]));
    const changed = [...keys].filter((key) => before.get(key) !== now.get(key));
    const waiting = changed.filter((key) => !LIVE_KEYS.has(key));
    if (waiting.length > 0) {
      this.#logger.warn("settings changed that need a restart", { file: this.file, settings: waiting.join(", ") });
    }
    const taken = new Map(settings.filter(({ key }) => LIVE_KEYS.has(key)).map((setting) => [setting.key, setting]));
    this.#settings = this.#settings.map((setting) => taken.get(setting.key) ?? setting);
    return { isTaken: waiting.length < changed.length, waiting };
  }

  #content(): string | undefined {
    try {
      return this.file === undefined ? undefined : readFileSync(this.file, "latin1");
    } catch {
      return undefined;
    }
  }
}
