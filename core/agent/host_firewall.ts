/**
 * The agent's hold on this host's firewall: knet's own table and its rules in foreign chains.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { Nftables } from "../../ffi/libnftables.ts";
import { MissingLibraryError } from "../../ffi/load.ts";
import type { BackendContext } from "../overlay/backend/backend.ts";
import { KnetError, messageOf } from "../base/error.ts";
import {
  applyFirewall,
  checkFirewall,
  ensureForward,
  type FirewallDesired,
  peerDelta,
  type ServiceSets,
} from "../kernel/firewall/firewall.ts";
import type { AddressDelta, PeerAddresses } from "./peer_addresses.ts";

const log = getLogger(["knet", "agent"]);

/** What the administrator asked of the firewall. */
export interface FirewallRequest {
  readonly ipMasq: boolean;
  readonly peersOnly: boolean;
}

/** What knet's table should do on a host with this place in the cluster. */
export function firewallDesired(
  { config: { network, backend }, subnet, underlay }: Pick<
    BackendContext,
    "config" | "subnet" | "underlay"
  >,
  { bridge, ipMasq, peersOnly }: FirewallRequest & { readonly bridge: string },
  peers: Pick<PeerAddresses, "all">,
  services: ServiceSets | undefined,
): FirewallDesired {
  return {
    network,
    subnet,
    address: underlay.address,
    bridge,
    ipMasq,
    // host-gw has no tunnel, and so no port that somebody could send to.
    peersOnly: peersOnly && backend.type !== "host-gw"
      ? { port: backend.port, peers: peers.all }
      : undefined,
    services,
  };
}

/**
 * What knet cannot do on a host without libnftables, and the remedy.
 *
 * @returns the sentence for log and status.
 * @throws {KnetError} exit code 3 if masquerading was asked for: containers that were promised the way
 * out would not have it.
 */
export function withoutNftables(request: FirewallRequest, error: MissingLibraryError): string {
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
  /** Undefined on a host without libnftables. */
  readonly nft: Nftables | undefined;
  #advice: readonly string[] = [];
  #problem: string | undefined;

  /**
   * A host without libnftables gets its overlay all the same, and a loud warning.
   *
   * @throws {KnetError} exit code 3 if the request cannot be met without it.
   */
  constructor(request: FirewallRequest) {
    try {
      this.nft = new Nftables();
    } catch (error) {
      if (!(error instanceof MissingLibraryError)) throw error;
      this.#problem = withoutNftables(request, error);
      log.warn("{message}", { message: this.#problem });
    }
  }

  /** What the administrator should know: commands to type, and what could not be done. */
  get warnings(): string[] {
    return this.#problem === undefined ? [...this.#advice] : [...this.#advice, this.#problem];
  }

  /** Compares with the kernel and writes what differs. A failure is a warning: the overlay goes on. */
  reconcile(desired: FirewallDesired): void {
    const nft = this.nft;
    if (nft === undefined) return;
    try {
      const drift = checkFirewall(nft, desired);
      if (drift !== undefined) {
        applyFirewall(nft, desired);
        log.debug("Wrote the nftables table: {drift}", { drift });
      }
      const { advice } = ensureForward(nft, desired.network);
      this.#advice = advice.map((one) => `${one.detail}: ${one.commands.join("; ")}`);
      this.#problem = undefined;
    } catch (error) {
      this.#problem = messageOf(error);
      log.warn("{message}", { message: this.#problem });
    }
  }

  /**
   * Peers' public addresses changed: costs as much as the difference.
   *
   * @throws {NftablesError} if knet's table is gone.
   */
  changePeers({ add, remove }: AddressDelta): void {
    if (this.nft !== undefined) peerDelta(this.nft, add, remove);
  }

  [Symbol.dispose](): void {
    this.nft?.[Symbol.dispose]();
  }
}
