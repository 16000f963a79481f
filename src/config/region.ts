/** The AWS region in the host name of an Amazon RDS or Aurora endpoint. */

/** Endpoint forms: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Endpoints.html */
const RDS_SUFFIXES = [".rds.amazonaws.com", ".rds.amazonaws.com.cn", ".rds.amazonaws.eu"];

/** eu-central-1, us-gov-west-1, cn-north-1: words of letters, then a number. */
function isRegion(label: string): boolean {
  const parts = label.split("-");
  const number = parts.at(-1) ?? "";
  const words = parts.slice(0, -1);
  return (
    words.length >= 2 &&
    number.length > 0 &&
    [...number].every((character) => character >= "0" && character <= "9") &&
    words.every((word) => word.length > 0 && [...word].every((character) => character >= "a" && character <= "z"))
  );
}

/** The region of an RDS endpoint name, whatever its kind; nothing for any other name. */
export function regionOfHost(host: string): string | undefined {
  const name = (host.endsWith(".") ? host.slice(0, -1) : host).toLowerCase();
  const suffix = RDS_SUFFIXES.find((candidate) => name.endsWith(candidate));
  if (suffix === undefined) return undefined;
  const labels = name.slice(0, -suffix.length).split(".");
  const region = labels.at(-1);
  return labels.length >= 2 && region !== undefined && isRegion(region) ? region : undefined;
}
