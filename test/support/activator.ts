/** A service manager for tests: holds listening sockets, hands them to every querycop it starts, and hears what they notify. */

import { spawn } from "node:child_process";
import { environment } from "./child.ts";
import { eventually } from "./eventually.ts";
import { cleanEnvironment, type LogLine, querycopBinary, type Settings } from "./querycop.ts";

/**
 * Opens the sockets named by QUERYCOP_TEST_SOCKETS, and a datagram socket for notifications. Each line of standard input
 * starts the program once more with all of them. Kills what it started when standard input ends.
 */
const ACTIVATOR = String.raw`
use strict; use Socket; use POSIX (); use Fcntl;
$^F = 200; $| = 1;
my @told_to_end = qw(INT TERM HUP);
$SIG{$_} = 'IGNORE' for @told_to_end;
my @names = split /:/, $ENV{QUERYCOP_TEST_SOCKETS};
my (@sockets, %alive);
for (@names) {
  socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
  setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
  bind($socket, sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";
  listen($socket, 4096) or die "listen: $!";
  print "port ", (sockaddr_in(getsockname($socket)))[0], "\n";
  push @sockets, $socket;
}
if (my $path = $ENV{QUERYCOP_TEST_NOTIFY}) {
  socket(my $notify, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
  bind($notify, sockaddr_un($path)) or die "bind: $!";
  my $reader = fork();
  if ($reader == 0) {
    while (defined recv($notify, my $message, 4096, 0)) { $message =~ s/\n/ /g; print "notified $message\n"; }
    exit 0;
  }
  $alive{$reader} = 1;
}
$SIG{CHLD} = sub {
  while ((my $pid = waitpid(-1, POSIX::WNOHANG())) > 0) { delete $alive{$pid}; print "ended $pid ", $? >> 8, "\n"; }
};
while (<STDIN>) {
  my $pid = fork();
  if ($pid == 0) {
    $SIG{$_} = 'DEFAULT' for @told_to_end;
    open STDIN, '<', '/dev/null';
    my @high = map { fcntl($_, F_DUPFD, 100) } @sockets;
    POSIX::dup2($high[$_], 3 + $_) for 0 .. $#high;
    POSIX::close($_) for @high;
    $ENV{LISTEN_FDS} = @sockets; $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDNAMES} = join ':', @names;
    $ENV{NOTIFY_SOCKET} = $ENV{QUERYCOP_TEST_NOTIFY} if $ENV{QUERYCOP_TEST_NOTIFY};
    exec @ARGV; die "exec: $!";
  }
  $alive{$pid} = 1;
  print "started $pid\n";
}
kill 'KILL', keys %alive;
`;

export interface ActivatedProcess {
  readonly pid: number;
  /** The exit code, once it has ended. */
  exitCode(): number | undefined;
  signal(name: NodeJS.Signals): void;
}

export interface Activator {
  /** Of the sockets, in the order of their names. */
  readonly ports: readonly number[];
  /** Starts a querycop with all sockets; resolves as soon as the process exists. */
  start(): Promise<ActivatedProcess>;
  /** Log lines of all processes so far. */
  logs(): LogLine[];
  /** What was sent to NOTIFY_SOCKET so far, barriers left out. */
  notifications(): string[];
  stop(): Promise<void>;
}

export interface ActivatorOptions {
  /** One for each socket. */
  readonly names: readonly string[];
  readonly settings: Settings;
  /** Path of a socket to hear notifications on. */
  readonly notifySocket?: string;
  readonly args?: readonly string[];
}

export async function startActivator(options: ActivatorOptions): Promise<Activator> {
  const env = cleanEnvironment({
    GATEKEEPER_API_PORT: "0",
    GATEKEEPER_LOG_FORMAT: "json",
    QUERYCOP_TEST_SOCKETS: options.names.join(":"),
    QUERYCOP_TEST_NOTIFY: options.notifySocket,
    ...options.settings,
  });
  const command = [await querycopBinary(), ...(options.args ?? ["serve"])];
  const child = spawn("/usr/bin/perl", ["-e", ACTIVATOR, ...command], {
    env: environment(env),
    cwd: "/",
    stdio: ["pipe", "pipe", "pipe"],
  });
  // Not killed with this process: the end of its standard input tells it to end what it started.
  let said = "";
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const words = (first: string): string[][] =>
    said
      .split("\n")
      .filter((line) => line.startsWith(`${first} `))
      .map((line) => line.split(" ").slice(1));
  await eventually(`the activator opens its sockets ${log}`, () => words("port").length === options.names.length);
  let starts = 0;
  return {
    ports: words("port").map(([port]) => Number(port)),
    async start() {
      const index = starts++;
      child.stdin.write("\n");
      await eventually("the activator starts it", () => words("started").length > index);
      const pid = Number(words("started")[index]?.[0]);
      return {
        pid,
        exitCode() {
          const end = words("ended").find(([ended]) => Number(ended) === pid);
          return end === undefined ? undefined : Number(end[1]);
        },
        signal: (name) => process.kill(pid, name),
      };
    },
    logs: () =>
      log
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as LogLine),
    notifications: () =>
      words("notified")
        .map((line) => line.join(" "))
        .filter((line) => !line.startsWith("BARRIER")),
    async stop() {
      child.stdin.end();
      await gone;
    },
  };
}
