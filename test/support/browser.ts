/** Debian's Chromium, unpacked like the test servers and driven by playwright-core, which brings no browser of its own. */
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { type DebianRoot, installRoot } from "./debian-root.ts";

const RECIPE = {
  name: "chromium",
  suite: "bookworm",
  packages: ["chromium", "chromium-common", "fonts-dejavu-core", "fontconfig-config"],
  alone: [],
} as const;

/** Of the machine: Chromium starts itself again by /proc/self/exe, so it cannot run through another loader. */
const SYSTEM_LIBRARIES =
  /^(ld-linux|libc\.|libm\.|libpthread\.|libdl\.|librt\.|libresolv\.|libutil\.|libnss_|libanl\.)/;

/** All other libraries that came with it, in one folder. */
function libraryFolder({ path }: DebianRoot): string {
  const folder = path("querycop-libraries");
  if (existsSync(folder)) return folder;
  mkdirSync(folder, { recursive: true });
  for (const below of ["usr/lib", "lib"]) {
    for (const triplet of readdirSync(path(below)).filter((name) => name.endsWith("-linux-gnu"))) {
      for (const inside of readdirSync(path(join(below, triplet)), { recursive: true, encoding: "utf8" })) {
        const name = basename(inside);
        const link = join(folder, name);
        if (!name.includes(".so") || SYSTEM_LIBRARIES.test(name) || existsSync(link)) continue;
        // The folder of the packages may be moved, or be reached by another path.
        symlinkSync(relative(folder, path(join(below, triplet, inside))), link);
      }
    }
  }
  return folder;
}

function fontsFile({ path }: DebianRoot): string {
  const file = path("querycop-fonts.conf");
  const cache = path("querycop-font-cache");
  const fonts = path("usr/share/fonts");
  writeFileSync(file, `<fontconfig><dir>${fonts}</dir><cachedir>${cache}</cachedir></fontconfig>\n`);
  return file;
}

/** Ended by who starts it. Its pages reach loopback alone. */
export async function startBrowser(): Promise<Browser> {
  const root = await installRoot(RECIPE);
  return await chromium.launch({
    executablePath: root.path("usr/lib/chromium/chromium"),
    // A container's root has no sandbox; what it is shown is our own.
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
    env: { ...process.env, LD_LIBRARY_PATH: libraryFolder(root), FONTCONFIG_FILE: fontsFile(root) },
  });
}
