/** Carries one response from the backend to the client as chunks, and the file of a LOCAL INFILE the other way. */
import { QuerycopError } from "../base/errors.ts";
import type { ResponseEnd, ResponseTracker } from "../mysql/response.ts";
import type { Leg } from "../net/leg.ts";
import type { BackendGate } from "./backend-gate.ts";

export interface RelayLegs {
  readonly client: Leg;
  readonly backend: BackendGate;
  /** Milliseconds the client may take to accept what is written to it before it is given up. */
  readonly writeTimeoutMs: number;
  /** Called before bytes of the response go to the client. */
  readonly onFirstByte: () => void;
  /** Called when the server asks for a file, before the client hears of it. Throws to refuse. */
  readonly onLocalInfile: (end: ResponseEnd) => void;
}

/**
 * Forwards chunks unchanged until the tracker has seen the end of the response. Throws QC_BACKEND_CLOSED when the
 * backend goes away inside it, and QC_BACKEND_PROTOCOL when it sends what no response holds.
 * A client that is gone does not end the relay: the server runs the statement to its end, and the record wants to say how.
 */
export async function relayResponse(legs: RelayLegs, tracker: ResponseTracker): Promise<ResponseEnd> {
  for (;;) {
    const chunk = legs.backend.takeChunk() ?? (await legs.backend.readChunk());
    if (chunk === undefined) {
      throw new QuerycopError("QC_BACKEND_CLOSED", "The backend closed the connection inside a response", {
        clientMessage: "querycop: lost connection to the backend during the query",
      });
    }
    const consumed = tracker.feed(chunk);
    const end = tracker.end;
    if (end?.outcome === "local-infile") legs.onLocalInfile(end);
    legs.onFirstByte();
    if (consumed === chunk.length) {
      if (!legs.client.write(chunk)) await drainOrGiveUp(legs);
    } else {
      legs.client.write(chunk.subarray(0, consumed));
      throw new QuerycopError(
        "QC_BACKEND_PROTOCOL",
        `The backend sent ${chunk.length - consumed} bytes behind the end of a response`,
      );
    }
    if (end !== undefined) return end;
  }
}

/** A client that accepts nothing holds the backend's resources: after the write timeout its leg is ended. */
export async function drainOrGiveUp(legs: RelayLegs): Promise<void> {
  const timer = setTimeout(() => legs.client.destroy(), legs.writeTimeoutMs);
  await legs.client.drained();
  clearTimeout(timer);
}

/** As `drainOrGiveUp`, for a backend that does not take a large statement. */
export async function drainBackend(backend: BackendGate, timeoutMs: number): Promise<void> {
  const timer = setTimeout(() => backend.destroy(), timeoutMs);
  await backend.drained();
  clearTimeout(timer);
}
