/**
 * Doctor's look at whose devices there are: another knet's, and a bridge that somebody else made.
 *
 * @module
 */
import { type Link, listLinks } from "../../../ffi/rtnl/link.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { othersOf, type Owner, readMark } from "../../kernel/owner.ts";
import { type DoctorCheck, examine, fail, type Finding, ok, warn } from "./check.ts";

/** Whether devices are where they belong. */
export async function deviceChecks(owner: Owner): Promise<DoctorCheck[]> {
  return [
    await examine("devices", () => {
      using rtnl = openRtnl();
      return judgeDevices(listLinks(rtnl), owner);
    }),
  ];
}

/** What the links of a host say. Pure. */
export function judgeDevices(links: readonly Link[], owner: Owner): Finding {
  const [other] = othersOf(links, owner);
  if (other !== undefined) {
    const { link: { name }, mark: { dataDir } } = other;
    return fail(
      `"${name}" is that of another knet, of the data directory "${dataDir}": a network namespace has room for one`,
      `Take it down with knet leave --data-dir ${dataDir} and its --state-dir, or keep this one from joining`,
    );
  }
  const guest = links.find(({ kind, alias }) =>
    kind === "bridge" && readMark(alias)?.made === false
  );
  if (guest === undefined) return ok("none is another knet's");
  const { name, ipv6 } = guest;
  if (ipv6 !== true) return ok(`somebody else made "${name}", and IPv6 is off there`);
  return warn(
    `somebody else made "${name}", so its IPv6 is left as it is: containers may send router advertisements to this host, and reach what listens to IPv6`,
    `Turn it off unless you need it: sysctl -w net/ipv6/conf/${name}/disable_ipv6=1`,
  );
}
