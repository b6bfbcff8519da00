/**
 * Small servers and clients, in perl because a hundred of them start in the time of one Deno on an emulated processor.
 *
 * @module
 */
import { Background, exec } from "../support/exec.ts";
import { until } from "../support/wait.ts";

// Answers TCP and UDP with its name and the address it was asked from. A socket for each address, so that answers to a datagram
// come from where it went to; freely bound (IP_FREEBIND), since a virtual IP may come later.
const SERVER = `
use Socket; $| = 1;
my ($name, $port, @addresses) = @ARGV; my (@tcp, @udp);
for my $address (@addresses) {
  for my $type (SOCK_STREAM, SOCK_DGRAM) {
    socket(my $s, PF_INET, $type, 0) or die $!;
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); setsockopt($s, 0, 15, 1);
    bind($s, sockaddr_in($port, inet_aton($address))) or die "$address: $!";
    if ($type == SOCK_STREAM) { listen($s, 4096); push @tcp, $s } else { push @udp, $s }
  }
}
print "ready\\n";
while (1) {
  my $bits = ""; vec($bits, fileno($_), 1) = 1 for @tcp, @udp;
  select($bits, undef, undef, undef);
  for my $s (@udp) { next unless vec($bits, fileno($s), 1);
    my $from = recv($s, my $data, 100, 0); next unless $from;
    my ($p, $a) = sockaddr_in($from); send($s, "$name " . inet_ntoa($a) . "\\n", 0, $from) }
  for my $s (@tcp) { next unless vec($bits, fileno($s), 1);
    my $from = accept(my $c, $s) or next;
    my ($p, $a) = sockaddr_in($from); syswrite($c, "$name " . inet_ntoa($a) . "\\n"); close $c }
}`;

const CLIENT = `
use Socket; my ($types, $address, $port, $count, $firstport) = @ARGV;
for my $type (split /,/, $types) { for my $i (1..$count) {
  eval {
    local $SIG{ALRM} = sub { die "timeout\\n" }; alarm 4;
    socket(my $s, PF_INET, $type eq "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0) or die $!;
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
    if ($firstport) { bind($s, sockaddr_in($firstport + $i, INADDR_ANY)) or die "bind: $!\\n" }
    connect($s, sockaddr_in($port, inet_aton($address))) or die "$!\\n";
    syswrite($s, "?") if $type ne "tcp";
    sysread($s, my $line, 100) or die "nothing: $!\\n"; print $line; close $s; alarm 0;
  };
  if ($@) { print "error $@" }
} }`;

/** Where a program runs: command line that leads into a network namespace. */
export type Place = readonly string[];

/** The place of a network namespace by its name. */
export const inside = (namespace: string): Place => ["ip", "netns", "exec", namespace];

/** Starts a server; it is ready when this resolves. */
export async function serve(
  place: Place,
  name: string,
  port: number,
  addresses: readonly string[],
): Promise<Background> {
  const line = [...place, "perl", "-e", SERVER, name, `${port}`];
  const server = new Background([...line, ...addresses]);
  await until(`server ${name}: ${server.stderr}`, () => server.stdout.includes("ready"));
  return server;
}

/** What a client was told: by whom, and which address it was seen to have. */
export interface Answer {
  /** Name of the server, "error" if there was no answer. */
  readonly by: string;
  /** The client's address as the server saw it, or what went wrong. */
  readonly from: string;
}

/** Asks again and again, each time by a new connection; `tcp,udp` first the one, then the other. */
export async function ask(
  place: Place,
  protocol: "tcp" | "udp" | "tcp,udp",
  address: string,
  port: number,
  count: number,
  options: { readonly firstPort?: number } = {},
): Promise<Answer[]> {
  const args = [protocol, address, `${port}`, `${count}`, `${options.firstPort ?? ""}`];
  const command = [...place, "perl", "-e", CLIENT, ...args];
  const { stdout } = await exec(command, { timeout: 120_000 });
  return stdout.trim().split("\n").map((line) => {
    const [by = "", ...from] = line.split(" ");
    return { by, from: from.join(" ") };
  });
}

// Takes so many bytes by TCP and says so; says of each datagram how long it was.
const SINK = `
use Socket; $| = 1; $SIG{PIPE} = "IGNORE"; my ($port, $bytes, @addresses) = @ARGV; my (@tcp, @udp);
for my $address (@addresses) { for my $type (SOCK_STREAM, SOCK_DGRAM) {
  socket(my $s, PF_INET, $type, 0) or die $!;
  setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); setsockopt($s, 0, 15, 1);
  bind($s, sockaddr_in($port, inet_aton($address))) or die "$address: $!";
  if ($type == SOCK_STREAM) { listen($s, 50); push @tcp, $s } else { push @udp, $s } } }
print "ready\n";
while (1) {
  my $bits = ""; vec($bits, fileno($_), 1) = 1 for @tcp, @udp; select($bits, undef, undef, undef);
  for my $s (@udp) { next unless vec($bits, fileno($s), 1);
    my $from = recv($s, my $data, 65536, 0) or next; send($s, length($data) . "\n", 0, $from) }
  for my $s (@tcp) { next unless vec($bits, fileno($s), 1);
    accept(my $c, $s) or next; my $all = 0;
    while ($all < $bytes) { my $got = sysread($c, my $data, 65536) or last; $all += $got }
    syswrite($c, "$all\n"); close $c }
}`;

// Sends so many bytes by TCP, or as one datagram; says what the other side says it got, and how many seconds that took.
const SOURCE = `
use Socket; use Time::HiRes "time"; my ($type, $address, $port, $bytes) = @ARGV; my $start = time;
eval {
  local $SIG{ALRM} = sub { die "timeout\n" }; alarm 20;
  socket(my $s, PF_INET, $type eq "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0) or die $!;
  connect($s, sockaddr_in($port, inet_aton($address))) or die "$!\n";
  my $data = "x" x $bytes; my $sent = 0;
  while ($sent < $bytes) { my $w = syswrite($s, $data, $bytes - $sent, $sent) or die "write: $!\n"; $sent += $w }
  sysread($s, my $line, 20) or die "nothing: $!\n"; chomp $line; print "$line " . (time - $start);
}; print "error $@" if $@;`;

/** Starts what takes bytes at some addresses; ready when this resolves. */
export async function takeBytes(
  place: Place,
  port: number,
  bytes: number,
  addresses: readonly string[],
): Promise<Background> {
  const sink = new Background([...place, "perl", "-e", SINK, `${port}`, `${bytes}`, ...addresses]);
  await until(`sink: ${sink.stderr}`, () => sink.stdout.includes("ready"));
  return sink;
}

/**
 * Sends bytes, as a host that has never sent anything there.
 *
 * @returns bytes that arrived, NaN if it failed, and seconds.
 */
export async function sendBytes(
  place: Place,
  protocol: "tcp" | "udp",
  address: string,
  port: number,
  bytes: number,
): Promise<{ readonly bytes: number; readonly seconds: number; readonly said: string }> {
  // What the kernel learned of the way before would hide that it has to learn it.
  const forget = "ip tcp_metrics flush; ip route flush cache";
  const line = ["perl", "-e", SOURCE, protocol, address, `${port}`, `${bytes}`];
  const { stdout } = await exec([...place, "sh", "-c", `${forget}; exec "$@"`, "sh", ...line], {
    timeout: 60_000,
  });
  const [arrived, seconds] = stdout.split(" ").map(Number);
  return { bytes: arrived!, seconds: seconds!, said: stdout };
}

/** How often each server answered, by its name. */
export function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { by } of answers) counts[by] = (counts[by] ?? 0) + 1;
  return counts;
}

// Sends back what comes, on as many connections as there are.
const ECHO = `
use IO::Select; use IO::Socket::INET; $| = 1; $SIG{PIPE} = "IGNORE";
my $listener = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 1024, ReuseAddr => 1) or die $!;
my $all = IO::Select->new($listener);
print "ready\\n";
while (1) { for my $s ($all->can_read) {
  if ($s == $listener) { $all->add($s->accept // next); next }
  if (sysread($s, my $data, 4096)) { syswrite($s, $data) } else { $all->remove($s); close $s }
} }`;

// Keeps connections open, and says every tenth of a second or so by how many of them its bytes came back; how many new ones failed too.
// All end by a reset, which IPVS forgets after ten seconds; TIME-WAIT takes it two minutes.
const HOLDER = `
use IO::Socket::INET; use Socket; $| = 1; $SIG{PIPE} = "IGNORE"; my ($address, $port, $count) = @ARGV;
sub dial { my $s = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 5);
  setsockopt($s, SOL_SOCKET, SO_LINGER, pack("ii", 1, 0)) if $s; $s }
sub talk { my ($s) = @_; my $ok = eval {
  local $SIG{ALRM} = sub { die }; alarm 5;
  syswrite($s, "x") or die; sysread($s, my $data, 1) or die; 1 }; alarm 0; $ok }
my @open = map { dial() or die "Cannot connect: $@" } 1..$count;
my $failed = 0; my $rounds = 0;
while (1) {
  @open = grep { talk($_) } @open;
  my $new = dial(); $failed++ unless $new && talk($new); close $new if $new;
  $rounds++; print "$rounds " . scalar(@open) . " $failed\\n";
  select(undef, undef, undef, 0.1);
}`;

/** Starts a server that sends back what comes; it is ready when this resolves. */
export async function serveEcho(place: Place, port: number): Promise<Background> {
  const server = new Background([...place, "perl", "-e", ECHO, `${port}`]);
  await until(`echo server: ${server.stderr}`, () => server.stdout.includes("ready"));
  return server;
}

/** What became of connections that are held open. */
export interface Held {
  /** Times that bytes were sent on all of them. */
  readonly rounds: number;
  /** Connections by which the bytes came back until now. */
  readonly open: number;
  /** New connections that failed, one being tried each time. */
  readonly failed: number;
}

/** Opens connections and keeps talking on them; the function returned says how it goes. */
export async function hold(
  place: Place,
  address: string,
  port: number,
  count: number,
): Promise<{ readonly process: Background; readonly held: () => Held }> {
  const args = [address, `${port}`, `${count}`];
  const process = new Background([...place, "perl", "-e", HOLDER, ...args]);
  const held = () => {
    const last = process.stdout.trimEnd().split("\n").at(-1) ?? "";
    const [rounds = 0, open = 0, failed = 0] = last.split(" ").map(Number);
    return { rounds, open, failed };
  };
  await until("connections are open", () => {
    if (process.ended !== undefined) throw new Error(process.stderr);
    return held().rounds > 0;
  });
  return { process, held };
}
