/**
 * Queues of devices that let so and so many bytes a second through (sch_tbf), and leading what comes in by one device through the
 * queue of another (sch_ingress, cls_u32, act_mirred): struct tcmsg, linux/pkt_sched.h.
 *
 * @module
 */
import {
  ETH_P_ALL,
  INGRESS_HANDLE,
  PSCHED_TICK,
  TC_ACT_STOLEN,
  TC_H_INGRESS,
  TC_H_ROOT,
  TC_MIRRED,
  TC_TBF_QOPT,
  TC_U32_TERMINAL,
  TCA_ACT_KIND,
  TCA_ACT_OPTIONS,
  TCA_EGRESS_REDIR,
  TCA_KIND,
  TCA_MIRRED_PARMS,
  TCA_OPTIONS,
  TCA_TBF_BURST,
  TCA_TBF_PARMS,
  TCA_TBF_RATE64,
  TCA_U32_ACT,
  TCA_U32_SEL,
  TCMSG,
} from "../linux/traffic_control.ts";
import { NLA_F_NESTED, NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import { RTM } from "../linux/rtnetlink.ts";
import { Batch, verbFlags } from "../netlink/batch.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** What a token bucket lets through. */
export interface TokenBucket {
  /** Bytes a second, in the long run; at least 1. */
  readonly rate: number;
  /** Bytes that may go at once; below 4 GiB. A packet that is larger never goes. */
  readonly burst: number;
  /** Bytes that may wait; those of more are dropped. */
  readonly limit: number;
}

/** A token bucket as the kernel shows it. */
export interface ShownBucket extends Pick<TokenBucket, "rate" | "limit"> {
  /** Nanoseconds that the burst takes at this rate, to the next lower 64; the lower 32 bits of their 64ths. */
  readonly time: number;
}

/** A queue of a device. */
export interface Queue {
  /** Index of the device. */
  readonly ifindex: number;
  /** `tbf`, `ingress`, `noqueue`, … */
  readonly kind: string;
  /** It is the one that all packets go through which leave by the device. */
  readonly root: boolean;
  /** Present if `kind` is `tbf`. */
  readonly bucket?: ShownBucket;
}

/** A filter that leads packets to another device. */
export interface Redirection {
  /** Index of the device that packets come in by. */
  readonly ifindex: number;
  /** Index of the device whose queue they go through. */
  readonly target: number;
}

const U32 = 0x1_0000_0000;
const attributes = new Attributes();
const options = new Attributes();

/** Writes a struct tcmsg. */
function header(batch: Batch, ifindex: number, handle: number, parent: number, info = 0): void {
  batch.u32(0);
  batch.u32(ifindex);
  batch.u32(handle);
  batch.u32(parent);
  batch.u32(info);
}

/**
 * Makes a token bucket the queue of a device, in place of the one that it has.
 *
 * @throws {NetlinkError} ENOENT if the kernel has no token buckets.
 */
export function setTokenBucket(
  socket: NetlinkSocket,
  ifindex: number,
  { rate, burst, limit }: TokenBucket,
): void {
  const batch = new Batch(256);
  batch.begin(
    RTM.NEWQDISC,
    verbFlags("replace"),
    () => `set a token bucket of ${rate} bytes/s on device #${ifindex}`,
  );
  header(batch, ifindex, 0, TC_H_ROOT);
  batch.attrString(TCA_KIND, "tbf");
  const nest = batch.beginNest(TCA_OPTIONS | NLA_F_NESTED);
  const qopt = new DataView(new ArrayBuffer(TC_TBF_QOPT));
  // struct tc_ratespec rate and peakrate, 12 bytes each with the rate at the end; then limit, buffer, mtu.
  qopt.setUint32(8, Math.min(rate, U32 - 1), true);
  qopt.setUint32(24, limit, true);
  batch.attrBytes(TCA_TBF_PARMS, new Uint8Array(qopt.buffer));
  if (rate >= U32) {
    const wide = new DataView(new ArrayBuffer(8));
    wide.setBigUint64(0, BigInt(rate), true);
    batch.attrBytes(TCA_TBF_RATE64, new Uint8Array(wide.buffer));
  }
  batch.attrU32(TCA_TBF_BURST, burst);
  batch.endNest(nest);
  batch.end();
  socket.request(batch);
}

/**
 * Leads all that comes in by a device through the queue of another one, and then on as if it had come in just now.
 *
 * @throws {NetlinkError} ENOENT if the kernel lacks a part of what does it.
 */
export function redirectIngress(
  socket: NetlinkSocket,
  { ifindex, target }: Redirection,
): void {
  const batch = new Batch(512);
  const what = () => `lead what comes in by device #${ifindex} through #${target}`;
  batch.begin(RTM.NEWQDISC, verbFlags("add"), what);
  header(batch, ifindex, INGRESS_HANDLE, TC_H_INGRESS);
  batch.attrString(TCA_KIND, "ingress");
  batch.end();
  batch.begin(RTM.NEWTFILTER, verbFlags("add"), what);
  // The first of priorities; the protocol is in network order.
  header(batch, ifindex, 0, INGRESS_HANDLE, (1 << 16 | ETH_P_ALL << 8) >>> 0);
  batch.attrString(TCA_KIND, "u32");
  const nest = batch.beginNest(TCA_OPTIONS | NLA_F_NESTED);
  // struct tc_u32_sel with one key, which every packet matches: its mask is zero.
  const selector = new Uint8Array(32);
  selector[0] = TC_U32_TERMINAL;
  selector[2] = 1;
  batch.attrBytes(TCA_U32_SEL, selector);
  const actions = batch.beginNest(TCA_U32_ACT | NLA_F_NESTED);
  const first = batch.beginNest(1 | NLA_F_NESTED);
  batch.attrString(TCA_ACT_KIND, "mirred");
  const action = batch.beginNest(TCA_ACT_OPTIONS | NLA_F_NESTED);
  const mirred = new DataView(new ArrayBuffer(TC_MIRRED));
  mirred.setInt32(8, TC_ACT_STOLEN, true);
  mirred.setInt32(20, TCA_EGRESS_REDIR, true);
  mirred.setUint32(24, target, true);
  batch.attrBytes(TCA_MIRRED_PARMS, new Uint8Array(mirred.buffer));
  for (const open of [action, first, actions, nest]) batch.endNest(open);
  batch.end();
  socket.request(batch);
}

/**
 * Takes a queue off a device, which has its ordinary one then; one that is not there is no error.
 *
 * @param which `ingress`: what is done with packets that come in.
 * @throws {NetlinkError}
 */
export function deleteQueue(
  socket: NetlinkSocket,
  ifindex: number,
  which: "root" | "ingress",
): void {
  const batch = new Batch(64);
  batch.begin(RTM.DELQDISC, NLM_F_REQUEST, () => `delete the queue of device #${ifindex}`);
  if (which === "root") header(batch, ifindex, 0, TC_H_ROOT);
  else header(batch, ifindex, INGRESS_HANDLE, TC_H_INGRESS);
  batch.end();
  const failure = socket.send(batch)[0];
  // EINVAL: it is not there, in the words of some kernels.
  if (failure === undefined || failure.error.isGone || failure.error.code === "EINVAL") return;
  throw failure.error;
}

/** Reads a queue; undefined if the message is none. */
export function decodeQueue(message: MessageView): Queue | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < TCMSG) return undefined;
  const a = attributes.parse(data, view, offset + TCMSG, end);
  const kind = a.string(TCA_KIND) ?? "";
  const ifindex = view.getInt32(offset + 4, true);
  const root = view.getUint32(offset + 12, true) === TC_H_ROOT;
  const inside = kind === "tbf" ? a.nested(TCA_OPTIONS, options) : undefined;
  const at = inside?.at(TCA_TBF_PARMS, TC_TBF_QOPT) ?? -1;
  if (inside === undefined || at < 0) return { ifindex, kind, root };
  const wide = inside.at(TCA_TBF_RATE64, 8);
  return {
    ifindex,
    kind,
    root,
    bucket: {
      rate: wide < 0 ? view.getUint32(at + 8, true) : Number(view.getBigUint64(wide, true)),
      limit: view.getUint32(at + 24, true),
      time: view.getUint32(at + 28, true) * PSCHED_TICK,
    },
  };
}

/**
 * Lists the queues of all devices.
 *
 * @throws {NetlinkError}
 */
export function listQueues(socket: NetlinkSocket): Queue[] {
  const queues: Queue[] = [];
  socket.dump((batch) => {
    batch.begin(RTM.GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, () => "list queues");
    header(batch, 0, 0, 0);
    batch.end();
  }, (message) => {
    const queue = message.type === RTM.NEWQDISC ? decodeQueue(message) : undefined;
    if (queue !== undefined) queues.push(queue);
  }, { restart: () => queues.length = 0 });
  return queues;
}

/**
 * Lists where what comes in by a device is led to; nowhere if nothing is done with it.
 *
 * @throws {NetlinkError}
 */
export function listRedirections(socket: NetlinkSocket, ifindex: number): Redirection[] {
  const found: Redirection[] = [];
  socket.dump((batch) => {
    batch.begin(
      RTM.GETTFILTER,
      NLM_F_REQUEST | NLM_F_DUMP,
      () => `list what is done with what comes in by device #${ifindex}`,
    );
    header(batch, ifindex, 0, INGRESS_HANDLE);
    batch.end();
  }, (message) => {
    const target = message.type === RTM.NEWTFILTER ? targetOf(message) : undefined;
    if (target !== undefined) found.push({ ifindex, target });
  }, { restart: () => found.length = 0 });
  return found;
}

/** Index of the device that a filter leads all packets to; undefined if it does something else. */
function targetOf({ data, view, offset, end }: MessageView): number | undefined {
  if (end - offset < TCMSG) return undefined;
  const u32 = attributes.parse(data, view, offset + TCMSG, end).nested(TCA_OPTIONS);
  const selector = u32?.at(TCA_U32_SEL, 32) ?? -1;
  // One key whose mask is zero.
  if (selector < 0 || data[selector + 2] !== 1 || view.getUint32(selector + 16, true) !== 0) {
    return undefined;
  }
  const action = u32?.nested(TCA_U32_ACT)?.nested(1);
  if (action?.string(TCA_ACT_KIND) !== "mirred") return undefined;
  const parameters = action.nested(TCA_ACT_OPTIONS);
  const at = parameters?.at(TCA_MIRRED_PARMS, TC_MIRRED) ?? -1;
  if (at < 0 || view.getInt32(at + 20, true) !== TCA_EGRESS_REDIR) return undefined;
  return view.getUint32(at + 24, true);
}
