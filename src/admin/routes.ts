/** Every route there is, in the order of the documentation. A new one is a row in a file of routes. */
import { APPROVAL_ROUTES } from "./approval-routes.ts";
import { EVENT_ROUTES } from "./event-routes.ts";
import { HEALTH_ROUTES, metricsRoute } from "./health-routes.ts";
import { LOGIN_ROUTES } from "./login-routes.ts";
import { renderOpenApi } from "./openapi.ts";
import { OPERATOR_ROUTES } from "./operator-routes.ts";
import type { Route } from "./route.ts";
import { SESSION_ROUTES } from "./session-routes.ts";

export function adminRoutes(options: { readonly hasPublicMetrics: boolean }): readonly Route[] {
  const described: Route[] = [
    ...HEALTH_ROUTES,
    metricsRoute(options.hasPublicMetrics),
    ...LOGIN_ROUTES,
    ...OPERATOR_ROUTES,
    ...SESSION_ROUTES,
    ...APPROVAL_ROUTES,
    ...EVENT_ROUTES,
  ];
  const openApi: Route = {
    method: "GET",
    path: "/openapi.json",
    access: "public",
    summary: "This description",
    response: { type: "object", additionalProperties: true, description: "OpenAPI 3.1" },
    handle: ({ operations }) => ({ status: 200, json: renderOpenApi(described, operations.version.version) }),
  };
  described.push(openApi);
  return described;
}
