/**
 * Keeps the timeouts of IPVS connections that the administrator set.
 *
 * @module
 */
import { getTimeouts, type IpvsSocket, setTimeouts } from "../../../ffi/genl/ipvs.ts";
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { ServiceTimeouts } from "../../services/service.ts";
import type { RecordKeeper } from "./owned_servers.ts";

/**
 * Sets timeouts unless they are known to be set. One that is to be the kernel's own again gets the value that it had.
 *
 * @returns a sentence if the kernel refuses, undefined if not.
 */
export function ensureTimeouts(
  ipvs: IpvsSocket,
  record: RecordKeeper,
  timeouts: ServiceTimeouts,
): string | undefined {
  const { timeouts: set, timeoutsBefore } = record.record;
  if (
    set.tcp === timeouts.tcp && set.tcpfin === timeouts.tcpfin && set.udp === timeouts.udp
  ) return undefined;
  try {
    const before = timeoutsBefore.tcp === 0 ? getTimeouts(ipvs) : timeoutsBefore;
    const of = (name: keyof ServiceTimeouts) => timeouts[name] || (set[name] && before[name]);
    setTimeouts(ipvs, { tcp: of("tcp"), tcpfin: of("tcpfin"), udp: of("udp") });
    record.save({ timeouts, timeoutsBefore: before });
    return undefined;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return `Timeouts of services cannot be set: ${error.message}`;
  }
}
