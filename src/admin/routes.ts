/** Every route there is, in the order of the documentation. A new one is a row in a file of routes. */
import { ACTIVITY_ROUTES } from "./activity-routes.ts";
import { APPROVAL_ROUTES } from "./approval-routes.ts";
import { AUDIT_ROUTES } from "./audit-routes.ts";
import type { DashboardBundle } from "./dashboard-bundle.ts";
import { dashboardRoutes } from "./dashboard-routes.ts";
import { EVENT_ROUTES } from "./event-routes.ts";
import { HEALTH_ROUTES, metricsRoute } from "./health-routes.ts";
import { LOGIN_ROUTES } from "./login-routes.ts";
import { renderOpenApi } from "./openapi.ts";
import { OPERATOR_ROUTES } from "./operator-routes.ts";
import { POLICY_ROUTES } from "./policy-routes.ts";
import type { Route } from "./route.ts";
import { SESSION_ROUTES } from "./session-routes.ts";

export interface RouteOptions {
  readonly hasPublicMetrics: boolean;
  readonly hasDashboard: boolean;
  readonly loadDashboard: () => Promise<DashboardBundle | undefined>;
}

/** For metrics and documents, which count and describe routes and call none. */
export const DESCRIBED_ROUTES: RouteOptions = {
  hasPublicMetrics: false,
  hasDashboard: true,
  loadDashboard: async () => undefined,
};

export function adminRoutes(options: RouteOptions): readonly Route[] {
  const described: Route[] = [
    ...HEALTH_ROUTES,
    metricsRoute(options.hasPublicMetrics),
    ...LOGIN_ROUTES,
    ...OPERATOR_ROUTES,
    ...POLICY_ROUTES,
    ...ACTIVITY_ROUTES,
    ...AUDIT_ROUTES,
    ...SESSION_ROUTES,
    ...APPROVAL_ROUTES,
    ...EVENT_ROUTES,
    ...(options.hasDashboard ? dashboardRoutes(options.loadDashboard) : []),
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
