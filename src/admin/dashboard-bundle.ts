/** Script, style and icon of the dashboard, which tools/dashboard.ts makes of src/dashboard and build.ts puts into the executable. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

interface Asset {
  /** With a hash of the text in it. */
  readonly name: string;
  readonly text: string;
  readonly contentType: string;
}

export interface DashboardBundle {
  readonly script: Asset;
  readonly style: Asset;
  readonly icon: Asset;
}

/** What the tool writes. */
interface BundleFile {
  readonly script: string;
  readonly style: string;
  readonly icon: string;
}

export function dashboardBundle({ script, style, icon }: BundleFile): DashboardBundle {
  const named = (text: string, ending: string, contentType: string): Asset => {
    const hash = createHash("sha256").update(text).digest("hex").slice(0, 16);
    return { name: `app-${hash}.${ending}`, text, contentType };
  };
  return {
    script: named(script, "js", "text/javascript; charset=utf-8"),
    style: named(style, "css", "text/css; charset=utf-8"),
    icon: named(icon, "svg", "image/svg+xml"),
  };
}

/** Undefined where it was not built. */
export async function loadDashboard(): Promise<DashboardBundle | undefined> {
  try {
    const text = readFileSync(await bundlePath(), "utf8");
    return dashboardBundle(JSON.parse(text) as BundleFile);
  } catch {
    return undefined;
  }
}

/** In the executable the file is inside of it, and only an import with a type puts it there. */
async function bundlePath(): Promise<string> {
  if (process.versions["bun"] === undefined) {
    return fileURLToPath(new URL("../../dist/dashboard/bundle.txt", import.meta.url));
  }
  // Bun joins the name before it looks for the file; the checks of types, which would want it to be there, do not.
  const file = (await import("../../dist/dashboard/" + "bundle.txt", { with: { type: "file" } })) as {
    readonly default: string;
  };
  return file.default;
}
