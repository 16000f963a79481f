/** `querycop service print`: the systemd units, with the paths they are installed under. */
import type { ArgsDef } from "citty";
import { type CommandIo, EXIT_OK, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";

const EXECUTABLE = "/usr/local/bin/querycop";
const CONFIG = "/etc/querycop/querycop.yaml";

export const serviceHelp: CommandHelp = {
  name: "service",
  summary: "Print systemd units",
  example: "  querycop service print | sudo tee /etc/systemd/system/querycop.service",
  text: [
    "  service print            The service unit",
    "  service print --socket   The socket unit: restarts then refuse no client",
    "Installs nothing. The executable must stand where the service's user can read it, so not in a home directory.",
  ].join("\n"),
  options: [
    ["--socket", "Print the socket unit"],
    ["--executable FILE", `Where the executable is; default ${EXECUTABLE}`],
    ["--config FILE", `Where its configuration is; default ${CONFIG}`],
  ],
  settings: "none",
};

export const serviceArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "print" },
  socket: { type: "boolean" },
  executable: { type: "string" },
  config: { type: "string" },
};

export async function runService(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  if (args["verb"] !== "print") throw new UsageError("expected print");
  const executable = pathOf("executable", args["executable"] ?? EXECUTABLE);
  const config = pathOf("config", args["config"] ?? CONFIG);
  io.stdout(args["socket"] === true ? renderSocketUnit() : renderServiceUnit(executable, config));
  return EXIT_OK;
}

/** Systemd takes blanks, quotes, $ and % in a command line for its own. */
function pathOf(option: string, value: unknown): string {
  if (typeof value === "string" && /^\/[A-Za-z0-9_./+@-]+$/.test(value)) return value;
  throw new UsageError(`--${option}: expected an absolute path of plain characters`);
}

export function renderServiceUnit(executable = EXECUTABLE, config = CONFIG): string {
  return `# systemd unit of querycop; printed by: querycop service print
# Put it into /etc/systemd/system/querycop.service, the configuration into
# ${config} (mode 0644, which is safe since it holds no secrets: the service has a
# user of its own), then: systemctl enable --now querycop
[Unit]
Description=querycop, a guard between MySQL clients and a managed MySQL
Documentation=man:querycop(1)
Wants=network-online.target
After=network-online.target

[Service]
# Ready means: the listeners are open. Told through systemd-notify, which is no main process.
Type=notify
NotifyAccess=all
ExecStartPre=${executable} check-config --config ${config}
ExecStart=${executable} serve --config ${config}
# Policy, users file, certificates and CA bundles are read again.
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
# 2 is a configuration that cannot work; trying again changes nothing.
RestartPreventExitStatus=2
# Above drain_timeout, so that a drain is not cut short.
TimeoutStopSec=45s
# Two for each client connection, and some.
LimitNOFILE=65536
# A dump of its memory would hold tokens, passwords and statements.
LimitCORE=0

# With these set the program would be another or not start.
UnsetEnvironment=BUN_BE_BUN BUN_OPTIONS BUN_INSPECT NODE_TLS_REJECT_UNAUTHORIZED
# For the aws program, should a token command use it: its cache is below HOME.
Environment=HOME=%S/querycop

# Secrets are root's, and handed to the service alone: users_file: /run/credentials/querycop.service/users
#LoadCredential=users:/etc/querycop/users
#LoadCredential=admin-api-key:/etc/querycop/admin-api-key

DynamicUser=yes
ConfigurationDirectory=querycop
# The audit log's place: audit.file: /var/lib/querycop/audit/audit.ndjson
StateDirectory=querycop querycop/audit
StateDirectoryMode=0700
UMask=0077

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute=: without a just-in-time compiler statements are scanned tens of times slower.

[Install]
WantedBy=multi-user.target
`;
}

export function renderSocketUnit(): string {
  return `# systemd socket unit of querycop; printed by: querycop service print --socket
# Put it into /etc/systemd/system/querycop.socket, then: systemctl enable --now querycop.socket
# systemd holds the listening socket: while the service restarts, clients wait in the queue instead of being refused.
[Unit]
Description=Listening socket of querycop
Documentation=man:querycop(1)

[Socket]
# In place of listen.host and listen.port of the configuration. A second line adds an address to the same listener.
ListenStream=127.0.0.1:15336
# With several listeners: one socket unit for each, with Service=querycop.service and the name of the listener.
#FileDescriptorName=writer
Backlog=4096

[Install]
WantedBy=sockets.target
`;
}
