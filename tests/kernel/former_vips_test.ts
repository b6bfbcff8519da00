// What becomes of connections through a router when the address that they lead to is a former virtual IP: without IPVS.
import assert from "node:assert/strict";
import { applyFirewall } from "../../core/kernel/firewall/firewall.ts";
import { serviceSets } from "../../core/kernel/firewall/service_rules.ts";
import { Nftables } from "../../ffi/libnftables.ts";
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { Background, exec } from "../support/exec.ts";
import { rootTest } from "../support/suite.ts";
import { until } from "../support/wait.ts";

const ECHO = `use IO::Select; use IO::Socket::IP; $| = 1;
my $l = IO::Socket::IP->new(LocalHost => "::", LocalPort => 80, V6Only => 0, Listen => 9, ReuseAddr => 1) or die "$@";
my $all = IO::Select->new($l); print "ready\n";
while (1) { for my $s ($all->can_read) { if ($s == $l) { $all->add($s->accept); next }
  if (sysread($s, my $data, 99)) { syswrite($s, $data) } else { $all->remove($s); close $s } } }`;

/** Connects; writes a byte for each line that it reads, and says what came back. */
const TALKER = `use IO::Socket::IP; $| = 1; $SIG{PIPE} = "IGNORE";
my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => 80, Timeout => 3) or die "connect: $@\n"; print "open\n";
while (<STDIN>) { syswrite($s, "x"); my $ok = sysread($s, my $data, 9); print $ok ? "echo\n" : "$!\n" }`;

const firewall = (vips: readonly string[]) => ({
  network: "10.244.0.0/16",
  subnet: "10.244.1.0/24",
  address: "192.168.2.1",
  bridge: "knet0",
  ipMasq: false,
  peersOnly: undefined,
  serviceNetwork: "10.96.0.0/16",
  services: serviceSets([], 4, [], [], vips),
});

rootTest("connections to former virtual IPs end, those that begin later do not", async () => {
  const [client, router, server] = ["c", "r", "s"].map((one) => `kf${Deno.pid}${one}`) as [
    string,
    string,
    string,
  ];
  const vips = ["203.0.113.5", "2001:db8:7::5"];
  const script = `
    for n in ${client} ${router} ${server}; do ip netns add $n; ip -n $n link set lo up; done
    wire() {
      ip link add eth0 netns $1 type veth peer name $2 netns ${router}
      ip -n $1 addr add $3.2/24 dev eth0; ip -n ${router} addr add $3.1/24 dev $2
      ip -n $1 addr add $4::2/64 dev eth0 nodad; ip -n ${router} addr add $4::1/64 dev $2 nodad
      ip -n $1 link set eth0 up; ip -n ${router} link set $2 up
      ip -n $1 route add default via $3.1; ip -n $1 -6 route add default via $4::1
    }
    wire ${client} left 10.1.0 fd01; wire ${server} right 10.2.0 fd02
    ip netns exec ${router} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    ip -n ${server} addr add ${vips[0]}/32 dev lo; ip -n ${server} addr add ${
    vips[1]
  }/128 dev lo nodad
    ip -n ${router} route add ${vips[0]} via 10.2.0.2; ip -n ${router} route add ${
    vips[1]
  } via fd02::2`;
  const running: Background[] = [];
  try {
    await exec(["sh", "-ec", script]);
    using space = openNetns(router);
    using nft = withNetns(space.fd, () => new Nftables());
    const apply = (former: readonly string[]) =>
      withNetns(space.fd, () => applyFirewall(nft, firewall(former)));
    const start = (space: string, ...args: string[]) => {
      const one = new Background(["ip", "netns", "exec", space, "perl", "-e", ...args]);
      running.push(one);
      return one;
    };
    const open = async (from: string, to: string) => {
      const talker = start(from, TALKER, to);
      await until(`${to}: ${talker.stderr}`, () => talker.stdout.includes("open"));
      return talker;
    };
    const says = async (talker: Background) => {
      const before = talker.stdout.length;
      await talker.write("\n");
      await until("it says something", () => talker.stdout.length > before);
      return talker.stdout.slice(before).trim();
    };
    const echo = start(server, ECHO);
    await until(`it listens: ${echo.stderr}`, () => echo.stdout.includes("ready"));
    apply([]);
    const before = await Promise.all(
      [client, router].flatMap((from) => vips.map((vip) => open(from, vip))),
    );
    for (const one of before) assert.equal(await says(one), "echo");
    const other = await open(client, "10.2.0.2");

    apply(vips);
    const later = await Promise.all(
      [client, router].flatMap((from) => vips.map((vip) => open(from, vip))),
    );
    for (const one of before) assert.match(await says(one), /reset by peer|Broken pipe/);
    for (const one of [...later, ...later, other]) assert.equal(await says(one), "echo");

    // The address is the router's own by now: whoever was sent there is answered by what listens there.
    await exec(`ip -n ${router} addr add ${vips[0]}/32 dev lo`);
    const own = start(router, ECHO);
    await until(`it listens: ${own.stderr}`, () => own.stdout.includes("ready"));
    const here = await open(router, vips[0]!);
    for (let round = 0; round < 2; round++) assert.equal(await says(here), "echo");
  } finally {
    for (const one of running) await one[Symbol.asyncDispose]();
    for (const one of [client, router, server]) {
      await exec(`ip netns delete ${one}`).catch(() => {});
    }
  }
});
