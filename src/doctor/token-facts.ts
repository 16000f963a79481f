/** What the text of a token for RDS or Aurora DSQL says about itself. The signature is looked at for its shape only. */

/** The fields of a presigned URL. Undefined members are not in the text. */
export interface PresignedToken {
  /** The URL's, such as https://, which a token goes without; empty for a token. */
  readonly scheme: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly region: string | undefined;
  readonly service: string | undefined;
  readonly action: string | undefined;
  readonly user: string | undefined;
  readonly signedAtMs: number | undefined;
  readonly expiresS: number | undefined;
  /** By the prefix of the access key: ASIA keys come from STS and need a session token, AKIA keys are of an IAM user. */
  readonly credential: "temporary" | "static" | "unknown";
  readonly hasSessionToken: boolean;
  /** True when the text ends before a whole signature: something cut it off. */
  readonly isTruncated: boolean;
}

const SIGNATURE_CHARS = 64;

/** Undefined for a text that is no presigned URL. Linear in its length. */
export function readPresignedToken(text: string): PresignedToken | undefined {
  const query = text.indexOf("?");
  if (query < 0 || !text.includes("X-Amz-")) return undefined;
  const scheme = /^\s*[A-Za-z][A-Za-z0-9+.-]{0,15}:\/\//.exec(text)?.[0] ?? "";
  const authority = text.slice(scheme.length, query).split("/", 1)[0] ?? "";
  const colon = authority.lastIndexOf(":");
  const values = new Map(
    text
      .slice(query + 1)
      .split("&")
      .map(splitPair),
  );
  const [accessKeyId = "", , region, service] = (values.get("X-Amz-Credential") ?? "").split("/");
  const signature = values.get("X-Amz-Signature") ?? "";
  return {
    scheme: scheme.trim(),
    host: colon < 0 ? authority : authority.slice(0, colon),
    port: colon < 0 ? undefined : wholeNumber(authority.slice(colon + 1)),
    region,
    service,
    action: values.get("Action"),
    user: values.get("DBUser"),
    signedAtMs: parseAmzDate(values.get("X-Amz-Date") ?? ""),
    expiresS: wholeNumber(values.get("X-Amz-Expires") ?? ""),
    credential: accessKeyId.startsWith("ASIA") ? "temporary" : accessKeyId.startsWith("AKIA") ? "static" : "unknown",
    hasSessionToken: values.has("X-Amz-Security-Token"),
    isTruncated: signature.length < SIGNATURE_CHARS,
  };
}

function splitPair(pair: string): [string, string] {
  const equals = pair.indexOf("=");
  const [name, value] = equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
  try {
    return [name, decodeURIComponent(value)];
  } catch {
    return [name, value];
  }
}

function wholeNumber(text: string): number | undefined {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}

/** `20261121T052301Z` */
function parseAmzDate(text: string): number | undefined {
  const parts = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z$/.exec(text);
  if (parts === null) return undefined;
  const [, year, month, day, hour, minute, second] = parts;
  const timeMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}
