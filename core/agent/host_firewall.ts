/**
 * The agent's hold on this host's firewall: knet's own table and its rules in foreign chains.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { Nftables, NoNftablesError } from "../../ffi/libnftables.ts";
import { MissingLibraryError } from "../../ffi/load.ts";
import type { BackendContext } from "../overlay/backend/backend.ts";
import { backendOf } from "../overlay/backend/backends.ts";
import { waysOf } from "../overlay/underlay.ts";
import {
  familyOf,
  networkOf,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "../base/address.ts";
import { KnetError, messageOf } from "../base/error.ts";
import type { Family } from "../cluster/lease.ts";
import {
  applyFirewall,
  checkFirewall,
  ensurePasses,
  type FirewallDesired,
  guardFirst,
  type PassNeeds,
  peerDelta,
  type ServiceSets,
  serviceTargets,
  type TunnelEnd,
  virtualIps,
  withPresent,
} from "../kernel/firewall/firewall.ts";
import type { AddressDelta, PeerAddresses } from "./peer_addresses.ts";

const log = getLogger(["knet", "agent"]);

/** What the administrator asked of the firewall. */
export interface FirewallRequest {
  readonly ipMasq: boolean;
  readonly peersOnly: boolean;
}

/** Whether there is a tunnel that none but peers may send to: host-gw has none, and so no set of peers in the table. */
export function guardsTunnel(
  { config: { backend } }: Pick<BackendContext, "config">,
  { peersOnly }: Pick<FirewallRequest, "peersOnly">,
): boolean {
  return peersOnly && backend.type !== "host-gw";
}

/**
 * Addresses of this host that peers send to; undefined where it is not known: behind a router that translates its public address, and
 * while the store still has another one.
 *
 * @param former The one before: peers need a moment to hear of a change.
 */
function knownAt(
  { underlay: { address, publicIp }, announced }: Pick<BackendContext, "underlay" | "announced">,
  former: string | undefined,
): readonly string[] | undefined {
  if (!announced || address !== publicIp) return undefined;
  return former === undefined ? [address] : [address, former];
}

/** What knet's table should do on a host with this place in the cluster. */
export function firewallDesired(
  context: BackendContext,
  { bridge, ipMasq, peersOnly }: FirewallRequest & { readonly bridge: string },
  peers: Pick<PeerAddresses, "all">,
  services: ServiceSets | undefined,
  refused: RefusedNetwork = { network: context.config.serviceNetwork, except: [] },
  tunnelEnd?: TunnelEnd,
  former?: string,
): FirewallDesired {
  const { config: { network, backend }, subnet, underlay } = context;
  const device = backendOf(backend).device(context)?.name;
  return {
    network,
    subnet,
    address: underlay.address,
    ifaces: waysOf(underlay),
    bridge,
    ipMasq,
    peersOnly:
      guardsTunnel(context, { peersOnly }) && backend.type !== "host-gw" && device !== undefined
        ? {
          port: backend.port,
          vni: backend.type === "vxlan" ? backend.vni : undefined,
          device,
          // The packet loop sends as whoever the agent is.
          user: backend.type === "vxlan" ? undefined : Deno.uid() ?? undefined,
          peers: peers.all,
          // The packet loop's socket is bound to its address.
          ...(backend.type === "vxlan" && { own: knownAt(context, former) }),
        }
        : undefined,
    serviceNetwork: refused.network,
    ...(refused.except.length > 0 && { serviceExcept: refused.except }),
    services,
    ...(tunnelEnd !== undefined && { tunnelEnd }),
  };
}

/**
 * What other programs' chains have to let through on this host.
 *
 * @param desired what knet's own table does there.
 */
export function passNeeds(
  { config: { backend } }: Pick<BackendContext, "config">,
  { network, bridge, ifaces, services, serviceNetwork, serviceExcept = [] }: FirewallDesired,
  more: Pick<PassNeeds, "tunnelsIn" | "tunnelsOut" | "store"> = {},
): PassNeeds {
  const whole = serviceExcept.length === 0 ? serviceNetwork : undefined;
  return {
    ...{ network, bridge, ifaces, ...more },
    port: backend.type === "host-gw" ? undefined : backend.port,
    targets: services === undefined ? [] : serviceTargets(virtualIps(services), whole),
  };
}

/** What of the service network is refused where no service is. */
export interface RefusedNetwork {
  /** The service network; undefined: it is a part of a network of this host's, and nothing is refused. */
  readonly network: string | undefined;
  /** Parts of it where something else is. */
  readonly except: readonly string[];
}

/**
 * The service network, but for what is not services': an administrator may have taken a part of the hosts' own network for virtual
 * IPs, and the hosts there are to be reached, as is what routes lead to.
 *
 * @param connected Addresses of this host, with the prefix lengths of their networks.
 * @param routed Destinations of routes that somebody made. One to more than the service network says nothing about it.
 */
export function refusedNetwork(
  network: string,
  connected: readonly string[],
  routed: readonly string[] = [],
): RefusedNetwork {
  const { family, length } = parsePrefix(network);
  const inside = (one: string) => familyOf(one) === family && prefixesOverlap(network, one);
  const here = connected.filter(inside).map((one) => {
    const [address = "", bits] = one.split("/");
    const length = Number(bits);
    return { prefix: networkOf(address, length), length };
  });
  if (here.some((one) => one.length <= length)) return { network: undefined, except: [] };
  const there = routed.filter(inside).map((prefix) => ({
    prefix,
    length: parsePrefix(prefix).length,
  }));
  const parts = [...here, ...there.filter((one) => one.length > length)]
    .sort((a, b) => a.length - b.length);
  const except: string[] = [];
  for (const { prefix } of parts) {
    if (!except.some((wider) => prefixesOverlap(wider, prefix))) except.push(prefix);
  }
  return { network, except: except.sort() };
}

/** Whether all that is sent to an address without a service is refused. */
export function isRefused({ network, except }: RefusedNetwork, address: string): boolean {
  const inside = (prefix: string) =>
    familyOf(prefix) === familyOf(address) && prefixContains(prefix, address);
  return network !== undefined && inside(network) && !except.some(inside);
}

/** Says what of the service network is not refused; undefined if all is. */
export function unrefused(network: string, refused: RefusedNetwork): string | undefined {
  const { except } = refused;
  if (refused.network === undefined) {
    return `The service network ${network} is part of a network of this host: ` +
      "addresses in it that no service has are not refused";
  }
  if (except.length === 0) return undefined;
  const some = except.length > 5 ? `${except.slice(0, 5).join(", ")} …` : except.join(", ");
  return `This host has addresses or routes in the service network ${network}: ` +
    `what no service has in ${some} is not refused`;
}

/**
 * What knet cannot do on a host without libnftables, or whose kernel has no nftables at the moment, and the remedy.
 *
 * @returns the sentence for log and status.
 * @throws {KnetError} exit code 3 if masquerading was asked for: containers that were promised the way
 * out would not have it.
 */
export function withoutNftables(
  request: FirewallRequest,
  error: MissingLibraryError | NoNftablesError,
): string {
  if (request.ipMasq) {
    throw new KnetError(`Cannot masquerade (--ip-masq): ${messageOf(error)}`, {
      exitCode: 3,
      remedy: `${error.remedy}, or join with --no-ip-masq`,
      cause: error,
    });
  }
  const guard = request.peersOnly
    ? "ANYBODY on the underlay can send packets into the containers (--peers-only cannot be kept), and "
    : "";
  return `No firewall: ${guard}forwarding that other rules drop stays dropped. ${error.message}. ${error.remedy}`;
}

/** Keeps the firewall as it should be. */
export class HostFirewall implements Disposable {
  /** Undefined on a host without libnftables or nfnetlink. */
  readonly nft: Nftables | undefined;
  #advice: readonly string[] = [];
  #problem: string | undefined;
  /** What of the guard this host cannot have. */
  #lack: string | undefined;

  /**
   * A host without libnftables or nfnetlink gets its overlay all the same, and a loud warning.
   *
   * @throws {KnetError} exit code 3 if the request cannot be met without it.
   */
  constructor(request: FirewallRequest) {
    try {
      this.nft = new Nftables();
    } catch (error) {
      if (!(error instanceof MissingLibraryError || error instanceof NoNftablesError)) throw error;
      this.#problem = withoutNftables(request, error);
      log.warn("{message}", { message: this.#problem });
    }
  }

  /** What the administrator should know: commands to type, and what could not be done. */
  get warnings(): string[] {
    return [...this.#advice, this.#lack, this.#problem].filter((one) => one !== undefined);
  }

  /**
   * Guards the tunnel, before anything else is done about it.
   *
   * @throws {KnetError} exit code 3 if the kernel refuses: without it the tunnel would stand open.
   */
  guard(desired: FirewallDesired): void {
    if (this.nft === undefined) return;
    try {
      guardFirst(this.nft, desired);
    } catch (error) {
      throw new KnetError(`Cannot guard the tunnel's port: ${messageOf(error)}`, {
        exitCode: 3,
        remedy:
          "See that this kernel has nf_tables, or let everybody send to the tunnel: --no-peers-only",
        cause: error,
      });
    }
  }

  /**
   * Compares with the kernel and writes what differs. A failure is a warning: the overlay goes on.
   *
   * @param needs What other programs' chains have to let through.
   * @param keep Peers and services that its sets have stay in them, wanted or not.
   * @returns whether knet's table is as it should be.
   */
  reconcile(wanted: FirewallDesired, needs: PassNeeds, keep = false): boolean {
    const nft = this.nft;
    if (nft === undefined) return false;
    let written = false;
    try {
      const desired = keep ? withPresent(nft, wanted) : wanted;
      const drift = checkFirewall(nft, desired);
      if (drift !== undefined) {
        this.#lack = applyFirewall(nft, desired);
        log.debug("Wrote the nftables table: {drift}", { drift });
      }
      written = true;
      const { advice } = ensurePasses(nft, needs);
      this.#advice = advice.map((one) => `${one.detail}: ${one.commands.join("; ")}`);
      this.#problem = undefined;
    } catch (error) {
      this.#problem = messageOf(error);
      log.warn("{message}", { message: this.#problem });
    }
    return written;
  }

  /**
   * Peers' public addresses changed: costs as much as the difference.
   *
   * @throws {NftablesError} if knet's table is gone.
   */
  changePeers({ add, remove }: AddressDelta, family: Family): void {
    if (this.nft !== undefined) peerDelta(this.nft, add, remove, family);
  }

  [Symbol.dispose](): void {
    this.nft?.[Symbol.dispose]();
  }
}
