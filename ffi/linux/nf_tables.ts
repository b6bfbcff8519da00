/**
 * Constants of linux/netfilter/nf_tables.h and linux/netfilter/nfnetlink.h.
 *
 * @module
 */

/** Bytes of struct nfgenmsg. */
export const NFGENMSG = 4;
/** Multicast group of changes to nftables. */
export const NFNLGRP_NFTABLES = 7;
/** Message type of a transaction's end; the upper byte is NFNL_SUBSYS_NFTABLES. */
export const NFT_MSG_NEWGEN = 10 << 8 | 15;
/** Attribute of it: the thread whose transaction it was. */
export const NFTA_GEN_PROC_PID = 2;
