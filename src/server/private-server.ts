/** A listener for one program, with the guard and the records of any other: what `querycop exec` puts between it and its database. */
import { randomBytes } from "node:crypto";
import type { AuditEvent } from "../audit/audit-event.ts";
import { recordBestEffort } from "../audit/best-effort.ts";
import type { Logger } from "../base/log.ts";
import { Slots } from "../base/slots.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import { cachingSha2DoubleHash, hashCachingSha2Password } from "../mysql/caching-sha2-password.ts";
import { hashNativePassword } from "../mysql/native-password.ts";
import type { ListenTarget } from "../net/transport.ts";
import { formatScramVerifier, makeScramVerifier } from "../postgres/scram.ts";
import { UserDirectory } from "../session/accounts/user-directory.ts";
import { PolicyJudge } from "../session/mysql/judging/policy-judge.ts";
import type { SessionServices } from "../session/session-services.ts";
import type { PasswordSource } from "../token/password.ts";
import type { TokenManager } from "../token/token-manager.ts";
import { configHash, type OpenAudit, openAudit, RUN_PREFIX_CHARS } from "./audit-setup.ts";
import { drainSessions, IdleSweep } from "./drain.ts";
import { newProcessServices, newSessionServices } from "./listener-services.ts";
import { listenerOptions, tokenManager } from "./listener-setup.ts";
import { LivePolicy } from "./live-policy.ts";
import { memoryBudget } from "./memory-setup.ts";
import { newProxyMetrics } from "./metric-labels.ts";
import { OpenFiles } from "./open-files.ts";
import { ProxyServer } from "./proxy-server.ts";
import { killTargets, SessionRegistry } from "./session-registry.ts";
import { SessionWings } from "./session-wings.ts";
import { StandingApproval } from "./standing-approval.ts";

export interface PrivateServerOptions {
  readonly config: Config;
  /** Of the connection, with its account. */
  readonly listener: ListenerConfig;
  /** Of the account, where it has any: the caller closes them. */
  readonly passwords: PasswordSource | undefined;
  readonly version: string;
  readonly logger: Logger;
  /** Names by which clients may come besides that of the account. */
  readonly aliases: readonly string[];
  /** What a statement that needs an approval is told, until one is given for all. */
  readonly whyNoApproval?: string;
}

/** Sessions whose program has ended may finish what they are at. */
const DRAIN_MS = 2_000;
const PASSWORD_BYTES = 32;
const MINTS_MAX = 4;
const WAITING_MINTS_MAX = 256;
const SWEEP_MS = 500;
const WHY_NO_APPROVAL = "which nobody can give to this command: send it to a querycop that serves";

export class PrivateServer {
  /** The name that clients log in by, and that policy and audit know them by. */
  readonly user: string;
  /** Good for this server alone, and for as long as it lives. */
  readonly password: string = randomBytes(PASSWORD_BYTES).toString("hex");
  readonly #audit: OpenAudit;
  readonly #policy: LivePolicy;
  readonly #registry: SessionRegistry;
  readonly #services: SessionServices;
  readonly #wings: SessionWings;
  readonly #listener: ListenerConfig;
  #server: ProxyServer | undefined;
  /** This process has no admin API to be answered by, and ends with its program. */
  readonly approval: StandingApproval;
  readonly #tokens: TokenManager | undefined;
  readonly #sweep: ReturnType<typeof setInterval>;

  /** Opens the audit log and loads the policy; throws when either cannot be. Listens to nobody yet. */
  constructor(options: PrivateServerOptions) {
    const { config, listener, passwords, version, logger, aliases, whyNoApproval = WHY_NO_APPROVAL } = options;
    const { account } = listener;
    if (account === undefined) throw new Error("a private server without an account");
    this.user = account.user ?? account.connection;
    this.#listener = listener;
    this.#audit = openAudit(config.audit, logger, true);
    const { trail } = this.#audit;
    this.#record({ type: "start", version, pid: process.pid, configHash: configHash(config) });
    this.#policy = new LivePolicy({
      file: config.policy.file,
      idPrefix: trail.run.slice(0, RUN_PREFIX_CHARS),
      logger,
      judgeTimeoutMs: config.policy.judgeTimeoutMs,
      onChange: (change) => this.#record({ type: "policy-change", ...change }),
    });
    this.approval = new StandingApproval(whyNoApproval);
    const connectionsMax = config.maxConnections;
    this.#registry = new SessionRegistry({ connectionsMax, connectionsPerAddressMax: connectionsMax });
    const shared = newProcessServices({
      audit: trail,
      metrics: newProxyMetrics(),
      judge: new PolicyJudge(this.#policy.judge, this.#policy.longTexts),
      approvals: this.approval,
      memory: memoryBudget(config),
    });
    this.#tokens = tokenManager(
      listener,
      config.token,
      new Slots(MINTS_MAX, WAITING_MINTS_MAX),
      logger,
      () => undefined,
    );
    const services = newSessionServices(shared, {
      options: {
        ...listenerOptions(listener),
        clientTls: undefined,
        clientTlsMode: "off",
        clientAuth: "password",
        users: directoryOf(this.user, this.password),
        clientNames: new Map([...aliases, "", this.user].map((name) => [name, this.user])),
      },
      tokens: this.#tokens,
      passwords,
      logger,
      ...killTargets(this.#registry, listener.backend),
    });
    this.#services = services;
    this.#wings = new SessionWings(this.#policy, config.dsql);
    const idle = new IdleSweep(this.#registry);
    this.#sweep = setInterval(() => idle.step(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** Resolves with the port in use, 0 for a unix socket. */
  async listen(target: ListenTarget): Promise<number> {
    const wing = await this.#wings.of(this.#listener.backend.engine);
    this.#server = new ProxyServer(wing, this.#services, this.#registry, new OpenFiles());
    return await this.#server.listen(target);
  }

  /** Ends what is left of the program's sessions, and the log with them. */
  async close(): Promise<void> {
    this.#server?.close();
    await drainSessions(this.#registry, DRAIN_MS);
    clearInterval(this.#sweep);
    this.#tokens?.close();
    this.#policy.close();
    this.#record({ type: "stop", reason: "exit", openSessions: this.#registry.size });
    await this.#audit.close();
  }

  /** Into the same log. Throws where it cannot be recorded. */
  record(event: AuditEvent): void | Promise<void> {
    return this.#audit.trail.append(event);
  }

  #record(event: AuditEvent): void {
    recordBestEffort(() => this.#audit.trail.append(event));
  }
}

/**
 * Both hashes of MySQL's, whose clients of 9.0 and later have no mysql_native_password and others prefer it, and
 * PostgreSQL's; and what is known after a whole exchange is known at once, so that no client has to send the password itself.
 */
function directoryOf(user: string, password: string): UserDirectory {
  const bytes = Buffer.from(password);
  const cachingSha2 = hashCachingSha2Password(bytes);
  const entry = {
    cachingSha2,
    native: hashNativePassword(bytes),
    scram: formatScramVerifier(makeScramVerifier(bytes)),
  };
  const directory = new UserDirectory(new Map([[user, entry]]));
  directory.rememberFastHash(user, cachingSha2, cachingSha2DoubleHash(bytes));
  return directory;
}
