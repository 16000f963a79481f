/** Stands before an S3 server, lets in what is rightly signed, and does to the parts of objects what networks and services do. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type SigningKeys, signatureProblem } from "./aws-signature.ts";

/** hold: half of the part comes, and no more until `release`. cut: the connection breaks in its middle. */
export type PartFate = "pass" | "hold" | "cut" | "busy" | "changed";

export interface S3Gate {
  readonly url: string;
  /** What becomes of each part, counted from 0 since `reset`; unset: it passes. */
  fateOf: (part: number) => PartFate;
  /** Parts asked for since `reset`. */
  parts: number;
  /** Resolves when a part is held. */
  held: Promise<void>;
  /** What S3 would have called the requests that were turned away, since the start. */
  readonly refused: readonly string[];
  reset(): void;
  release(): void;
  /** Breaks the connection of the part that is held. */
  breakHeld(): void;
  stop(): void;
}

/** `keys`: those that the requests must be signed with, as S3 demands it and moto behind does not. */
export async function startS3Gate(target: string, keys: SigningKeys): Promise<S3Gate> {
  const refused: string[] = [];
  let hold = Promise.withResolvers<void>();
  let release = Promise.withResolvers<void>();
  let isBroken = false;
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method = "GET", url = "/" } = request;
    const sent = { method, target: url, headers: request.headers, body: Buffer.concat(chunks) };
    const problem = signatureProblem(sent, keys, "s3");
    if (problem !== undefined) {
      refused.push(problem);
      const text = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${problem}</Code><Message>${problem}</Message></Error>`;
      return void response.writeHead(403, { "content-type": "application/xml" }).end(text);
    }
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (typeof value === "string" && !["host", "connection", "expect"].includes(name)) headers.set(name, value);
    }
    const answer = await fetch(`${target}${url}`, { method, headers });
    const body = Buffer.from(await answer.arrayBuffer());
    const isPart = method === "GET" && request.headers["range"] !== undefined;
    const fate = isPart ? gate.fateOf(gate.parts++) : "pass";
    if (fate === "busy") return void response.writeHead(503, { "content-length": "0" }).end();
    if (fate === "changed") return void response.writeHead(412, { "content-length": "0" }).end();
    const passed = [...answer.headers].filter(([name]) => !["connection", "transfer-encoding"].includes(name));
    response.writeHead(answer.status, Object.fromEntries(passed));
    if (fate === "pass") return void response.end(body);
    response.write(body.subarray(0, body.length / 2));
    if (fate === "cut") return void setImmediate(() => response.destroy());
    hold.resolve();
    await release.promise;
    if (isBroken) return void response.destroy();
    response.end(body.subarray(body.length / 2));
  }
  const gate: S3Gate = {
    url: "",
    fateOf: () => "pass",
    parts: 0,
    held: hold.promise,
    refused,
    reset() {
      gate.release();
      hold = Promise.withResolvers<void>();
      release = Promise.withResolvers<void>();
      gate.held = hold.promise;
      isBroken = false;
      gate.parts = 0;
      gate.fateOf = () => "pass";
    },
    release: () => release.resolve(),
    breakHeld() {
      isBroken = true;
      release.resolve();
    },
    stop() {
      release.resolve();
      server.closeAllConnections();
      server.close();
    },
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return Object.assign(gate, { url: `http://127.0.0.1:${port}` });
}
