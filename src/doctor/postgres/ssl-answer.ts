/** Who knows an SSLRequest is a PostgreSQL, or a querycop in front of one: nothing else answers it with S or N. */
import { dialBackend } from "../../net/dial.ts";
import { Leg } from "../../net/leg.ts";
import { network } from "../../net/network.ts";
import type { Transport } from "../../net/transport.ts";
import { decodeSslAnswer, encodeSslRequest } from "../../postgres/startup.ts";
import { BackendConnection } from "../../session/postgres/backend-connection.ts";
import { type Finding, fail, type ListenerContext, ok, remedy } from "../check.ts";
import { protocolThere } from "../foreign-protocols.ts";
import { messageOf } from "../messages.ts";

const ANSWER_MS = 5_000;
/** Nothing is read by packets of MySQL here. */
const NO_PACKETS = 0;

/** Whether TLS is offered. Throws for what is no answer to an SSLRequest. A server logs nothing of who leaves behind it. */
async function sslAnswer(transport: Transport, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const connection = new BackendConnection(new Leg("backend", transport, NO_PACKETS), timeoutMs);
  try {
    connection.sendNow({ kind: "login", message: "SSLRequest" }, encodeSslRequest());
    return decodeSslAnswer(await connection.nextChunk("waiting for its answer to an SSLRequest", signal));
  } finally {
    connection.destroy();
  }
}

/** Whether what listens there speaks PostgreSQL. Never rejects. */
export async function speaksPostgres(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
  try {
    await sslAnswer(await network.connect(host, port, until), ANSWER_MS, until);
    return true;
  } catch {
    return false;
  }
}

export async function postgresGreeting(context: ListenerContext, signal: AbortSignal): Promise<Finding> {
  const { host, port, addressFamily: family, connectTimeoutMs, loginTimeoutMs } = context.listener.backend;
  try {
    const transport = await dialBackend({ host, port, family, timeoutMs: connectTimeoutMs, signal });
    context.probe.offersTls = await sslAnswer(transport, loginTimeoutMs, signal);
    return ok(`answers an SSLRequest as PostgreSQL does, offers ${context.probe.offersTls ? "TLS" : "no TLS"}`);
  } catch (error) {
    const who = await protocolThere(context, signal);
    return fail(
      who === undefined ? messageOf(error) : `${host}:${port} is not PostgreSQL: ${who} answers there`,
      remedy(
        "backend.greeting",
        "Let backend.host and backend.port lead to a PostgreSQL server, or set backend.engine to what is there.",
        "querycop config",
      ),
    );
  }
}
