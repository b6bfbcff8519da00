/**
 * Kernel parameters that services need, and why.
 *
 * @module
 */
import { readSysctl } from "../../../ffi/sysctl.ts";
import { setParameters } from "../device_parameters.ts";

/** A parameter as it should be. */
export interface SysctlWanted {
  readonly name: string;
  readonly value: string;
  /** One sentence for the administrator. */
  readonly why: string;
}

/** A parameter as it is. */
export interface SysctlRow extends SysctlWanted {
  /** Undefined if this kernel has no such parameter. */
  readonly current: string | undefined;
  /** What it was before knet changed it; undefined if knet did not. */
  readonly before: string | undefined;
}

/** What decides which parameters are needed. */
export interface SysctlFacts {
  /** `uname -r`. */
  readonly release: string;
  /** Whether virtual IPs are to stay unknown on the underlay. */
  readonly strictArp: boolean;
  /** Whether a service uses direct routing or tunnels. */
  readonly direct: boolean;
  /** Devices by which answers come whose source is a virtual IP. */
  readonly devices: readonly string[];
}

/** The parameters that are needed. */
export function wantedSysctls(facts: SysctlFacts): SysctlWanted[] {
  const vs = (name: string, value: string, why: string) => ({
    name: `net.ipv4.vs.${name}`,
    value,
    why,
  });
  const wanted = [
    vs("conntrack", "1", "masquerading sees no connection of IPVS otherwise"),
    vs(
      "expire_nodest_conn",
      "1",
      "connections to a real server that is gone end at once instead of hanging until they time out",
    ),
    vs(
      "expire_quiescent_template",
      "1",
      "persistence does not keep clients with a real server of weight 0",
    ),
    olderThan(facts.release, 5, 9)
      ? vs("conn_reuse_mode", "0", "before 5.9 a reused source port costs a second of delay")
      : vs(
        "conn_reuse_mode",
        "1",
        "a client that reuses its source ports is balanced anew, so that a drained real server comes to an end",
      ),
  ];
  if (facts.strictArp) {
    wanted.push({
      name: "net.ipv4.conf.all.arp_ignore",
      value: "1",
      why: "virtual IPs are not answered for on the underlay (--strict-arp)",
    }, {
      name: "net.ipv4.conf.all.arp_announce",
      value: "2",
      why: "virtual IPs are not announced on the underlay (--strict-arp)",
    });
  }
  if (!facts.direct) return wanted;
  for (const device of facts.devices) {
    wanted.push({
      name: `net.ipv4.conf.${device}.accept_local`,
      value: "1",
      why: "real servers answer by the virtual IP, which is an address of this host, too",
    }, {
      name: `net.ipv4.conf.${device}.rp_filter`,
      value: "2",
      why: "strictly, the virtual IP could only come from this host itself",
    });
  }
  return wanted;
}

/** Whether a kernel's release is older than a version. */
export function olderThan(release: string, major: number, minor: number): boolean {
  const [is = 0, isMinor = 0] = release.split(/[.-]/).map(Number);
  return is < major || is === major && isMinor < minor;
}

/** Compares parameters with what they are. */
export function sysctlRows(
  wanted: readonly SysctlWanted[],
  before: ReadonlyMap<string, string>,
): SysctlRow[] {
  return wanted.map((one) => ({
    ...one,
    current: readSysctl(one.name),
    before: before.get(one.name),
  }));
}

/** Whether all parameters that this kernel has are as they should be. */
export function sysctlsRight(wanted: readonly SysctlWanted[]): boolean {
  return sysctlRows(wanted, new Map()).every(({ current, value }) =>
    current === undefined || current === value
  );
}

/**
 * Sets parameters that differ, in the network namespace that the thread is in.
 *
 * @returns what was done, in words.
 * @throws {Error} if one cannot be set.
 */
export function ensureSysctls(
  wanted: readonly Pick<SysctlWanted, "name" | "value">[],
): string[] {
  const { changes, problems } = setParameters(wanted);
  if (problems.length > 0) throw new Error(problems.join("; "));
  return [...changes];
}

/** Gives parameters their values back, as far as they can be written. */
export function restoreSysctls(before: ReadonlyMap<string, string>): void {
  setParameters([...before].map(([name, value]) => ({ name, value })));
}
