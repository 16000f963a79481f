import assert from "node:assert/strict";
import { it } from "node:test";
import { BackendProbe } from "../../src/doctor/backend-probe.ts";
import type { Finding, ListenerContext, ResolvedAddress } from "../../src/doctor/check.ts";
import { backendDns, backendTcp } from "../../src/doctor/network-checks.ts";
import { startDoctorBackend } from "./doctor-backend.ts";

const ENDPOINT = "mydb.abcdefghijkl.eu-central-1.rds.amazonaws.com";

/** A listener whose backend's name has the given addresses and aliases. */
function contextWith(
  addresses: readonly string[],
  backend: Record<string, unknown> = {},
  aliases: readonly string[] = [],
): ListenerContext {
  const found: ResolvedAddress[] = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  const listener = {
    backend: {
      host: "db.example.com",
      port: 3306,
      addressFamily: "auto",
      tlsServerName: "db.example.com",
      tlsMode: "verify-full",
      tokenSource: "none",
      connectTimeoutMs: 2_000,
      ...backend,
    },
  };
  const resolver = { lookup: async () => found, cname: async () => aliases };
  return { listener, host: { resolver }, probe: new BackendProbe() } as unknown as ListenerContext;
}

const lookUp = (context: ListenerContext): Promise<Finding> => backendDns.run(context, new AbortController().signal);

it("backend.dns lists both families and the alias, each address once", async () => {
  const context = contextWith(["10.0.0.1", "10.0.0.1", "fd00::1"], {}, ["other.example.com"]);
  const { status, detail } = await lookUp(context);
  assert.equal(status, "ok");
  assert.equal(detail, "db.example.com: A 10.0.0.1, AAAA fd00::1, CNAME other.example.com");
  assert.equal(context.probe.addresses.length, 2);
});

it("backend.dns fails when the configured family has no address", async () => {
  const { status, detail } = await lookUp(contextWith(["10.0.0.1"], { addressFamily: "ipv6" }));
  assert.equal(status, "fail");
  assert.match(detail, /AAAA none: no address of backend\.address_family ipv6/);
});

it("backend.dns warns of an alias of an RDS endpoint that certificate and token will not be for", async () => {
  const finding = await lookUp(contextWith(["10.0.0.1"], {}, [ENDPOINT]));
  assert.equal(finding.status, "warn");
  assert.deepEqual(finding.remedy?.commands, [`export GATEKEEPER_BACKEND_TLS_SERVER_NAME=${ENDPOINT}`]);
  const told = await lookUp(contextWith(["10.0.0.1"], { tlsServerName: ENDPOINT }, [ENDPOINT]));
  assert.equal(told.status, "ok");
  const unverified = await lookUp(contextWith(["10.0.0.1"], { tlsMode: "require" }, [ENDPOINT]));
  assert.equal(unverified.status, "ok");
});

it("backend.dns puts no alias into a command that a shell would read as more than a name", async () => {
  const finding = await lookUp(contextWith(["10.0.0.1"], {}, [`$(reboot).${ENDPOINT}`]));
  assert.equal(finding.remedy, undefined);
});

it("backend.tcp warns when one of several addresses does not answer", async () => {
  const backend = await startDoctorBackend();
  try {
    const context = contextWith([], { port: backend.port });
    // Nothing listens on the second one.
    context.probe.addresses = [
      { address: "127.0.0.1", family: 4 },
      { address: "127.0.0.2", family: 4 },
    ];
    const { status, detail, remedy } = await backendTcp.run(context, new AbortController().signal);
    assert.equal(status, "warn");
    assert.match(detail, /^127\.0\.0\.1:\d+ in \d+ ms, 127\.0\.0\.2:\d+ ECONNREFUSED: querycop goes on/);
    assert.match(remedy?.text ?? "", /address_family/);
    assert.equal(backend.abandoned(), 0);
  } finally {
    await backend.close();
  }
});
