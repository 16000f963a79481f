import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { tlsServerEndPoint } from "../../src/postgres/channel-binding.ts";
import { ClientMessageError, sqlStateOf } from "../../src/postgres/error-states.ts";
import { encodeMd5Password } from "../../src/postgres/md5-password.ts";
import { preparePassword, saslprep } from "../../src/postgres/saslprep.ts";
import {
  formatScramVerifier,
  makeScramVerifier,
  mockScramVerifier,
  offeredMechanisms,
  parseScramVerifier,
  SCRAM_SHA_256,
  SCRAM_SHA_256_PLUS,
  ScramClient,
  type ScramSecret,
  ScramServer,
} from "../../src/postgres/scram.ts";
import { runChecked } from "../support/child.ts";
import { ascii, hex } from "../support/hex.ts";

const PASSWORD = encodeUtf8("pencil");
const SALT = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
const VERIFIER = makeScramVerifier(PASSWORD, SALT, 4096);
const BINDING = createHash("sha256").update("a certificate").digest();

function refused(state: string, work: () => unknown): void {
  assert.throws(work, (error) => error instanceof ClientMessageError && sqlStateOf(error) === state, state);
}

function refusesBackend(pattern: RegExp, work: () => unknown): void {
  assert.throws(
    work,
    (error) => error instanceof QuerycopError && error.code === "QC_BACKEND_REFUSED" && pattern.test(error.message),
  );
}

interface Exchange {
  readonly secret: ScramSecret;
  readonly verifier?: typeof VERIFIER;
  readonly clientBinding?: Uint8Array | undefined;
  readonly serverBinding?: Uint8Array | undefined;
  readonly mechanisms?: readonly string[];
}

/** A whole login between the two sides; what the server learned. */
function logIn({ secret, verifier = VERIFIER, clientBinding, serverBinding, mechanisms }: Exchange): Uint8Array {
  const offered = mechanisms ?? offeredMechanisms(serverBinding);
  const client = new ScramClient({ secret, mechanisms: offered, channelBinding: clientBinding });
  const server = new ScramServer({ verifier, channelBinding: serverBinding });
  const { serverFinal, clientKey } = server.final(client.final(server.first(client.mechanism, client.first())));
  client.checkServerFinal(serverFinal);
  return clientKey;
}

describe("SCRAM", () => {
  it("answers the exchange of RFC 7677 to the letter", () => {
    const server = new ScramServer({
      verifier: VERIFIER,
      channelBinding: undefined,
      nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    });
    const first = server.first(SCRAM_SHA_256, ascii("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    const nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    assert.deepEqual(Buffer.from(first).toString(), `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
    const { serverFinal } = server.final(ascii(`c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`));
    assert.equal(Buffer.from(serverFinal).toString(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  });

  it("logs in with and without channel binding", () => {
    logIn({ secret: { password: PASSWORD } });
    logIn({ secret: { password: PASSWORD }, clientBinding: BINDING, serverBinding: BINDING });
    // A client that cannot bind, at a server that can.
    logIn({ secret: { password: PASSWORD }, serverBinding: BINDING });
    // A client that can, at a server that says it cannot: "y".
    logIn({ secret: { password: PASSWORD }, clientBinding: BINDING });
  });

  it("gives the client's key away, which logs in wherever the verifier is the same, bound to another certificate", () => {
    const clientKey = logIn({ secret: { password: PASSWORD }, clientBinding: BINDING, serverBinding: BINDING });
    const other = createHash("sha256").update("the backend's").digest();
    logIn({ secret: { clientKey, verifier: VERIFIER }, clientBinding: other, serverBinding: other });
    logIn({ secret: { clientKey, verifier: VERIFIER } });
  });

  it("says that the backend's verifier is another before it proves anything", () => {
    const clientKey = logIn({ secret: { password: PASSWORD } });
    const verifiers = [makeScramVerifier(PASSWORD), makeScramVerifier(PASSWORD, SALT, 5000)];
    for (const verifier of verifiers) {
      refusesBackend(/verifier/, () => logIn({ secret: { clientKey, verifier: VERIFIER }, verifier }));
    }
  });

  it("refuses another password with 28P01, and a backend that does not know it", () => {
    refused("28P01", () => logIn({ secret: { password: encodeUtf8("pencils") } }));
    const client = new ScramClient({
      secret: { password: PASSWORD },
      mechanisms: [SCRAM_SHA_256],
      channelBinding: undefined,
    });
    const server = new ScramServer({ verifier: VERIFIER, channelBinding: undefined });
    client.final(server.first(SCRAM_SHA_256, client.first()));
    for (const final of ["v=AAAA", `v=${Buffer.alloc(32).toString("base64")}`, "e=other-error", "", "v="]) {
      refusesBackend(/does not prove/, () => client.checkServerFinal(ascii(final)));
    }
    const early = new ScramClient({
      secret: { password: PASSWORD },
      mechanisms: [SCRAM_SHA_256],
      channelBinding: undefined,
    });
    refusesBackend(/does not prove/, () => early.checkServerFinal(ascii(`v=${Buffer.alloc(32).toString("base64")}`)));
  });

  it("finds somebody in between: another certificate, or -PLUS taken from the list", () => {
    const other = createHash("sha256").update("somebody else").digest();
    refused("28000", () => logIn({ secret: { password: PASSWORD }, clientBinding: other, serverBinding: BINDING }));
    const mechanisms = [SCRAM_SHA_256];
    refused("28000", () =>
      logIn({ secret: { password: PASSWORD }, clientBinding: BINDING, serverBinding: BINDING, mechanisms }),
    );
  });

  it("lets no one in under a name without a verifier, whose salt is the same each time", () => {
    const secret = ascii("of this process");
    const mock = mockScramVerifier(secret, "nobody");
    assert.deepEqual(mockScramVerifier(secret, "nobody").salt, mock.salt);
    assert.notDeepEqual(mockScramVerifier(secret, "somebody").salt, mock.salt);
    assert.notDeepEqual(mockScramVerifier(ascii("of another"), "nobody").salt, mock.salt);
    assert.deepEqual([mock.salt.length, mock.iterations], [16, 4096]);
    refused("28P01", () => logIn({ secret: { password: PASSWORD }, verifier: mock }));
    refused("28P01", () => logIn({ secret: { password: new Uint8Array(0) }, verifier: mock }));
  });

  it("takes the client's messages in no other form than the server does", () => {
    const first = (text: string, binding?: Uint8Array, mechanism = SCRAM_SHA_256 as string): Uint8Array =>
      new ScramServer({ verifier: VERIFIER, channelBinding: binding }).first(mechanism, ascii(text));
    first("n,,n=,r=abc");
    first("y,,n=,r=abc");
    first("n,,n=x,r=abc,z=later");
    first("p=tls-server-end-point,,n=,r=abc", BINDING, SCRAM_SHA_256_PLUS);
    const malformed = [
      "",
      "n",
      "n,,",
      "n,,r=abc",
      "n,,n=,r=",
      "n,,n=,r=a b",
      "n,,n=,r=a\x7f",
      "x,,n=,r=abc",
      "n,n=,r=abc",
    ];
    for (const text of malformed) refused("08P01", () => first(text));
    refused("08P01", () => first("n,,n=,r=abc\0"));
    refused("08P01", () => first(`n,,n=,r=${"a".repeat(1100)}`));
    refused("0A000", () => first("n,a=other,n=,r=abc"));
    refused("0A000", () => first("n,,m=must,n=,r=abc"));
    refused("08P01", () => first("p=tls-server-end-point,,n=,r=abc"));
    refused("08P01", () => first("p=tls-server-end-point,,n=,r=abc", BINDING));
    refused("08P01", () => first("p=tls-exporter,,n=,r=abc", BINDING, SCRAM_SHA_256_PLUS));
    refused("08P01", () => first("p=tls-unique,,n=,r=abc", BINDING, SCRAM_SHA_256_PLUS));
    refused("08P01", () => first("n,,n=,r=abc", BINDING, SCRAM_SHA_256_PLUS));
    for (const mechanism of [SCRAM_SHA_256_PLUS, "SCRAM-SHA-1", "PLAIN", ""]) {
      refused("08P01", () => first("n,,n=,r=abc", undefined, mechanism));
    }
  });

  it("takes no final message but the one that belongs to the first", () => {
    const proof = Buffer.alloc(32).toString("base64");
    const final = (text: string): unknown => {
      const server = new ScramServer({ verifier: VERIFIER, channelBinding: undefined, nonce: "xyz" });
      server.first(SCRAM_SHA_256, ascii("n,,n=,r=abc"));
      return server.final(ascii(text));
    };
    refused("28P01", () => final(`c=biws,r=abcxyz,p=${proof}`));
    const texts = [
      `c=eSws,r=abcxyz,p=${proof}`,
      `c=biws,r=abcxy,p=${proof}`,
      `c=biws,r=abcxyzz,p=${proof}`,
      "c=biws,r=abcxyz",
      "c=biws,r=abcxyz,p=",
      "c=biws,r=abcxyz,p=AAAA",
      `c=biws,r=abcxyz,p=${proof}=`,
      `c=biws,r=abcxyz,p=${proof},x=y`,
      `r=abcxyz,c=biws,p=${proof}`,
      "",
    ];
    for (const text of texts) refused("08P01", () => final(text));
    refused("08P01", () =>
      new ScramServer({ verifier: VERIFIER, channelBinding: undefined }).final(ascii(texts[0] ?? "")),
    );
  });

  it("takes no first message of a backend that it should not answer", () => {
    const final = (text: string): unknown =>
      new ScramClient({
        secret: { password: PASSWORD },
        mechanisms: [SCRAM_SHA_256],
        channelBinding: undefined,
        nonce: "abc",
      }).final(ascii(text));
    final("r=abcdef,s=AAAA,i=1");
    refusesBackend(/nonce/, () => final("r=abc,s=AAAA,i=1"));
    refusesBackend(/nonce/, () => final("r=xabcdef,s=AAAA,i=1"));
    refusesBackend(/iterations/, () => final("r=abcdef,s=AAAA,i=100001"));
    refusesBackend(/iterations/, () => final("r=abcdef,s=AAAA,i=0"));
    refusesBackend(/salt/, () => final("r=abcdef,s=AAAAA,i=1"));
    for (const text of ["", "r=abcdef", "r=abcdef,s=,i=1", "r=abcdef,s=AAAA,i=-1", "m=x,r=abcdef,s=AAAA,i=1", "e=x"]) {
      refusesBackend(/malformed/, () => final(text));
    }
    refusesBackend(/malformed/, () => final(`r=abc${"d".repeat(1100)},s=AAAA,i=1`));
    refusesBackend(/offers no/, () => {
      new ScramClient({ secret: { password: PASSWORD }, mechanisms: ["OAUTHBEARER"], channelBinding: undefined });
    });
    refusesBackend(/offers no/, () => {
      new ScramClient({ secret: { password: PASSWORD }, mechanisms: [SCRAM_SHA_256_PLUS], channelBinding: undefined });
    });
  });

  it("survives any bytes on either side", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 80 }), (one, two) => {
        const server = new ScramServer({ verifier: VERIFIER, channelBinding: undefined });
        refused("08P01", () => server.final(server.first(SCRAM_SHA_256, one) && two));
      }),
    );
  });
});

describe("verifiers", () => {
  it("are written as PostgreSQL writes them, and read back", () => {
    const text = formatScramVerifier(VERIFIER);
    assert.equal(
      text,
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    );
    const parsed = parseScramVerifier(text);
    assert.ok(parsed !== undefined);
    assert.equal(formatScramVerifier(parsed), text);
  });

  it("of other shapes are none", () => {
    const text = formatScramVerifier(VERIFIER);
    const others = [
      "",
      "md5c20f4f0b1a2bd0f2b5d3c1f6b2b5f0e1",
      text.replace("256", "1"),
      text.replace("4096", "0"),
      text.replace("4096", "100001"),
      text.replace("4096", "4e3"),
      text.replace("4096", " 4096"),
      text.slice(0, -1),
      `${text}$`,
      `${text}:x`,
      text.replace("$WG5d", "$G5d"),
      text.replace("W22Z", "W22*"),
    ];
    for (const other of others) assert.equal(parseScramVerifier(other), undefined, other);
  });
});

describe("SASLprep", () => {
  it("does what RFC 4013 shows", () => {
    assert.equal(saslprep("I\u00adX"), "IX");
    assert.equal(saslprep("user"), "user");
    assert.equal(saslprep("\u00aa"), "a");
    assert.equal(saslprep("\u2168"), "IX");
    assert.equal(saslprep("\u0007"), undefined);
    assert.equal(saslprep("\u0627\u0031"), undefined);
    assert.equal(saslprep("\u0627\u0628"), "\u0627\u0628");
    assert.equal(saslprep("\u0627a\u0628"), undefined);
    assert.equal(saslprep("a\u00a0b\u1680c"), "a b c");
    assert.equal(saslprep("\u00ad"), undefined);
    // Assigned later than Unicode 3.2.
    assert.equal(saslprep("x\u0221"), undefined);
    assert.equal(saslprep("\u{1f600}"), undefined);
  });

  it("leaves passwords alone that it does not apply to", () => {
    const kept = [ascii("plain"), ascii("a\x07b"), hex("ff fe"), encodeUtf8("\u{1f600}"), new Uint8Array(0)];
    for (const password of kept) assert.deepEqual(preparePassword(password), password);
    assert.deepEqual(preparePassword(encodeUtf8("gr\u00f6\u00dfe\u00ad\u2168")), encodeUtf8("gr\u00f6\u00dfeIX"));
  });
});

describe("md5", () => {
  it("is the server's: both rounds over what it says", () => {
    const md5 = (text: string | Buffer): string => createHash("md5").update(text).digest("hex");
    const expected = md5(Buffer.concat([Buffer.from(md5("secretuser")), Buffer.from([1, 2, 3, 4])]));
    assert.equal(encodeMd5Password("user", ascii("secret"), hex("01020304")), `md5${expected}`);
  });
});

describe("tls-server-end-point", () => {
  const digest = (name: string, der: Uint8Array): Buffer => createHash(name).update(der).digest();

  it("is the digest that the certificate was signed with, and none where that has no name", {
    timeout: 60_000,
  }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "querycop-binding-"));
    const make = async (name: string, ...options: string[]): Promise<Buffer> => {
      const file = join(folder, `${name}.pem`);
      const key = ["-nodes", "-keyout", join(folder, `${name}.key`), "-out", file];
      await runChecked("openssl", ["req", "-x509", "-subj", "/CN=x", ...key, ...options]);
      return new X509Certificate(readFileSync(file)).raw;
    };
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    try {
      const sha256 = await make("sha256", ...ec, "-sha256");
      assert.deepEqual(tlsServerEndPoint(sha256), digest("sha256", sha256));
      const sha1 = await make("sha1", ...ec, "-sha1");
      assert.deepEqual(tlsServerEndPoint(sha1), digest("sha256", sha1));
      const sha384 = await make("sha384", ...ec, "-sha384");
      assert.deepEqual(tlsServerEndPoint(sha384), digest("sha384", sha384));
      const sha512 = await make("sha512", "-newkey", "rsa:2048", "-sha512");
      assert.deepEqual(tlsServerEndPoint(sha512), digest("sha512", sha512));
      assert.equal(tlsServerEndPoint(await make("ed25519", "-newkey", "ed25519")), undefined);
      for (let end = 0; end < 40; end++) assert.equal(tlsServerEndPoint(sha256.subarray(0, end)), undefined);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("is nothing for what is no certificate", () => {
    for (const bytes of ["", "30", "30 84 ff ff ff ff", "30 89 01", "31 00", "30 02 30 00"]) {
      assert.equal(tlsServerEndPoint(hex(bytes)), undefined);
    }
  });
});
