/** The AWS region in the host name of an Amazon RDS, Aurora or Aurora DSQL endpoint. */

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

/** China has a second form, in which the region stands behind the service: mydb.abc.rds.cn-north-1.amazonaws.com.cn. */
const RDS_CHINA = /\.rds\.(cn-[a-z]+-[0-9]+)\.amazonaws\.com\.cn$/;

/** cluster.dsql.eu-central-1.on.aws: https://docs.aws.amazon.com/aurora-dsql/latest/userguide/ */
export function isDsqlHost(host: string): boolean {
  return dsqlRegionOf(nameOf(host)) !== undefined;
}

/** PrivateLink's endpoints have a suffix in the label: cluster.dsql-abcd.eu-central-1.on.aws. */
function dsqlRegionOf(name: string): string | undefined {
  const [tld, domain, region = "", service = "", ...cluster] = name.split(".").reverse();
  const isDsql = service === "dsql" || service.startsWith("dsql-");
  return tld === "aws" && domain === "on" && isDsql && isRegion(region) && cluster.length > 0 ? region : undefined;
}

const nameOf = (host: string): string => (host.endsWith(".") ? host.slice(0, -1) : host).toLowerCase();

/** The region of an RDS or Aurora DSQL endpoint name, whatever its kind; nothing for any other name. */
export function regionOfHost(host: string): string | undefined {
  const name = nameOf(host);
  const dsql = dsqlRegionOf(name);
  if (dsql !== undefined) return dsql;
  const china = RDS_CHINA.exec(name)?.[1];
  if (china !== undefined) return china;
  const suffix = RDS_SUFFIXES.find((candidate) => name.endsWith(candidate));
  if (suffix === undefined) return undefined;
  const labels = name.slice(0, -suffix.length).split(".");
  const region = labels.at(-1);
  return labels.length >= 2 && region !== undefined && isRegion(region) ? region : undefined;
}
