/** The commands of doctor's remedies that need a database server, with real clients on real servers. */
import assert from "node:assert/strict";
import { after } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { run } from "../support/child.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot } from "../support/install.ts";
import { remedyCommands } from "../support/remedies.ts";
import { startServer } from "../support/servers.ts";

/** Amazon's plugin is on Amazon's servers alone: ours say that they lack it, and so have read the statement. */
const PLUGIN_MISSING = 1524;
/** Where one vendor's way is none of the other's, the remedy names both, and its text says which is whose. */
const NOT_FOR: Readonly<Record<string, ServerKind>> = { "FLUSH HOSTS": "mysql" };

const KINDS: readonly ServerKind[] = ["mariadb", "mysql"];
const servers = await Promise.all(KINDS.map((kind) => startServer({ kind })));
after(async () => {
  for (const server of servers) await server.stop();
});

const statements = [
  ...new Set(
    remedyCommands().flatMap(({ text }) => {
      if (!text.startsWith("mysql")) return [];
      const sql = /^mysql -e (?:'([^']*)'|"([^"]*)")$/.exec(text);
      return [sql?.[1] ?? sql?.[2] ?? text];
    }),
  ),
];

for (const [index, kind] of KINDS.entries()) {
  for (const sql of statements) {
    if (NOT_FOR[sql] === kind) continue;
    e2e(`${kind} takes what a remedy says: ${sql}`, async () => {
      assert.doesNotMatch(sql, /^mysql/, "a command of another client");
      const server = servers[index];
      assert.ok(server !== undefined);
      await server.rootQuery(
        `DROP USER IF EXISTS 'app'@'%'; ${sql.startsWith("ALTER") ? "CREATE USER 'app'@'%'" : ""}`,
      );
      try {
        await server.rootQuery(sql);
      } catch (error) {
        assert.match(String(error), new RegExp(`\\b${PLUGIN_MISSING}\\b`), sql);
        assert.match(sql, /AWSAuthenticationPlugin/);
      }
    });
  }
}

e2e("the option -e of a remedy is one of every vendor's mysql", async () => {
  for (const [kind, program] of [
    ["mariadb", "usr/bin/mariadb"],
    ["mysql", "usr/bin/mysql"],
  ] as const) {
    const root = await installServerRoot(kind);
    const { command, args } = root.command(program, ["--help"]);
    const { stdout } = await run(command, args);
    assert.match(stdout, /-e, --execute=/, program);
  }
});
