/** The admin API as OpenAPI 3.1, printed from its table of routes. */
import type { JsonSchema } from "./json-schema.ts";
import { objectOf, text } from "./json-schema.ts";
import type { Route } from "./route.ts";

const ERROR = objectOf({ error: objectOf({ code: text("A word of a closed list"), message: text("For people") }) });

const REFUSALS: Readonly<Record<number, string>> = {
  400: "The request is malformed",
  403: "The Host, the Origin or the role is not allowed",
  429: "Too many requests, or too many wrong keys, from this address",
};

function jsonContent(schema: JsonSchema): object {
  return { "application/json": { schema } };
}

function responsesOf(route: Route): Record<string, object> {
  const { response, statuses = {} } = route;
  const content = "contentType" in response ? { [response.contentType]: {} } : jsonContent(response);
  const responses: Record<string, object> = { "200": { description: "Success", content } };
  const isOpen = route.access === "public" && route.body === undefined;
  const all = { ...REFUSALS, ...(isOpen ? {} : { 401: "A valid key is needed" }), ...statuses };
  for (const [status, description] of Object.entries(all)) {
    responses[status] = { description, content: { "application/json": {} } };
  }
  return responses;
}

function parametersOf({ path, query = {} }: Route): readonly object[] {
  const inPath = path
    .split("/")
    .filter((part) => part.startsWith("{"))
    .map((part) => ({ name: part.slice(1, -1), in: "path", required: true, schema: { type: "string" } }));
  const inQuery = Object.entries(query).map(([name, schema]) => ({ name, in: "query", required: false, schema }));
  return [...inPath, ...inQuery];
}

function operationOf(route: Route): object {
  const parameters = parametersOf(route);
  return {
    summary: route.summary,
    security: route.access === "public" ? [] : [{ bearer: [] }, { session: [] }],
    "x-querycop-role": route.access ?? "admin",
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: jsonContent(route.body) } }),
    responses: responsesOf(route),
  };
}

export function renderOpenApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const operations = paths[route.path] ?? {};
    operations[route.method.toLowerCase()] = operationOf(route);
    paths[route.path] = operations;
  }
  return {
    openapi: "3.1.0",
    info: { title: "querycop admin API", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "http://127.0.0.1:8080" }],
    components: {
      schemas: { Error: ERROR },
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "ADMIN_API_KEY, or a key of approvers_file" },
        session: { type: "apiKey", in: "cookie", name: "querycop_session", description: "From POST /auth/login" },
      },
    },
    paths,
  };
}
