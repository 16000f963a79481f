/** Tokens for RDS and Aurora DSQL without AWS: static test credentials, the aws program, rds-signer, and a signer that can sign anything. */
import { Signer } from "@aws-sdk/rds-signer";
import { sha256Hex as hex, signatureOf } from "./aws-signature.ts";
import { runChecked } from "./child.ts";
import type { IamSettings } from "./iam-plugin.ts";
import { requireTool } from "./install.ts";

/** Shaped like the keys of AWS's documentation; they open nothing. */
const TEST_ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE";
const TEST_SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
export const TEST_KEYS = { accessKeyId: TEST_ACCESS_KEY_ID, secretAccessKey: TEST_SECRET_ACCESS_KEY };
export const TEST_REGION = "us-east-1";

export interface TokenRequest {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly region?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
}

export interface SignedTokenRequest extends TokenRequest {
  readonly signedAt?: Date;
  readonly expiresS?: number;
  readonly action?: string;
  readonly service?: string;
}

/** What a test server must be told so that it takes tokens of these credentials for this endpoint. */
export function iamSettings(host: string, port: number): IamSettings {
  return {
    endpoints: [`${host}:${port}`],
    region: TEST_REGION,
    accessKeyId: TEST_ACCESS_KEY_ID,
    secretAccessKey: TEST_SECRET_ACCESS_KEY,
  };
}

/** Environment in which AWS programs and libraries see the test credentials and nothing of this machine. */
export function awsEnvironment(request: Partial<TokenRequest> = {}): Record<string, string | undefined> {
  return {
    AWS_ACCESS_KEY_ID: request.accessKeyId ?? TEST_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY: request.secretAccessKey ?? TEST_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN: request.sessionToken,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_PROFILE: undefined,
    AWS_REGION: undefined,
    AWS_DEFAULT_REGION: undefined,
  };
}

/** The token command of querycop's RDS page; the port is 3306 there, whatever the test server's port. */
export function awsTokenCommand(port: number): string {
  return (
    `aws rds generate-db-auth-token --hostname "$QUERYCOP_BACKEND_HOST" --port ${port} ` +
    `--region ${TEST_REGION} --username "$QUERYCOP_BACKEND_USER"`
  );
}

/** A token from the aws program, which must be on the PATH or installable. */
export async function mintWithAws(request: TokenRequest): Promise<string> {
  await requireTool("aws");
  const { host, port, user, region = TEST_REGION } = request;
  const args = ["--hostname", host, "--port", String(port), "--region", region, "--username", user];
  const { stdout } = await runChecked("aws", ["rds", "generate-db-auth-token", ...args], {
    env: awsEnvironment(request),
  });
  return stdout.trim();
}

/** A token from AWS's own JavaScript library. */
export async function mintWithSigner(request: TokenRequest): Promise<string> {
  const signer = new Signer({
    hostname: request.host,
    port: request.port,
    username: request.user,
    region: request.region ?? TEST_REGION,
    credentials: {
      accessKeyId: request.accessKeyId ?? TEST_ACCESS_KEY_ID,
      secretAccessKey: request.secretAccessKey ?? TEST_SECRET_ACCESS_KEY,
      ...(request.sessionToken === undefined ? {} : { sessionToken: request.sessionToken }),
    },
  });
  return await signer.getAuthToken();
}

/** Whether this is what these credentials sign for a user of this cluster of Aurora DSQL, in its time. */
export function isDsqlTokenFor(token: string, { host, user }: { host: string; user: string }): boolean {
  const parameters = new URLSearchParams(token.slice(token.indexOf("?") + 1));
  const action = user === "admin" ? "DbConnectAdmin" : "DbConnect";
  const parts = [...parameters].filter(([name]) => name !== "X-Amz-Signature");
  const encoded = parts.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).sort();
  const [day = "", region = "", service = ""] = (parameters.get("X-Amz-Credential") ?? "").split("/").slice(1);
  const stamp = parameters.get("X-Amz-Date") ?? "";
  const signedAtMs = Date.parse(stamp.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"));
  const isInTime = Date.now() - signedAtMs < Number(parameters.get("X-Amz-Expires")) * 1000;
  if (!isInTime || service !== "dsql" || region !== TEST_REGION || parameters.get("Action") !== action) return false;
  const scope = `${day}/${region}/${service}/aws4_request`;
  const canonical = `GET\n/\n${encoded.join("&")}\nhost:${host}\n\nhost\n${hex("")}`;
  const signature = signatureOf(
    TEST_SECRET_ACCESS_KEY,
    scope,
    `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${hex(canonical)}`,
  );
  return parameters.get("X-Amz-Signature") === signature && token.startsWith(`${host}/?`);
}

/** A token signed here (AWS Signature Version 4, presigned GET), with any date, expiry, action or service. */
export function signToken(request: SignedTokenRequest): string {
  const { host, port, user, region = TEST_REGION, service = "rds-db", expiresS = 900 } = request;
  const date = (request.signedAt ?? new Date()).toISOString().replace(/\.\d+/, "").replace(/[-:]/g, "");
  const day = date.slice(0, 8);
  const scope = `${day}/${region}/${service}/aws4_request`;
  const parameters: [string, string][] = [
    ["Action", request.action ?? "connect"],
    ["DBUser", user],
    ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
    ["X-Amz-Credential", `${request.accessKeyId ?? TEST_ACCESS_KEY_ID}/${scope}`],
    ["X-Amz-Date", date],
    ["X-Amz-Expires", String(expiresS)],
    ...(request.sessionToken === undefined ? [] : [["X-Amz-Security-Token", request.sessionToken] as [string, string]]),
    ["X-Amz-SignedHeaders", "host"],
  ];
  const query = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  const canonical = `GET\n/\n${query}\nhost:${host}:${port}\n\nhost\n${hex("")}`;
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hex(canonical)}`;
  const signature = signatureOf(request.secretAccessKey ?? TEST_SECRET_ACCESS_KEY, scope, text);
  return `${host}:${port}/?${query}&X-Amz-Signature=${signature}`;
}

/** Whether this is the token that these credentials sign for this user and endpoint, in its time. */
export function isTokenFor(token: string, request: TokenRequest, nowMs = Date.now()): boolean {
  const parameters = new URLSearchParams(token.slice(token.indexOf("?") + 1));
  const stamp = parameters.get("X-Amz-Date") ?? "";
  const signedAt = new Date(stamp.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"));
  const expiresS = Number(parameters.get("X-Amz-Expires"));
  if (!(nowMs - signedAt.getTime() < expiresS * 1000)) return false;
  return token === signToken({ ...request, signedAt, expiresS });
}
