/** A look at password logins that needs nobody's password. */
import { ER_ACCESS_DENIED_ERROR, ERR_HEADER, OK_HEADER } from "../mysql/constants.ts";
import { decodeErrPacket } from "../mysql/generic-response.ts";
import { type BackendConnection, openBackend, takeLeave } from "../session/mysql/login/backend-login.ts";
import { type Finding, fail, type ListenerCheck, type ListenerContext, ok, remedy, skip } from "./check.ts";
import { messageOf } from "./messages.ts";
import { postgresPassword } from "./postgres/login-checks.ts";
import { openUpgraded } from "./tls-checks.ts";

const ID = "backend.password";
const SLACK_MS = 4_500;

export const backendPassword: ListenerCheck = {
  id: ID,
  scope: "listener",
  onPostgres: postgresPassword,
  title: "The backend takes password logins, but not everybody's",
  about:
    "Without a token source, clients log in with their own passwords, which doctor does not ask for. So it logs in under a name no account has, without a password, over the leg that clients get, and expects to be refused as any account may be, mostly with 1045. Fails when the server lets the stranger in: then it has an anonymous account, and so has everybody who reaches querycop. Whether a client's own password is right, only that client can tell. A PostgreSQL has no anonymous account: with `--user`, or for a name no account has, the check tells how the server asks for the password, and leaves; it warns where nobody is asked (`trust`), and where `client_auth: relay` meets SCRAM with channel binding, which libpq does not do over a TLS leg that ends at querycop. Fails where `pg_hba.conf` has no line for this host.",
  needs: ["backend.tls"],
  timeoutMs: ({ listener: { backend } }) => backend.connectTimeoutMs + 3 * backend.loginTimeoutMs + SLACK_MS,
  run: async (context, signal) => {
    if (context.listener.backend.tokenSource !== "none") return skip("logins are made with tokens, see backend.login");
    try {
      return judgeReply(await takeLeave(await openLikeASession(context, signal)));
    } catch (error) {
      return fail(messageOf(error), remedy(ID, "See docs/errors.md for the error."));
    }
  },
};

async function openLikeASession(context: ListenerContext, signal: AbortSignal): Promise<BackendConnection> {
  const { tls } = context.services.options.backend;
  if (tls.mode === "disable" || !context.probe.offersTls) return await openBackend(context.services, signal);
  return (await openUpgraded(context, tls, signal)).connection;
}

/**
 * How servers refuse an account: to a name that none has MariaDB answers as for an account picked by the name, so that old
 * password formats (1251, 1275), plugins it lacks (1524), locked accounts and expired passwords may come up.
 */
const ACCOUNT_REFUSALS: ReadonlySet<number> = new Set([
  ER_ACCESS_DENIED_ERROR,
  1044,
  1251,
  1275,
  1524,
  1698,
  1820,
  1862,
  3118,
  3159,
  4151,
]);

function judgeReply(payload: Uint8Array | undefined): Finding {
  if (payload === undefined)
    return fail("the server gave no answer to a login", remedy(ID, "Its error log says more."));
  if (payload[0] === OK_HEADER) {
    return fail(
      "the server lets a name without account in, without a password",
      remedy(ID, "Remove the anonymous account.", "mysql -e \"SELECT user, host FROM mysql.user WHERE user = ''\""),
    );
  }
  if (payload[0] !== ERR_HEADER) return ok("a login without a password is asked for one");
  const { errorNumber, message } = decodeErrPacket(payload);
  if (ACCOUNT_REFUSALS.has(errorNumber))
    return ok(`a login under a name no account has is refused with ${errorNumber}`);
  return fail(
    `the server refuses logins with ${errorNumber}: ${message}`,
    remedy(ID, "It does so whatever the account: its error log says more."),
  );
}
