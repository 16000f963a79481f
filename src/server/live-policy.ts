/** The policy in force: loaded at start, replaced when the file changes or on SIGHUP, kept when the new one is bad. */

import { readFileSync, statSync } from "node:fs";
import { SYSTEM_CLOCK } from "../base/clock.ts";
import { QuerycopError } from "../base/errors.ts";
import { GROUP_OR_WORLD_WRITABLE, othersMay } from "../base/file-mode.ts";
import type { Logger } from "../base/log.ts";
import { POLICY_FILE_CHARACTERS_MAX, parsePolicy, renderProblems } from "../policy/file/policy-file.ts";
import { Judge } from "../policy/judge.ts";
import { MYSQL_ENGINE } from "../policy/mysql/mysql-engine.ts";
import type { OpinionReport } from "../policy/opinions.ts";
import { DEFAULT_POLICY, type Policy } from "../policy/policy.ts";
import { POSTGRES_ENGINE } from "../policy/postgres/postgres-engine.ts";
import { sha256Hex } from "../sql/mysql/digest/digest.ts";
import { SecondOpinion } from "../sql/second-opinion/second-opinion.ts";
import { JudgePool } from "./judge-pool.ts";
import type { PolicyView, ReloadOutcome } from "./operations.ts";

/** Enough for some ten thousand statement shapes. */
const VERDICT_CACHE_BYTES_MAX = 32 * 1024 * 1024;
/** Clients could make new shapes faster than anybody reads. */
const OPINION_LOG_INTERVAL_MS = 1_000;

export interface PolicyChange {
  readonly outcome: "ok" | "error";
  readonly fromVersion: string | undefined;
  readonly toVersion: string;
  /** The file as it took effect; undefined for the built-in policy and for a change that was refused. */
  readonly policyText?: string | undefined;
  /** start, signal, file, or the admin API's principal. */
  readonly by: string;
}

export interface LivePolicyOptions {
  /** The policy file; undefined for the built-in policy. */
  readonly file: string | undefined;
  readonly idPrefix: string;
  readonly logger: Logger;
  /** Milliseconds to judge one long text. */
  readonly judgeTimeoutMs: number;
  readonly onChange: (change: PolicyChange) => void;
}

export class LivePolicy {
  readonly judge: Judge;
  /** Judges long texts, always by the policy in force. */
  readonly longTexts: JudgePool;
  readonly #options: LivePolicyOptions;
  readonly #secondOpinion = new SecondOpinion();
  #opinionLoggedMs = Number.NEGATIVE_INFINITY;
  #opinionsUnlogged = 0;
  /** True while the file on disk is not the policy in force because it has a problem. */
  isFileRefused = false;

  /** Throws QC_CONFIG with every problem of the file: nothing starts under a policy nobody meant. */
  constructor(options: LivePolicyOptions) {
    this.#options = options;
    const loaded = options.file === undefined ? DEFAULT_POLICY : load(options.file);
    if (typeof loaded === "string") throw new QuerycopError("QC_CONFIG", `Cannot load the policy:\n${loaded}`);
    this.judge = new Judge({
      engines: { mysql: MYSQL_ENGINE, postgresql: POSTGRES_ENGINE },
      policy: loaded,
      clock: SYSTEM_CLOCK,
      idPrefix: options.idPrefix,
      cacheBytesMax: VERDICT_CACHE_BYTES_MAX,
      advisor: this.#secondOpinion,
      onDisagreement: (report) => this.#logDisagreement(report),
    });
    const { idPrefix, logger, judgeTimeoutMs: timeoutMs } = options;
    this.longTexts = new JudgePool({ judge: this.judge, clock: SYSTEM_CLOCK, idPrefix, logger, timeoutMs });
    const policyText = loaded.source;
    options.onChange({ outcome: "ok", fromVersion: undefined, toVersion: loaded.version, policyText, by: "start" });
  }

  get view(): PolicyView {
    return { version: this.version, file: this.#options.file, isFileRefused: this.isFileRefused };
  }

  get version(): string {
    return this.judge.policy.version;
  }

  close(): void {
    this.#secondOpinion.close().catch(() => undefined);
    this.longTexts.close().catch(() => undefined);
  }

  /** The statement has been decided already; later ones of its shape are decided with the rule dyn.opinion. */
  #logDisagreement({ decisionId, digest, advice }: OpinionReport): void {
    const nowMs = SYSTEM_CLOCK.monotonicMs();
    if (nowMs - this.#opinionLoggedMs < OPINION_LOG_INTERVAL_MS) {
      this.#opinionsUnlogged++;
      return;
    }
    this.#options.logger.warn("second opinion differs", {
      decisionId,
      digest: sha256Hex(digest),
      sees: advice.disagreements.map(({ about, detail }) => `${about} ${detail}`).join(", "),
      unlogged: this.#opinionsUnlogged,
    });
    this.#opinionLoggedMs = nowMs;
    this.#opinionsUnlogged = 0;
  }

  /** Takes the file's policy into force if it has no problem; else the old one stays and the log says why. */
  reload(by: string): ReloadOutcome | undefined {
    const { file, logger, onChange } = this.#options;
    if (file === undefined) return undefined;
    const what = `policy ${file}`;
    const fromVersion = this.version;
    const loaded = load(file);
    if (typeof loaded === "string") {
      this.isFileRefused = true;
      logger.error("policy refused, the one before stays in force", { file, problems: loaded, version: fromVersion });
      onChange({ outcome: "error", fromVersion, toVersion: "refused", by });
      return { what, outcome: "refused", problems: loaded };
    }
    this.isFileRefused = false;
    if (loaded.version === fromVersion) return { what, outcome: "unchanged" };
    this.judge.replacePolicy(loaded);
    logger.info("policy replaced", { file, fromVersion, version: loaded.version });
    onChange({ outcome: "ok", fromVersion, toVersion: loaded.version, policyText: loaded.source, by });
    return { what, outcome: "replaced" };
  }
}

/** The policy, or its problems as lines of `file:line: text`. */
function load(file: string): Policy | string {
  let text: string;
  try {
    const { mode, size } = statSync(file);
    // SAFETY: whoever may write the policy decides what runs.
    if (othersMay(mode, GROUP_OR_WORLD_WRITABLE)) return `${file}: writable by group or others: chmod go-w ${file}`;
    if (size > POLICY_FILE_CHARACTERS_MAX) return `${file}: ${size} bytes, the limit is ${POLICY_FILE_CHARACTERS_MAX}`;
    text = readFileSync(file, "utf8");
  } catch (thrown) {
    return `${file}: cannot be read: ${(thrown as { code?: string }).code ?? String(thrown)}`;
  }
  const result = parsePolicy(text);
  return result.kind === "loaded" ? result.policy : renderProblems(file, result.problems);
}
