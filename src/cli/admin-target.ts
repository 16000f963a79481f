/** Where the commands for a running querycop find its admin API: the configuration says so, or `--url` does. */
import type { ArgsDef } from "citty";
import { type AdminTarget, readKeyFile, targetOfConfig, targetOfUrl } from "./admin-client.ts";
import { type CommandIo, UsageError } from "./command-io.ts";
import { loadForRunning, reportFindings } from "./settings-command.ts";

/** Those of the configuration that say where the API is and how it is asked. */
export const ADMIN_SETTINGS = ["api.host", "api.port", "api.socket", "api.tls_cert", "admin_api_key_file"];

export const TARGET_OPTIONS = [
  ["--url URL", "Admin API to call, such as https://db-proxy.example:8080; no configuration is read then"],
  ["--key-file FILE", "File with the key; else ADMIN_API_KEY, else the configured one"],
  ["--ca FILE", "PEM certificates to trust for https, beside the usual ones"],
] as const;

export const targetArguments: ArgsDef = {
  url: { type: "string" },
  "key-file": { type: "string" },
  ca: { type: "string" },
};

type Arguments = Readonly<Record<string, unknown>>;

/** undefined when the configuration's problems have been told. Throws UsageError for what the command line has wrong. */
export async function adminTarget(args: Arguments, io: CommandIo): Promise<AdminTarget | undefined> {
  const keyFile = textOf(args, "key-file");
  const key = keyFile === undefined ? undefined : readKeyFile(keyFile);
  const url = textOf(args, "url");
  const ca = textOf(args, "ca");
  if (url !== undefined) return targetOfUrl(url, key ?? (io.env["ADMIN_API_KEY"]?.trim() || undefined), ca);
  const loaded = await loadForRunning(args, io, "process");
  if (!loaded.ok) {
    reportFindings(loaded, io);
    return undefined;
  }
  const { api, adminApiKey } = loaded.config;
  if (api.socket === undefined && api.port === 0) {
    throw new UsageError("api.port 0 is chosen anew at each start: name the port with --api-port");
  }
  return targetOfConfig(loaded.config, key ?? adminApiKey, ca);
}

export function textOf(args: Arguments, name: string): string | undefined {
  const value = args[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}
