import assert from "node:assert/strict";
import { test } from "node:test";
import { fail, ok, remedy } from "../../src/doctor/check.ts";
import { renderJson, renderText } from "../../src/doctor/render.ts";

test("a trouble that listeners have in common is told once, and counted for each", () => {
  const broken = fail("no way there", remedy("backend.tcp", "Open the firewall.", "nc -vz db 3306"));
  const checks = ["writer", "reader"].flatMap((listener) => [
    { id: "config.files", title: "files", listener, ...ok("no files are named") },
    { id: "backend.tcp", title: "TCP", listener, ...broken },
  ]);
  const report = { version: "1.2.3", checks };
  const text = renderText(report);
  assert.equal(text.split("Open the firewall.").length, 2, text);
  assert.match(
    text,
    /^listener reader\nok {4}config\.files {2}no files are named\nFAIL {2}backend\.tcp {3}as for listener writer$/m,
  );
  assert.match(text, /^2 failed, 0 warnings, 2 ok, 0 skipped$/m);
  const json = JSON.parse(renderJson(report)) as { checks: { detail: string }[] };
  assert.equal(json.checks[3]?.detail, "no way there", "programs get all of it");
});
