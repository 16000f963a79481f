/**
 * Tokens signed in this process by @aws-sdk/rds-signer, from the standard AWS credential chain: environment, profile,
 * web identity (IRSA), container, instance. The library is loaded with the first mint, so that nobody else pays for it.
 */
import { Buffer } from "node:buffer";
import { redactSecrets } from "../base/redact.ts";
import { type MintedToken, TokenMintError, type TokenSource, type TokenTarget } from "./token.ts";

interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

type CredentialProvider = (properties?: Record<string, unknown>) => Promise<AwsCredentials>;

export interface RdsTokenOptions {
  readonly timeoutMs?: number;
  /** In place of the standard chain; for tests and for callers that hold credentials. */
  readonly credentials?: CredentialProvider;
}

export class RdsTokenSource implements TokenSource {
  readonly name = "rds-signer";
  readonly #timeoutMs: number;
  #credentials: CredentialProvider | undefined;

  constructor(options: RdsTokenOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#credentials = options.credentials;
  }

  async mint(target: TokenTarget, signal: AbortSignal): Promise<MintedToken> {
    // The chain may wait on an instance metadata service that does not answer; it cannot be stopped, only left.
    return await bounded(this.#sign(target), this.#timeoutMs, signal);
  }

  async #sign(target: TokenTarget): Promise<MintedToken> {
    try {
      const { Signer } = await import("@aws-sdk/rds-signer");
      const place = {
        hostname: target.host,
        port: target.port,
        username: target.user,
        ...(target.region === undefined ? {} : { region: target.region }),
      };
      this.#credentials ??= credentialsOf(new Signer(place));
      const chain = this.#credentials;
      let expiration: Date | undefined;
      const signer = new Signer({
        ...place,
        credentials: async (properties) => {
          const credentials = await chain(properties as Record<string, unknown> | undefined);
          expiration = credentials.expiration;
          return credentials;
        },
      });
      const token = await signer.getAuthToken();
      return { value: Buffer.from(token, "latin1"), credentialsExpireAtMs: expiration?.getTime() };
    } catch (error) {
      throw mintErrorOf(error);
    }
  }
}

/**
 * The credential chain a signer has made for itself. Shared by all later signers: the chain remembers credentials until
 * they are about to expire, while one of its own for each mint would ask the metadata service each time.
 */
function credentialsOf(signer: object): CredentialProvider {
  const { credentials } = signer as { readonly credentials?: unknown };
  if (typeof credentials !== "function") {
    throw new TokenMintError("signer", "This version of @aws-sdk/rds-signer does not show its credential chain");
  }
  return credentials as CredentialProvider;
}

function mintErrorOf(error: unknown): TokenMintError {
  if (error instanceof TokenMintError) return error;
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  const detail = redactSecrets(message.slice(0, 1024));
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    return new TokenMintError("no-credentials", "No AWS credentials are found in the standard places", detail);
  }
  if (message.includes("Region is missing")) {
    return new TokenMintError("no-region", "The AWS region is not known, set backend.region", detail);
  }
  return new TokenMintError("signer", `The token cannot be signed: ${name}`, detail);
}

function bounded<T>(work: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(new TokenMintError("stopped", "The signing was stopped"));
    const timer = setTimeout(
      () => reject(new TokenMintError("timeout", `The AWS credentials took longer than ${timeoutMs} ms`)),
      timeoutMs,
    );
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    });
  });
}
