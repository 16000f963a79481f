/** What is asked of S3 is signed as S3 reads it, whatever the key; and the service of our tests takes nothing else. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { S3Store } from "../../src/loads/s3-store.ts";
import { type SignedRequest, type SigningKeys, signatureProblem } from "../support/aws-signature.ts";
import { HOSTILE_KEYS } from "../support/hostile-keys.ts";

const KEYS: SigningKeys = { accessKeyId: "AKIDQUERYCOPTEST0000", secretAccessKey: "secret/access+key" };
const CONTENT = "1\tone\n";

/** The requests that came, and what a service would say of their signatures. */
const seen: { readonly request: SignedRequest; readonly problem: string | undefined }[] = [];
const server = createServer((request, response) => {
  const sent = {
    method: request.method ?? "",
    target: request.url ?? "",
    headers: request.headers,
    body: new Uint8Array(0),
  };
  seen.push({ request: sent, problem: signatureProblem(sent, KEYS, "s3") });
  if (sent.target.includes("list-type")) return void response.end("<ListBucketResult></ListBucketResult>");
  response.writeHead(200, { etag: '"e"', "content-length": String(CONTENT.length) });
  response.end(sent.method === "HEAD" ? undefined : CONTENT);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = server.address();
const port = typeof address === "object" && address !== null ? address.port : 0;
const environment = {
  AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
  AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
};
const before = Object.keys(environment).map((name) => [name, process.env[name]] as const);
Object.assign(process.env, environment);
const store = new S3Store("eu-central-1");
after(() => {
  store.close();
  server.closeAllConnections();
  server.close();
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

const signal = new AbortController().signal;

test("every key, prefix and part is asked for by a request whose signature a service finds right", async () => {
  for (const key of HOSTILE_KEYS) {
    const object = await store.find({ bucket: "ingest", key, region: undefined }, signal);
    assert.ok(object !== undefined, key);
    await store.part(object, 0, CONTENT.length, signal);
    await store.list({ bucket: "ingest", key, region: undefined, isPrefix: true }, signal);
  }
  assert.equal(seen.length, HOSTILE_KEYS.length * 3);
  for (const { request, problem } of seen) assert.equal(problem, undefined, `${request.method} ${request.target}`);
});

test("nothing of a signed request can be another, nor can it come late or without its signature", async () => {
  await store.part(
    { bucket: "ingest", key: "a b/c", region: undefined, etag: '"e"', size: 6, version: "v1" },
    0,
    6,
    signal,
  );
  const request = seen.at(-1)?.request as SignedRequest;
  const { headers } = request;
  const { authorization, ...unsigned } = headers;
  const problems = (changed: Partial<SignedRequest>, keys = KEYS, nowMs = Date.now()): string | undefined =>
    signatureProblem({ ...request, ...changed }, keys, "s3", nowMs);
  assert.equal(problems({}), undefined);
  assert.equal(problems({ method: "PUT" }), "SignatureDoesNotMatch");
  assert.equal(problems({ target: request.target.replace("/a%20b", "/a%20x") }), "SignatureDoesNotMatch");
  assert.equal(problems({ target: `${request.target}&acl=` }), "SignatureDoesNotMatch");
  assert.equal(problems({ headers: { ...headers, range: "bytes=0-9" } }), "SignatureDoesNotMatch");
  assert.equal(problems({ headers: { ...headers, "if-match": '"f"' } }), "SignatureDoesNotMatch");
  assert.equal(problems({ headers: { ...headers, host: "elsewhere" } }), "SignatureDoesNotMatch");
  assert.equal(problems({ headers: { ...headers, "x-amz-acl": "public" } }), "AccessDenied");
  assert.equal(problems({ headers: unsigned }), "AccessDenied");
  assert.equal(problems({ body: Buffer.from("x") }), "XAmzContentSHA256Mismatch");
  assert.equal(problems({}, { ...KEYS, secretAccessKey: "another" }), "SignatureDoesNotMatch");
  assert.equal(problems({}, { ...KEYS, accessKeyId: "AKIDANOTHER000000000" }), "InvalidAccessKeyId");
  for (const minutes of [-16, 16])
    assert.equal(problems({}, KEYS, Date.now() + minutes * 60_000), "RequestTimeTooSkewed");
  assert.match(String(authorization), /^AWS4-HMAC-SHA256 /);
});
