/**
 * Subscriptions to what changes in the kernel's tables.
 *
 * @module
 */
import type { NetlinkSocket } from "../netlink/socket.ts";
import { EventPoll } from "../poll.ts";
import { decodeEvent, type RtnlEvent } from "./events.ts";
import { openRtnl, RTNLGRP } from "./rtnl.ts";

/** What one can subscribe to. Neighbours and FDB entries come together: the kernel has one group for both. */
export type Topic = "link" | "address" | "route" | "nexthop" | "neighbour";

/** A change, or the news that there were more than the socket could hold: list again what you want to know. */
export type Change = RtnlEvent | { readonly kind: "overrun" };

/** Changes as they come. Disposing it ends a loop over it. */
export interface Subscription extends AsyncIterable<Change>, Disposable {}

const GROUPS: Record<Topic, readonly number[]> = {
  link: [RTNLGRP.LINK],
  address: [RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR],
  route: [RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE],
  nexthop: [RTNLGRP.NEXTHOP],
  neighbour: [RTNLGRP.NEIGH],
};

/**
 * Subscribes to changes in the network namespace that the thread is in. From the call on nothing is missed, so list after it. The
 * kernel removes routes and next hops without a message when a device goes down, loses its carrier or its last address.
 *
 * @param topics What about; at least one.
 * @throws {MissingLibraryError} without libnl.
 * @throws {Error} if the kernel has no such group (next-hop objects came with 5.3).
 *
 * @example
 * ```ts
 * import { addLink, newNetns, openRtnl, withNetns } from "@knet/knet";
 * import assert from "node:assert/strict";
 *
 * using namespace = newNetns();
 * using changes = withNetns(namespace.fd, () => subscribe("link", "address"));
 * withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   addLink(rtnl, { name: "br0", kind: "bridge" });
 * });
 * for await (const change of changes) {
 *   if (change.kind === "overrun") continue; // list links and addresses anew
 *   assert.ok(change.kind === "link" && change.value.name === "br0" && !change.deleted);
 *   break;
 * }
 * ```
 */
export function subscribe(...topics: readonly [Topic, ...Topic[]]): Subscription {
  const socket = openRtnl();
  try {
    for (const topic of topics) {
      for (const group of GROUPS[topic]) socket.joinGroup(group);
    }
    return subscription(socket);
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

function subscription(socket: NetlinkSocket): Subscription {
  const poll = new EventPoll();
  poll.add(socket.fd);
  let open = true;
  const changes: Change[] = [];
  const close = () => {
    if (!open) return;
    open = false;
    changes.length = 0;
    poll.close();
    socket[Symbol.dispose]();
  };
  const next = async (): Promise<IteratorResult<Change, undefined>> => {
    while (open) {
      const change = changes.shift();
      if (change !== undefined) return { done: false, value: change };
      await poll.wait();
      if (!open) break;
      const { overrun } = socket.receive((message) => {
        changes.push(decodeEvent(message));
      });
      if (overrun) changes.push({ kind: "overrun" });
    }
    return { done: true, value: undefined };
  };
  return {
    [Symbol.dispose]: close,
    [Symbol.asyncIterator]: () => ({
      next,
      // Leaving a loop early does not end the subscription: another loop goes on where this one left.
      return: () => Promise.resolve({ done: true, value: undefined }),
    }),
  };
}
