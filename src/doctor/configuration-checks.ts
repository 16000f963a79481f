/** Checks of what was configured: the settings themselves, and the files they name. */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { counted } from "../base/counted.ts";
import { othersMay, WORLD_READABLE } from "../base/file-mode.ts";
import { isLoopbackHost } from "../config/rules.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { daysLeft, describeTime, LEAF_DAYS_MIN, namesOf } from "./certificates.ts";
import { type Finding, fail, type ListenerCheck, ok, type ProcessCheck, remedy, skip, warn } from "./check.ts";
import type { CheckResult } from "./report.ts";
import { shellWord } from "./shell-words.ts";

export const configLoad: ProcessCheck = {
  id: "config.load",
  scope: "process",
  title: "The configuration loads",
  about:
    "Loads options, environment and file exactly as `querycop serve` does, and opens what a start opens. Fails with every problem at once, and all other checks are then skipped; warns with every warning that no other check looks into. Credentials that systemd hands to the service alone are read where `CREDENTIALS_DIRECTORY` says: the remedy names the command that runs doctor with them.",
  needs: [],
  run: async ({ config, warnings, host }) => {
    const problems = (host.startProblems ?? []).filter((problem) => !hasOwnCheck(problem));
    if (problems.length > 0) return problemsFinding(problems);
    const source = config.file ?? "options and environment";
    const count = config.listeners.length;
    const listeners = counted(count, "listener");
    const own = warnings.filter((warning) => !hasOwnWarning(warning));
    if (own.length === 0) return ok(`${source}: ${listeners}`);
    return warn(
      [`${source}: ${listeners}, ${own.length} to look at`, ...own].join("\n"),
      remedy("config.load", "Change the settings that the lines above name.", "querycop config"),
    );
  },
};

/** What config.load says when there is no configuration to check anything else by. */
export function configProblems(problems: readonly string[]): CheckResult {
  const { id, title } = configLoad;
  return { id, title, ...problemsFinding(problems) };
}

/** policy.lint and audit.disk say more about these. */
function hasOwnCheck(problem: string): boolean {
  return /^(?:policy\.file|GATEKEEPER_POLICY_FILE): is refused|^(?:audit\.file|GATEKEEPER_AUDIT_FILE): cannot write/.test(
    problem,
  );
}

/** backend.tls and config.files say more about these: what the mode leaves open, and which file who may read. */
function hasOwnWarning(warning: string): boolean {
  return (
    /(?:backend\.tls_mode|BACKEND_TLS_MODE): (?:prefer|require|disable|verify-ca) /.test(warning) ||
    /(?:tls_key|tls_client_key|users_file|TLS_KEY|TLS_CLIENT_KEY|USERS_FILE): \S+ is readable by everyone/.test(warning)
  );
}

/** Where systemd puts what LoadCredential= names; only the service may read there. */
const CREDENTIALS = /\/run\/credentials\/[^/\s]+\/([\w.-]+)/;

function problemsFinding(problems: readonly string[]): Finding {
  const detail = [counted(problems.length, "problem"), ...problems].join("\n");
  const names = new Set(problems.map((problem) => CREDENTIALS.exec(problem)?.[1]).filter((name) => name !== undefined));
  if (names.size === 0) {
    return fail(detail, remedy("config.load", "Correct the settings that the lines above name.", "querycop config"));
  }
  const handedOver = [...names].map((name) => `--property=LoadCredential=${name}:/etc/querycop/${name}`).join(" ");
  return fail(
    detail,
    remedy(
      "config.load",
      "systemd hands these files to the service alone. Run doctor with the LoadCredential= lines of the unit.",
      `systemd-run --pipe --wait --collect ${handedOver} querycop doctor`,
    ),
  );
}

export const configFiles: ListenerCheck = {
  id: "config.files",
  scope: "listener",
  onPostgres: "same",
  title: "The files it names can be read",
  about:
    "Certificates, keys, CA bundles, the users file and the policy: each must exist and be readable for the user doctor runs as. Run doctor as the user of the service. Warns about a private key or users file that everybody may read.",
  needs: ["config.load"],
  run: async ({ config, listener }) => {
    const files = [
      ["backend.tls_ca_file", listener.backend.tlsCaFile, false],
      ["backend.tls_client_cert", listener.backend.tlsClientCert, false],
      ["backend.tls_client_key", listener.backend.tlsClientKey, true],
      ["backend.public_key_file", listener.backend.publicKeyFile, false],
      ["proxy.tls_cert", listener.proxy.tlsCert, false],
      ["proxy.tls_key", listener.proxy.tlsKey, true],
      ["proxy.tls_client_ca", listener.proxy.tlsClientCa, false],
      ["users_file", listener.usersFile, true],
      ["policy.file", config.policy.file, false],
    ] as const;
    const named = files.flatMap(([key, path, isSecret]) => (path === undefined ? [] : [{ key, path, isSecret }]));
    if (named.length === 0) return ok("no files are named");
    const broken = named.filter(({ path }) => !isReadable(path));
    if (broken.length > 0) {
      return fail(
        broken.map(({ key, path }) => `${key}: cannot read ${path}`).join("\n"),
        remedy(
          "config.files",
          "Make the files readable for the user querycop runs as.",
          `ls -l ${shellWord(broken[0]?.path ?? "")}`,
        ),
      );
    }
    const open = named.filter(({ path, isSecret }) => isSecret && othersMay(statSync(path).mode, WORLD_READABLE));
    if (open.length === 0) return ok(named.map(({ path }) => path).join(", "));
    return warn(
      open.map(({ key, path }) => `${key}: everybody may read ${path}`).join("\n"),
      remedy(
        "config.files",
        "Take the right to read away from others.",
        ...open.map(({ path }) => `chmod o-r ${shellWord(path)}`),
      ),
    );
  },
};

function isReadable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

export const clientCertificate: ListenerCheck = {
  id: "client.certificate",
  scope: "listener",
  onPostgres: "same",
  title: "The certificate shown to clients is in order",
  about: `Days left of \`proxy.tls_cert\` (warns below ${LEAF_DAYS_MIN}, fails when expired) and whether clients can verify it. Without one querycop shows a certificate that it makes at each start: enough for clients that do not verify. MariaDB 11.4 and newer clients verify unless told not to, and end with \`ERROR 2026\`; they take a certificate nobody vouches for at the address 127.0.0.1, or with \`client_auth: password\` and mysql_native_password hashes, by which they verify it. Clients of PostgreSQL verify with sslmode verify-ca and verify-full only.`,
  needs: ["config.files"],
  run: async ({ listener, host }) => {
    if (listener.proxy.tlsCert === undefined) return judgeMissingCertificate(listener);
    const certificate = new X509Certificate(readFileSync(listener.proxy.tlsCert));
    return judgeClientCertificate(certificate, listener, host.nowMs());
  },
};

/** Who looks at the certificate, and what they do. */
const VERIFYING_CLIENTS = {
  mysql: {
    off: "MariaDB 11.4 and newer need --skip-ssl",
    selfMade: "MariaDB 11.4 and newer end with ERROR 2026 unless told not to verify",
    selfSigned: "MariaDB 11.4 and newer clients will end with ERROR 2026",
    caOption: "--ssl-ca",
  },
  postgresql: {
    off: "those with sslmode=require are refused",
    selfMade: "those with sslmode=verify-ca or verify-full do not connect",
    selfSigned: "clients with sslmode=verify-full do not connect unless it is their root",
    caOption: "sslrootcert",
  },
} as const;

const verifyingClients = ({ engine }: ListenerConfig["backend"]) =>
  VERIFYING_CLIENTS[engine === "mysql" ? "mysql" : "postgresql"];

function judgeMissingCertificate({ proxy, listen, backend }: ListenerConfig): Finding {
  if (listen.socket !== undefined) return skip("a unix socket needs none");
  const isOff = proxy.tlsMode === "off";
  const { off, selfMade } = verifyingClients(backend);
  const about = isOff
    ? `proxy.tls_mode is off: clients are served in plaintext, ${off}`
    : "made by querycop at start: no client can verify it";
  if (isLoopbackHost(listen.host)) return ok(about);
  return warn(
    isOff ? about : `${about}, ${selfMade}`,
    remedy(
      "client.certificate",
      "Set proxy.tls_cert and proxy.tls_key to a certificate of a CA that clients are given.",
    ),
  );
}

function judgeClientCertificate(
  certificate: X509Certificate,
  { proxy, backend }: ListenerConfig,
  nowMs: number,
): Finding {
  const path = proxy.tlsCert ?? "";
  const days = daysLeft(certificate, nowMs);
  const about = `${namesOf(certificate)}, ${describeTime(certificate, nowMs)}`;
  const renew = remedy(
    "client.certificate",
    `Put a renewed certificate and its key in place of ${path}.`,
    `openssl x509 -in ${shellWord(path)} -noout -subject -issuer -dates`,
  );
  if (days < 0) return fail(about, renew);
  if (days < LEAF_DAYS_MIN) return warn(about, renew);
  if (certificate.subject === certificate.issuer) {
    const { selfSigned, caOption } = verifyingClients(backend);
    return warn(
      `${about}, self-signed: ${selfSigned}`,
      remedy("client.certificate", `Use a certificate signed by a CA that the clients are given with ${caOption}.`),
    );
  }
  return ok(about);
}
