/**
 * The agent's view of the underlay: chosen at the start, and looked at again whenever it may have changed.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { listRoutes } from "../../ffi/rtnl/route.ts";
import { messageOf } from "../base/error.ts";
import { RT_TABLE_MAIN } from "../../ffi/linux/rtnetlink.ts";
import { chooseUnderlay, type Underlay, type UnderlayChoice } from "../overlay/underlay.ts";

const log = getLogger(["knet", "agent"]);

/** What of an underlay is not as it was: "address", if peers and store have to hear of it. */
export type UnderlayChange = "address" | "other" | undefined;

/** Compares two looks at an underlay. */
export function underlayChange(before: Underlay, now: Underlay): UnderlayChange {
  if (before.address !== now.address || before.publicIp !== now.publicIp) return "address";
  return JSON.stringify(before) === JSON.stringify(now) ? undefined : "other";
}

/** This host's underlay. */
export class HostUnderlay {
  readonly #rtnl: NetlinkSocket;
  readonly #choice: UnderlayChoice;
  #now: Underlay;

  /** @throws {KnetError} exit code 3 if no interface fits or the one that does has no address. */
  constructor(rtnl: NetlinkSocket, choice: UnderlayChoice) {
    this.#rtnl = rtnl;
    this.#choice = choice;
    this.#now = this.#choose();
  }

  /** As it was when last looked at. */
  get now(): Underlay {
    return this.#now;
  }

  /** Looks at it again. An interface without an address changes nothing: it may get it back. */
  look(): UnderlayChange {
    const before = this.#now;
    try {
      this.#now = this.#choose(before.address);
    } catch (error) {
      log.warn("{message}", { message: messageOf(error) });
      return undefined;
    }
    return underlayChange(before, this.#now);
  }

  #choose(current?: string): Underlay {
    return chooseUnderlay(
      {
        links: listLinks(this.#rtnl),
        addresses: listAddresses(this.#rtnl),
        routes: listRoutes(this.#rtnl, { family: this.#choice.family, table: RT_TABLE_MAIN }),
      },
      this.#choice,
      current,
    );
  }
}
