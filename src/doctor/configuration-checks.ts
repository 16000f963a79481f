/** Checks of what was configured: the settings themselves, and the files they name. */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { daysLeft, describeTime, LEAF_DAYS_MIN, namesOf } from "./certificates.ts";
import { type Finding, fail, type ListenerCheck, ok, type ProcessCheck, remedy, skip, warn } from "./check.ts";
import type { CheckResult } from "./report.ts";
import { shellWord } from "./shell-words.ts";

export const configLoad: ProcessCheck = {
  id: "config.load",
  scope: "process",
  title: "The configuration loads",
  about:
    "Loads options, environment and file exactly as `querycop serve` does. Fails with every problem at once, and all other checks are then skipped; warns with every warning.",
  needs: [],
  run: async ({ config, warnings }) => {
    const source = config.file ?? "options and environment";
    const count = config.listeners.length;
    const listeners = `${count} ${count === 1 ? "listener" : "listeners"}`;
    if (warnings.length === 0) return ok(`${source}: ${listeners}`);
    return warn(
      [`${source}: ${listeners}, ${warnings.length} to look at`, ...warnings].join("\n"),
      remedy("config.load", "Change the settings that the lines above name.", "querycop config"),
    );
  },
};

/** What config.load says when there is no configuration to check anything else by. */
export function configProblems(problems: readonly string[]): CheckResult {
  const { id, title } = configLoad;
  const detail = [`${problems.length} ${problems.length === 1 ? "problem" : "problems"}`, ...problems].join("\n");
  return {
    id,
    title,
    ...fail(detail, remedy(id, "Correct the settings that the lines above name.", "querycop config")),
  };
}

export const configFiles: ListenerCheck = {
  id: "config.files",
  scope: "listener",
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
    const open = named.filter(({ path, isSecret }) => isSecret && (statSync(path).mode & 0o004) !== 0);
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
  title: "The certificate shown to clients is in order",
  about: `Days left of \`proxy.tls_cert\` (warns below ${LEAF_DAYS_MIN}, fails when expired) and whether it is self-signed. MariaDB 11.4 and newer clients verify a self-signed certificate through the account's password, which no proxy can satisfy, and then end with \`ERROR 2026\`: they need a certificate of a CA they trust.`,
  needs: ["config.files"],
  run: async ({ listener, host }) => {
    if (listener.proxy.tlsCert === undefined) return skip("no proxy.tls_cert: clients are served in plaintext");
    const certificate = new X509Certificate(readFileSync(listener.proxy.tlsCert));
    return judgeClientCertificate(certificate, listener.proxy.tlsCert, host.nowMs());
  },
};

function judgeClientCertificate(certificate: X509Certificate, path: string, nowMs: number): Finding {
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
    return warn(
      `${about}, self-signed: MariaDB 11.4 and newer clients will end with ERROR 2026`,
      remedy("client.certificate", "Use a certificate signed by a CA that the clients are given with --ssl-ca."),
    );
  }
  return ok(about);
}
