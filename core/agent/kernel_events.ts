/**
 * Listens to the kernel: rtnetlink's and nftables' notifications, and what they ask for.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { IFINFOMSG, IFLA_MASTER } from "../../ffi/linux/if_link.ts";
import { AF_BRIDGE } from "../../ffi/linux/socket.ts";
import { NETLINK_NETFILTER } from "../../ffi/linux/netlink.ts";
import {
  NFGENMSG,
  NFNLGRP_NFTABLES,
  NFT_MSG_NEWGEN,
  NFTA_GEN_PROC_PID,
} from "../../ffi/linux/nf_tables.ts";
import { Attributes, type MessageView } from "../../ffi/netlink/message.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { EventPoll } from "../../ffi/poll.ts";
import { decodeEvent } from "../../ffi/rtnl/events.ts";
import { openRtnl, RTM, RTNLGRP } from "../../ffi/rtnl/rtnl.ts";
import { threadId } from "../../ffi/thread.ts";
import { monotonicClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import type { Family } from "../cluster/lease.ts";
import { KINDS } from "../kernel/kinds/kinds.ts";
import { concernsHost, driftOf, LinkMemory, type Watched } from "./drift.ts";

const log = getLogger(["knet", "agent"]);

/** Bytes: a burst of a few thousand changes fits. */
const RECEIVE_BUFFER = 16 << 20;

const attributes = new Attributes();

/**
 * Whether an nftables notification tells nothing that this thread did not do itself. Each transaction ends with one that names
 * the thread (by its id outside of all containers: inside of one ours is taken for another's, which costs a look at the table).
 */
function isOwnTransaction(
  { type, data, view, offset, end }: MessageView,
  ownThread: number,
): boolean {
  if (type !== NFT_MSG_NEWGEN) return true; // Its end is still to come.
  const pid = attributes.parse(data, view, offset + NFGENMSG, end).at(NFTA_GEN_PROC_PID, 4);
  return pid >= 0 && view.getUint32(pid, false) === ownThread;
}

/** Whether a message is a bridge's note about a port of one of knet's bridges: it alone tells of some of a port's flags. */
function isPortOf(
  { data, view, offset, end }: MessageView,
  bridges: ReadonlySet<number>,
): boolean {
  if (data[offset] !== AF_BRIDGE) return false;
  const master = attributes.parse(data, view, offset + IFINFOMSG, end).u32(IFLA_MASTER);
  return master !== undefined && bridges.has(master);
}

/** What notifications ask for. */
export interface KernelNews {
  /** Devices or peers' entries are not as they should be. */
  readonly overlay: boolean;
  /** The underlay has to be looked at again. */
  readonly underlay: boolean;
  readonly sysctl: boolean;
  /** Something happened to a container's end on the host. */
  readonly containers: boolean;
  /** Somebody changed nftables rules. */
  readonly firewall: boolean;
  /** Addresses of this host changed, or routes that somebody made. */
  readonly host?: boolean;
  /** The kernel dropped notifications, which asks for everything. */
  readonly overrun: boolean;
  /** When the first of it arrived, monotonic clock. */
  readonly since?: number;
}

/** Groups that tell of what knet programs, and of the underlay. */
function groupsOf(family: Family): Set<number> {
  const { LINK, IPV4_IFADDR, IPV6_IFADDR, IPV4_ROUTE, IPV6_ROUTE, IPV4_NETCONF, TC } = RTNLGRP;
  return new Set([
    LINK,
    IPV4_NETCONF,
    TC,
    ...(family === 4 ? [IPV4_IFADDR, IPV4_ROUTE] : [IPV6_IFADDR, IPV6_ROUTE]),
    ...KINDS.flatMap((kind) => kind.groups?.(family) ?? []),
  ]);
}

/** The sockets that the agent waits on. */
export class KernelEvents implements Disposable {
  readonly #rtnl = openRtnl({ receiveBuffer: RECEIVE_BUFFER });
  /** Undefined on a kernel without nftables: there is nobody to listen to. */
  readonly #nft = listenToNftables();
  readonly #poll = new EventPoll();
  readonly #links = new LinkMemory();
  readonly #thread = threadId();
  /** When the first notification arrived that was not read yet. */
  #since: number | undefined;

  /** Subscribes; what happens from now on is not missed. */
  constructor() {
    this.#poll.add(this.#rtnl.fd);
    if (this.#nft !== undefined) this.#poll.add(this.#nft.fd);
  }

  /** Subscribes to what concerns a family; what happens from now on is not missed. */
  follow(family: Family): void {
    for (const group of groupsOf(family)) {
      try {
        this.#rtnl.joinGroup(group);
      } catch (error) {
        log.debug("{message}", { message: messageOf(error) }); // Kernels before 5.3 have no next-hop group.
      }
    }
  }

  /**
   * Waits for a notification, {@linkcode wake}, or the end of the time in milliseconds.
   *
   * @returns whether a notification has arrived.
   */
  async wait(timeoutMs: number): Promise<boolean> {
    const ready = await this.#poll.wait(timeoutMs);
    if (ready.length > 0) this.#since ??= monotonicClock();
    return ready.length > 0;
  }

  /** Ends a wait. */
  wake(): void {
    this.#poll.wake();
  }

  /** Reads what has arrived, without waiting. An overrun asks for everything. */
  read(watched: Watched): KernelNews {
    let overlay = false, underlay = false, sysctl = false, containers = false, host = false;
    const { overrun } = this.#rtnl.receive((message) => {
      // Our own entries come back by the ten thousand. Of our own links we remember what they look like now.
      const link = message.type === RTM.NEWLINK || message.type === RTM.DELLINK;
      if (message.pid === watched.port && !link) return;
      const event = decodeEvent(message);
      const drift = driftOf(event, watched, this.#links);
      host ||= concernsHost(event, watched);
      if (drift === "overlay") overlay = true;
      else if (drift === "underlay") overlay = underlay = true;
      else if (drift === "sysctl") sysctl = true;
      else if (drift === "containers") containers = true;
      else if (link && isPortOf(message, watched.devices)) containers = true;
    });
    if (overrun) overlay = underlay = host = true;
    let firewall = false;
    const nft = this.#nft?.receive((message) => {
      if (!isOwnTransaction(message, this.#thread)) firewall = true;
    });
    const since = this.#since ?? monotonicClock();
    this.#since = undefined;
    return {
      since,
      overlay,
      underlay,
      sysctl,
      host,
      containers,
      firewall: firewall || nft?.overrun === true,
      overrun: overrun || nft?.overrun === true,
    };
  }

  /** Ends a wait and closes the sockets. */
  [Symbol.dispose](): void {
    this.#poll.close();
    this.#nft?.[Symbol.dispose]();
    this.#rtnl[Symbol.dispose]();
  }
}

function listenToNftables(): NetlinkSocket | undefined {
  let socket: NetlinkSocket | undefined;
  try {
    socket = NetlinkSocket.open(NETLINK_NETFILTER);
    socket.joinGroup(NFNLGRP_NFTABLES);
    return socket;
  } catch (error) {
    socket?.[Symbol.dispose]();
    log.debug("{message}", { message: messageOf(error) });
    return undefined;
  }
}
