/**
 * AWS Signature Version 4 from the side of the service (IAM user guide, "Create a signed AWS API request"; for S3 "Authenticating
 * requests: using the Authorization header"): what a request says of itself is signed anew, by code that the client does not have.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export interface SignedRequest {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

export interface SigningKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The error codes of S3. */
export type SignatureProblem =
  | "AccessDenied"
  | "AuthorizationHeaderMalformed"
  | "InvalidAccessKeyId"
  | "RequestTimeTooSkewed"
  | "SignatureDoesNotMatch"
  | "XAmzContentSHA256Mismatch";

/** As S3 allows it. */
const SKEW_MS_MAX = 15 * 60_000;

export const sha256Hex = (text: string | Uint8Array): string => createHash("sha256").update(text).digest("hex");

const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** Signature Version 4 of `text`, by the key that is derived for the scope. */
export function signatureOf(secretAccessKey: string, scope: string, text: string): string {
  let key: string | Buffer = `AWS4${secretAccessKey}`;
  for (const part of scope.split("/")) key = hmac(key, part);
  return hmac(key, text).toString("hex");
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]{16,128})\/([0-9]{8}\/[a-z0-9-]+\/([a-z0-9-]+)\/aws4_request), ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;

/** Why a service would refuse the request; undefined where these keys have signed it, whole, within its time. */
export function signatureProblem(
  request: SignedRequest,
  keys: SigningKeys,
  service: string,
  nowMs = Date.now(),
): SignatureProblem | undefined {
  const header = (name: string): string | undefined => {
    const value = request.headers[name];
    return typeof value === "string" ? value : value?.join(",");
  };
  const authorization = header("authorization");
  if (authorization === undefined) return "AccessDenied";
  const [, accessKeyId, scope = "", scopeService, signedNames = "", signature = ""] =
    AUTHORIZATION.exec(authorization) ?? [];
  if (accessKeyId === undefined || scopeService !== service) return "AuthorizationHeaderMalformed";
  if (accessKeyId !== keys.accessKeyId) return "InvalidAccessKeyId";
  const stamp = header("x-amz-date") ?? "";
  const sentMs = Date.parse(stamp.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"));
  if (!(Math.abs(nowMs - sentMs) <= SKEW_MS_MAX) || !stamp.startsWith(scope.slice(0, 8))) return "RequestTimeTooSkewed";
  const names = signedNames.split(";");
  const mustBeSigned = Object.keys(request.headers).filter((name) => name === "host" || name.startsWith("x-amz-"));
  if (mustBeSigned.some((name) => !names.includes(name))) return "AccessDenied";
  const payloadHash = header("x-amz-content-sha256") ?? sha256Hex("");
  if (payloadHash !== "UNSIGNED-PAYLOAD" && payloadHash !== sha256Hex(request.body)) return "XAmzContentSHA256Mismatch";
  const canonical = [
    request.method,
    ...canonicalTarget(request.target),
    ...names.map((name) => `${name}:${(header(name) ?? "").trim().replaceAll(/ +/g, " ")}`),
    "",
    signedNames,
    payloadHash,
  ].join("\n");
  const wanted = signatureOf(
    keys.secretAccessKey,
    scope,
    ["AWS4-HMAC-SHA256", stamp, scope, sha256Hex(canonical)].join("\n"),
  );
  return timingSafeEqual(Buffer.from(wanted), Buffer.from(signature)) ? undefined : "SignatureDoesNotMatch";
}

/** Path and query as the service writes what it has understood: decoded, and encoded anew, once. */
function canonicalTarget(target: string): readonly [path: string, query: string] {
  const [path = "", query = ""] = splitOnce(target, "?");
  const pairs = query === "" ? [] : query.split("&").map((pair) => splitOnce(pair, "="));
  const encoded = pairs.map(([name = "", value = ""]) => `${recoded(name)}=${recoded(value)}`);
  return [path.split("/").map(recoded).join("/"), encoded.sort().join("&")];
}

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function recoded(part: string): string {
  const hex = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(decodeURIComponent(part)).replaceAll(/[!'()*]/g, hex);
}
