import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOfProtocol } from "../../src/doctor/foreign-protocols.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

test("nameOfProtocol() names who answers where a MySQL server should", () => {
  assert.equal(nameOfProtocol(bytes("SSH-2.0-OpenSSH_9.2p1\r\n")), "an SSH server");
  assert.equal(nameOfProtocol(bytes("HTTP/1.1 400 Bad Request\r\n")), "an HTTP server");
  assert.equal(nameOfProtocol(bytes("-ERR unknown command\r\n")), "a Redis server");
  assert.equal(nameOfProtocol(bytes("220 mail.example.com ESMTP")), "a mail or FTP server");
  assert.match(nameOfProtocol(bytes("\x15\x03\x03\x00\x02\x02\x28")) ?? "", /speaks TLS from the first byte/);
  assert.match(nameOfProtocol(bytes("\x05\x00\x00\x00\x0b\x08\x05\x1a\x00")) ?? "", /X protocol/);
});

test("nameOfProtocol() guesses at nothing else", () => {
  for (const first of ["", "SSH", "hello", "\x4a\x00\x00\x00\x0a8.0.36", "\xff\x10\x04"]) {
    assert.equal(nameOfProtocol(bytes(first)), undefined, first);
  }
});
