/** What is packaged beside the executable, read by the programs it is meant for. Needs Debian packages, not root. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments, parse as parseYaml } from "yaml";
import { CONFIG_FILE_ENV } from "../../src/config/schema.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { buildDebianPackage } from "../../tools/debian-package.ts";
import { type RunResult, run, runChecked } from "../support/child.ts";
import { type DebianRoot, installRoot } from "../support/debian-root.ts";
import { startQuerycop } from "../support/querycop.ts";
import { pickPort } from "../support/servers.ts";
import { installSystemd } from "../support/systemd.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const EXECUTABLE = join(PROJECT, "dist/querycop");
const EXPOSURE_MAX = 1.5;

let readers: DebianRoot;
let systemd: DebianRoot;
let folder: string;

before(async () => {
  readers = await installRoot({
    name: "documents",
    suite: "bookworm",
    packages: ["zsh", "mandoc", "libpcre2-32-0", "libstdc++6", "libtinfo6"],
    alone: ["fish"],
  });
  systemd = await installSystemd();
  folder = mkdtempSync(join(tmpdir(), "querycop-packaging-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function runIn(root: DebianRoot, program: string, ...args: string[]): Promise<RunResult> {
  const line = root.command(program, args);
  return run(line.command, line.args, { cwd: folder });
}

async function printed(name: string, ...args: string[]): Promise<string> {
  const file = join(folder, name);
  writeFileSync(file, (await runChecked(EXECUTABLE, args)).stdout);
  return file;
}

test("querycop man is a manual page without faults", async () => {
  const page = await printed("querycop.1", "man");
  const { code, stdout } = await runIn(readers, "usr/bin/mandoc", "-T", "lint", "-W", "warning", page);
  // A date would differ with every build.
  const faults = stdout.split("\n").filter((line) => line !== "" && !line.includes("missing date"));
  assert.deepEqual(faults, [], `exit code ${code}`);
  const text = await runIn(readers, "usr/bin/mandoc", "-T", "utf8", page);
  assert.match(text.stdout.replaceAll(/.\u0008/g, ""), /--backend-tls-mode VALUE/);
});

/** The words a shell offers, by what stands before the cursor. */
const COMPLETIONS: readonly (readonly [line: string, offered: RegExp, not?: RegExp])[] = [
  ["querycop ser", /^serve service$/],
  ["querycop policy ", /\blint\b.*\btest\b/, /README|--/],
  ["querycop service pr", /^print$/],
  ["querycop doctor --str", /^--strict$/],
  ["querycop serve --backend-tls-mode ver", /^verify-ca verify-full$/],
  ["querycop --backend-tls-mo", /^--backend-tls-mode$/],
  ["querycop policy lint notes", /^notes\.yaml$/],
  ["querycop serve --config notes", /^notes\.yaml$/],
  ["querycop serve --backend-host no", /^$/],
];

function assertOffers(line: string, offered: RegExp, not: RegExp | undefined, words: readonly string[]): void {
  const text = [...words].sort().join(" ");
  assert.match(text, offered, line);
  if (not !== undefined) assert.doesNotMatch(text, not, line);
}

test("querycop completion bash completes in bash", async () => {
  const script = await printed("completion.bash", "completion", "bash");
  writeFileSync(join(folder, "notes.yaml"), "");
  const program = `source "$1"; read -ra COMP_WORDS <<<"$2"; if [[ $2 == *" " ]]; then COMP_WORDS+=(""); fi
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _querycop; printf '%s\\n' "\${COMPREPLY[@]}"`;
  for (const [line, offered, not] of COMPLETIONS) {
    const { stdout, stderr } = await run("bash", ["--norc", "-c", program, "bash", script, line], { cwd: folder });
    assert.equal(stderr, "");
    assertOffers(line, offered, not, stdout.trim().split("\n"));
  }
});

test("querycop completion fish completes in fish", async () => {
  const script = await printed("completion.fish", "completion", "fish");
  writeFileSync(join(folder, "notes.yaml"), "");
  for (const [line, offered, not] of COMPLETIONS) {
    const program = `source ${script}; complete -C '${line}'`;
    const { stdout, stderr } = await runIn(readers, "usr/bin/fish", "--no-config", "-c", program);
    assert.equal(stderr, "");
    const words = stdout.trim().split("\n");
    assertOffers(line, offered, not, words.map((word) => word.split("\t", 1)[0] ?? "").filter(Boolean));
  }
});

/** zsh completes with an editor only, so its functions are replaced by ones that tell what they were asked. */
test("querycop completion zsh is read by zsh, and offers what belongs to a command", async () => {
  const script = await printed("_querycop", "completion", "zsh");
  assert.equal((await runIn(readers, "bin/zsh", "-f", "-n", script)).stderr, "");
  const modules = `module_path=(${readers.path("usr/lib")}/*/zsh/*)`;
  const stubs = `${modules}; compdef() {}; _describe() { print -l \${(P)2} }; _arguments() { print -l -- $@ }`;
  const asked = async (...words: string[]): Promise<string> => {
    const program = `${stubs}; source ${script}; words=(${words.map((word) => `'${word}'`).join(" ")}); CURRENT=${words.length}; _querycop`;
    const { stdout, stderr } = await runIn(readers, "bin/zsh", "-f", "-c", program);
    assert.equal(stderr, "");
    return stdout;
  };
  assert.match(await asked("querycop", "do"), /^doctor:Check everything/m);
  assert.match(await asked("querycop", "service", ""), /^1:verb:\(print\)$/m);
  assert.match(
    await asked("querycop", "--backend"),
    /^--backend-tls-mode=\[.*\]:value:\(disable prefer require verify-ca verify-full\)$/m,
  );
  assert.match(await asked("querycop", "check-config", ""), /^--config=\[Configuration file\]:file:_files$/m);
});

test("the systemd units are valid", async () => {
  const units = join(folder, "units");
  mkdirSync(units);
  const paths = ["--executable", EXECUTABLE];
  const service = await printed("units/querycop.service", "service", "print", ...paths);
  const socket = await printed("units/querycop.socket", "service", "print", "--socket");
  const options = ["--man=no", "--recursive-errors=no"];
  const good = await runIn(systemd, "usr/bin/systemd-analyze", "verify", ...options, service, socket);
  assert.equal(`${good.code} ${good.stderr}`, "0 ");
  writeFileSync(service, readFileSync(service, "utf8").replace("ProtectSystem=strict", "ProtectSystems=strict"));
  const bad = await runIn(systemd, "usr/bin/systemd-analyze", "verify", ...options, service);
  assert.match(bad.stderr, /Unknown key 'ProtectSystems'/);
});

test(`the service's exposure is at most ${EXPOSURE_MAX}`, async () => {
  const unit = join(PROJECT, "packaging/querycop.service");
  const args = ["security", "--offline=true", "--no-pager", unit];
  const { code, stdout, stderr } = await runIn(systemd, "usr/bin/systemd-analyze", ...args);
  assert.equal(code, 0, stderr);
  const exposure = Number(/Overall exposure level for querycop\.service: ([0-9.]+)/.exec(stdout)?.[1]);
  assert.ok(exposure <= EXPOSURE_MAX, `${exposure}`);
});

const readText = (file: string): string => readFileSync(join(PROJECT, file), "utf8");

test("the Dockerfile copies only what is in the project or a release", () => {
  const lines = readText("packaging/Dockerfile").split("\n");
  const sources = lines.flatMap((line) => {
    const words = line.split(/\s+/).filter((word) => !word.startsWith("--"));
    return words[0] === "COPY" && !line.includes("--from=") ? words.slice(1, -1) : [];
  });
  assert.ok(sources.length >= 3);
  const released = readText("build.ts");
  for (const source of sources) {
    const target = /^dist\/querycop-(.*)$/.exec(source)?.[1];
    if (target === undefined) assert.ok(existsSync(join(PROJECT, source)), source);
    else assert.ok(released.includes(`name: "${target}"`), source);
  }
  const stages = new Set(lines.flatMap((line) => /^FROM .* AS (\S+)$/.exec(line)?.[1] ?? []));
  for (const [, stage = ""] of readText("packaging/Dockerfile").matchAll(/--from=(\S+)/g)) assert.ok(stages.has(stage));
});

const VARIABLES = new Set([CONFIG_FILE_ENV, ...SETTINGS.flatMap(({ metadata }) => metadata.env ?? [])]);

/** The environment as querycop would judge it, with files in the place of those that only exist in the container. */
async function assertLoads(env: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
  const local: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    assert.ok(VARIABLES.has(name), `${name} is a setting`);
    local[name] = value;
    if (!value.startsWith("/")) continue;
    const file = join(folder, "container", value);
    local[name] = file;
    if (name === "GATEKEEPER_AUDIT_FILE") {
      // The volume is there, what is in it is not.
      mkdirSync(dirname(dirname(file)), { recursive: true, mode: 0o755 });
      continue;
    }
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    if (!existsSync(file)) writeFileSync(file, await contentFor(name), { mode: 0o600 });
  }
  const { code, stderr } = await run(EXECUTABLE, ["check-config"], { env: local, cwd: "/" });
  assert.equal(code, 0, stderr);
  return local;
}

async function contentFor(name: string): Promise<string> {
  if (name === "GATEKEEPER_POLICY_FILE") return "version: 1\n";
  if (name === "GATEKEEPER_ADMIN_API_KEY_FILE") return "0123456789abcdef0123456789abcdef\n";
  if (name !== "GATEKEEPER_USERS_FILE") return readFileSync(await certificate(name.endsWith("_KEY")), "utf8");
  return (await runChecked(EXECUTABLE, ["hash-password", "--user", "app"], { input: "secret" })).stdout;
}

async function certificate(isKey: boolean): Promise<string> {
  const [key, cert] = [join(folder, "tls.key"), join(folder, "tls.crt")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=querycop"];
  if (!existsSync(cert)) await runChecked("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert]);
  return isKey ? key : cert;
}

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly build?: { readonly context: string; readonly dockerfile: string };
        readonly environment?: Readonly<Record<string, string>>;
        readonly volumes?: readonly string[];
      }
    >
  >;
  readonly volumes: Readonly<Record<string, unknown>>;
}

test("compose.yaml refers to what is there, and querycop accepts its settings", async () => {
  const packaging = join(PROJECT, "packaging");
  const { services, volumes } = parseYaml(readText("packaging/compose.yaml")) as Compose;
  const querycop = services["querycop"];
  assert.ok(querycop?.build && querycop.environment && querycop.volumes);
  assert.ok(existsSync(resolve(packaging, querycop.build.context, querycop.build.dockerfile)));
  for (const [source = ""] of querycop.volumes.map((volume) => volume.split(":"))) {
    assert.ok(source.startsWith(".") ? existsSync(resolve(packaging, source)) : source in volumes, source);
  }
  await assertLoads(querycop.environment);
});

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly template?: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
        readonly containers: readonly Container[];
      };
    };
  };
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly startupProbe: Probe;
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly scheme: string };
}

test("kubernetes.yaml refers to what it defines, and querycop accepts its settings", async () => {
  const documents = parseAllDocuments(readText("packaging/kubernetes.yaml"));
  for (const { errors } of documents) assert.deepEqual(errors, []);
  const manifests = documents.map((document) => document.toJS() as Manifest);
  const names = (kind: string): string[] =>
    manifests.filter((one) => one.kind === kind).map((one) => one.metadata.name);
  const pod = manifests.find(({ kind }) => kind === "Deployment")?.spec?.template?.spec;
  assert.ok(pod);
  assert.deepEqual(names("ServiceAccount"), [pod.serviceAccountName]);
  assert.deepEqual(
    names("ConfigMap"),
    pod.volumes.flatMap(({ configMap }) => configMap?.name ?? []),
  );
  const [container] = pod.containers;
  assert.ok(container);
  const mounts = container.volumeMounts.map(({ mountPath }) => mountPath);
  for (const { name } of container.volumeMounts) assert.ok(pod.volumes.some((volume) => volume.name === name));
  for (const { name, value } of container.env) {
    // The image brings one file: Amazon's roots.
    const isInImage = value === "/etc/ssl/certs/rds-global-bundle.pem";
    assert.ok(!value.startsWith("/") || isInImage || mounts.some((mount) => value.startsWith(`${mount}/`)), name);
  }
  const defaultPort = (env: string): string | undefined =>
    SETTINGS.find(({ metadata }) => metadata.env === env)?.defaultText;
  assert.deepEqual(
    container.ports.map(({ name, containerPort }) => `${name} ${containerPort}`),
    [`mysql ${defaultPort("GATEKEEPER_LISTEN_PORT")}`, `api ${defaultPort("GATEKEEPER_API_PORT")}`],
  );
  const env = await assertLoads(Object.fromEntries(container.env.map(({ name, value }) => [name, value])));
  const apiPort = await pickPort();
  const here = { GATEKEEPER_API_PORT: String(apiPort), GATEKEEPER_BACKEND_HOST: "127.0.0.1" };
  const backend = { GATEKEEPER_BACKEND_TLS_SERVER_NAME: env["GATEKEEPER_BACKEND_HOST"] };
  const querycop = await startQuerycop({ ...env, ...here, ...backend });
  try {
    // There is no backend here: alive, but not ready.
    const probes = [container.livenessProbe, container.startupProbe, container.readinessProbe];
    for (const { httpGet } of probes) assert.deepEqual([httpGet.port, httpGet.scheme], ["api", "HTTPS"]);
    const statuses = await Promise.all(probes.map(({ httpGet }) => probe(apiPort, httpGet.path)));
    assert.deepEqual(statuses, [200, 200, 503]);
  } finally {
    await querycop.stop();
  }
});

/** As kubelet asks: by the pod's address, and without a look at the certificate. */
function probe(port: number, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, headers: { host: "10.1.2.3:8080" }, rejectUnauthorized: false };
    get(options, (response) => resolve(response.resume().statusCode)).on("error", reject);
  });
}

test("the Debian package holds the executable unchanged, and what belongs to it", async () => {
  const { version } = JSON.parse(readText("package.json")) as { version: string };
  const output = join(folder, "querycop.deb");
  buildDebianPackage({
    executable: EXECUTABLE,
    version,
    arch: process.arch,
    epochSeconds: 1_700_000_000,
    level: 0,
    output,
  });
  const root = join(folder, "deb");
  await runChecked("dpkg-deb", ["-x", output, root]);
  const executable = join(root, "usr/bin/querycop");
  assert.ok(readFileSync(executable).equals(readFileSync(EXECUTABLE)));
  assert.match((await runChecked(executable, ["version"])).stdout, new RegExp(`^querycop ${version} `));
  const service = readFileSync(join(root, "lib/systemd/system/querycop.service"), "utf8");
  assert.match(service, /^ExecStart=\/usr\/bin\/querycop serve /m);
  for (const file of [
    "usr/share/man/man1/querycop.1.gz",
    "usr/share/doc/querycop/copyright",
    "usr/share/doc/querycop/docs/policy.md",
    "etc/querycop/querycop.yaml",
    "etc/querycop/policy.yaml",
  ]) {
    assert.ok(existsSync(join(root, file)), file);
  }
  const checked = await run(executable, ["check-config", "--config", join(root, "etc/querycop/querycop.yaml")]);
  assert.equal(checked.code, 0, checked.stderr);
  await runChecked(executable, ["policy", "lint", join(root, "etc/querycop/policy.yaml")]);
  const control = join(folder, "deb-control");
  await runChecked("dpkg-deb", ["-e", output, control]);
  assert.equal(
    readFileSync(join(control, "conffiles"), "utf8"),
    "/etc/querycop/querycop.yaml\n/etc/querycop/policy.yaml\n",
  );
  for (const [script, ...args] of [
    ["postinst", "configure"],
    ["postinst", "configure", "0.0.1"],
    ["prerm", "upgrade", "0.2.0"],
    ["postrm", "purge"],
  ] as const) {
    await runChecked("sh", ["-n", join(control, script)]);
    // Where no systemd runs they do nothing.
    if (!existsSync("/run/systemd/system")) await runChecked(join(control, script), args);
  }
  const owners = (await runChecked("dpkg-deb", ["-c", output])).stdout.trim().split("\n");
  for (const line of owners) assert.match(line, /^\S+ root\/root /);
});
