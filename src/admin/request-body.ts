/** The JSON body of a request, bounded in bytes. */
import type { IncomingMessage } from "node:http";
import { Refusal } from "./route.ts";

const BODY_BYTES_MAX = 1024 * 1024;

/** The text as well: signatures are of that. */
export interface JsonBody {
  readonly text: string;
  readonly json: unknown;
}

/** Rejects with a Refusal. A form of somebody's page cannot have this content type, and a script of it would have to ask. */
export async function readBody(request: IncomingMessage): Promise<JsonBody> {
  const type = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new Refusal(415, "unsupported-media-type", "Content-Type: application/json");
  const bytes = await readBytes(request);
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return { text, json: JSON.parse(text) };
  } catch {
    throw new Refusal(400, "bad-json", "the body is not JSON in UTF-8");
  }
}

/** Not by `for await`: leaving that early ends the connection, and nobody could be told why. */
function readBytes(request: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const receive = (chunk: Uint8Array): void => {
      length += chunk.length;
      if (length <= BODY_BYTES_MAX) {
        chunks.push(chunk);
        return;
      }
      request.removeListener("data", receive);
      request.pause();
      reject(new Refusal(413, "too-large", `a body has at most ${BODY_BYTES_MAX} bytes`));
    };
    request.on("data", receive);
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", reject);
    request.on("close", () => reject(new Refusal(400, "bad-request", "the body did not come")));
  });
}
