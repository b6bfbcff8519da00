/**
 * The agent's hold on this host's firewall: knet's own table, its rules in foreign chains, ip_forward.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { Nftables } from "../../ffi/libnftables.ts";
import { readSysctl, writeSysctl } from "../../ffi/sysctl.ts";
import { messageOf } from "../error.ts";
import {
  applyFirewall,
  checkFirewall,
  ensureForward,
  type FirewallDesired,
  peerDelta,
} from "../firewall.ts";

const log = getLogger(["knet", "agent"]);

/** Keeps the firewall as it should be. */
export class HostFirewall implements Disposable {
  readonly #nft = new Nftables();
  #advice: readonly string[] = [];
  #problem: string | undefined;

  /** What the administrator should know: commands to type, and what could not be done. */
  get warnings(): string[] {
    return this.#problem === undefined ? [...this.#advice] : [...this.#advice, this.#problem];
  }

  /** Compares with the kernel and writes what differs. A failure is a warning: the overlay goes on. */
  reconcile(desired: FirewallDesired): void {
    try {
      const drift = checkFirewall(this.#nft, desired);
      if (drift !== undefined) {
        applyFirewall(this.#nft, desired);
        log.debug("Wrote the nftables table: {drift}", { drift });
      }
      const { advice } = ensureForward(this.#nft, desired.network);
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
  changePeers(before: ReadonlySet<string>, after: ReadonlySet<string>): void {
    peerDelta(
      this.#nft,
      [...after].filter((address) => !before.has(address)),
      [...before].filter((address) => !after.has(address)),
    );
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
  }
}

/**
 * Lets the host forward packets.
 *
 * @throws {SystemError} if the sysctl cannot be written.
 */
export function ensureForwarding(): void {
  if (readSysctl("net.ipv4.ip_forward")?.trim() === "1") return;
  writeSysctl("net.ipv4.ip_forward", 1);
  log.info("Set net.ipv4.ip_forward to 1");
}
