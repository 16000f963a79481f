/**
 * No wait without an end. Everything in the sources that waits for somebody else comes down to a promise made by hand, a
 * race of promises, or one of a leg's own waits. Each of them stands here with what ends it; a new one has to be put here.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SOURCES = fileURLToPath(new URL("../src", import.meta.url));
const WAITING =
  /new Promise\b|withResolvers|Promise\.race|\.nextEvent\(\)|\.readChunk\(|\.readPacket\(|\.drained\(\)|\.waitReadable\(\)|\.whenEmpty\(\)|\bonce\(\w+, |for await \(|[sS]lots\.enter\(/;

/** By file: how many lines wait, and what ends them. */
const ENDS: Readonly<Record<string, readonly [lines: number, end: string]>> = {
  "admin/admin-server.ts": [3, "destroyed sockets; a pause; the system's answer to listen(2)"],
  "admin/request-body.ts": [1, "the request timeout of the HTTP server, which closes the request"],
  "audit/audit-log.ts": [1, "the disk's answer to fdatasync(2): mode durable promises nothing less"],
  "audit/file-sink.ts": [2, "the disk's answer to fdatasync(2) and fsync(2)"],
  "audit/audit-read.ts": [1, "the end of a file on this machine"],
  "audit/audit-verify.ts": [1, "the end of a file on this machine"],
  "audit/audit-search.ts": [1, "the bounds of a page, in bytes and time"],
  "audit/record-expander.ts": [1, "the end of the lines it is given"],
  "audit/segment-reader.ts": [2, "the end of a file on this machine"],
  "audit/syslog-destination.ts": [1, "the timeout of the connection"],
  "base/http-post.ts": [1, "the timeout of the request"],
  "base/pause.ts": [1, "a timer, or the signal"],
  "base/slots.ts": [1, "the caller's signal, which has a deadline"],
  "base/turns.ts": [1, "the turns before it, each a step of bounded work"],
  "cli/admin-client.ts": [2, "AbortSignal.timeout()"],
  "cli/audit-commands.ts": [2, "the end of the records, which are read from files"],
  "cli/connection-usage.ts": [1, "the end of the records, which are read from files"],
  "cli/dsql-commands.ts": [1, "the end of the file, or of standard input"],
  "cli/explain-command.ts": [1, "the end of standard input, as of any program"],
  "cli/input-lines.ts": [1, "the end of the file, or of standard input"],
  "cli/policy-commands.ts": [5, "the end of the file, or of standard input"],
  "cli/self-command.ts": [1, "the end of a file on this machine"],
  "cli/terminal-keys.ts": [1, "a key, the end of the terminal, or of the command"],
  "cli/top-command.ts": [1, "the same"],
  "cli/wait.ts": [2, "timers, and the deadline of the command"],
  "connections/run-program.ts": [2, "the end of the program, as of any wrapper; a timer"],
  "doctor/clock-check.ts": [1, "the timeout of the child"],
  "doctor/foreign-protocols.ts": [3, "a timer, behind which the leg is destroyed"],
  "doctor/name-resolver.ts": [2, "a timer"],
  "doctor/run-checks.ts": [2, "the time of the check"],
  "loads/decompress.ts": [3, "the source, each part of which has a timeout; the command, as of any program"],
  "loads/load-client.ts": [1, "the source of the file"],
  "loads/s3-store.ts": [1, "the time of a request, which ends its body too"],
  "loads/object-load.ts": [1, "the source, each part of which has a timeout"],
  "main.ts": [2, "the reader of standard error and the writer of standard input, as of any program"],
  "mysql/parsec-password.ts": [1, "the rounds of PBKDF2, of which the server gets 262144 at most"],
  "net/proxied-transport.ts": [1, "five seconds for the header, or the end of listening"],
  "net/bun-network.ts": [1, "connect_timeout, through the signal"],
  "net/bun-transport.ts": [1, "the timeout of the TLS handshake"],
  "net/dial.ts": [2, "connect_timeout, through the signal"],
  "net/leg.ts": [6, "whoever calls: the files below; expectPacket() has a deadline of its own"],
  "net/node-transport.ts": [3, "the timeout of the TLS handshake; the system's answer to listen(2); connect_timeout"],
  "server/approval-desk.ts": [1, "the expiry of the request"],
  "server/drain.ts": [1, "drain_timeout, which closes the sessions"],
  "server/judge-pool.ts": [1, "judge_timeout, or less where others wait"],
  "server/judge-thread.ts": [1, "the pool, which ends the thread"],
  "server/lifecycle.ts": [1, "SIGTERM or SIGINT: the life of the process"],
  "server/readiness.ts": [2, "a timer"],
  "server/service-manager.ts": [1, "the timeout of the child"],
  "server/session-registry.ts": [1, "drain_timeout, which closes the sessions"],
  "session/answer-wait.ts": [
    1,
    "response_timeout; off, the server's own limits and TCP keep-alive: a statement may run",
  ],
  "session/mysql/held-statement.ts": [1, "the expiry of the request, and the client's own end"],
  "session/backend-gate.ts": [8, "write_timeout, login_timeout, handshake_timeout and progress_timeout"],
  "session/mysql/command-phase.ts": [
    2,
    "client_idle_timeout; off, wait_timeout of the server and TCP keep-alive; a later turn of the event loop",
  ],
  "session/mysql/judging/bulk-judgement.ts": [1, "the next turn of the event loop, between steps of 2 ms"],
  "session/mysql/login/connection-phase.ts": [
    3,
    "connect_timeout and login_timeout of the probe that all wait for; half a minute, for a place",
  ],
  "session/mysql/login/side-login.ts": [1, "the caller's signal, which has a deadline"],
  "session/mysql/discarded-response.ts": [1, "the time of a response that is thrown away, then the leg is destroyed"],
  "session/accounts/local-key.ts": [1, "the making of a key, bounded work"],
  "session/mysql/relay.ts": [1, "client_write_timeout"],
  "session/mysql/statements/row-estimates.ts": [1, "the time of an estimate, through the signal"],
  "session/postgres/backend-connection.ts": [3, "whoever calls; the time of a cancel, then the leg is destroyed"],
  "session/postgres/relay/backend-relay.ts": [
    1,
    "client_idle_timeout; where an answer is owed, response_timeout and progress_timeout",
  ],
  "session/postgres/login/connection-phase.ts": [1, "half a minute, for a place"],
  "session/postgres/relay/client-intake.ts": [
    1,
    "client_idle_timeout; off, the server's own limits and TCP keep-alive; client_packet_timeout for what is begun",
  ],
  "session/postgres/relay/frontend-relay.ts": [1, "a later turn of the event loop"],
  "session/postgres/statements/hold-gate.ts": [1, "the expiry of the request, and the client's own end"],
  "session/postgres/leg-wait.ts": [2, "handshake_timeout and login_timeout; write_timeout of either side"],
  "session/postgres/relay/relay-context.ts": [1, "the end of either leg"],
  "session/postgres/session.ts": [1, "the end of either leg"],
  "session/session-end.ts": [1, "the linger, then the leg is destroyed"],
  "sql/second-opinion/parse.ts": [1, "the timer of the second parser, which ends its thread"],
  "token/abortable.ts": [2, "token_timeout, through the signal"],
  "token/aws-signing.ts": [1, "token_timeout, through the signal"],
  "token/token-manager.ts": [1, "token_timeout of those that wait for the token, which ends the flight"],
  "token/command-token.ts": [1, "token_timeout, at which the command is killed"],
};

test("every wait of the sources has an end that is named here", () => {
  const found: Record<string, number> = {};
  for (const file of readdirSync(SOURCES, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const lines = readFileSync(join(SOURCES, file), "utf8").split("\n");
    const waiting = lines.filter((line) => WAITING.test(line) && !/^\s*(\*|\/\/|\/\*\*)/.test(line));
    if (waiting.length > 0) found[file.replaceAll("\\", "/")] = waiting.length;
  }
  assert.deepEqual(found, Object.fromEntries(Object.entries(ENDS).map(([file, [lines]]) => [file, lines])));
});
