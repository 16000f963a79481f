/** The standard AWS credential chain: environment, profile, web identity (IRSA), container, instance. */

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

export type CredentialProvider = (properties?: Record<string, unknown>) => Promise<AwsCredentials>;

/** A chain without the library's own memory of the AWS files, which has no end. Loads the library. */
export async function credentialChain(): Promise<CredentialProvider> {
  const { defaultProvider } = await import("@aws-sdk/credential-provider-node");
  return defaultProvider({ ignoreCache: true });
}

/** The library does not tell an instance without a role from a metadata service whose answer never comes. */
export const METADATA_ADVICE =
  "On an EC2 instance: it needs a role; from a container its metadata service (169.254.169.254) is only reached with a hop limit of 2 or more";
