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
  return stdout.split(/[\s,]+/).sort().join(" ");
}
