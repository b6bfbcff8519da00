/**
 * Former virtual IPs: a service is gone, its virtual IP belongs to nobody or to somebody else by now, and whoever had a connection to
 * it is told. Pure.
 *
 * A virtual IP of the service network is refused as a whole once it is nobody's. One that is not is routed on like any other address:
 * only the connections of the service may end, and none that begins later. IPVS made them, and nothing in the kernel's table of
 * connections tells those by direct routing or tunnels from others; so those are remembered that begin later.
 *
 * @module
 */
import type { Family } from "../../cluster/lease.ts";
import { familyWord } from "./table.ts";

/** Minutes for which a virtual IP is a former one: IPVS keeps a connection on which nothing is said for as long. */
export const FORMER_MINUTES = 15;

/** Connections to former virtual IPs that began later. */
const LATER = "svc-later";
const ENDED = "svc-ended";
const ADDRESS: Record<Family, string> = { 4: "ipv4_addr", 6: "ipv6_addr" };
const BEGINS = "tcp flags & (fin | syn | rst | ack) == syn";

/** The set of connections that began later, and the chain that ends the others, as part of a table. */
export function formerObjects(family: Family): string[] {
  const word = familyWord(family);
  const connection = `${word} saddr . tcp sport . ${word} daddr . tcp dport`;
  return [
    `set ${LATER} {
type ${ADDRESS[family]} . inet_service . ${ADDRESS[family]} . inet_service
size 65535
flags dynamic,timeout
timeout ${FORMER_MINUTES}m
}`,
    `chain ${ENDED} {
${BEGINS} update @${LATER} { ${connection} } return
${BEGINS} return
${connection} @${LATER} return
counter reject with tcp reset
}`,
  ];
}

/** The rule for what is sent to a former virtual IP, but if it is an address of this host by now. */
export function formerRule(family: Family, set: string): string {
  return `${
    familyWord(family)
  } daddr @${set} meta l4proto tcp fib daddr type != local jump ${ENDED}`;
}
