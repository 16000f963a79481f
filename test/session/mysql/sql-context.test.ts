import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ListenerOptions } from "../../../src/session/listener-options.ts";
import { dialectOf, sessionSubject } from "../../../src/session/mysql/judging/sql-context.ts";

describe("dialectOf()", () => {
  for (const [text, dialect, version] of [
    ["8.0.36", "mysql", 80036],
    ["9.7.4-commercial", "mysql", 90704],
    ["5.7.44-log", "mysql", 50744],
    ["8.0.36-Vitess", "vitess", 80036],
    ["5.5.5-10.11.19-MariaDB-1", "mariadb", 101119],
    ["11.8.6-MariaDB", "mariadb", 110806],
    ["8.0", "mysql", undefined],
    ["", "mysql", undefined],
    ["x.y.z", "mysql", undefined],
  ] as const) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(dialectOf(text), { dialect, version }));
  }
});

describe("sessionSubject()", () => {
  const subjectOf = (backend: object) =>
    sessionSubject({ name: "app", backend } as ListenerOptions, { clientAddress: "10.0.0.1", isTls: true });

  it("tells the policy of the roles and poolers it knows", () => {
    for (const role of ["reader", "writer"]) assert.equal(subjectOf({ role }).backendRole, role);
    for (const pooler of ["vitess", "proxysql", "rds-proxy"]) assert.equal(subjectOf({ pooler }).backendPooler, pooler);
    assert.deepEqual(subjectOf({ isAurora: true }), {
      listener: "app",
      clientAddress: "10.0.0.1",
      isTls: true,
      isAurora: true,
    });
  });

  it("keeps labels for people to itself", () => {
    const subject = subjectOf({ role: "primary", pooler: "maxscale" });
    assert.ok(!("backendRole" in subject) && !("backendPooler" in subject));
  });
});
