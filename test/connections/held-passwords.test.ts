import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { HeldPasswords } from "../../src/connections/held-passwords.ts";
import {
  SecretError,
  type SecretReader,
  type SecretReading,
  type SecretStage,
} from "../../src/connections/secret-reader.ts";

const NEVER = new AbortController().signal;

class Place implements SecretReader {
  readonly name = "secret test";
  readonly looks: SecretStage[] = [];
  current: SecretReading | SecretError;
  pending: SecretReading | undefined;
  readonly clock: Clock & { nowMs: number } = { nowMs: 0, wallMs: () => 0, monotonicMs: () => this.clock.nowMs };

  constructor(current: SecretReading) {
    this.current = current;
  }

  async read(stage: SecretStage): Promise<SecretReading | undefined> {
    this.looks.push(stage);
    if (stage === "pending") return this.pending;
    if (this.current instanceof SecretError) throw this.current;
    return this.current;
  }

  passwords(user?: string): HeldPasswords {
    return new HeldPasswords({ connection: "test", reader: this, user, logger: silentLogger, clock: this.clock });
  }
}

const reading = (version: string, user = "app"): SecretReading => ({
  user,
  version,
  password: Buffer.from(`password ${version}`),
});

describe("HeldPasswords", () => {
  it("looks once for all who wait, and again in the background when the password has grown old", async () => {
    const place = new Place(reading("1"));
    const passwords = place.passwords();
    const both = await Promise.all([passwords.current(NEVER), passwords.current(NEVER)]);
    assert.deepEqual(
      both.map(({ version }) => version),
      ["1", "1"],
    );
    assert.deepEqual(place.looks, ["current"]);
    both[0]?.wipe();
    assert.equal(Buffer.from(both[1]?.value ?? []).toString(), "password 1", "each has a copy");
    place.current = reading("2");
    place.clock.nowMs = 301_000;
    assert.equal((await passwords.current(NEVER)).version, "1", "nobody waits for it");
    await Promise.resolve();
    assert.equal((await passwords.current(NEVER)).version, "2");
  });

  it("goes from a refused password to the current one, then to the pending one, then to none", async () => {
    const place = new Place(reading("1"));
    const passwords = place.passwords();
    await passwords.current(NEVER);
    place.current = reading("2");
    place.pending = reading("3", "app_clone");
    place.clock.nowMs = 1000;
    const second = await passwords.otherThan(new Set(["1"]), NEVER);
    assert.equal(second?.version, "2");
    place.clock.nowMs = 2000;
    const third = await passwords.otherThan(new Set(["1", "2"]), NEVER);
    assert.equal(`${third?.version} ${third?.user}`, "3 app_clone");
    assert.equal((await passwords.current(NEVER)).version, "2", "not before the server took it");
    if (third !== undefined) passwords.accepted(third);
    assert.equal((await passwords.current(NEVER)).version, "3");
    place.clock.nowMs = 3000;
    assert.equal(await passwords.otherThan(new Set(["1", "2", "3"]), NEVER), undefined);
  });

  it("shares one look among a crowd of refused logins", async () => {
    const place = new Place(reading("1"));
    const passwords = place.passwords();
    await passwords.current(NEVER);
    place.clock.nowMs = 1000;
    await Promise.all(Array.from({ length: 100 }, () => passwords.otherThan(new Set(["1"]), NEVER)));
    assert.deepEqual(place.looks, ["current", "current", "pending"]);
  });

  it("remembers a failure for a while, and says where the password should have been without showing it", async () => {
    const place = new Place(reading("1"));
    place.current = new SecretError("it is gone");
    const passwords = place.passwords();
    const told = /QC_SECRET_FAILED|Cannot get the password of connection test from secret test: it is gone/;
    await assert.rejects(passwords.current(NEVER), told);
    await assert.rejects(passwords.current(NEVER), told);
    assert.deepEqual(place.looks, ["current"]);
    place.current = reading("1");
    place.clock.nowMs = 2500;
    assert.equal((await passwords.current(NEVER)).version, "1");
  });

  it("takes the user of the configuration before that of the secret, and does without neither", async () => {
    assert.equal((await new Place(reading("1")).passwords("written").current(NEVER)).user, "written");
    const { user: _, ...nameless } = reading("1");
    await assert.rejects(new Place(nameless).passwords().current(NEVER), /names no user/);
  });
});
