/**
 * Tokens for Aurora DSQL, signed by @aws-sdk/dsql-signer. They name the host and one of two actions, neither user nor port:
 * https://docs.aws.amazon.com/aurora-dsql/latest/userguide/SECTION_authentication-token.html
 */
import { AwsSigning, type AwsSigningOptions } from "./aws-signing.ts";
import type { MintedToken, TokenSource, TokenTarget } from "./token.ts";

/** The user that a cluster is made with; its logins need a permission of their own. */
const ADMIN = "admin";

export type DsqlAction = "DbConnect" | "DbConnectAdmin";

/** Which permission a login of this user takes. Names are as the server compares them: folded by nobody. */
export function dsqlActionOf(user: string): DsqlAction {
  return user === ADMIN ? "DbConnectAdmin" : "DbConnect";
}

/** One token serves every user of its action. */
function dsqlTokenKey({ host, region, user }: TokenTarget): string {
  return `${host} ${region ?? ""} ${dsqlActionOf(user)}`;
}

export class DsqlTokenSource implements TokenSource {
  readonly name = "dsql-signer";
  readonly keyOf = dsqlTokenKey;
  readonly #signing: AwsSigning;

  constructor(options: AwsSigningOptions = {}) {
    this.#signing = new AwsSigning(options);
  }

  mint({ host, region, user }: TokenTarget, signal: AbortSignal, isForced = false): Promise<MintedToken> {
    const place = { hostname: host, expiresIn: EXPIRES_S, ...(region === undefined ? {} : { region }) };
    return this.#signing.mint(
      async (credentials) => {
        const { DsqlSigner } = await import("@aws-sdk/dsql-signer");
        const signer = new DsqlSigner({ ...place, credentials });
        return dsqlActionOf(user) === "DbConnectAdmin"
          ? await signer.getDbConnectAdminAuthToken()
          : await signer.getDbConnectAuthToken();
      },
      signal,
      isForced,
    );
  }
}

/** As long as RDS allows, though DSQL would take a week: a token that is lost is not of use for longer. */
const EXPIRES_S = 900;
