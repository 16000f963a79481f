/** What requests to AWS for a secret share: whose credentials, how long, and what an error means to an operator. */
import { redactSecrets } from "../base/redact.ts";
import { abortable } from "../token/abortable.ts";
import { METADATA_ADVICE } from "../token/aws-credentials.ts";
import { SecretError } from "./secret-reader.ts";

/** The region in an ARN: arn:aws:secretsmanager:eu-central-1:123456789012:secret:… */
export function regionOfArn(id: string): string | undefined {
  const parts = id.split(":", 5);
  return parts[0] === "arn" && parts[3] !== "" ? parts[3] : undefined;
}

/** The answer within the time. The credential chain cannot be stopped, only left. Rejects with SecretError. */
export async function withinTime<T>(
  timeoutMs: number,
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    return await abortable(ask(bounded), bounded);
  } catch (thrown) {
    if (signal.aborted) throw new SecretError("it was stopped");
    if (bounded.aborted) throw new SecretError(`AWS took longer than ${timeoutMs} ms`);
    throw thrown instanceof SecretError ? thrown : new SecretError(textOf(thrown));
  }
}

export function errorName(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : "Error";
}

function textOf(thrown: unknown): string {
  const { name, message } = thrown instanceof Error ? thrown : { name: "Error", message: String(thrown) };
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    return `no AWS credentials are found in the standard places. ${METADATA_ADVICE}`;
  }
  if (message.includes("Region is missing")) return "the AWS region is not known, set the connection's region";
  return redactSecrets(`${name}: ${message}`.slice(0, 500));
}
