/** Makes a Debian package of an executable: the program, its units, manual page, completions and examples. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { COMMAND_SHAPES } from "../src/cli/commands.ts";
import { renderCompletion } from "../src/cli/completion.ts";
import { renderManPage } from "../src/cli/man-page.ts";
import { renderServiceUnit, renderSocketUnit } from "../src/cli/service-command.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export interface DebianPackage {
  readonly executable: string;
  readonly version: string;
  /** As Node names it. */
  readonly arch: string;
  /** Of the commit: the time of the build would change the bytes. */
  readonly epochSeconds: number;
  /** Of gzip; 0 to 9. */
  readonly level: number;
  readonly output: string;
}

function control({ version, arch }: DebianPackage): string {
  return `Package: querycop
Version: ${version}
Architecture: ${ARCHITECTURES[arch]}
Maintainer: The querycop authors <querycop@querycop.invalid>
Section: database
Priority: optional
Depends: libc6 (>= 2.17)
Recommends: ca-certificates
Suggests: awscli
Description: guard between MySQL clients and a managed MySQL
 Carries MySQL connections over two TLS legs, logs in with short-lived IAM
 tokens, gives every statement a risk with its reasons, stops what the policy
 says, and records all of it.
`;
}

/** What dpkg keeps when an administrator has changed it. */
const CONFIGURATION = ["etc/querycop/querycop.yaml", "etc/querycop/policy.yaml"] as const;

const WITH_SYSTEMD = "[ -d /run/systemd/system ]";

/** It starts nothing by itself: a service that is not configured could only fail. One that runs goes on with the new file. */
const SCRIPTS: Readonly<Record<string, string>> = {
  postinst: `if [ "$1" = configure ] && ${WITH_SYSTEMD}; then
  systemctl daemon-reload || true
  if [ -n "\${2:-}" ]; then systemctl try-restart querycop.service || true; fi
fi`,
  prerm: `if [ "$1" = remove ] && ${WITH_SYSTEMD}; then
  systemctl stop querycop.socket querycop.service || true
fi`,
  postrm: `if ${WITH_SYSTEMD}; then systemctl daemon-reload || true; fi`,
};

/** Where each generated or copied file goes. */
function contents(): ReadonlyMap<string, string | Uint8Array> {
  const read = (file: string): string => readFileSync(join(PROJECT, file), "utf8");
  const doc = "usr/share/doc/querycop";
  const pages = readdirSync(join(PROJECT, "docs")).filter((name) => name.endsWith(".md"));
  const [settings, policy] = CONFIGURATION;
  return new Map<string, string | Uint8Array>([
    ["lib/systemd/system/querycop.service", renderServiceUnit("/usr/bin/querycop")],
    ["lib/systemd/system/querycop.socket", renderSocketUnit()],
    ["usr/share/man/man1/querycop.1.gz", gzipSync(renderManPage(COMMAND_SHAPES), { level: 9 })],
    ["usr/share/bash-completion/completions/querycop", renderCompletion("bash", COMMAND_SHAPES)],
    ["usr/share/zsh/vendor-completions/_querycop", renderCompletion("zsh", COMMAND_SHAPES)],
    ["usr/share/fish/vendor_completions.d/querycop.fish", renderCompletion("fish", COMMAND_SHAPES)],
    [`${doc}/copyright`, read("LICENSE")],
    [settings, read("querycop.example.yaml")],
    [policy, read("packaging/policy.yaml")],
    [`${doc}/README.md`, read("README.md")],
    [`${doc}/CHANGELOG.md`, read("CHANGELOG.md")],
    ...pages.map((name): [string, string] => [`${doc}/docs/${name}`, read(`docs/${name}`)]),
    [`${doc}/examples/querycop.yaml`, read("querycop.example.yaml")],
    [`${doc}/examples/policy.yaml`, read("querycop.policy.example.yaml")],
  ]);
}

/** Needs dpkg-deb. Stripping would turn the executable into a plain runtime, so no debhelper is asked. */
export function buildDebianPackage(wanted: DebianPackage): void {
  if (ARCHITECTURES[wanted.arch] === undefined) throw new Error(`Cannot package for ${wanted.arch}`);
  const root = mkdtempSync(join(tmpdir(), "querycop-deb-"));
  try {
    chmodSync(root, 0o755);
    const place = (path: string): string => {
      const file = join(root, path);
      mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
      return file;
    };
    for (const [path, content] of contents()) writeFileSync(place(path), content, { mode: 0o644 });
    const executable = place("usr/bin/querycop");
    copyFileSync(wanted.executable, executable);
    chmodSync(executable, 0o755);
    writeFileSync(place("DEBIAN/control"), control(wanted));
    writeFileSync(place("DEBIAN/conffiles"), CONFIGURATION.map((path) => `/${path}\n`).join(""));
    for (const [name, script] of Object.entries(SCRIPTS)) {
      writeFileSync(place(`DEBIAN/${name}`), `#!/bin/sh\nset -e\n${script}\nexit 0\n`);
      chmodSync(place(`DEBIAN/${name}`), 0o755);
    }
    const result = spawnSync(
      "dpkg-deb",
      ["--root-owner-group", "-Zgzip", `-z${wanted.level}`, "--build", root, wanted.output],
      {
        encoding: "utf8",
        env: { ...process.env, SOURCE_DATE_EPOCH: String(wanted.epochSeconds) },
      },
    );
    if (result.error !== undefined) throw new Error(`Cannot run dpkg-deb: ${result.error.message}`);
    if (result.status !== 0) throw new Error(`dpkg-deb ended with ${result.status}: ${result.stderr}`);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
