/** The files of a listener that are read again while it runs: certificates, CA bundles, users. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Logger } from "../base/log.ts";
import { readAdminKey } from "../config/api-rules.ts";
import { loadApproversFile } from "../config/approvers-file.ts";
import { checkCertificatePair, notAfterSeconds, problemOfCaFile, problemOfPublicKeyFile } from "../config/pem-files.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import { loadUsersFile } from "../config/users-file.ts";
import { parsePublicKey } from "../session/accounts/local-key.ts";
import type { ListenerOptions } from "../session/listener-options.ts";
import { backendTlsOptions, clientTlsOptions } from "./listener-setup.ts";
import type { AdminServer, ReloadOutcome } from "./operations.ts";

/** Files that are read and replaced together. */
export class LiveFiles {
  readonly what: string;
  readonly paths: readonly string[];
  readonly #replace: () => readonly string[];
  #inForce: string | undefined;

  /** `replace` takes the files' content into force, or changes nothing and returns what is wrong with it. */
  constructor(what: string, paths: readonly (string | undefined)[], replace: () => readonly string[]) {
    this.what = what;
    this.paths = paths.filter((path) => path !== undefined);
    this.#replace = replace;
    this.#inForce = fingerprint(this.paths);
  }

  reload(): ReloadOutcome {
    const { what } = this;
    const found = fingerprint(this.paths);
    if (found !== undefined && found === this.#inForce) return { what, outcome: "unchanged" };
    const problems = this.#tryReplace();
    if (problems.length > 0) return { what, outcome: "refused", problems: problems.join("\n") };
    this.#inForce = found;
    return { what, outcome: "replaced" };
  }

  #tryReplace(): readonly string[] {
    try {
      return this.#replace();
    } catch (thrown) {
      return [`${this.what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`];
    }
  }
}

/** undefined when one of them cannot be read. */
function fingerprint(paths: readonly string[]): string | undefined {
  try {
    const hash = createHash("sha256");
    for (const path of paths) {
      const content = readFileSync(path);
      hash.update(`${content.length}\n`).update(content);
    }
    return hash.digest("hex");
  } catch {
    return undefined;
  }
}

/** The keys of the admin API; undefined where none is in a file. */
export function liveKeysOf(config: Config, admin: AdminServer): LiveFiles | undefined {
  const { adminKeyFile } = config;
  const { approversFile } = config.api;
  if (adminKeyFile === undefined && approversFile === undefined) return undefined;
  return new LiveFiles("keys of the admin API", [adminKeyFile, approversFile], () => {
    const key = adminKeyFile === undefined ? { key: config.adminApiKey } : readAdminKey(adminKeyFile);
    const approvers = approversFile === undefined ? { approvers: [] } : loadApproversFile(approversFile);
    if ("problem" in key) return [key.problem];
    if ("problems" in approvers) return approvers.problems;
    admin.replaceKeys(key.key, approvers.approvers);
    return [];
  });
}

/** The certificate of the admin API; undefined where it speaks no HTTPS or only to this machine's unix socket. */
export function liveAdminTlsOf({ api }: Config, admin: AdminServer, logger: Logger): LiveFiles | undefined {
  const { tlsCert, tlsKey } = api;
  if (tlsCert === undefined || tlsKey === undefined || api.socket !== undefined) return undefined;
  return new LiveFiles("certificate of the admin API", [tlsCert, tlsKey], () => {
    const problems = pairProblems(tlsCert, tlsKey);
    if (problems.length > 0) return problems;
    const tls = { cert: readFileSync(tlsCert, "latin1"), key: readFileSync(tlsKey, "latin1") };
    admin.replaceTls(tls).catch((thrown: unknown) => {
      logger.error("the admin API is gone", { error: thrown instanceof Error ? thrown.message : String(thrown) });
    });
    return [];
  });
}

/** What of a listener can be replaced: new sessions use the new files, running ones keep what they began with. */
export function liveFilesOf(config: ListenerConfig, options: ListenerOptions): readonly LiveFiles[] {
  const { backend, proxy, name } = config;
  const live: LiveFiles[] = [];
  const { clientTls, users } = options;
  if (clientTls !== undefined && proxy.tlsCert !== undefined) {
    const paths = [proxy.tlsCert, proxy.tlsKey, proxy.tlsClientCa];
    live.push(new LiveFiles(`client certificate of ${name}`, paths, () => replaceClientTls(config, clientTls)));
  }
  const backendPaths = [backend.tlsCaFile, backend.tlsClientCert, backend.tlsClientKey];
  if (backendPaths.some((path) => path !== undefined)) {
    const replace = (): readonly string[] => replaceBackendTls(config, options.backend.tls);
    live.push(new LiveFiles(`backend certificates of ${name}`, backendPaths, replace));
  }
  const { publicKeyFile } = backend;
  if (publicKeyFile !== undefined) {
    const replace = (): readonly string[] => {
      const problem = problemOfPublicKeyFile(publicKeyFile);
      if (problem !== undefined) return [problem];
      options.backend.publicKey = parsePublicKey(readFileSync(publicKeyFile, "latin1"));
      return [];
    };
    live.push(new LiveFiles(`public key of the backend of ${name}`, [publicKeyFile], replace));
  }
  const { usersFile } = config;
  if (users !== undefined && usersFile !== undefined) {
    const replace = (): readonly string[] => {
      const read = loadUsersFile(usersFile);
      if ("problems" in read) return read.problems;
      users.reload(read.users);
      return [];
    };
    live.push(new LiveFiles(`users of ${name}`, [usersFile], replace));
  }
  return live;
}

function replaceClientTls(config: ListenerConfig, tls: NonNullable<ListenerOptions["clientTls"]>): readonly string[] {
  const { tlsCert, tlsKey, tlsClientCa } = config.proxy;
  const problems = [...pairProblems(tlsCert, tlsKey), ...caProblems(tlsClientCa)];
  const material = clientTlsOptions(config);
  if (problems.length === 0 && material !== undefined) tls.reload(material);
  return problems;
}

function replaceBackendTls({ backend }: ListenerConfig, tls: ListenerOptions["backend"]["tls"]): readonly string[] {
  const problems = [...caProblems(backend.tlsCaFile), ...pairProblems(backend.tlsClientCert, backend.tlsClientKey)];
  if (problems.length === 0) tls.reload(backendTlsOptions(backend));
  return problems;
}

function pairProblems(cert: string | undefined, key: string | undefined): readonly string[] {
  if (cert === undefined || key === undefined) return [];
  const { certProblem, keyProblem } = checkCertificatePair(cert, key);
  return [certProblem, keyProblem].filter((problem) => problem !== undefined);
}

function caProblems(path: string | undefined): readonly string[] {
  const problem = path === undefined ? undefined : problemOfCaFile(path);
  return problem === undefined ? [] : [problem];
}

/** When the first certificate in use ends, for each leg that has one; in seconds since 1970. */
export function certificateEnds(listeners: readonly ListenerConfig[]): {
  readonly client: number;
  readonly backendCa: number;
} {
  const first = (all: readonly number[]): number => (all.length === 0 ? 0 : Math.min(...all));
  const ends = (path: string | undefined): readonly number[] => {
    try {
      return path === undefined ? [] : notAfterSeconds(readFileSync(path, "latin1"));
    } catch {
      return [];
    }
  };
  return {
    client: first(listeners.flatMap(({ proxy }) => ends(proxy.tlsCert).slice(0, 1))),
    backendCa: first(listeners.flatMap(({ backend }) => ends(backend.tlsCaFile))),
  };
}
