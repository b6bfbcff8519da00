/**
 * Attaching what is attached already: it gets what is asked for now instead of what it had.
 *
 * @module
 */
import { getLink } from "../../ffi/rtnl/link.ts";
import { type BookPlace, readBook, writeBook } from "./addresses.ts";
import { type Bandwidth, isLimited } from "./bandwidth.ts";
import { portsOverlap } from "./port_request.ts";
import { movePorts, refuseTakenPorts } from "./publish.ts";
import { type ContainerRecord, type PortMapping, shownName } from "./record.ts";
import { reshape } from "./shaping.ts";
import type { WireEnds } from "./wire.ts";

/** Replaces a record in the book. */
function rewrite(place: BookPlace, next: ContainerRecord): [ContainerRecord[], ContainerRecord[]] {
  const book = readBook(place);
  const after = book.map((one) => one.hostIfname === next.hostIfname ? next : one);
  writeBook(place, after);
  return [book, after];
}

/**
 * Publishes other ports.
 *
 * @param ports absent: it keeps those it has.
 * @returns its record now.
 * @throws {KnetError} exit code 4 if one is taken.
 */
export function publishAgain(
  ends: WireEnds,
  place: BookPlace,
  record: ContainerRecord,
  ports: readonly PortMapping[] | undefined,
): ContainerRecord {
  if (ports === undefined) return record;
  const { ports: before = [], ...rest } = record;
  const isSame = (a: PortMapping) => (b: PortMapping) =>
    portsOverlap(a, b) && a.hostIp === b.hostIp;
  const fresh = ports.filter((port) => !before.some(isSame(port)));
  const others = readBook(place).filter((one) => one.hostIfname !== record.hostIfname);
  refuseTakenPorts(ends, fresh, others, shownName(record));
  const next = { ...rest, ...(ports.length > 0 && { ports }) };
  movePorts(...rewrite(place, next), ends.state);
  return next;
}

/**
 * Limits the bandwidth otherwise. A wire that is not there gets its limits when it is made.
 *
 * @param bandwidth absent: as it is.
 * @returns its record now.
 * @throws {NoShapingError} if the kernel cannot; it is as it was then.
 * @throws {NetlinkError} if it refuses.
 */
export function limitAgain(
  { rtnl, state }: WireEnds,
  place: BookPlace,
  record: ContainerRecord,
  bandwidth: Bandwidth | undefined,
): ContainerRecord {
  if (bandwidth === undefined) return record;
  const { bandwidth: before = {}, ...rest } = record;
  const next = { ...rest, ...(isLimited(bandwidth) && { bandwidth }) };
  // The book first: the agent, which may look at this moment, goes by it.
  rewrite(place, next);
  const host = getLink(rtnl, record.hostIfname);
  if (host === undefined) return next;
  try {
    reshape(rtnl, host, before, bandwidth, state.mtu, shownName(record));
  } catch (error) {
    rewrite(place, record);
    throw error;
  }
  return next;
}
