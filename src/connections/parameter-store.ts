/** Passwords from AWS Systems Manager Parameter Store. The library is loaded with the first look. */
import { credentialChain } from "../token/aws-credentials.ts";
import { regionOfArn, withinTime } from "./aws-secret.ts";
import { SecretError, type SecretReader, type SecretReading, type SecretStage } from "./secret-reader.ts";
import { passwordBytes } from "./secret-text.ts";

export interface ParameterStoreOptions {
  /** Name, ARN, name:version or name:label. */
  readonly parameter: string;
  readonly region: string | undefined;
  readonly timeoutMs: number;
}

export class ParameterStoreReader implements SecretReader {
  readonly name: string;
  readonly #options: ParameterStoreOptions;

  constructor(options: ParameterStoreOptions) {
    this.#options = options;
    this.name = `parameter ${options.parameter}`;
  }

  async read(stage: SecretStage, signal: AbortSignal): Promise<SecretReading | undefined> {
    if (stage === "pending") return undefined;
    return await withinTime(this.#options.timeoutMs, signal, (bounded) => this.#ask(bounded));
  }

  async #ask(signal: AbortSignal): Promise<SecretReading> {
    const { parameter } = this.#options;
    const { GetParameterCommand, SSMClient } = await import("@aws-sdk/client-ssm");
    const region = regionOfArn(parameter) ?? this.#options.region;
    const client = new SSMClient({
      credentials: await credentialChain(),
      ...(region === undefined ? {} : { region }),
    });
    try {
      const command = new GetParameterCommand({ Name: parameter, WithDecryption: true });
      const { Parameter } = await client.send(command, { abortSignal: signal });
      if (Parameter?.Value === undefined) throw new SecretError("it has no value");
      return { password: bytesOf(Parameter.Value), version: String(Parameter.Version ?? 0) };
    } finally {
      client.destroy();
    }
  }
}

function bytesOf(value: string): Uint8Array {
  try {
    return passwordBytes(value);
  } catch (thrown) {
    throw new SecretError(thrown instanceof Error ? thrown.message : "it cannot be read");
  }
}
