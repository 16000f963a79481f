/** Login tokens: made by the proxy's own sources, read for what they say, and never shown. */
import { Buffer } from "node:buffer";
import { QuerycopError } from "../base/errors.ts";
import { regionOfHost } from "../config/region.ts";
import { isLoopbackHost } from "../config/rules.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { formatDuration } from "../config/values.ts";
import { CommandTokenSource } from "../token/command-token.ts";
import { DsqlTokenSource, dsqlActionOf } from "../token/dsql-token.ts";
import { RdsTokenSource } from "../token/rds-token.ts";
import { TokenMintError, type TokenSource, type TokenTarget, tokenExpiryMs } from "../token/token.ts";
import { checkTokenUser } from "../token/token-users.ts";
import { type Finding, fail, type ListenerCheck, type ListenerContext, ok, remedy, skip, warn } from "./check.ts";
import { messageOf } from "./messages.ts";
import { shellWord } from "./shell-words.ts";
import { handsUserToExpandingProgram, programOf, resolveProgram } from "./token-command-text.ts";
import { type PresignedToken, readPresignedToken } from "./token-facts.ts";

/** A user for whom nobody has an account: a token can be signed for any name. */
const STAND_IN_USER = "querycop_doctor";

/** A mint that takes longer than this is felt by whoever logs in. */
const SLOW_MS = 2_000;
/** AWS refuses requests that are dated further off than 15 minutes; clocks that drift get there. */
const SKEW_WARN_MS = 60_000;
const SKEW_FAIL_MS = 5 * 60_000;
const SLACK_MS = 2_000;
/** RDS refuses tokens that ask for longer. */
const EXPIRES_S_MAX = 900;

/** --user, else the first name of iam_users that is no pattern. */
function userOf({ user, listener }: ListenerContext): string | undefined {
  return user ?? listener.iamUsers.find((name) => !name.includes("*"));
}

export const tokenCommand: ListenerCheck = {
  id: "token.command",
  scope: "listener",
  onPostgres: "same",
  title: "The token command makes a token",
  about:
    "Runs `backend.token_cmd` once, as a login would: for the user of `--user`, else for the first name of `iam_users`, else for a stand-in. Names the program it resolves to and the time it took, and reads the token: host, port, region, user, date, end, kind of credentials, whether it is cut off or still has `https://` before it, and how far this clock is from its date. Fails when no token comes out or the server would refuse it. Warns when it is slow, and when it hands `$QUERYCOP_BACKEND_USER`, a name that clients choose, to a program that expands `file://` values (querycop refuses names with `/` and `:` before the command is started).",
  needs: ["config.load"],
  timeoutMs: ({ listener }) => listener.backend.tokenTimeoutMs + SLACK_MS,
  run: async (context, signal) => {
    const { tokenSource, tokenCmd, tokenTimeoutMs: timeoutMs } = context.listener.backend;
    if (tokenSource !== "command" || tokenCmd === undefined) return skip("no backend.token_cmd");
    const { env } = context.host;
    const program = programOf(tokenCmd);
    const path = program === undefined ? undefined : resolveProgram(program, env["PATH"]);
    const source = new CommandTokenSource({ command: tokenCmd, timeoutMs, environment: env });
    const what =
      path ?? (program === undefined ? "a shell command" : `${program} (not found in PATH, or of the shell)`);
    const finding = await mintAndRead("token.command", context, source, what, signal);
    if (finding.status !== "ok" || !handsUserToExpandingProgram(tokenCmd)) return finding;
    return warn(
      `${finding.detail}\nit hands $QUERYCOP_BACKEND_USER, which clients choose, to a program that reads file:// values`,
      remedy(
        "token.command",
        `querycop refuses names with / or : before it starts the command; to need no such command, set backend.token_source to ${signerOf(context.listener)}, or name every user in iam_users.`,
        `export GATEKEEPER_BACKEND_TOKEN_SOURCE=${signerOf(context.listener)}`,
      ),
    );
  },
};

export const tokenSigner: ListenerCheck = {
  id: "token.signer",
  scope: "listener",
  onPostgres: "same",
  title: "The built-in signer makes a token",
  about:
    "For `backend.token_source: rds-signer` and `dsql-signer`: finds AWS credentials in the standard places, signs a token and reads it as `token.command` does.",
  needs: ["config.load"],
  timeoutMs: ({ listener }) => listener.backend.tokenTimeoutMs + SLACK_MS,
  run: async (context, signal) => {
    const { tokenSource, tokenTimeoutMs: timeoutMs } = context.listener.backend;
    if (tokenSource !== "rds-signer" && tokenSource !== "dsql-signer") {
      return skip("backend.token_source is neither rds-signer nor dsql-signer");
    }
    const source =
      tokenSource === "rds-signer" ? new RdsTokenSource({ timeoutMs }) : new DsqlTokenSource({ timeoutMs });
    return await mintAndRead("token.signer", context, source, "signed", signal);
  },
};

const signerOf = ({ backend }: ListenerConfig): string => (backend.engine === "dsql" ? "dsql-signer" : "rds-signer");

async function mintAndRead(
  id: string,
  context: ListenerContext,
  source: TokenSource,
  what: string,
  signal: AbortSignal,
): Promise<Finding> {
  const user = userOf(context) ?? STAND_IN_USER;
  const refusal = refusalOf(user, context.listener, context.user !== undefined);
  if (refusal !== undefined) return fail(refusal, remedy(id, "Name a user that iam_users allows."));
  const { token, region } = context.services.options.backend;
  const target: TokenTarget = { ...token, region, user };
  const began = performance.now();
  let text: string;
  let expiresAtMs: number | undefined;
  try {
    const { value } = await source.mint(target, signal);
    text = Buffer.from(value).toString("latin1");
    expiresAtMs = tokenExpiryMs(value);
    value.fill(0);
  } catch (error) {
    return explainMintFailure(id, error, what);
  }
  const tookMs = Math.round(performance.now() - began);
  const head = `${what} in ${tookMs} ms: ${text.length} characters`;
  const finding = besideTunnel(
    id,
    context.listener,
    judgeToken(id, readPresignedToken(text), {
      target,
      isDsql: context.listener.backend.engine === "dsql",
      head,
      expiresAtMs,
      nowMs: context.host.nowMs(),
    }),
  );
  const timeoutMs = context.listener.backend.tokenTimeoutMs;
  if (finding.status !== "ok" || tookMs < Math.min(SLOW_MS, timeoutMs / 2)) return finding;
  return warn(
    `${finding.detail}\nevery first login of a user waits that long, of ${formatDuration(timeoutMs)} allowed`,
    remedy(id, `Set backend.token_source to ${signerOf(context.listener)}, or find out what the command waits for.`),
  );
}

/** A token is for the endpoint of the tunnel's far end, whose port nobody has told. */
function besideTunnel(id: string, { backend }: ListenerConfig, finding: Finding): Finding {
  const { engine, host, port, tlsServerName, tokenEndpoint } = backend;
  // Tokens of Aurora DSQL name no port.
  if (engine === "dsql") return finding;
  const isTunnel = tokenEndpoint === undefined && isLoopbackHost(host) && regionOfHost(tlsServerName) !== undefined;
  if (finding.status !== "ok" || !isTunnel) return finding;
  return warn(
    `${finding.detail}\n${host}:${port} looks like a tunnel to ${tlsServerName}: a token for port ${port} is refused if the server's own port is another`,
    remedy(
      id,
      "Name the endpoint of the server itself.",
      `export GATEKEEPER_BACKEND_TOKEN_ENDPOINT=${shellWord(`${tlsServerName}:${engine === "mysql" ? 3306 : 5432}`)}`,
    ),
  );
}

function refusalOf(user: string, listener: ListenerConfig, isNamed: boolean): string | undefined {
  try {
    checkTokenUser(user, isNamed ? listener.iamUsers : undefined);
    return undefined;
  } catch (error) {
    if (error instanceof QuerycopError) return error.message;
    throw error;
  }
}

const MINT_ADVICE: Readonly<Record<string, string>> = {
  "not-found": "Install the program, or write its full path: a service has a shorter PATH than your shell.",
  "not-executable": "Make the program executable for the user querycop runs as.",
  "exit-status": "Run the command by hand, as the user querycop runs as; its own message is above.",
  timeout:
    "Run the command by hand and see what it waits for, often the instance metadata service; or raise backend.token_timeout.",
  empty: "Let the command print the token to standard output, and nothing else.",
  "too-long": "Let the command print the token to standard output, and nothing else.",
  "bad-shape": "Let the command print the token to standard output, and nothing else.",
  "no-credentials":
    "Give querycop AWS credentials: an instance or task role, IRSA, or a profile. In a container on an EC2 instance the metadata service (169.254.169.254) answers only with a hop limit of 2 or more: aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2.",
  "no-region": "Set backend.region.",
};

/** Failures that may come from missing AWS credentials. */
const CREDENTIAL_FAILURES: ReadonlySet<string> = new Set(["exit-status", "timeout", "no-credentials", "signer"]);

function explainMintFailure(id: string, error: unknown, what: string): Finding {
  if (!(error instanceof TokenMintError)) return fail(messageOf(error));
  const detail = error.detail === "" ? "" : `\n${error.detail}`;
  const advice = MINT_ADVICE[error.reason] ?? "Run the command by hand, as the user querycop runs as.";
  const commands = CREDENTIAL_FAILURES.has(error.reason) ? ["aws sts get-caller-identity"] : [];
  return fail(`${error.message} (${what})${detail}`, remedy(id, advice, ...commands));
}

interface TokenCase {
  readonly target: TokenTarget;
  readonly isDsql: boolean;
  readonly head: string;
  readonly expiresAtMs: number | undefined;
  readonly nowMs: number;
}

function judgeToken(id: string, token: PresignedToken | undefined, tokenCase: TokenCase): Finding {
  const { target, isDsql, head, expiresAtMs, nowMs } = tokenCase;
  if (token === undefined) {
    const end = expiresAtMs === undefined ? "it does not say when it ends" : endOf(expiresAtMs, nowMs);
    return ok(`${head}, not a token signed by AWS, so only its shape was checked; ${end}`);
  }
  const problems = [
    ...(isDsql ? dsqlMismatches(token, target) : mismatches(token, target)),
    ...flaws(token, nowMs, isDsql),
  ];
  const detail = `${head}, ${describeToken(token, expiresAtMs, nowMs, isDsql)}`;
  if (token.scheme !== "") {
    problems.unshift(`it begins with ${token.scheme}: a token is the signed URL without that`);
    const help = remedy(id, `Let the command print the URL without ${token.scheme}.`, `sed 's|^${token.scheme}||'`);
    return fail([detail, ...problems].join("\n"), help);
  }
  if (problems.length > 0) {
    const advice = "The server would refuse this token: correct what the lines above name.";
    return fail([detail, ...problems].join("\n"), remedy(id, advice, "date -u", "aws sts get-caller-identity"));
  }
  const skewMs = token.signedAtMs === undefined ? 0 : nowMs - token.signedAtMs;
  if (Math.abs(skewMs) < SKEW_WARN_MS) return ok(detail);
  return warn(
    `${detail}\nits date is ${formatSkew(skewMs)} this clock`,
    remedy(id, "Set the clock of this host, or of the one that signs; AWS allows 15 minutes.", "timedatectl status"),
  );
}

/** Only what is plain is shown: a token for the wrong user may hold the content of a file. */
function describeToken(token: PresignedToken, expiresAtMs: number | undefined, nowMs: number, isDsql: boolean): string {
  const kind = { temporary: "temporary credentials (STS)", static: "static credentials of an IAM user", unknown: "" };
  const parts = [
    isDsql ? `for ${shown(token.host)}` : `for ${shown(token.host)}:${token.port ?? "?"}`,
    `region ${shown(token.region)}`,
    isDsql ? `action ${shown(token.action)}` : `user ${shown(token.user)}`,
    token.signedAtMs === undefined ? "no date" : `signed ${new Date(token.signedAtMs).toISOString()}`,
    expiresAtMs === undefined ? "no end" : endOf(expiresAtMs, nowMs),
    kind[token.credential],
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function shown(text: string | undefined): string {
  return text !== undefined && /^[A-Za-z0-9_.@+-]{1,120}$/.test(text) ? text : "(not shown)";
}

function endOf(expiresAtMs: number, nowMs: number): string {
  const seconds = Math.round((expiresAtMs - nowMs) / 1000);
  return seconds < 0 ? `ended ${-seconds} s ago` : `${Math.round(seconds / 60)} min left`;
}

function mismatches(token: PresignedToken, target: TokenTarget): string[] {
  const problems: string[] = [];
  if (token.host.toLowerCase() !== target.host.toLowerCase()) {
    problems.push(`it is for another host than ${target.host}`);
  }
  if (token.port !== target.port) problems.push(`it is for another port than ${target.port}`);
  if (target.region !== undefined && token.region !== target.region) {
    problems.push(`it is for another region than ${target.region}`);
  }
  if (token.user !== target.user) problems.push(`it is for another user than ${target.user}`);
  return problems;
}

/** Which names the host and one of two actions, and nobody. */
function dsqlMismatches(token: PresignedToken, target: TokenTarget): string[] {
  const problems: string[] = [];
  const action = dsqlActionOf(target.user);
  if (token.host.toLowerCase() !== target.host.toLowerCase()) {
    problems.push(`it is for another host than ${target.host}`);
  }
  if (token.port !== undefined) problems.push("it names a port, which tokens of Aurora DSQL go without");
  if (target.region !== undefined && token.region !== target.region) {
    problems.push(`it is for another region than ${target.region}`);
  }
  if (token.service !== "dsql") problems.push("it is signed for another service than dsql");
  if (token.action !== action) {
    problems.push(`it is for another action than ${action}, which the user ${target.user} needs`);
  }
  return problems;
}

function flaws(token: PresignedToken, nowMs: number, isDsql: boolean): string[] {
  const { signedAtMs, expiresS } = token;
  const problems: string[] = [];
  if (token.isTruncated) problems.push("it is cut off: the signature is missing or too short");
  if (token.credential === "temporary" && !token.hasSessionToken) {
    problems.push("it is signed with temporary credentials but holds no X-Amz-Security-Token");
  }
  if (!isDsql && expiresS !== undefined && expiresS > EXPIRES_S_MAX) {
    problems.push(`its X-Amz-Expires is ${expiresS}: RDS takes ${EXPIRES_S_MAX} at most`);
  }
  if (signedAtMs === undefined || expiresS === undefined) return problems;
  if (signedAtMs + expiresS * 1000 < nowMs) problems.push("it has expired, by this clock");
  else if (signedAtMs - nowMs > SKEW_FAIL_MS) problems.push(`its date is ${formatSkew(nowMs - signedAtMs)} this clock`);
  return problems;
}

function formatSkew(skewMs: number): string {
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  return `${seconds} s ${skewMs > 0 ? "behind" : "ahead of"}`;
}

export const tokenPolicy: ListenerCheck = {
  id: "token.policy",
  scope: "listener",
  onPostgres: "same",
  title: "The IAM permission a login needs",
  about:
    "Prints the ARN of `rds-db:connect`, or of `dsql:DbConnect` or `dsql:DbConnectAdmin`, and an IAM policy for this server and user. It checks nothing: only AWS knows whether the permission is there. The resource id of RDS is the server's (`DbiResourceId` or `DbClusterResourceId`), not its name.",
  needs: ["config.load"],
  run: async (context) => {
    const {
      region,
      token: { host: tokenHost },
    } = context.services.options.backend;
    const { tokenSource, engine } = context.listener.backend;
    if (tokenSource === "none") return skip("no token source");
    const user = userOf(context) ?? "USER";
    const place = region ?? "REGION";
    if (engine === "dsql") return dsqlPolicy(user, place, tokenHost);
    const arn = `arn:${partitionOf(place)}:rds-db:${place}:ACCOUNT:dbuser:RESOURCE_ID/${user}`;
    const policy = policyFor("rds-db:connect", arn);
    const isCluster = tokenHost.includes(".cluster-");
    const name = regionOfHost(tokenHost) !== undefined ? tokenHost.split(".", 1)[0] : "NAME";
    const query = isCluster
      ? `aws rds describe-db-clusters --region ${place} --db-cluster-identifier ${name} --query 'DBClusters[0].DbClusterResourceId'`
      : `aws rds describe-db-instances --region ${place} --db-instance-identifier ${name} --query 'DBInstances[0].DbiResourceId'`;
    return {
      ...ok(`${arn}\n${policy}`),
      remedy: remedy(
        "token.policy",
        "Attach the policy to the role querycop runs with; RESOURCE_ID and ACCOUNT come from AWS.",
        query,
      ),
    };
  },
};

function policyFor(action: string, arn: string): string {
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: action, Resource: arn }],
  });
}

/** What Aurora DSQL knows of users besides stands in the database: a role, and which IAM role may use it. */
function dsqlPolicy(user: string, region: string, host: string): Finding {
  const cluster = regionOfHost(host) === undefined ? "CLUSTER" : host.split(".", 1)[0];
  const partition = partitionOf(region);
  const arn = `arn:${partition}:dsql:${region}:ACCOUNT:cluster/${cluster}`;
  const action = dsqlActionOf(user);
  const text =
    action === "DbConnectAdmin"
      ? "Attach the policy to the role querycop runs with; ACCOUNT comes from AWS. Let applications log in with roles of their own, not as admin."
      : `Attach the policy to the role querycop runs with; ACCOUNT comes from AWS. As admin, once: CREATE ROLE ${user} WITH LOGIN, and AWS IAM GRANT ${user} TO 'arn:${partition}:iam::ACCOUNT:role/ROLE'.`;
  return {
    ...ok(`${arn}\n${policyFor(`dsql:${action}`, arn)}`),
    remedy: remedy("token.policy", text, "aws sts get-caller-identity"),
  };
}

function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  if (region.startsWith("us-gov-")) return "aws-us-gov";
  return region.startsWith("eusc-") ? "aws-eusc" : "aws";
}
