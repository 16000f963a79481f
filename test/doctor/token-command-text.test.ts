import assert from "node:assert/strict";
import { it } from "node:test";
import { handsUserToExpandingProgram, programOf, resolveProgram } from "../../src/doctor/token-command-text.ts";

it("programOf() reads past assignments and wrappers, and admits what only a shell knows", () => {
  for (const [command, expected] of [
    ["aws rds generate-db-auth-token", "aws"],
    ["AWS_PROFILE=db aws rds", "aws"],
    ["exec env A=1 /opt/bin/vault read", "/opt/bin/vault"],
    ["$(which aws) rds", undefined],
    ["'/opt/my token' --x", undefined],
    ["", undefined],
  ] as const) {
    assert.equal(programOf(command), expected, command);
  }
});

it("resolveProgram() finds what the shell would, and nothing that cannot be executed", () => {
  assert.match(resolveProgram("sh", "/nowhere:/usr/bin:/bin") ?? "", /bin\/sh$/);
  assert.equal(resolveProgram("sh", "/nowhere"), undefined);
  assert.equal(resolveProgram("/etc/passwd", undefined), undefined);
  assert.equal(resolveProgram("/bin", undefined), undefined);
});

it("handsUserToExpandingProgram() needs both the program and the client's name", () => {
  for (const [command, expected] of [
    ['aws rds generate-db-auth-token --username "$QUERYCOP_BACKEND_USER"', true],
    [`exec /usr/local/bin/aws rds --username \${QUERYCOP_BACKEND_USER}`, true],
    ["cd /;aws rds --username=$QUERYCOP_BACKEND_USER", true],
    ["aws rds generate-db-auth-token --username app", false],
    ["vault read database/creds/$QUERYCOP_BACKEND_USER", false],
    ["drawaws $QUERYCOP_BACKEND_USER", false],
  ] as const) {
    assert.equal(handsUserToExpandingProgram(command), expected, command);
  }
});
