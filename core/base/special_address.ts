/**
 * Addresses that are no machine's, or another machine's from each place: IANA's registries of special-purpose addresses (RFC 6890),
 * as far as no host, service or network of a cluster can have them. What is merely private or for documentation can be had.
 *
 * @module
 */
import { addressToNumber, numberToAddress, prefixesOverlap } from "./address.ts";

interface Special {
  readonly network: string;
  /** What one of its addresses is. */
  readonly one: string;
  /** What they are together. */
  readonly all: string;
}

const LOOPBACK = {
  one: "a loopback address, another machine on every host",
  all: "loopback addresses",
};
const LINK_LOCAL = {
  one: "a link-local address, another machine on every link",
  all: "link-local addresses",
};
const MULTICAST = { one: "a multicast address", all: "multicast addresses" };

/** On the wire there is no such address: sockets of both families have IPv4's this way. */
const MAPPED = "::ffff:0:0/96";

/** The narrower before the wider. */
const SPECIAL: readonly Special[] = [
  { network: "0.0.0.0/8", one: "an unspecified address", all: "unspecified addresses" },
  { network: "127.0.0.0/8", ...LOOPBACK },
  { network: "169.254.0.0/16", ...LINK_LOCAL },
  { network: "224.0.0.0/4", ...MULTICAST },
  { network: "255.255.255.255/32", one: "the broadcast address", all: "the broadcast address" },
  {
    network: "240.0.0.0/4",
    one: "a reserved address, which nobody sends to",
    all: "reserved addresses, which nobody sends to",
  },
  { network: "::/128", one: "the unspecified address", all: "the unspecified address" },
  { network: "::1/128", ...LOOPBACK },
  { network: MAPPED, one: "an IPv4 address in IPv6 notation", all: "IPv4 in IPv6 notation" },
  { network: "fe80::/10", ...LINK_LOCAL },
  { network: "ff00::/8", ...MULTICAST },
];

/**
 * What an address is that cannot be that of one host for all others; undefined if it can.
 *
 * @param address Canonical text.
 */
export function whyNoHostAddress(address: string): string | undefined {
  if (!address.includes(":")) {
    // Nearly all addresses; a cluster has a hundred thousand of them.
    const first = Number(address.slice(0, address.indexOf(".")));
    if (first > 0 && first < 224 && first !== 127 && first !== 169) return undefined;
  }
  const found = SPECIAL.find(({ network }) => prefixesOverlap(network, address));
  if (found?.network !== MAPPED) return found?.one;
  return `${numberToAddress(addressToNumber(address) & 0xffff_ffffn, 4)} in IPv6 notation`;
}

/**
 * What a network reaches into that no network of a cluster can have; undefined if it does not.
 *
 * @param network Canonical text.
 */
export function whyNoNetwork(network: string): string | undefined {
  const found = SPECIAL.find((special) => prefixesOverlap(special.network, network));
  return found && `it overlaps ${found.network}, ${found.all}`;
}
