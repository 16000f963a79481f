/** A Debian system with nothing but the basics: install.sh, the unit, doctor and a first session, in this order, as nobody. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { iamSettings, signToken, TEST_REGION } from "../support/aws-token.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { run, runChecked } from "../support/child.ts";
import { installRoot } from "../support/debian-root.ts";
import { pickPort, startServer } from "../support/servers.ts";
import { installSystemd } from "../support/systemd.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const NOBODY = 65534;

/** Root in a container often may not mount, and a chroot needs its /proc. */
const mayMount = await run("unshare", ["--mount", "true"]).then(
  ({ code }) => code === 0,
  () => false,
);
const skip = mayMount ? false : "needs root with the right to mount, for a chroot with /proc";

/** What an operator types, one step after the other; each is named on standard output when it is through. */
const STEPS = `set -eu
cd "$HOME"
sh /srv/install.sh
querycop=$HOME/.local/bin/querycop
echo "step installed: $("$querycop" --version)"
"$querycop" service print --executable "$querycop" >querycop.service
echo "step unit"
"$querycop" check-config
"$querycop" doctor --user iam_user >doctor.txt || { cat doctor.txt >&2; exit 1; }
echo "step doctor: $(tail -n 1 doctor.txt)"
timeout 100 "$querycop" serve 2>serve.log &
running=$!
"$querycop" wait --max 20s || { cat serve.log >&2; exit 1; }
client() { mariadb --no-defaults --host=127.0.0.1 --port="$GATEKEEPER_LISTEN_PORT" --user=iam_user --skip-ssl --batch -N --execute="$1"; }
echo "step answer: $(client 'select 6 * 7')"
if client 'delete from appdb.numbers' 2>refused.txt; then exit 1; fi
echo "step refused: $(grep ERROR refused.txt)"
kill -TERM "$running"
wait "$running"
echo "step audit: $("$querycop" audit verify "$GATEKEEPER_AUDIT_FILE")"
`;

function writeRelease(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const name = `querycop-linux-${process.arch}`;
  copyFileSync(join(PROJECT, "dist/querycop"), join(folder, name));
  const sum = createHash("sha256")
    .update(readFileSync(join(PROJECT, "dist/querycop")))
    .digest("hex");
  writeFileSync(join(folder, "SHA256SUMS"), `${sum}  ${name}\n`);
}

test("on a fresh Debian, install.sh, the unit, doctor and a first session work", {
  skip,
  timeout: 170_000,
}, async () => {
  const debian = await installRoot({
    name: "debian",
    suite: "bookworm",
    packages: ["coreutils", "dash", "grep", "sed", "wget", "libc-bin", "mawk", "mariadb-client-core"],
    alone: ["base-files"],
  });
  const systemd = await installSystemd();
  const certificates = await makeCertificates();
  const root = mkdtempSync(join(tmpdir(), "querycop-debian-"));
  const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
  const server = await startServer({ kind: "mariadb", certificate });
  try {
    await runChecked("cp", ["-a", `${debian.folder}/.`, root]);
    chmodSync(root, 0o755);
    for (const folder of ["proc", "dev", "tmp", "srv", "home/op"]) mkdirSync(join(root, folder), { recursive: true });
    chmodSync(join(root, "tmp"), 0o1777);
    // What the package's installation would do.
    symlinkSync("mawk", join(root, "usr/bin/awk"));
    for (const device of ["null", "urandom"]) writeFileSync(join(root, "dev", device), "");
    chownSync(join(root, "home/op"), NOBODY, NOBODY);
    writeRelease(join(root, "srv/release"));
    copyFileSync(join(PROJECT, "install.sh"), join(root, "srv/install.sh"));
    writeFileSync(join(root, "srv/steps.sh"), STEPS);
    copyFileSync(certificates.caFile, join(root, "srv/ca.pem"));
    chmodSync(join(root, "srv/ca.pem"), 0o644);
    writeFileSync(join(root, "srv/policy.yaml"), "version: 1\nrules:\n  dml.nowhere: block\n");
    server.setIam(iamSettings(CLUSTER_HOST, server.port));
    const token = signToken({ host: CLUSTER_HOST, port: server.port, user: "iam_user" });
    writeFileSync(join(root, "srv/token"), `${token}\n`, { mode: 0o644 });
    const env = [
      "PATH=/usr/bin:/bin",
      "HOME=/home/op",
      "QUERYCOP_BASE_URL=file:///srv/release",
      `GATEKEEPER_LISTEN_PORT=${await pickPort()}`,
      "GATEKEEPER_API_PORT=0",
      `GATEKEEPER_BACKEND_HOST=${server.host}`,
      `GATEKEEPER_BACKEND_PORT=${server.port}`,
      "GATEKEEPER_BACKEND_TLS_MODE=verify-full",
      "GATEKEEPER_BACKEND_TLS_CA_FILE=/srv/ca.pem",
      `GATEKEEPER_BACKEND_TLS_SERVER_NAME=${CLUSTER_HOST}`,
      `GATEKEEPER_BACKEND_REGION=${TEST_REGION}`,
      "GATEKEEPER_BACKEND_TOKEN_CMD=cat /srv/token",
      `GATEKEEPER_BACKEND_TOKEN_ENDPOINT=${CLUSTER_HOST}:${server.port}`,
      "GATEKEEPER_CLIENT_AUTH=trust",
      "GATEKEEPER_MAX_CONNECTIONS=20",
      "GATEKEEPER_POLICY_FILE=/srv/policy.yaml",
      "GATEKEEPER_AUDIT_FILE=/home/op/audit/audit.ndjson",
    ];
    const devices = 'mount --bind /dev/null "$1/dev/null" && mount --bind /dev/urandom "$1/dev/urandom"';
    const script = `mount -t proc proc "$1/proc" && ${devices} && shift && exec "$@"`;
    const inside = [
      "chroot",
      `--userspec=${NOBODY}:${NOBODY}`,
      root,
      "/usr/bin/env",
      "-i",
      ...env,
      "sh",
      "/srv/steps.sh",
    ];
    const { code, stdout, stderr } = await run("unshare", ["--mount", "sh", "-c", script, "sh", root, ...inside]);
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    const steps = stdout.split("\n").filter((line) => line.startsWith("step "));
    assert.match(steps[0] ?? "", /^step installed: querycop \d+\.\d+\.\d+ /);
    assert.equal(steps[1], "step unit");
    assert.match(steps[2] ?? "", /^step doctor: 0 failed, 0 warnings, /, stdout);
    assert.equal(steps[3], "step answer: 42");
    assert.match(steps[4] ?? "", /^step refused: ERROR 1148 .*dml\.nowhere/);
    assert.match(steps[5] ?? "", /^step audit: .*whole/);
    assert.equal(stdout.includes(token), false);
    await verifyUnit(systemd, root);
  } finally {
    await server.stop();
    certificates.remove();
    rmSync(root, { recursive: true, force: true });
  }
});

/** systemd looks for the executable here, not in the chroot. */
async function verifyUnit(systemd: Awaited<ReturnType<typeof installSystemd>>, root: string): Promise<void> {
  const file = join(root, "home/op/querycop.service");
  const unit = readFileSync(file, "utf8").replaceAll("/home/op/.local", join(root, "home/op/.local"));
  writeFileSync(file, unit);
  const line = systemd.command("usr/bin/systemd-analyze", ["verify", "--man=no", "--recursive-errors=no", file]);
  const { code, stderr } = await run(line.command, line.args);
  assert.equal(`${code} ${stderr}`, "0 ");
}
