/** Tokens for Amazon RDS, signed by @aws-sdk/rds-signer. They name host, port and user. */
import { AwsSigning, type AwsSigningOptions } from "./aws-signing.ts";
import type { MintedToken, TokenSource, TokenTarget } from "./token.ts";

export class RdsTokenSource implements TokenSource {
  readonly name = "rds-signer";
  readonly #signing: AwsSigning;

  constructor(options: AwsSigningOptions = {}) {
    this.#signing = new AwsSigning(options);
  }

  mint({ host, port, user, region }: TokenTarget, signal: AbortSignal, isForced = false): Promise<MintedToken> {
    const place = { hostname: host, port, username: user, ...(region === undefined ? {} : { region }) };
    return this.#signing.mint(
      async (credentials) => {
        const { Signer } = await import("@aws-sdk/rds-signer");
        return await new Signer({ ...place, credentials }).getAuthToken();
      },
      signal,
      isForced,
    );
  }
}
