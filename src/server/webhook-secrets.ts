/** The file of secrets that webhooks are signed with. Read each time, so that it can be exchanged. */
import { parseWebhookSecrets } from "../base/webhook-signature.ts";
import { isReadableByAll, readBoundedFile, writableByOthers } from "../config/file-access.ts";

const FILE_BYTES_MAX = 1024;

/** The first signs, any of them is taken. Otherwise what is wrong, in words without any of its content. */
export function readWebhookSecrets(path: string): readonly Buffer[] | string {
  const read = readBoundedFile(path, FILE_BYTES_MAX);
  if ("problem" in read) return read.problem;
  const writable = writableByOthers(path, read.mode);
  if (writable !== undefined) return writable;
  if (isReadableByAll(read.mode)) return `${path} can be read by everybody: run chmod o-r ${path}`;
  const secrets = parseWebhookSecrets(read.bytes.toString("latin1"));
  if (secrets !== undefined) return secrets;
  return `${path}: expected a secret a line, whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)`;
}
