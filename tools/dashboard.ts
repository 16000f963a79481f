/** Bundles src/dashboard into dist/dashboard/bundle.txt: one script and one style, as JSON. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const FOLDER = join(PROJECT, "dist/dashboard");
/** Of both together: what a browser loads before it shows anything. */
export const GZIP_BYTES_MAX = 80 * 1024;

/** Bundles and returns the size as it would cross a network that compresses. Throws where it is too large. */
export function bundleDashboard(): number {
  mkdirSync(FOLDER, { recursive: true });
  const draft = mkdtempSync(join(FOLDER, "draft-"));
  try {
    const args = [
      "build",
      "--minify",
      "--target=browser",
      "--format=esm",
      "--define",
      'process.env.NODE_ENV="production"',
    ];
    const entries = ["src/dashboard/main.tsx", "src/dashboard/style.css"];
    const result = spawnSync(process.execPath, [...args, ...entries, "--outdir", draft], {
      cwd: PROJECT,
      encoding: "utf8",
    });
    if (result.status !== 0) throw new Error(`Bundling the dashboard ended with ${result.status}:\n${result.stderr}`);
    const icon = readFileSync(join(PROJECT, "src/dashboard/icon.svg"), "utf8");
    const read = (name: string): string => readFileSync(join(draft, name), "utf8");
    const bundle = { script: read("main.js"), style: read("style.css"), icon };
    const bytes = gzipSync(bundle.script).length + gzipSync(bundle.style).length;
    if (bytes > GZIP_BYTES_MAX)
      throw new Error(`The dashboard is ${bytes} bytes compressed, more than ${GZIP_BYTES_MAX}`);
    const file = join(draft, "bundle.txt");
    writeFileSync(file, JSON.stringify(bundle));
    renameSync(file, join(FOLDER, "bundle.txt"));
    return bytes;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

if (import.meta.main) console.log(`dashboard: ${(bundleDashboard() / 1024).toFixed(1)} KiB compressed`);
