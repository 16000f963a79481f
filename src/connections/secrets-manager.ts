/** Passwords from AWS Secrets Manager. The library is loaded with the first look, so that nobody else pays for it. */
import type { BackendEngine } from "../config/schema.ts";
import { credentialChain } from "../token/aws-credentials.ts";
import { errorName, regionOfArn, withinTime } from "./aws-secret.ts";
import { SecretError, type SecretReader, type SecretReading, type SecretStage } from "./secret-reader.ts";
import { parseDatabaseSecret, passwordBytes } from "./secret-text.ts";

export interface SecretsManagerOptions {
  readonly id: string;
  readonly format: "json" | "text";
  readonly engine: BackendEngine;
  /** Unset: the one of the ARN, or of the AWS environment. */
  readonly region: string | undefined;
  readonly timeoutMs: number;
}

const STAGES: Readonly<Record<SecretStage, string>> = { current: "AWSCURRENT", pending: "AWSPENDING" };

/** There is none, or it is not for us: either way nothing to log in with. */
const NO_PENDING: ReadonlySet<string> = new Set(["ResourceNotFoundException", "AccessDeniedException"]);

export class SecretsManagerReader implements SecretReader {
  readonly name: string;
  readonly #options: SecretsManagerOptions;

  constructor(options: SecretsManagerOptions) {
    this.#options = options;
    this.name = `secret ${options.id}`;
  }

  async read(stage: SecretStage, signal: AbortSignal): Promise<SecretReading | undefined> {
    try {
      return await withinTime(this.#options.timeoutMs, signal, (bounded) => this.#ask(stage, bounded));
    } catch (thrown) {
      if (stage === "pending") return undefined;
      throw thrown;
    }
  }

  /** By name of the stage, always: an answer without it may be an older one. */
  async #ask(stage: SecretStage, signal: AbortSignal): Promise<SecretReading | undefined> {
    const { id, format, engine } = this.#options;
    const { GetSecretValueCommand, SecretsManagerClient } = await import("@aws-sdk/client-secrets-manager");
    const region = regionOfArn(id) ?? this.#options.region;
    const client = new SecretsManagerClient({
      credentials: await credentialChain(),
      ...(region === undefined ? {} : { region }),
    });
    try {
      const command = new GetSecretValueCommand({ SecretId: id, VersionStage: STAGES[stage] });
      const { SecretString, VersionId } = await client.send(command, { abortSignal: signal });
      if (SecretString === undefined || VersionId === undefined) throw new SecretError("it is binary: make it a text");
      return { ...readingOf(SecretString, format, engine), version: VersionId };
    } catch (thrown) {
      if (stage === "pending" && NO_PENDING.has(errorName(thrown))) return undefined;
      throw thrown;
    } finally {
      client.destroy();
    }
  }
}

function readingOf(text: string, format: "json" | "text", engine: BackendEngine): Omit<SecretReading, "version"> {
  try {
    return format === "text" ? { password: passwordBytes(text) } : parseDatabaseSecret(text, engine);
  } catch (thrown) {
    throw new SecretError(thrown instanceof Error ? thrown.message : "it cannot be read");
  }
}
