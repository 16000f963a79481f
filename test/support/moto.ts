/** AWS on this machine, as far as moto plays it: Secrets Manager, Parameter Store, STS, S3. Checks no signature. */
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SigningKeys } from "./aws-signature.ts";
import { spawnSupervised } from "./child.ts";
import { eventually } from "./eventually.ts";
import { installServerRoot } from "./install.ts";

export interface Moto {
  readonly url: string;
  /** What a client of AWS has in its environment to come here. */
  readonly environment: Readonly<Record<string, string>>;
  /** Of that environment. */
  readonly keys: SigningKeys;
  /** One call of a service with a JSON protocol: `secretsmanager.CreateSecret`, `AmazonSSM.PutParameter`. */
  call(target: string, input: unknown): Promise<Record<string, unknown>>;
  /** Puts an object, and makes its bucket; resolves with its ETag. */
  putObject(bucket: string, key: string, content: Uint8Array | string): Promise<string>;
  stop(): void;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Python reads a thousand files before it is up. */
const START_TIMEOUT_MS = 90_000;
const REGION = "eu-central-1";
const KEYS: SigningKeys = {
  accessKeyId: "AKIDQUERYCOPTEST0000",
  secretAccessKey: "querycop-test-secret-access-key",
};

/** Its port is free when it is chosen, and others may take it before moto does: then with another one, a few times. */
export async function startMoto(attempts = 5): Promise<Moto> {
  const root = await installServerRoot("moto");
  const folder = mkdtempSync(join(tmpdir(), "querycop-moto-"));
  const port = await freePort();
  const args = ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)];
  const { command, args: withLoader } = root.command("usr/bin/python3.13", args);
  const env = {
    PYTHONHOME: root.path("usr"),
    PYTHONPATH: root.path("usr/lib/python3/dist-packages"),
    PYTHONDONTWRITEBYTECODE: "1",
    HOME: folder,
  };
  const child = spawnSupervised(command, withLoader, { env, removeFolder: folder });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  let isGone = false;
  child.once("close", () => {
    isGone = true;
  });
  const url = `http://127.0.0.1:${port}`;
  const end = await eventually(
    "moto answers",
    async () => {
      if (isGone) return "gone";
      return await fetch(`${url}/moto-api/`).then(
        ({ ok }) => ok && "up",
        () => undefined,
      );
    },
    START_TIMEOUT_MS,
  );
  if (end === "gone") {
    if (attempts > 1 && said.includes("is in use")) return await startMoto(attempts - 1);
    throw new Error(`moto ended: ${said}`);
  }
  return {
    url,
    environment: {
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: url,
      AWS_EC2_METADATA_DISABLED: "true",
    },
    keys: KEYS,
    call: async (target, input) => {
      const service = target.startsWith("AmazonSSM") ? "ssm" : "secretsmanager";
      const scope = `${KEYS.accessKeyId}/20260101/${REGION}/${service}/aws4_request`;
      const response = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/x-amz-json-1.1",
          "x-amz-target": target,
          authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
        },
        body: JSON.stringify(input),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${target}: ${response.status} ${text}`);
      return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
    },
    putObject: async (bucket, key, content) => {
      const put = async (path: string, body: Uint8Array | string): Promise<Response> => {
        const scope = `${KEYS.accessKeyId}/20260101/${REGION}/s3/aws4_request`;
        const authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`;
        const response = await fetch(`${url}/${path}`, {
          method: "PUT",
          headers: { authorization },
          body: body as string,
        });
        // It is there already.
        if (!response.ok && response.status !== 409) throw new Error(`S3 ${path}: ${response.status}`);
        return response;
      };
      const place = "http://s3.amazonaws.com/doc/2006-03-01/";
      await put(
        bucket,
        `<CreateBucketConfiguration xmlns="${place}"><LocationConstraint>${REGION}</LocationConstraint></CreateBucketConfiguration>`,
      );
      const path = key.split("/").map(encodeURIComponent).join("/");
      return (await put(`${bucket}/${path}`, content)).headers.get("etag") ?? "";
    },
    stop: () => child.stdin?.end(),
  };
}
