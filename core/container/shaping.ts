/**
 * Limits of a container's bandwidth in the kernel. What it receives goes through a token bucket at the wire's end on the host. What it
 * sends comes in there, where nothing can be made to wait: it is led through a device of its own (ifb) that has a token bucket. Both
 * are on the host's side, where the container cannot lift them.
 *
 * @module
 */
import { IN6_ADDR_GEN_MODE_NONE } from "../../ffi/linux/if_link.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { addLink, changeLink, deleteLink, getLink, type Link } from "../../ffi/rtnl/link.ts";
import {
  deleteQueue,
  listQueues,
  listRedirections,
  type Queue,
  redirectIngress,
  setTokenBucket,
  type TokenBucket,
} from "../../ffi/rtnl/traffic.ts";
import { KnetError } from "../base/error.ts";
import { type Bandwidth, bucketOf, isBucket, isLimited } from "./bandwidth.ts";
import { type ContainerRecord, shownName } from "./record.ts";
import { shaperIfname } from "./wire_names.ts";

/** The kernel has no way to limit a bandwidth. */
export class NoShapingError extends KnetError {
  override readonly name = "NoShapingError";
}

/** The kernel's modules that it takes. */
const MODULES = "sch_tbf, sch_ingress, cls_u32, act_mirred and ifb";

/**
 * Limits the bandwidth of a wire that has just been made.
 *
 * @param record with its limits; nothing is done if there are none.
 * @throws {NoShapingError} if the kernel cannot.
 * @throws {NetlinkError} if it refuses.
 */
export function shape(
  rtnl: NetlinkSocket,
  record: Pick<ContainerRecord, "hostIfname" | "bandwidth" | "name" | "netns">,
  mtu: number,
): void {
  const { bandwidth, hostIfname } = record;
  if (bandwidth === undefined) return;
  const host = getLink(rtnl, hostIfname);
  if (host === undefined) throw new KnetError(`Cannot use interface "${hostIfname}": it vanished`);
  keepShape(rtnl, host, bandwidth, mtu, [], shownName(record));
}

/**
 * Brings the limits of a wire to what they should be.
 *
 * @param host the wire's end on the host.
 * @param queues of all devices.
 * @returns whether something was changed.
 * @throws {NoShapingError} if the kernel cannot.
 * @throws {NetlinkError} if it refuses.
 */
export function keepShape(
  rtnl: NetlinkSocket,
  host: Link,
  { ingress, egress }: Bandwidth,
  mtu: number,
  queues: readonly Queue[],
  name: string,
): boolean {
  try {
    const inward = ingress !== undefined &&
      keepBucket(rtnl, host.index, bucketOf(ingress, mtu), queues);
    const outward = egress !== undefined && keepEgress(rtnl, host, bucketOf(egress, mtu), queues);
    return inward || outward;
  } catch (error) {
    if (!isLacking(error)) throw error;
    throw new NoShapingError(
      `Cannot limit the bandwidth of "${name}": this kernel has no token buckets, or nothing that leads packets through them: ${error.message}`,
      {
        exitCode: 3,
        remedy: `Load the kernel's modules ${MODULES}, or ask for no limit`,
        cause: error,
      },
    );
  }
}

/**
 * Gives a wire other limits, none in a direction that has none.
 *
 * @param host the wire's end on the host.
 * @throws {NoShapingError} if the kernel cannot.
 * @throws {NetlinkError} if it refuses.
 */
export function reshape(
  rtnl: NetlinkSocket,
  host: Link,
  before: Bandwidth,
  wanted: Bandwidth,
  mtu: number,
  name: string,
): void {
  if (isLimited(wanted)) keepShape(rtnl, host, wanted, mtu, listQueues(rtnl), name);
  if (before.ingress !== undefined && wanted.ingress === undefined) {
    deleteQueue(rtnl, host.index, "root");
  }
  if (before.egress === undefined || wanted.egress !== undefined) return;
  deleteQueue(rtnl, host.index, "ingress");
  const shaper = getLink(rtnl, shaperIfname(host.name));
  if (shaper?.kind === "ifb") deleteLink(rtnl, shaper.index);
}

/** Whether a refusal says that the kernel lacks a queue, a filter, an action, or the device. */
export function isLacking(error: unknown): error is NetlinkError {
  return error instanceof NetlinkError && ["ENOENT", "EOPNOTSUPP", "ENOTSUPP"].includes(error.code);
}

function keepBucket(
  rtnl: NetlinkSocket,
  ifindex: number,
  wanted: TokenBucket,
  queues: readonly Queue[],
): boolean {
  const present = queues.find((one) => one.ifindex === ifindex && one.root);
  if (isBucket(present, wanted)) return false;
  setTokenBucket(rtnl, ifindex, wanted);
  return true;
}

function keepEgress(
  rtnl: NetlinkSocket,
  host: Link,
  wanted: TokenBucket,
  queues: readonly Queue[],
): boolean {
  const name = shaperIfname(host.name);
  const present = getLink(rtnl, name);
  const isThere = present?.kind === "ifb";
  if (present !== undefined && !isThere) deleteLink(rtnl, present.index);
  if (!isThere) {
    addLink(rtnl, { name, kind: "ifb", mtu: host.mtu, addrGenMode: IN6_ADDR_GEN_MODE_NONE });
  }
  const shaper = isThere ? present : getLink(rtnl, name)!;
  // The queue before anything comes to it.
  const changed = keepBucket(rtnl, shaper.index, wanted, isThere ? queues : []);
  const change = {
    ...(shaper.up ? {} : { up: true }),
    ...(shaper.mtu === host.mtu ? {} : { mtu: host.mtu }),
  };
  const isSet = Object.keys(change).length === 0;
  if (!isSet) changeLink(rtnl, shaper.index, change);
  const isLed = listRedirections(rtnl, host.index).some(({ target }) => target === shaper.index);
  if (!isLed) {
    deleteQueue(rtnl, host.index, "ingress");
    redirectIngress(rtnl, { ifindex: host.index, target: shaper.index });
  }
  return changed || !isSet || !isLed;
}

/** Says what of a wire's limits is not as it should be; undefined if all is. */
export function shapeFault(
  rtnl: NetlinkSocket,
  host: Link,
  { ingress, egress }: Bandwidth,
  mtu: number,
): string | undefined {
  const queues = listQueues(rtnl);
  const rootOf = (ifindex: number | undefined) =>
    queues.find((one) => one.ifindex === ifindex && one.root);
  if (ingress !== undefined && !isBucket(rootOf(host.index), bucketOf(ingress, mtu))) {
    return `what it receives is not limited to ${ingress.rate} bits a second`;
  }
  if (egress === undefined) return undefined;
  const shaper = getLink(rtnl, shaperIfname(host.name));
  const isRight = shaper?.up && isBucket(rootOf(shaper.index), bucketOf(egress, mtu)) &&
    listRedirections(rtnl, host.index).some(({ target }) => target === shaper.index);
  return isRight ? undefined : `what it sends is not limited to ${egress.rate} bits a second`;
}
