/**
 * The dashboard: a page, its script, style and icon, which src/dashboard is bundled into. They hold no data: what they show
 * they ask this API for, as who has logged in.
 */
import type { DashboardBundle } from "./dashboard-bundle.ts";
import { Refusal, type Reply, type Route } from "./route.ts";

/** Nothing from elsewhere, no code out of text, no HTML out of text. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
};

const HTML = "text/html; charset=utf-8";

function page({ script, style, icon }: DashboardBundle): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>querycop</title>
<link rel="icon" href="assets/${icon.name}">
<link rel="stylesheet" href="assets/${style.name}">
<script type="module" src="assets/${script.name}"></script>
</head>
<body>
<noscript>The dashboard needs JavaScript. Everything it shows is at /openapi.json for programs as well.</noscript>
<div id="app"></div>
</body>
</html>
`;
}

/** `load` gives the bundle; undefined where it was not built, as when querycop runs from its sources. */
export function dashboardRoutes(load: () => Promise<DashboardBundle | undefined>): readonly Route[] {
  let loaded: Promise<DashboardBundle> | undefined;
  const bundle = (hasKeys: boolean): Promise<DashboardBundle> => {
    if (!hasKeys) {
      throw new Refusal(
        404,
        "no-dashboard",
        "nobody can log in: set ADMIN_API_KEY, admin_api_key_file or api.approvers_file",
      );
    }
    loaded ??= load().then((found) => {
      if (found !== undefined) return found;
      loaded = undefined;
      throw new Refusal(404, "no-dashboard", "the dashboard is not built: run npm run build");
    });
    return loaded;
  };
  return [
    {
      method: "GET",
      path: "/",
      access: "public",
      isRoutine: true,
      summary: "The dashboard, for browsers",
      response: { contentType: HTML },
      statuses: { 404: "api.dashboard is off, or there is no key to log in with" },
      handle: async ({ credentials }): Promise<Reply> => {
        const found = await bundle(credentials.hasKeys);
        return { status: 200, text: page(found), contentType: HTML, headers: HEADERS };
      },
    },
    {
      method: "GET",
      path: "/assets/{name}",
      access: "public",
      isRoutine: true,
      summary: "Its script, style and icon; their names change with what is in them",
      response: { contentType: "text/javascript; charset=utf-8" },
      statuses: { 404: "There is none of that name" },
      handle: async ({ credentials, path }): Promise<Reply> => {
        const { script, style, icon } = await bundle(credentials.hasKeys);
        const found = [script, style, icon].find(({ name }) => name === path["name"]);
        if (found === undefined) throw new Refusal(404, "not-found", "there is no such file");
        const headers = { ...HEADERS, "Cache-Control": "public, max-age=31536000, immutable" };
        return { status: 200, text: found.text, contentType: found.contentType, headers };
      },
    },
  ];
}
