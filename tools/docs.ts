/**
 * Writes the generated documents, or with --check says which of them are not what the sources say.
 * A document is added by a line in DOCUMENTS.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { COMMAND_SHAPES } from "../src/cli/commands.ts";
import { renderManPage } from "../src/cli/man-page.ts";
import { renderServiceUnit, renderSocketUnit } from "../src/cli/service-command.ts";
import { renderExample, renderReference } from "../src/config/reference.ts";
import { renderDoctorPage } from "../src/doctor/doctor-page.ts";
import { renderRulesMarkdown } from "../src/policy/tools/rules-doc.ts";
import { renderAlertRules } from "./alert-rules.ts";
import { renderAuditJsonSchema, renderAuditPage } from "./audit-documents.ts";
import { renderGrafanaDashboard } from "./grafana-dashboard.ts";
import { renderJsonSchema } from "./json-schema.ts";
import { renderMetricsPage } from "./metrics-page.ts";
import { renderOpenApiFile } from "./openapi-file.ts";
import { renderProtocolCoverage } from "./protocol-coverage.ts";

interface GeneratedDocument {
  /** From the root of the project. */
  readonly path: string;
  readonly render: () => string;
}

const DOCUMENTS: readonly GeneratedDocument[] = [
  { path: "docs/rules.md", render: renderRulesMarkdown },
  { path: "docs/configuration.md", render: renderReference },
  { path: "querycop.example.yaml", render: renderExample },
  { path: "docs/querycop.schema.json", render: renderJsonSchema },
  { path: "docs/audit.md", render: renderAuditPage },
  { path: "docs/audit-event.schema.json", render: renderAuditJsonSchema },
  { path: "docs/doctor.md", render: renderDoctorPage },
  { path: "docs/metrics.md", render: renderMetricsPage },
  { path: "docs/querycop.1", render: () => renderManPage(COMMAND_SHAPES) },
  { path: "packaging/prometheus-rules.yaml", render: renderAlertRules },
  { path: "packaging/grafana-dashboard.json", render: renderGrafanaDashboard },
  { path: "packaging/querycop.service", render: renderServiceUnit },
  { path: "packaging/querycop.socket", render: renderSocketUnit },
  { path: "docs/openapi.json", render: renderOpenApiFile },
  { path: "docs/protocol-coverage.md", render: renderProtocolCoverage },
];

const PROJECT = new URL("../", import.meta.url);

/** The first line that differs, to start looking at. */
function firstDifference(committed: string, generated: string): string {
  const left = committed.split("\n");
  const right = generated.split("\n");
  const index = right.findIndex((line, row) => line !== left[row]);
  const row = index === -1 ? right.length : index;
  return `line ${row + 1}: expected ${JSON.stringify(right[row] ?? "")}, found ${JSON.stringify(left[row] ?? "")}`;
}

function main(isCheck: boolean): number {
  let stale = 0;
  for (const document of DOCUMENTS) {
    const file = fileURLToPath(new URL(document.path, PROJECT));
    const generated = document.render();
    const committed = existsSync(file) ? readFileSync(file, "utf8") : "";
    if (committed === generated) continue;
    stale += 1;
    if (isCheck) console.error(`${document.path} is stale, run npm run docs: ${firstDifference(committed, generated)}`);
    else {
      writeFileSync(file, generated);
      console.error(`wrote ${document.path}`);
    }
  }
  return isCheck && stale > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = main(process.argv.includes("--check"));
