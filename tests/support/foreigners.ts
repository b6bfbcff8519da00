/**
 * What is on a host that is not knet's, and must stay as it is.
 *
 * @module
 */
import type { Host } from "./host.ts";

/** FORWARD as Docker leaves it: it drops, and DOCKER-USER is where others may put their rules. */
export const DOCKER_RULES = `
  iptables -w -P FORWARD DROP
  iptables -w -N DOCKER-USER
  iptables -w -A FORWARD -j DOCKER-USER
`;

/**
 * What Docker 28 adds to that for its own network and for one that is knet's bridge (gateway mode nat-unprotected), with a container of
 * each: `address` on knet's, which has published port 8088.
 */
export const docker28Rules = (address: string): string => `
  iptables -w -N DOCKER
  iptables -w -N DOCKER-FORWARD
  iptables -w -N DOCKER-BRIDGE
  iptables -w -N DOCKER-CT
  iptables -w -A FORWARD -j DOCKER-FORWARD
  iptables -w -A DOCKER-FORWARD -j DOCKER-CT
  iptables -w -A DOCKER-FORWARD -j DOCKER-BRIDGE
  for bridge in docker0 knet0; do
    iptables -w -A DOCKER-CT -o $bridge -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    iptables -w -A DOCKER-BRIDGE -o $bridge -j DOCKER
    iptables -w -A DOCKER-FORWARD -i $bridge -j ACCEPT
  done
  iptables -w -A DOCKER ! -i docker0 -o docker0 -j DROP
  iptables -w -A DOCKER ! -i knet0 -o knet0 -j ACCEPT
  iptables -w -t raw -A PREROUTING -d 172.17.0.2 ! -i docker0 -j DROP
  iptables -w -t nat -N DOCKER
  iptables -w -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
  iptables -w -t nat -A DOCKER ! -i knet0 -p tcp --dport 8088 -j DNAT --to-destination ${address}:80
`;

/** The same by Docker 29 with its nftables backend, which has a table of its own and no DOCKER-USER. */
export const docker29Rules = (address: string): string =>
  `nft '
  table ip docker-bridges {
    chain in-docker0 { ct state established,related accept; iifname "docker0" accept; counter drop; }
    chain in-knet0 { ct state established,related accept; iifname "knet0" accept; counter accept; }
    chain out { ct state established,related accept; counter accept; }
    map ins { type ifname : verdict; elements = { "docker0" : jump in-docker0, "knet0" : jump in-knet0 }; }
    map outs { type ifname : verdict; elements = { "docker0" : jump out, "knet0" : jump out }; }
    chain filter-FORWARD {
      type filter hook forward priority filter; policy accept;
      oifname vmap @ins
      iifname vmap @outs
    }
    chain nat-PREROUTING {
      type nat hook prerouting priority dstnat; policy accept;
      fib daddr type local iifname != "knet0" tcp dport 8088 dnat to ${address}:80
    }
    chain raw-PREROUTING {
      type filter hook prerouting priority raw; policy accept;
      iifname != "docker0" ip daddr 172.17.0.2 counter drop
    }
  }'
`;

/** Takes away what of that is not in {@linkcode DOCKER_RULES}. */
export const NO_DOCKER_RULES = `
  iptables -w -t raw -F; iptables -w -t nat -F; iptables -w -t nat -X DOCKER
  iptables -w -D FORWARD -j DOCKER-FORWARD
  for chain in DOCKER-FORWARD DOCKER-BRIDGE DOCKER-CT DOCKER; do iptables -w -F $chain; done
  for chain in DOCKER-FORWARD DOCKER-BRIDGE DOCKER-CT DOCKER; do iptables -w -X $chain; done
`;

/** A table of somebody else's. */
export const FOREIGN_TABLE = `nft 'table inet other { chain c { tcp dport 4711 accept; }; }'`;

/** Things on host 1 that are not knet's, one of them with a next-hop id out of knet's range. */
export async function addForeigners(host: Host): Promise<void> {
  await host.sh(`
    ip link add f0 type veth peer name f1
    ip link set f0 addrgenmode none up
    ip link set f1 addrgenmode none up
    ip addr add 198.51.100.1/24 dev f0
    ip route add 198.51.101.0/24 via 198.51.100.2 dev f0 proto static
    ip nexthop add id 4711 via 198.51.100.4 dev f0
    ip nexthop add id ${0x6b6e0000} via 198.51.100.5 dev f0
    ip nexthop add id ${0x6b6e0002} via 198.51.100.6 dev f0
    ip route add 198.51.103.0/24 nhid 4711
    ip route add 198.51.104.0/24 nhid ${0x6b6e0002}
    ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev f0 nud permanent
    ${FOREIGN_TABLE}
    ${DOCKER_RULES}`);
}

/** The same things as text. */
export async function foreigners(host: Host): Promise<string> {
  const { stdout } = await host.sh(`
    ip -4 route show dev f0 | sort
    ip nexthop show dev f0 | sort
    ip neigh show dev f0 nud permanent
    nft list table inet other
    iptables -w -S FORWARD`);
  return stdout;
}

/** knet's own firewall on a host, however its sets are ordered. */
export async function firewallOf(host: Host): Promise<string> {
  const { stdout } = await host.sh(`
    nft list tables | grep -w knet | while read -r word family name; do nft -s list table $family $name; done
    iptables -w -S | grep -- '--comment .*knet' || true
    sysctl -n net.ipv4.ip_forward`);
  // Where peers reach the host is another one after a change of its address, and for a while both.
  const alike = stdout.replace(/(@th,96,24 \S+ ip6? daddr !=) (\{[^}]*\}|\S+)/g, "$1 OWN");
  return alike.split(/[\s,]+/).sort().join(" ");
}
