/**
 * The services of the benchmark, and the same as `ipvsadm -R` and as `iptables-restore` read them.
 *
 * @module
 */
import type { VirtualServer } from "../../core/services/service.ts";
import { virtual } from "../vm/world.ts";

/** Network of the containers in all cases. */
export const NETWORK = "10.244.0.0/16";

/** Services with ten real servers each, and a changed weight in one of them if asked for. */
export function tenEach(count: number, weight = 1): VirtualServer[] {
  return Array.from({ length: count }, (_, index) => {
    const [high, low] = [index >> 8, index & 255];
    const real = Array.from({ length: 10 }, (_, one) => {
      const changed = index === count >> 1 && one === 5 ? `,w${weight}` : "";
      return `10.244.${low}.${one + 2}:${8000 + (high & 63)}${changed}`;
    });
    return virtual(`s${index} 10.96.${high}.${low}:80`, real);
  });
}

/** One service with the two real servers that answer. */
export function answering(index: number, servers: readonly string[]): VirtualServer {
  return virtual(`s${index} 10.96.${index >> 8}.${index & 255}:80`, servers);
}

/** One service with two real servers that nobody asks. */
export function silent(index: number): VirtualServer {
  const low = index % 200 + 10;
  const port = 8000 + Math.floor(index / 200);
  return answering(index, [`10.244.${low}.2:${port}`, `10.244.${low}.3:${port}`]);
}

/** Services as `ipvsadm -R` reads them. */
export function ipvsadmRules(servers: readonly VirtualServer[]): string {
  return servers.flatMap(({ address, port, realServers }) => [
    `-A -t ${address}:${port} -s rr`,
    ...realServers.map((one) =>
      `-a -t ${address}:${port} -r ${one.address}:${one.port} -m -w ${one.weight}`
    ),
  ]).join("\n") + "\n";
}

/** What leads into the chains of {@linkcode iptablesRules}, and masquerades what was marked. */
export const IPTABLES_BASE = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE
COMMIT
`;

/**
 * Services as kube-proxy's iptables mode gives them to `iptables-restore --noflush --counters`: a rule a service in one chain,
 * a chain a service that draws lots, a chain a real server that translates.
 *
 * @param changed Services whose own chains are written; all if absent. The chain of all services is written whole in any case.
 */
export function iptablesRules(
  servers: readonly VirtualServer[],
  changed: readonly VirtualServer[] = servers,
): string {
  const chains = [":KUBE-SERVICES - [0:0]"];
  const rules = servers.map((server) =>
    `-A KUBE-SERVICES ${comment(server)} ${match(server)} -j ${serviceChain(server)}`
  );
  for (const server of changed) {
    const chain = serviceChain(server);
    chains.push(`:${chain} - [0:0]`);
    rules.push(
      `-A ${chain} ${comment(server)} ${match(server)} ! -s ${NETWORK} -j KUBE-MARK-MASQ`,
    );
    const count = server.realServers.length;
    server.realServers.forEach(({ address, port }, at) => {
      const end = endpointChain(server, at);
      const left = count - at;
      const lot = left === 1
        ? ""
        : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
      chains.push(`:${end} - [0:0]`);
      rules.push(
        `-A ${chain} -m comment --comment "default/${server.service} -> ${address}:${port}"${lot} -j ${end}`,
        `-A ${end} ${comment(server)} -s ${address}/32 -j KUBE-MARK-MASQ`,
        `-A ${end} ${comment(server)} -m tcp -p tcp -j DNAT --to-destination ${address}:${port}`,
      );
    });
  }
  return ["*nat", ...chains, ...rules, "COMMIT", ""].join("\n");
}

const comment = ({ service }: VirtualServer) =>
  `-m comment --comment "default/${service}:http cluster IP"`;
const match = ({ address, port }: VirtualServer) =>
  `-m tcp -p tcp -d ${address}/32 --dport ${port}`;
// Names of kube-proxy's length: a hash of 16 characters.
const serviceChain = ({ service }: VirtualServer) =>
  `KUBE-SVC-${service.toUpperCase().padEnd(16, "X")}`;
const endpointChain = ({ service }: VirtualServer, at: number) =>
  `KUBE-SEP-${`${service.toUpperCase()}E${at}`.padEnd(16, "X")}`;
