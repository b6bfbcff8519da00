/**
 * Constants of linux/pkt_sched.h, linux/pkt_cls.h and linux/tc_act/tc_mirred.h, and of struct tcmsg in linux/rtnetlink.h.
 *
 * @module
 */

/** Bytes of struct tcmsg. */
export const TCMSG = 20;

export const TC_H_ROOT = 0xffffffff;
export const TC_H_INGRESS = 0xfffffff1;
/** The handle that the queue of what comes in always has. */
export const INGRESS_HANDLE = 0xffff0000;

export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;

// Token buckets.
export const TCA_TBF_PARMS = 1;
export const TCA_TBF_RATE64 = 4;
export const TCA_TBF_BURST = 6;
/** Bytes of struct tc_tbf_qopt. */
export const TC_TBF_QOPT = 36;
/** Nanoseconds of a tick: PSCHED_SHIFT of net/pkt_sched.h. */
export const PSCHED_TICK = 64;

// Filters by the bytes of a packet.
export const TCA_U32_SEL = 5;
export const TCA_U32_ACT = 7;
export const TC_U32_TERMINAL = 1;

// Actions.
export const TCA_ACT_KIND = 1;
export const TCA_ACT_OPTIONS = 2;
export const TC_ACT_STOLEN = 4;
export const TCA_MIRRED_PARMS = 2;
/** Bytes of struct tc_mirred. */
export const TC_MIRRED = 28;
export const TCA_EGRESS_REDIR = 1;

/** All protocols (linux/if_ether.h). */
export const ETH_P_ALL = 3;
