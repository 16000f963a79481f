/** Whether a backend completes a handshake: connect, greeting and TLS as a session would, and an orderly leave. */
import { QuerycopError } from "../../../base/errors.ts";
import { CLIENT_SSL } from "../../../mysql/constants.ts";
import { encodeSslRequest } from "../../../mysql/handshake.ts";
import type { SessionServices } from "../../session-services.ts";
import { leavingResponse, openBackend, takeLeave } from "./backend-login.ts";

/** Resolves when the backend greeted and, where TLS is wanted, proved who it is. Logs nobody in. */
export async function probeBackend(services: SessionServices, signal: AbortSignal): Promise<void> {
  const { tls } = services.options.backend;
  const connection = await openBackend(services, signal);
  services.backendProfile.remember(connection.greeting);
  try {
    const offersTls = (connection.greeting.capabilities.flags & CLIENT_SSL) !== 0;
    if (tls.mode !== "disable" && !(tls.mode === "prefer" && !offersTls)) {
      if (!offersTls) throw new QuerycopError("QC_BACKEND_TLS_NOT_OFFERED", `The backend offers no TLS: ${tls.mode}`);
      const head = leavingResponse(connection.greeting, true);
      connection.gate.sendPayload({ kind: "login", packet: "SSLRequest" }, encodeSslRequest(head));
      await connection.gate.upgrade(tls);
      await takeLeave(connection, true);
      return;
    }
    await takeLeave(connection);
  } catch (thrown) {
    connection.gate.destroy();
    throw thrown;
  }
}
