/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as PostgreSQL has them (manual, page sasl-authentication;
 * auth-scram.c, fe-auth-scram.c): the user's name is the startup message's, the one in the exchange counts for nothing.
 */

import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";
import { decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import { ClientMessageError } from "./error-states.ts";
import { preparePassword } from "./saslprep.ts";

export const SCRAM_SHA_256 = "SCRAM-SHA-256";
export const SCRAM_SHA_256_PLUS = "SCRAM-SHA-256-PLUS";
export type ScramMechanism = typeof SCRAM_SHA_256 | typeof SCRAM_SHA_256_PLUS;

const KEY_BYTES = 32;
const SALT_BYTES = 16;
const SALT_BYTES_MAX = 1024;
const NONCE_BYTES = 18;
/** PG_MAX_SASL_MESSAGE_LENGTH. */
const MESSAGE_BYTES_MAX = 1024;
const ITERATIONS_DEFAULT = 4096;
/** SAFETY: a server says how much its clients compute; servers take any number, we do not. */
const ITERATIONS_MAX = 100_000;

/** What a server keeps of a password, as it stands in pg_authid and in `ALTER ROLE … PASSWORD`. */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const hmac = (key: Uint8Array, text: string): Buffer => createHmac("sha256", key).update(text).digest();
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** Undefined for text that is not Base64 in full, in its one form. */
function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  return text !== "" && bytes.toString("base64") === text ? bytes : undefined;
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return Uint8Array.from(a, (byte, index) => byte ^ (b[index] as number));
}

/** `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`; undefined for text of another shape and above 100,000 iterations. */
export function parseScramVerifier(text: string): ScramVerifier | undefined {
  const [scheme, cost, keys, ...more] = text.split("$");
  if (scheme !== SCRAM_SHA_256 || more.length > 0) return undefined;
  const [iterationText = "", saltText = "", ...moreCost] = (cost ?? "").split(":");
  const [storedText = "", serverText = "", ...moreKeys] = (keys ?? "").split(":");
  const iterations = parseIterations(iterationText);
  const salt = decodeBase64(saltText);
  const storedKey = decodeBase64(storedText);
  const serverKey = decodeBase64(serverText);
  if (iterations === undefined || moreCost.length + moreKeys.length > 0) return undefined;
  if (salt === undefined || salt.length > SALT_BYTES_MAX) return undefined;
  if (storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) return undefined;
  return { iterations, salt, storedKey, serverKey };
}

function parseIterations(text: string): number | undefined {
  const iterations = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  return iterations >= 1 && iterations <= ITERATIONS_MAX ? iterations : undefined;
}

export function formatScramVerifier({ iterations, salt, storedKey, serverKey }: ScramVerifier): string {
  return `${SCRAM_SHA_256}$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;
}

/** A verifier with a salt of its own. Takes some milliseconds. */
export function makeScramVerifier(
  password: Uint8Array,
  salt: Uint8Array = randomBytes(SALT_BYTES),
  iterations = ITERATIONS_DEFAULT,
): ScramVerifier {
  const salted = saltPassword(password, salt, iterations);
  const verifier = {
    iterations,
    salt,
    storedKey: sha256(hmac(salted, "Client Key")),
    serverKey: hmac(salted, "Server Key"),
  };
  salted.fill(0);
  return verifier;
}

function saltPassword(password: Uint8Array, salt: Uint8Array, iterations: number): Buffer {
  return pbkdf2Sync(preparePassword(password), salt, iterations, KEY_BYTES, "sha256");
}

/**
 * For a name that has no verifier: no proof fits it, and its salt is the same whenever the name is tried, so that nobody
 * learns which names there are. `secret` must be the same for as long as that is to hold.
 */
export function mockScramVerifier(secret: Uint8Array, user: string, iterations = ITERATIONS_DEFAULT): ScramVerifier {
  const salt = hmac(secret, user).subarray(0, SALT_BYTES);
  return { iterations, salt, storedKey: randomBytes(KEY_BYTES), serverKey: randomBytes(KEY_BYTES) };
}

function refuseMessage(messageState: string, problem: string): never {
  throw new ClientMessageError("QC_CLIENT_PROTOCOL", messageState, `Cannot go on with SCRAM: ${problem}`);
}

function refuseLogin(problem: string, messageState: string): never {
  throw new ClientMessageError("QC_AUTH_REFUSED", messageState, `Cannot log the client in with SCRAM: ${problem}`);
}

/** `x=value` of each part between commas. Anything but printable ASCII without commas is refused by the patterns. */
const CLIENT_FIRST =
  /^(n|y|p=[A-Za-z0-9.-]{1,64}),(a=[^,]*)?,(n=[^,]*),r=([\x21-\x2b\x2d-\x7e]+)((?:,[A-Za-z]=[^,]*)*)$/;
const CLIENT_FINAL = /^(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*),p=([A-Za-z0-9+/=]+)$/;
const SERVER_FIRST = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([0-9]{1,9})(?:,[A-Za-z]=[^,]*)*$/;

/** The text of a message, refused where it is long or no ASCII (no SCRAM of PostgreSQL's needs more). */
function textOf(message: Uint8Array): string {
  if (message.length > MESSAGE_BYTES_MAX) refuseMessage("08P01", `a message of ${message.length} bytes`);
  const text = decodeUtf8(message);
  if (text === undefined || text.includes("\0")) refuseMessage("08P01", "a message that is no text");
  return text;
}

export interface ScramServerOptions {
  readonly verifier: ScramVerifier;
  /** Of tlsServerEndPoint() for our certificate; undefined without TLS, and then -PLUS is not offered. */
  readonly channelBinding: Uint8Array | undefined;
  /** For tests; else random. */
  readonly nonce?: string;
}

/** What the client's proof has shown. */
export interface ProvedLogin {
  /** To be sent as AuthenticationSASLFinal. */
  readonly serverFinal: Uint8Array;
  /** Logs in to whoever keeps the same verifier: to be forgotten as soon as that is done. */
  readonly clientKey: Uint8Array;
}

/** The mechanisms for an AuthenticationSASL, in the order of a server. */
export function offeredMechanisms(channelBinding: Uint8Array | undefined): ScramMechanism[] {
  return channelBinding === undefined ? [SCRAM_SHA_256] : [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
}

/** The server's side of one exchange. Throws ClientMessageError; of no use after that. */
export class ScramServer {
  readonly #options: ScramServerOptions;
  readonly #ownNonce: string;
  #nonce = "";
  #bindingText = "";
  #authMessage = "";

  constructor(options: ScramServerOptions) {
    this.#options = options;
    this.#ownNonce = options.nonce ?? base64(randomBytes(NONCE_BYTES));
  }

  /** What goes into the AuthenticationSASLContinue. */
  first(mechanism: string, clientFirst: Uint8Array): Uint8Array {
    const { channelBinding, verifier } = this.#options;
    if (!offeredMechanisms(channelBinding).some((offered) => offered === mechanism)) {
      refuseMessage("08P01", "the client chose a mechanism that was not offered");
    }
    const text = textOf(clientFirst);
    const match = CLIENT_FIRST.exec(text);
    if (match === null) refuseMessage(/^[nyp][^,]*,[^,]*,m=/.test(text) ? "0A000" : "08P01", "malformed first message");
    const [, flag = "", identity, name = "", clientNonce = "", extensions = ""] = match;
    if (identity !== undefined) refuseMessage("0A000", "the client asks for an authorization identity");
    this.#bindingText = this.#checkBinding(flag, mechanism === SCRAM_SHA_256_PLUS);
    this.#nonce = clientNonce + this.#ownNonce;
    const serverFirst = `r=${this.#nonce},s=${base64(verifier.salt)},i=${verifier.iterations}`;
    this.#authMessage = `${name},r=${clientNonce}${extensions},${serverFirst}`;
    return encodeUtf8(serverFirst);
  }

  /** What `c=` must hold in the final message. */
  #checkBinding(flag: string, isPlus: boolean): string {
    const { channelBinding } = this.#options;
    const header = encodeUtf8(`${flag},,`);
    if (!flag.startsWith("p=")) {
      if (isPlus) refuseMessage("08P01", "the client chose -PLUS and sent no channel binding");
      // It would have bound, had somebody not taken -PLUS out of the list on its way.
      if (flag === "y" && channelBinding !== undefined) refuseLogin("channel binding negotiation error", "28000");
      return base64(header);
    }
    if (!isPlus || channelBinding === undefined) refuseMessage("08P01", "channel binding without -PLUS");
    if (flag !== "p=tls-server-end-point") refuseMessage("08P01", "a channel binding other than tls-server-end-point");
    return base64(Buffer.concat([header, channelBinding]));
  }

  /** Checks the proof. Refused with 28P01 if it does not fit, with 28000 if the client speaks TLS with somebody else. */
  final(clientFinal: Uint8Array): ProvedLogin {
    const { verifier, channelBinding } = this.#options;
    const match = CLIENT_FINAL.exec(textOf(clientFinal));
    if (match === null || this.#authMessage === "") refuseMessage("08P01", "malformed final message");
    const [, withoutProof = "", binding = "", nonce = "", proofText = ""] = match;
    if (binding !== this.#bindingText) {
      if (channelBinding === undefined) refuseMessage("08P01", "another channel binding than at first");
      refuseLogin("channel binding check failed", "28000");
    }
    if (nonce !== this.#nonce) refuseMessage("08P01", "another nonce than at first");
    const proof = decodeBase64(proofText);
    if (proof?.length !== KEY_BYTES) refuseMessage("08P01", "malformed proof");
    const authMessage = `${this.#authMessage},${withoutProof}`;
    const clientKey = xor(proof, hmac(verifier.storedKey, authMessage));
    if (!timingSafeEqual(sha256(clientKey), verifier.storedKey)) refuseLogin("the password does not fit", "28P01");
    return { serverFinal: encodeUtf8(`v=${base64(hmac(verifier.serverKey, authMessage))}`), clientKey };
  }
}

/** What to log in with: a password, or the keys that a client's own login has shown. */
export type ScramSecret =
  | { readonly password: Uint8Array }
  /** The backend must keep the very verifier that the client was checked against. */
  | { readonly clientKey: Uint8Array; readonly verifier: ScramVerifier };

export interface ScramClientOptions {
  readonly secret: ScramSecret;
  /** As offered by the backend. */
  readonly mechanisms: readonly string[];
  /** Of tlsServerEndPoint() for the backend's certificate; undefined without TLS or where there is none. */
  readonly channelBinding: Uint8Array | undefined;
  readonly nonce?: string;
}

function refuseBackend(problem: string): never {
  throw new QuerycopError("QC_BACKEND_REFUSED", `Cannot log in to the backend with SCRAM: ${problem}`, {
    clientMessage: "querycop: login to the database failed",
  });
}

/** The client's side of one exchange, with -PLUS wherever both ends can. Throws QC_BACKEND_REFUSED; of no use after that. */
export class ScramClient {
  readonly mechanism: ScramMechanism;
  readonly #options: ScramClientOptions;
  readonly #nonce: string;
  readonly #flag: string;
  #serverKey: Uint8Array = new Uint8Array(0);
  #authMessage = "";

  constructor(options: ScramClientOptions) {
    const { mechanisms, channelBinding } = options;
    const isPlus = channelBinding !== undefined && mechanisms.includes(SCRAM_SHA_256_PLUS);
    if (!isPlus && !mechanisms.includes(SCRAM_SHA_256))
      refuseBackend("it offers no SCRAM-SHA-256 that fits the connection");
    this.#options = options;
    this.mechanism = isPlus ? SCRAM_SHA_256_PLUS : SCRAM_SHA_256;
    // "y" lets a server find out that -PLUS was taken out of its list on the way.
    this.#flag = isPlus ? "p=tls-server-end-point" : channelBinding === undefined ? "n" : "y";
    this.#nonce = options.nonce ?? base64(randomBytes(NONCE_BYTES));
  }

  /** What goes into the SASLInitialResponse. */
  first(): Uint8Array {
    return encodeUtf8(`${this.#flag},,n=,r=${this.#nonce}`);
  }

  /** What goes into the SASLResponse. Takes milliseconds where the secret is a password. */
  final(serverFirst: Uint8Array): Uint8Array {
    const text = serverFirst.length <= MESSAGE_BYTES_MAX ? decodeUtf8(serverFirst) : undefined;
    const match = SERVER_FIRST.exec(text ?? "");
    if (match === null) refuseBackend("its first message is malformed");
    const [, nonce = "", saltText = "", iterationText = ""] = match;
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length)
      refuseBackend("its nonce is not ours continued");
    const salt = decodeBase64(saltText);
    const iterations = parseIterations(iterationText);
    if (salt === undefined) refuseBackend("its salt is malformed");
    if (iterations === undefined)
      refuseBackend(`it asks for ${iterationText} iterations, at most ${ITERATIONS_MAX} are done`);
    const clientKey = this.#keys(salt, iterations);
    const binding = Buffer.concat([encodeUtf8(`${this.#flag},,`), this.#boundBytes()]);
    const withoutProof = `c=${base64(binding)},r=${nonce}`;
    this.#authMessage = `n=,r=${this.#nonce},${text},${withoutProof}`;
    const proof = xor(clientKey, hmac(sha256(clientKey), this.#authMessage));
    return encodeUtf8(`${withoutProof},p=${base64(proof)}`);
  }

  #boundBytes(): Uint8Array {
    const { channelBinding } = this.#options;
    return this.mechanism === SCRAM_SHA_256_PLUS && channelBinding !== undefined ? channelBinding : new Uint8Array(0);
  }

  #keys(salt: Uint8Array, iterations: number): Uint8Array {
    const { secret } = this.#options;
    if ("password" in secret) {
      const salted = saltPassword(secret.password, salt, iterations);
      this.#serverKey = hmac(salted, "Server Key");
      const clientKey = hmac(salted, "Client Key");
      salted.fill(0);
      return clientKey;
    }
    const { verifier, clientKey } = secret;
    if (iterations !== verifier.iterations || base64(salt) !== base64(verifier.salt)) {
      refuseBackend(
        "its verifier for this user is another than ours: set the role's password to the verifier of the users file",
      );
    }
    this.#serverKey = verifier.serverKey;
    return clientKey;
  }

  /** Checks that the backend knows the password too. */
  checkServerFinal(serverFinal: Uint8Array): void {
    const text = serverFinal.length <= MESSAGE_BYTES_MAX ? decodeUtf8(serverFinal) : undefined;
    const [first = ""] = (text ?? "").split(",");
    const signature = first.startsWith("v=") ? decodeBase64(first.slice(2)) : undefined;
    const isExpected = this.#authMessage !== "" && signature?.length === KEY_BYTES;
    if (isExpected && timingSafeEqual(signature, hmac(this.#serverKey, this.#authMessage))) return;
    refuseBackend("it does not prove that it knows the password");
  }
}
