/** Reads policy, users, certificates and the settings that can change again: on SIGHUP, when a file changes, or when an operator asks. */
import { unwatchFile, watchFile } from "node:fs";
import type { AuditEvent } from "../audit/audit-event.ts";
import type { Logger } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Config } from "../config/schema.ts";
import type { ChangeHistory } from "./activity/change-history.ts";
import { certificateEnds, type LiveFiles } from "./live-files.ts";
import type { LivePolicy } from "./live-policy.ts";
import type { LiveSettings } from "./live-settings.ts";
import type { ReloadOutcome } from "./operations.ts";

/** Looking at times works on every file system, also through a Kubernetes config map. */
const WATCH_INTERVAL_MS = 2_000;
/** Files that belong together change one after the other. */
const SETTLE_MS = 500;

export interface ReloaderOptions {
  readonly config: Config;
  readonly policy: LivePolicy;
  /** May grow until `begin`. */
  readonly files: readonly LiveFiles[];
  readonly settings: LiveSettings;
  readonly metrics: Metrics;
  readonly changes: ChangeHistory;
  readonly logger: Logger;
  readonly record: (event: AuditEvent) => void;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #watched: readonly string[] = [];

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /** Everything was read at the start without a problem. */
  begin(): void {
    this.#measure([]);
    const { config, files, settings } = this.#options;
    const paths = [config.policy.file, settings.file, ...files.flatMap((live) => live.paths)];
    this.#watched = [...new Set(paths.filter((path) => path !== undefined))];
    for (const path of this.#watched) {
      watchFile(path, { interval: WATCH_INTERVAL_MS, persistent: false }, (now, before) => {
        if (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino || now.size !== before.size) this.#settle();
      });
    }
  }

  end(): void {
    clearTimeout(this.#settling);
    for (const path of this.#watched) unwatchFile(path);
  }

  /** What is wrong is refused and what was before it stays in force. `by`: signal, file, or who asked. Never rejects. */
  async reload(by: string): Promise<readonly ReloadOutcome[]> {
    const { policy, files, settings } = this.#options;
    const ofPolicy = policy.reload(by);
    const outcomes = ofPolicy === undefined ? [] : [ofPolicy];
    for (const live of files) {
      const outcome = live.reload();
      outcomes.push(outcome);
      this.#tell(live.paths, outcome, by);
    }
    const ofSettings = await settings.reload();
    if (ofSettings !== undefined) {
      outcomes.push(ofSettings);
      this.#tell([settings.file ?? ""], ofSettings, by);
    }
    this.#measure(outcomes);
    this.#options.changes.addReload(outcomes, by, Date.now());
    return outcomes;
  }

  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.reload("file"), SETTLE_MS);
    this.#settling.unref();
  }

  #tell(paths: readonly string[], { what, outcome, problems }: ReloadOutcome, by: string): void {
    if (outcome === "unchanged") return;
    const { logger, record } = this.#options;
    const isRefused = outcome === "refused";
    if (isRefused) logger.error("change refused, what was before stays in force", { what, problems, by });
    else logger.info("change in force", { what, by });
    record({
      type: "config-load",
      file: paths.join(", "),
      outcome: isRefused ? "error" : "ok",
      problems: isRefused ? (problems ?? "").split("\n").length : 0,
    });
  }

  #measure(outcomes: readonly ReloadOutcome[]): void {
    const { metrics, config } = this.#options;
    const isSuccessful = outcomes.every(({ outcome }) => outcome !== "refused");
    metrics.reloadSuccessful.value = isSuccessful ? 1 : 0;
    if (!isSuccessful) return;
    metrics.reloadSuccessTime.value = Math.floor(Date.now() / 1000);
    const ends = certificateEnds(config.listeners);
    metrics.certificateNotAfter.of("client").value = ends.client;
    metrics.certificateNotAfter.of("backend_ca").value = ends.backendCa;
  }
}
