import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { type ConnectionOptions, connect as connectTls, createServer, type TLSSocket } from "node:tls";
import { Leg } from "../../src/net/leg.ts";
import {
  BackendTls,
  type BackendTlsMode,
  type BackendTlsOptions,
  ClientTls,
  type ClientUpgrade,
} from "../../src/net/tls.ts";
import { explainBackendError, refusesOurCertificate } from "../../src/net/tls-errors.ts";
import type { Network, Transport } from "../../src/net/transport.ts";
import { CLUSTER_HOST, type LeafName, makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import {
  byteByByte,
  digestOfPieces,
  IS_DENO,
  NETWORKS,
  peerSocket,
  pem,
  pemPair,
  pieces,
  readAll,
  sendPieces,
  testOverEach,
  withListener,
  withPeer,
  withSplitter,
} from "./network-fixture.ts";

const certificates = await makeCertificates();
after(() => certificates.remove());
const { leaves } = certificates;
const CA = pem(certificates.caFile);

const PACKET_BYTES_MAX = 128 * 1024;
const TIMEOUT_MS = 5_000;
const NEVER = new AbortController().signal;
const BULK_BYTES = IS_DENO ? 4_000_000 : 50_000_000;

/** A packet of the protocol, as a client would send it: the SSLRequest is 32 bytes of payload behind 4 of header. */
const SSL_REQUEST = Buffer.concat([Buffer.from([32, 0, 0, 1]), Buffer.alloc(32, 0x2e)]);

const clientTls = (leaf: LeafName = "goodEc", clientCa?: string): ClientTls =>
  new ClientTls({ ...pemPair(leaves[leaf]), ...(clientCa === undefined ? {} : { clientCa }) });

/** The proxy's side of a client connection: reads the SSLRequest and starts TLS. */
async function upgradeClientLeg(transport: Transport, tls: ClientTls, timeoutMs = TIMEOUT_MS, how: ClientUpgrade = {}) {
  const leg = new Leg("client", transport, PACKET_BYTES_MAX);
  await leg.expectPacket("waiting for the SSLRequest", TIMEOUT_MS);
  return { leg, identity: await tls.upgrade(leg, timeoutMs, how) };
}

/** A client that sends the SSLRequest and goes on with TLS. */
async function secureClient(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const raw = await peerSocket(port);
  raw.write(SSL_REQUEST);
  return await startTls(raw, options);
}

function startTls(raw: Socket, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const secure = connectTls({ socket: raw, ca: CA, servername: CLUSTER_HOST, ...options });
  return new Promise((resolve, reject) => {
    secure.once("error", (error) => {
      raw.destroy();
      reject(error);
    });
    secure.once("secureConnect", () => resolve(secure));
  });
}

async function readText(leg: Leg, length: number): Promise<string> {
  let text = "";
  while (text.length < length) {
    const chunk = await leg.readChunk();
    if (chunk === undefined) break;
    text += Buffer.from(chunk).toString("latin1");
  }
  return text;
}

/** Deno's TLS sockets miss some ends, so the bytes are counted. */
async function digestOfLeg(leg: Leg, byteCount: number): Promise<string> {
  const hash = createHash("sha256");
  for (let left = byteCount; left > 0; ) {
    const chunk = await leg.readChunk();
    if (chunk === undefined) break;
    hash.update(chunk);
    left -= chunk.length;
  }
  return hash.digest("hex");
}

async function sendOverLeg(leg: Leg, byteCount: number): Promise<void> {
  for (const piece of pieces(byteCount)) {
    if (!leg.write(piece)) await leg.drained();
  }
  leg.end();
}

function digestOfSocket(socket: Socket, byteCount: number): Promise<string> {
  const hash = createHash("sha256");
  let untilPause = 0;
  let left = byteCount;
  return new Promise((resolve) => {
    socket.on("data", (chunk: Uint8Array) => {
      hash.update(chunk);
      left -= chunk.length;
      if (left <= 0) resolve(hash.digest("hex"));
      if (++untilPause % 64 !== 0) return;
      socket.pause();
      setImmediate(() => socket.resume());
    });
  });
}

// --- the client's leg -------------------------------------------------------------------------------------------------

for (const leaf of ["goodRsa", "goodEc", "chain"] as const) {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    testOverEach(`the client leg speaks ${version} with the certificate ${leaf}`, async (network) => {
      await withListener(network, async ({ port, next }) => {
        const [client, { leg, identity }] = await Promise.all([
          secureClient(port, { minVersion: version, maxVersion: version }),
          next().then((transport) => upgradeClientLeg(transport, clientTls(leaf))),
        ]);
        assert.equal(identity.protocol, version);
        assert.match(identity.cipher, /^(TLS_|ECDHE-)/);
        assert.deepEqual(identity.alternativeNames, []);
        client.write("question");
        assert.equal(await readText(leg, 8), "question");
        const answer = readAll(client);
        leg.write(Buffer.from("answer"));
        leg.end();
        assert.equal(await answer, "answer");
        client.destroy();
      });
    });
  }
}

testOverEach("a client that only speaks TLS 1.1 is refused", async (network) => {
  if (IS_DENO) return;
  await withListener(network, async ({ port, next }) => {
    const upgraded = next().then((transport) => upgradeClientLeg(transport, clientTls()));
    const refused = assert.rejects(upgraded, { code: "QC_CLIENT_TLS", message: /only TLS versions below 1\.2/ });
    await assert.rejects(secureClient(port, { minVersion: "TLSv1", maxVersion: "TLSv1.1" }));
    await refused;
  });
});

/** Holds the SSLRequest back until it can share a segment with the first bytes of the ClientHello. */
function gluedBy(bytes: number): (chunk: Uint8Array) => Uint8Array[] {
  let held: Uint8Array | undefined = new Uint8Array(0);
  return (chunk) => {
    if (held === undefined) return [chunk];
    held = Buffer.concat([held, chunk]);
    if (held.length <= SSL_REQUEST.length) return [];
    const glued = held;
    held = undefined;
    const end = SSL_REQUEST.length + bytes;
    return [glued.subarray(0, end), glued.subarray(end)].filter((piece) => piece.length > 0);
  };
}

for (const bytes of [1, 10, 4096]) {
  testOverEach(`${bytes} bytes of the ClientHello may share a segment with the SSLRequest`, async (network) => {
    await withListener(network, async ({ port, next }) => {
      await withSplitter(port, gluedBy(bytes), async (splitterPort) => {
        const raw = await peerSocket(splitterPort);
        raw.write(SSL_REQUEST);
        const started = startTls(raw);
        const [client, { leg }] = await Promise.all([
          started,
          next().then((transport) => upgradeClientLeg(transport, clientTls())),
        ]);
        client.write("question");
        assert.equal(await readText(leg, 8), "question");
        client.destroy();
      });
    });
  });
}

testOverEach("a handshake cut into single bytes succeeds", async (network) => {
  await withListener(network, async ({ port, next }) => {
    await withSplitter(port, byteByByte, async (splitterPort) => {
      const [client, { leg }] = await Promise.all([
        secureClient(splitterPort),
        next().then((transport) => upgradeClientLeg(transport, clientTls())),
      ]);
      client.write("question");
      assert.equal(await readText(leg, 8), "question");
      client.destroy();
    });
  });
});

testOverEach("a question that comes with the end of the handshake is not lost", async (network) => {
  await withListener(network, async ({ port, next }) => {
    for (let round = 0; round < 20; round++) {
      const raw = await peerSocket(port);
      raw.write(SSL_REQUEST);
      const client = connectTls({ socket: raw, ca: CA, servername: CLUSTER_HOST });
      client.write("question");
      const { leg } = await upgradeClientLeg(await next(), clientTls());
      assert.equal(await readText(leg, 8), "question");
      client.destroy();
    }
  });
});

testOverEach("plaintext behind the SSLRequest in the same segment is refused", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const raw = await peerSocket(port);
    raw.write(Buffer.concat([SSL_REQUEST, Buffer.from([3, 0, 0, 0, 3, 0x31, 0x3b])]));
    await assert.rejects(upgradeClientLeg(await next(), clientTls()), {
      code: "QC_CLIENT_PROTOCOL",
      message: "Refused plaintext bytes behind an SSLRequest",
    });
    raw.destroy();
  });
});

testOverEach("a protocol is chosen by ALPN where the client offers it, and others fail", async (network) => {
  await withListener(network, async ({ port, next }) => {
    for (const clientCa of [undefined, CA]) {
      const certificate = clientCa === undefined ? {} : pemPair(leaves.client);
      for (const [offered, chosen] of [
        [["other", "postgresql"], "postgresql"],
        [[], undefined],
      ] as const) {
        const client = secureClient(port, { ...certificate, ALPNProtocols: [...offered] });
        const how = { applicationProtocol: "postgresql" };
        const { leg, identity } = await upgradeClientLeg(await next(), clientTls("goodEc", clientCa), TIMEOUT_MS, how);
        assert.equal(identity.applicationProtocol, chosen);
        assert.equal((await client).alpnProtocol || undefined, chosen);
        (await client).destroy();
        leg.destroy();
      }
    }
    const client = secureClient(port, { ALPNProtocols: ["h2"] });
    const left = assert.rejects(client);
    await assert.rejects(
      upgradeClientLeg(await next(), clientTls(), TIMEOUT_MS, { applicationProtocol: "postgresql" }),
      { code: "QC_CLIENT_TLS" },
    );
    await left;
  });
});

testOverEach("plaintext in place of the ClientHello fails the handshake", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const raw = await peerSocket(port);
    raw.resume();
    raw.write(SSL_REQUEST);
    const leg = new Leg("client", await next(), PACKET_BYTES_MAX);
    await leg.expectPacket("waiting for the SSLRequest", TIMEOUT_MS);
    const upgraded = clientTls().upgrade(leg, TIMEOUT_MS);
    raw.write(Buffer.from([7, 0, 0, 0, 3, 0x73, 0x65, 0x6c, 0x65, 0x63, 0x74]));
    await assert.rejects(upgraded, {
      code: "QC_CLIENT_TLS",
      message: IS_DENO
        ? /Cannot start TLS with the client/
        : "Cannot start TLS with the client: the client did not go on with TLS (ERR_SSL_WRONG_VERSION_NUMBER)",
    });
    assert.equal(leg.isDead, true);
    raw.destroy();
  });
});

for (const [how, leave] of [
  ["closes", (raw: Socket) => raw.end()],
  ["resets", (raw: Socket) => raw.resetAndDestroy()],
] as const) {
  for (const hello of ["", "\x16\x03\x01\x02\x00\x01\x00"]) {
    const when = hello === "" ? "before" : "inside";
    testOverEach(`a client that ${how} ${when} its ClientHello ends the handshake`, async (network) => {
      await withListener(network, async ({ port, next }) => {
        const raw = await peerSocket(port);
        raw.write(SSL_REQUEST);
        const leg = new Leg("client", await next(), PACKET_BYTES_MAX);
        await leg.expectPacket("waiting for the SSLRequest", TIMEOUT_MS);
        const upgraded = clientTls().upgrade(leg, TIMEOUT_MS);
        if (hello !== "") raw.write(hello, "latin1");
        leave(raw);
        await assert.rejects(upgraded, {
          code: "QC_CLIENT_TLS",
          message: "Cannot start TLS with the client: the client closed the connection (ECONNRESET)",
        });
        raw.destroy();
      });
    });
  }
}

testOverEach("a client that says nothing after its SSLRequest is given up in time", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const raw = await peerSocket(port);
    raw.write(SSL_REQUEST);
    await assert.rejects(upgradeClientLeg(await next(), clientTls(), 50), {
      code: "QC_CLIENT_TLS",
      message: "Cannot start TLS with the client: no answer within 50 ms (ETIMEDOUT)",
    });
    raw.destroy();
  });
});

testOverEach("a leg that is destroyed during its handshake ends it", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const raw = await peerSocket(port);
    raw.write(SSL_REQUEST);
    const leg = new Leg("client", await next(), PACKET_BYTES_MAX);
    await leg.expectPacket("waiting for the SSLRequest", TIMEOUT_MS);
    const upgraded = clientTls().upgrade(leg, TIMEOUT_MS);
    leg.destroy();
    await assert.rejects(upgraded, { code: "QC_CLIENT_TLS" });
    raw.destroy();
  });
});

testOverEach("a client certificate is demanded, verified, and its names are known", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const tls = clientTls("goodEc", CA);
    const [client, { leg, identity }] = await Promise.all([
      secureClient(port, pemPair(leaves.client)),
      next().then((transport) => upgradeClientLeg(transport, tls)),
    ]);
    assert.deepEqual(identity.alternativeNames, ["iam_user"]);
    assert.equal(identity.commonName, "iam_user");
    client.write("question");
    assert.equal(await readText(leg, 8), "question");
    client.destroy();
  });
});

const UNTRUSTED = /missing or not signed by GATEKEEPER_PROXY_TLS_CLIENT_CA/;

for (const [name, leaf, text] of [
  ["no certificate", undefined, UNTRUSTED],
  ["a certificate of another CA", "clientOtherCa", UNTRUSTED],
  ["an expired certificate", "clientExpired", /the client certificate has expired/],
] as const) {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    testOverEach(`a client with ${name} is refused over ${version}`, async (network) => {
      await withListener(network, async ({ port, next }) => {
        const upgraded = next().then((transport) => upgradeClientLeg(transport, clientTls("goodEc", CA)));
        const refused = assert.rejects(upgraded, {
          code: "QC_CLIENT_TLS",
          message: IS_DENO ? /Cannot start TLS with the client/ : text,
        });
        const client = await secureClient(port, {
          ...(leaf === undefined ? {} : pemPair(leaves[leaf])),
          minVersion: version,
          maxVersion: version,
        }).catch(() => undefined);
        client?.on("error", () => {});
        await refused;
        client?.destroy();
      });
    });
  }
}

testOverEach("after a reload new clients see the new certificate and old ones go on", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const tls = clientTls("goodRsa");
    const [before, old] = await Promise.all([
      secureClient(port),
      next().then((transport) => upgradeClientLeg(transport, tls)),
    ]);
    if (!IS_DENO) assert.throws(() => tls.reload({ cert: pem(certificates.garbageFile), key: "none" }));
    tls.reload(pemPair(leaves.goodEc));
    const [fresh] = await Promise.all([
      secureClient(port),
      next().then((transport) => upgradeClientLeg(transport, tls)),
    ]);
    const serialOf = (client: TLSSocket): string => client.getPeerCertificate().fingerprint256;
    assert.notEqual(serialOf(before), serialOf(fresh));
    before.write("question");
    assert.equal(await readText(old.leg, 8), "question");
    before.destroy();
    fresh.destroy();
  });
});

testOverEach("a client that half-closes over TLS still gets the answer", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const raw = await peerSocket(port);
    raw.write(SSL_REQUEST);
    const started = connectTls({
      socket: raw,
      ca: CA,
      servername: CLUSTER_HOST,
      allowHalfOpen: true,
    } as ConnectionOptions);
    const answer = readAll(started);
    started.end("question");
    const { leg } = await upgradeClientLeg(await next(), clientTls());
    assert.equal(await readText(leg, 8), "question");
    assert.equal(await leg.readChunk(), undefined);
    assert.equal(leg.isDead, false);
    leg.write(Buffer.from("answer"));
    leg.end();
    assert.equal(await answer, "answer");
    await eventually("the leg is gone", () => leg.isDead);
  });
});

testOverEach("a reset over TLS is noticed while nobody reads", async (network) => {
  if (IS_DENO) return;
  await withListener(network, async ({ port, next }) => {
    const raw = await peerSocket(port);
    raw.write(SSL_REQUEST);
    const [, { leg }] = await Promise.all([
      startTls(raw),
      next().then((transport) => upgradeClientLeg(transport, clientTls())),
    ]);
    raw.resetAndDestroy();
    await eventually("the leg is gone", () => leg.isDead);
  });
});

testOverEach(`${BULK_BYTES / 1e6} MB each way over TLS arrive whole with a slow reader`, async (network) => {
  await withListener(network, async ({ port, next }) => {
    const [client, { leg }] = await Promise.all([
      secureClient(port),
      next().then((transport) => upgradeClientLeg(transport, clientTls())),
    ]);
    const results = Promise.all([digestOfSocket(client, BULK_BYTES), digestOfLeg(leg, BULK_BYTES)]);
    await Promise.all([sendOverLeg(leg, BULK_BYTES), sendPieces(client, BULK_BYTES)]);
    const wanted = digestOfPieces(BULK_BYTES);
    assert.deepEqual(await results, [wanted, wanted]);
  });
});

// --- the backend's leg ------------------------------------------------------------------------------------------------

interface ServerOptions {
  readonly leaf: LeafName;
  readonly minVersion?: "TLSv1" | "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  readonly wantsCertificate?: boolean;
}

/** A server that reads the SSLRequest in plain, goes on with TLS, and echoes. */
async function withTlsServer(options: ServerOptions, work: (port: number) => Promise<void>): Promise<void> {
  const { leaf, wantsCertificate = false, ...versions } = options;
  const acceptor = createServer({
    ...pemPair(leaves[leaf]),
    ...versions,
    ca: CA,
    requestCert: wantsCertificate,
    rejectUnauthorized: wantsCertificate,
    allowHalfOpen: true,
  } as object);
  acceptor.on("tlsClientError", (_error, socket) => socket.destroy());
  acceptor.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => socket.write(chunk));
    socket.on("end", () => socket.end());
  });
  await withPeer((socket) => {
    let head = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      if (head.length < SSL_REQUEST.length) return;
      socket.off("data", read);
      socket.pause();
      if (head.length > SSL_REQUEST.length) socket.unshift(head.subarray(SSL_REQUEST.length));
      acceptor.emit("connection", socket);
    };
    socket.on("data", read);
  }, work);
}

async function upgradeBackendLeg(
  network: Network,
  port: number,
  options: Partial<BackendTlsOptions>,
  timeoutMs = TIMEOUT_MS,
) {
  const tls = new BackendTls({
    mode: "verify-full",
    ca: CA,
    serverName: CLUSTER_HOST,
    minVersion: "TLSv1.2",
    ...options,
  });
  const leg = new Leg("backend", await network.connect("127.0.0.1", port, NEVER), PACKET_BYTES_MAX);
  leg.write(SSL_REQUEST);
  return { leg, identity: await tls.upgrade(leg, timeoutMs) };
}

const CA_FILE = /not signed by a CA in GATEKEEPER_BACKEND_TLS_CA_FILE/;
const OTHER_NAME = /for another name; set GATEKEEPER_BACKEND_TLS_SERVER_NAME/;
const EXPIRED = /the certificate has expired \(CERT_HAS_EXPIRED\)/;
const NOT_YET = /not yet valid, check the clock/;

interface Verdict {
  readonly chain?: RegExp;
  readonly name?: RegExp;
  readonly serverName?: string;
}

/** What is wrong with a certificate: `chain` for verify-ca and verify-full, `name` for verify-full alone. */
const VERDICTS: readonly (readonly [LeafName, Verdict])[] = [
  ["goodRsa", {}],
  ["goodEc", {}],
  ["chain", {}],
  ["wildcard", {}],
  ["ipSan", { serverName: "127.0.0.1" }],
  ["ipSan", { name: OTHER_NAME }],
  ["goodEc", { name: OTHER_NAME, serverName: "127.0.0.2" }],
  ["goodEc", { name: OTHER_NAME, serverName: "other.example.com" }],
  ["cnOnly", {}],
  ["cnOnly", { name: OTHER_NAME, serverName: "other.example.com" }],
  ["wrongHost", { name: OTHER_NAME }],
  ["wildcardTooHigh", { name: OTHER_NAME }],
  ["expired", { chain: EXPIRED }],
  ["expired", { chain: EXPIRED, serverName: "other.example.com" }],
  ["notYetValid", { chain: NOT_YET }],
  ["otherCa", { chain: CA_FILE }],
  ["otherCa", { chain: CA_FILE, serverName: "other.example.com" }],
];

const MODES: readonly BackendTlsMode[] = ["prefer", "require", "verify-ca", "verify-full"];

function problemIn(mode: BackendTlsMode, { chain, name }: Verdict): RegExp | undefined {
  if (mode === "verify-full") return chain ?? name;
  return mode === "verify-ca" ? chain : undefined;
}

for (const [leaf, verdict] of VERDICTS) {
  const serverName = verdict.serverName ?? CLUSTER_HOST;
  testOverEach(`the certificate ${leaf} for ${serverName} is judged as each mode promises`, async (network) => {
    await withTlsServer({ leaf }, async (port) => {
      for (const mode of MODES) {
        const problem = problemIn(mode, verdict);
        const upgraded = upgradeBackendLeg(network, port, { mode, serverName });
        if (problem !== undefined) {
          const message = IS_DENO ? /Cannot start TLS with the backend/ : problem;
          await assert.rejects(upgraded, { code: "QC_BACKEND_TLS", message }, mode);
          continue;
        }
        const { leg, identity } = await upgraded;
        assert.match(identity.protocol, /^TLSv1\.[23]$/, mode);
        leg.write(Buffer.from("question"));
        assert.equal(await readText(leg, 8), "question", mode);
        leg.destroy();
      }
    });
  });
}

testOverEach("without a CA nothing is trusted that should be verified", async (network) => {
  await withTlsServer({ leaf: "goodEc" }, async (port) => {
    for (const mode of ["verify-ca", "verify-full"] as const) {
      const ca = pem(certificates.bundleWithoutRightFile);
      await assert.rejects(upgradeBackendLeg(network, port, { mode, ca }), { code: "QC_BACKEND_TLS" });
    }
  });
});

testOverEach("the CA may stand anywhere in a bundle", async (network) => {
  await withTlsServer({ leaf: "chain" }, async (port) => {
    const { leg } = await upgradeBackendLeg(network, port, { ca: pem(certificates.bundleFile) });
    leg.destroy();
  });
});

testOverEach("a backend that wants a certificate gets it", async (network) => {
  await withTlsServer({ leaf: "goodEc", wantsCertificate: true }, async (port) => {
    const { leg } = await upgradeBackendLeg(network, port, pemPair(leaves.client));
    leg.write(Buffer.from("question"));
    assert.equal(await readText(leg, 8), "question");
    leg.destroy();
  });
});

testOverEach("a backend that misses a certificate is reported with the setting to change", async (network) => {
  if (IS_DENO) return;
  await withTlsServer({ leaf: "goodEc", wantsCertificate: true }, async (port) => {
    // Under TLS 1.3 the refusal comes when the handshake is over for the client; node:net may see the end before it.
    const { leg } = await upgradeBackendLeg(network, port, {});
    await assert.rejects(
      leg.expectPacket("waiting for the answer", TIMEOUT_MS),
      network.name === "bun"
        ? { code: "QC_BACKEND_CLIENT_CERT", message: /GATEKEEPER_BACKEND_TLS_CLIENT_CERT/ }
        : { code: /^QC_BACKEND_(CLOSED|CLIENT_CERT)$/, message: /^The backend / },
    );
  });
});

testOverEach("a backend of TLS 1.1 is refused unless the operator allows it", async (network) => {
  if (IS_DENO) return;
  await withTlsServer({ leaf: "goodRsa", minVersion: "TLSv1", maxVersion: "TLSv1.1" }, async (port) => {
    await assert.rejects(upgradeBackendLeg(network, port, {}), {
      code: "QC_BACKEND_TLS",
      message: /only TLS versions below GATEKEEPER_BACKEND_TLS_MIN_VERSION/,
    });
    const { leg, identity } = await upgradeBackendLeg(network, port, { minVersion: "TLSv1" });
    assert.equal(identity.protocol, "TLSv1.1");
    leg.write(Buffer.from("question"));
    assert.equal(await readText(leg, 8), "question");
    leg.destroy();
  });
});

testOverEach("a backend that answers in plain is not taken for one with TLS", async (network) => {
  await withPeer(
    (socket) =>
      socket.once("data", () => socket.write(Buffer.from("\x17\0\0\x02\xff\x84\x04Too many connections", "latin1"))),
    async (port) => {
      await assert.rejects(upgradeBackendLeg(network, port, {}), {
        code: "QC_BACKEND_TLS",
        message: IS_DENO
          ? /Cannot start TLS with the backend/
          : "Cannot start TLS with the backend: the backend did not answer with TLS (ERR_SSL_WRONG_VERSION_NUMBER)",
      });
    },
  );
});

testOverEach("a backend that closes after the SSLRequest ends the handshake", async (network) => {
  for (const leave of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
    await withPeer(
      (socket) => socket.once("data", () => leave(socket)),
      async (port) => {
        await assert.rejects(upgradeBackendLeg(network, port, {}), {
          code: "QC_BACKEND_TLS",
          message: "Cannot start TLS with the backend: the backend closed the connection (ECONNRESET)",
        });
      },
    );
  }
});

testOverEach("a backend that never answers is given up in time", async (network) => {
  await withPeer(
    (socket) => socket.resume(),
    async (port) => {
      await assert.rejects(upgradeBackendLeg(network, port, {}, 50), {
        code: "QC_BACKEND_TIMEOUT",
        message: "Cannot start TLS with the backend: no answer within 50 ms (ETIMEDOUT)",
      });
    },
  );
});

testOverEach("TLS on one connection changes nothing about the others", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const plain = await peerSocket(port);
    const plainLeg = new Leg("client", await next(), PACKET_BYTES_MAX);
    const [secure] = await Promise.all([
      secureClient(port),
      next().then((transport) => upgradeClientLeg(transport, clientTls())),
    ]);
    plain.write("plain");
    assert.equal(await readText(plainLeg, 5), "plain");
    plain.destroy();
    secure.destroy();
  });
  await withPeer(
    (socket) => socket.once("data", (chunk) => socket.end(chunk)),
    async (plainPort) => {
      const plainLeg = new Leg("backend", await network.connect("127.0.0.1", plainPort, NEVER), PACKET_BYTES_MAX);
      await withTlsServer({ leaf: "goodEc" }, async (port) => {
        const { leg } = await upgradeBackendLeg(network, port, {});
        leg.destroy();
      });
      plainLeg.write(Buffer.from("plain"));
      assert.equal(await readText(plainLeg, 5), "plain");
      plainLeg.destroy();
    },
  );
});

testOverEach("bytes that came before the handshake are not taken for encrypted ones", async (network) => {
  await withPeer(
    (socket) => socket.write("injected"),
    async (port) => {
      const leg = new Leg("backend", await network.connect("127.0.0.1", port, NEVER), PACKET_BYTES_MAX);
      await leg.waitReadable();
      const tls = new BackendTls({ mode: "require", serverName: CLUSTER_HOST, minVersion: "TLSv1.2" });
      await assert.rejects(tls.upgrade(leg, TIMEOUT_MS), {
        code: "QC_BACKEND_TLS",
        message: "Cannot start TLS with the backend: it sent bytes before the handshake",
      });
      leg.destroy();
    },
  );
});

testOverEach(`${BULK_BYTES / 1e6} MB to a backend over TLS and back arrive whole`, async (network) => {
  await withTlsServer({ leaf: "goodEc" }, async (port) => {
    const { leg } = await upgradeBackendLeg(network, port, {});
    const byteCount = IS_DENO ? 1_000_000 : BULK_BYTES / 2;
    const [digest] = await Promise.all([digestOfLeg(leg, byteCount), sendOverLeg(leg, byteCount)]);
    assert.equal(digest, digestOfPieces(byteCount));
  });
});

const DESCRIPTORS = "/proc/self/fd";

if (existsSync(DESCRIPTORS) && !IS_DENO) {
  testOverEach("no way to end a TLS connection leaks a descriptor", async (network) => {
    await withListener(network, async ({ port, next }) => {
      const before = readdirSync(DESCRIPTORS).length;
      const endings: ((raw: Socket, client: TLSSocket, leg: Leg) => void)[] = [
        (_raw, client) => client.destroy(),
        (raw) => raw.resetAndDestroy(),
        (_raw, client) => client.end(),
        (_raw, _client, leg) => leg.destroy(),
        (raw, _client, leg) => {
          raw.pause();
          leg.write(Buffer.alloc(8_000_000));
          leg.destroy();
        },
      ];
      for (let round = 0; round < 30; round++) {
        const raw = await peerSocket(port);
        raw.write(SSL_REQUEST);
        const [client, { leg }] = await Promise.all([
          startTls(raw),
          next().then((transport) => upgradeClientLeg(transport, clientTls())),
        ]);
        client.on("error", () => {});
        client.resume();
        const kind = round % endings.length;
        endings[kind]?.(raw, client, leg);
        if (kind < 3) await eventually("the leg has ended", () => leg.isEnded || leg.isDead);
        leg.destroy();
        await eventually("the peer sees the end", () => client.destroyed || client.readableEnded || kind === 4);
        raw.destroy();
        client.destroy();
      }
      await eventually("all descriptors are given back", () => readdirSync(DESCRIPTORS).length <= before);
    });
  });
}

test("every kind of socket of this runtime is tested", () => {
  assert.deepEqual(
    NETWORKS.map(({ name }) => name),
    "Bun" in globalThis ? ["bun", "node"] : ["node"],
  );
});

test("an alert about our certificate is told from other faults, however the runtime spells it", () => {
  const bun = (reason: string): Error =>
    Object.assign(new Error(`error:10000418:SSL routines:OPENSSL_internal:${reason}`), { code: "EPROTO" });
  const node = (code: string): Error => Object.assign(new Error("ssl alert"), { code });
  for (const error of [
    bun("TLSV1_ALERT_UNKNOWN_CA"),
    bun("SSLV3_ALERT_BAD_CERTIFICATE"),
    bun("TLSV1_ALERT_CERTIFICATE_REQUIRED"),
    node("ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED"),
    node("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"),
  ]) {
    assert.ok(refusesOurCertificate(error), error.message);
    assert.match(explainBackendError(error), /GATEKEEPER_BACKEND_TLS_CLIENT_CERT/);
  }
  for (const error of [
    bun("TLSV1_ALERT_PROTOCOL_VERSION"),
    bun("CERTIFICATE_VERIFY_FAILED"),
    node("CERT_HAS_EXPIRED"),
    node("ECONNRESET"),
  ]) {
    assert.ok(!refusesOurCertificate(error), error.message);
  }
});
