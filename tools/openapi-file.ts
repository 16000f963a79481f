/** docs/openapi.json: what the admin API answers to GET /openapi.json. */
import { renderOpenApi } from "../src/admin/openapi.ts";
import { adminRoutes, DESCRIBED_ROUTES } from "../src/admin/routes.ts";
import { VERSION } from "../src/version.ts";

export function renderOpenApiFile(): string {
  return `${JSON.stringify(renderOpenApi(adminRoutes(DESCRIBED_ROUTES), VERSION.version), undefined, 2)}\n`;
}
