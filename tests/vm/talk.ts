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

/** How often each server answered, by its name. */
export function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { by } of answers) counts[by] = (counts[by] ?? 0) + 1;
  return counts;
}
