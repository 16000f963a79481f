/** A look at password logins that needs nobody's password. */
import { ER_ACCESS_DENIED_ERROR, ERR_HEADER, OK_HEADER } from "../mysql/constants.ts";
import { decodeErrPacket } from "../mysql/generic-response.ts";
import { type BackendConnection, openBackend, takeLeave } from "../session/backend-login.ts";
import { type Finding, fail, type ListenerCheck, type ListenerContext, ok, remedy, skip } from "./check.ts";
import { messageOf } from "./messages.ts";
import { offersTls, openUpgraded } from "./tls-checks.ts";

const ID = "backend.password";
const SLACK_MS = 4_500;

export const backendPassword: ListenerCheck = {
  id: ID,
  scope: "listener",
  title: "The backend takes password logins, but not everybody's",
  about:
    "Without a token source, clients log in with their own passwords, which doctor does not ask for. So it logs in under a name no account has, without a password, over the leg that clients get, and expects to be refused with 1045. Fails when the server lets the stranger in: then it has an anonymous account, and so has everybody who reaches querycop. Whether a client's own password is right, only that client can tell.",
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
  if (tls.mode === "disable" || !offersTls(context)) return await openBackend(context.services, signal);
  return (await openUpgraded(context, tls, signal)).connection;
}

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
  if (errorNumber === ER_ACCESS_DENIED_ERROR) return ok("a login under a name no account has is refused with 1045");
  return fail(
    `the server refuses logins with ${errorNumber}: ${message}`,
    remedy(ID, "It does so whatever the account: its error log says more."),
  );
}
