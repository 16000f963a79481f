/** Completion scripts and the man page hold what the commands take; how shells read them is test/install's matter. */
import assert from "node:assert/strict";
import test from "node:test";
import { optionsOf, verbsOf } from "../../src/cli/command-shape.ts";
import { COMMAND_SHAPES } from "../../src/cli/commands.ts";
import { run } from "./fake-io.ts";

const SHELLS = ["bash", "zsh", "fish"];

for (const shell of SHELLS) {
  test(`querycop completion ${shell} names every command, verb and option`, async () => {
    const { code, stdout } = await run(["completion", shell]);
    assert.equal(code, 0);
    for (const command of COMMAND_SHAPES) {
      assert.match(stdout, new RegExp(`\\b${command.help.name}\\b`));
      for (const verb of verbsOf(command)) assert.match(stdout, new RegExp(`\\b${verb}\\b`));
      for (const { name } of optionsOf(command)) {
        assert.ok(stdout.includes(shell === "fish" ? `-l ${name}` : `--${name}`), `${command.help.name} --${name}`);
      }
    }
  });
}

test("completion offers the words that an option may be", async () => {
  const { stdout } = await run(["completion", "bash"]);
  for (const [name, words] of [
    ["backend-tls-mode", "disable prefer require"],
    ["dialect", "mysql mariadb vitess"],
    ["format", "ndjson csv"],
    ["decision", "allow warn block require-approval"],
    ["plugin", "caching_sha2_password mysql_native_password"],
    ["type", "start stop connect"],
  ]) {
    assert.match(stdout, new RegExp(`--${name}\\) words='${words}`));
  }
});

test("querycop completion refuses a shell it does not know", async () => {
  const { code, stderr } = await run(["completion", "csh"]);
  assert.equal(code, 2);
  assert.match(stderr, /expected one of bash, zsh, fish/);
});

test("the options of help are the options a command takes", () => {
  for (const command of COMMAND_SHAPES) {
    const taken = Object.entries(command.args)
      .filter(([, { type }]) => type !== "positional")
      .map(([name]) => name);
    const shown = optionsOf(command).map(({ name }) => name);
    assert.deepEqual(
      shown.filter((name) => name !== "help").sort(),
      [...taken].sort(),
      `querycop ${command.help.name}`,
    );
  }
});

test("the verbs a command names are those it takes", async () => {
  const withVerb = COMMAND_SHAPES.filter(({ args }) => args["verb"] !== undefined);
  assert.ok(withVerb.length >= 4);
  for (const command of withVerb) {
    const verbs = verbsOf(command);
    assert.ok(verbs.length > 0, `querycop ${command.help.name} has a valueHint`);
    const file = command.args["file"] === undefined ? [] : ["file"];
    const { stderr } = await run([command.help.name, "nonsense", ...file]);
    for (const verb of verbs) assert.ok(stderr.includes(verb), `${command.help.name}: ${stderr}`);
  }
});

test("querycop man has a section for every command and a line for every option", async () => {
  const { code, stdout } = await run(["man"]);
  assert.equal(code, 0);
  for (const command of COMMAND_SHAPES) {
    assert.ok(stdout.includes(`.SS querycop ${command.help.name.replaceAll("-", "\\-")}\n`));
    for (const { name } of optionsOf(command)) {
      assert.ok(stdout.includes(`\\fB${`--${name}`.replaceAll("-", "\\-")}\\fR`), `--${name}`);
    }
  }
});

test("querycop service print puts the paths into the unit", async () => {
  const { stdout } = await run(["service", "print", "--executable", "/usr/bin/querycop", "--config", "/srv/q.yaml"]);
  assert.match(stdout, /^ExecStart=\/usr\/bin\/querycop serve --config \/srv\/q\.yaml$/m);
  assert.doesNotMatch(stdout, /\/usr\/local|\/etc\/querycop\/querycop\.yaml/);
  const socket = await run(["service", "print", "--socket"]);
  assert.match(socket.stdout, /^\[Socket\]$/m);
});

test("querycop service print refuses paths that systemd would take apart", async () => {
  for (const path of ["bin/querycop", "/opt/my files/querycop", "/opt/%i", "/a'b", "/a\nExecStart=/bin/sh"]) {
    const { code, stdout, stderr } = await run(["service", "print", `--executable=${path}`]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, /--executable: expected an absolute path/);
  }
});
