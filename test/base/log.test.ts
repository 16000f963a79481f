import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  createLogger,
  createStreamWriter,
  LOG_LINE_BYTES_MAX,
  type LogFormat,
  type Logger,
} from "../../src/base/log.ts";
import { redactSecrets } from "../../src/base/redact.ts";
import { eventually } from "../support/eventually.ts";

const NOON = new Date("2026-11-21T12:00:00.000Z");

function logLines(format: LogFormat, use: (logger: ReturnType<typeof createLogger>) => void): string[] {
  const lines: string[] = [];
  use(createLogger({ level: "debug", format, write: (line) => lines.push(line), now: () => NOON }));
  return lines;
}

test("createLogger() writes key=value lines", () => {
  const lines = logLines("text", (logger) =>
    logger.warn("backend token command failed", {
      code: "QC_TOKEN_FAILED",
      exitCode: 1,
      user: "a b",
      missing: undefined,
    }),
  );
  assert.deepEqual(lines, [
    'time=2026-11-21T12:00:00.000Z level=warn event="backend token command failed" code=QC_TOKEN_FAILED exitCode=1 user="a b"\n',
  ]);
});

test("createLogger() writes JSON lines with typed values", () => {
  const [line = ""] = logLines("json", (logger) => logger.info("listening", { port: 15336, tls: false, host: "::1" }));
  assert.deepEqual(JSON.parse(line), {
    time: "2026-11-21T12:00:00.000Z",
    level: "info",
    event: "listening",
    port: 15336,
    tls: false,
    host: "::1",
  });
});

test("createLogger() drops lines below its level", () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "warn", format: "text", write: (line) => lines.push(line) });
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.error("d");
  assert.equal(lines.length, 2);
});

test("setLevel() holds for the loggers made from it, too", () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "warn", format: "text", write: (line) => lines.push(line) });
  const child = logger.child({ listener: "a" });
  child.info("before");
  logger.setLevel("info");
  child.info("after");
  child.debug("never");
  assert.deepEqual(
    lines.map((line) => line.replace(/^time=\S+ /, "")),
    ["level=info event=after listener=a\n"],
  );
});

test("child() adds its fields to every line and own fields win", () => {
  const lines = logLines("text", (logger) => {
    const child = logger.child({ session: 7, leg: "client" }).child({ leg: "backend" });
    child.info("closed", { session: 8 });
  });
  assert.match(lines[0] ?? "", / session=8 leg=backend\n$/);
});

test("regression 46: createLogger() escapes what could forge or hide a line", () => {
  const hostile = "x\n2026 level=error\u001b[31m\u0085\u202e\u2066\u200b\u061c\ufeff\ud800";
  for (const format of ["text", "json"] as const) {
    const [line = "", ...rest] = logLines(format, (logger) => logger.info("login", { user: hostile }));
    assert.equal(rest.length, 0);
    assert.equal(line.indexOf("\n"), line.length - 1);
    for (const bad of ["\u001b", "\u0085", "\u202e", "\u2066", "\u200b", "\u061c", "\ufeff", "\ud800"]) {
      assert.equal(line.includes(bad), false, `${format} let ${bad.codePointAt(0)?.toString(16)} pass`);
    }
    if (format === "json") assert.equal(JSON.parse(line).user, hostile);
  }
});

test("createLogger() quotes values that would read as other fields", () => {
  const lines = logLines("text", (logger) => logger.info("x", { user: "a level=error", empty: "", quote: 'q"' }));
  assert.match(lines[0] ?? "", / user="a level=error" empty="" quote="q\\""\n$/);
});

test("createLogger() keeps any line within its byte limit, valid and marked", () => {
  for (const format of ["text", "json"] as const) {
    const [line = ""] = logLines(format, (logger) => logger.info("x", { a: "é".repeat(9000), b: "lost" }));
    assert.ok(Buffer.byteLength(line) <= LOG_LINE_BYTES_MAX, `${format}: ${Buffer.byteLength(line)}`);
    assert.ok(Buffer.byteLength(line) > LOG_LINE_BYTES_MAX / 2);
    if (format === "json") assert.equal(JSON.parse(line).truncated, true);
    else assert.match(line, / truncated=true\n$/);
  }
});

test("createLogger() yields one bounded, parseable line for any input", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 3000 }),
      fc.dictionary(
        fc.string({ minLength: 1, maxLength: 200 }),
        fc.oneof(fc.string({ unit: "binary", maxLength: 2000 }), fc.double()),
      ),
      (event, fields) => {
        for (const format of ["text", "json"] as const) {
          const [line = ""] = logLines(format, (logger) => logger.error(event, fields));
          if (Buffer.byteLength(line) > LOG_LINE_BYTES_MAX || line.indexOf("\n") !== line.length - 1) return false;
          if (format === "json") JSON.parse(line);
        }
        return true;
      },
    ),
    { numRuns: 300 },
  );
});

test("createLogger() never prints the value of a secret-looking field", () => {
  const secret = "hunter2hunter2";
  const lines = logLines("json", (logger) =>
    logger.child({ adminApiKey: secret }).info("x", { password: secret, backendToken: secret, Authorization: secret }),
  );
  assert.equal(lines.join("").includes(secret), false);
});

test("redactSecrets() hides secrets inside any text", () => {
  const cases: Array<[string, string]> = [
    [
      "h:3306/?Action=connect&X-Amz-Security-Token=IQo%2Fab%3D&X-Amz-Date=1",
      "h:3306/?Action=connect&X-Amz-Security-Token=<redacted>&X-Amz-Date=1",
    ],
    ["x X-AMZ-SIGNATURE=0af y", "x X-AMZ-SIGNATURE=<redacted> y"],
    ["set password='it''s \\' me' now", "set password=<redacted> now"],
    ['user identified by "s p" x', "user identified by <redacted> x"],
    ["Authorization: Bearer abc.def", "Authorization: Bearer <redacted>"],
    ["key AKIAIOSFODNN7EXAMPLE used", "key <redacted> used"],
    ["hash *0123456789ABCDEF0123456789ABCDEF01234567 x", "hash <redacted> x"],
    ["hash $A$005$abcdef x", "hash <redacted> x"],
    ["jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig_-x end", "jwt <redacted> end"],
    ["-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nrest", "<redacted>\nrest"],
    ["-----BEGIN PRIVATE KEY-----\nMHc", "<redacted>"],
  ];
  for (const [input, expected] of cases) assert.equal(redactSecrets(input), expected);
});

test("redactSecrets() leaves harmless text alone", () => {
  for (const text of ["", "a token", "SELECT 1 * 2", "$A", "AKIA", "eyJ", "passwords", "-----BEGIN CERTIFICATE-----"]) {
    assert.equal(redactSecrets(text), text);
  }
});

test("createStreamWriter() drops lines for a reader that does not read, and says how many", () => {
  const written: string[] = [];
  const stream = { writableLength: 0, write: (text: string) => written.push(text) > 0 };
  const write = createStreamWriter(stream, 10);
  write("a\n");
  stream.writableLength = 11;
  write("b\n");
  write("c\n");
  stream.writableLength = 0;
  write("d\n");
  assert.deepEqual(written, ["a\n", 'level=warn event="log lines dropped" lines=2\n', "d\n"]);
});

function written(lines: readonly string[], logger: Logger): string {
  logger.info("first");
  return lines.at(-1) ?? "level";
}

test("createLogger() delivers every one of many equal records in each format", async () => {
  for (const format of ["text", "json", "pretty"] as const) {
    const lines: string[] = [];
    const logger = createLogger({ level: "info", format, write: (line) => lines.push(line) });
    // Lines that come before consola has been loaded are written as text.
    if (format === "pretty")
      await eventually("consola writes the lines", () => !written(lines, logger).includes("level"));
    lines.length = 0;
    for (let index = 0; index < 100; index += 1) logger.info("same");
    assert.equal(lines.filter((line) => line.includes("same")).length, 100, format);
    assert.equal(
      lines.some((line) => line.includes("level")),
      format === "text" || format === "json",
      format,
    );
  }
});
