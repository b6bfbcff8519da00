/**
 * Kernel parameters of single devices: knet's own, those that containers hang on, and the underlay's.
 *
 * IPv6 is off on all that is knet's as long as the cluster is IPv4: a container could send router advertisements otherwise and take
 * the host's default route with them, and would reach by link-local addresses whatever the host listens to.
 *
 * Forwarding is set on each device: `conf.default.forwarding=0` is what new ones begin with, and whoever turns one device off leaves
 * `ip_forward` as it is.
 *
 * @module
 */
import { SystemError } from "../../ffi/libc.ts";
import { readSysctl, type SysctlName, writeSysctl } from "../../ffi/sysctl.ts";
import { messageOf } from "../base/error.ts";

/** A parameter as it should be. */
export interface Parameter {
  readonly name: SysctlName;
  readonly value: string;
}

/** What was done about parameters. */
export interface ParametersSet {
  /** Sentences for the log. */
  readonly changes: readonly string[];
  /** Sentences for status: what could not be set, and what would help. */
  readonly problems: readonly string[];
}

/** What turns IPv6 off on a device (linux/ipv6.h). Router advertisements are refused even where somebody turns it on again. */
export function ipv6Off(device: string): Parameter[] {
  const of = (name: string, value: string) => ({
    name: ["net", "ipv6", "conf", device, name],
    value,
  });
  return [of("disable_ipv6", "1"), of("accept_ra", "0")];
}

/** What lets packets through that enter by a device. */
export function forwarding(device: string): Parameter[] {
  return [{ name: ["net", "ipv4", "conf", device, "forwarding"], value: "1" }];
}

/** What lets this host forward at all. Written first: the kernel copies it to all devices. */
export const IP_FORWARD: Parameter = { name: ["net", "ipv4", "ip_forward"], value: "1" };

/**
 * Sets parameters that differ, in the network namespace that the thread is in. One that the kernel lacks is passed over: a host without
 * IPv6, or a device whose MTU is too small for it, has nothing to turn off. What cannot be written is a problem and no error, since the
 * rest has to go on.
 *
 * @param before Takes down what those that are changed were before the first change.
 */
export function setParameters(
  wanted: readonly Parameter[],
  before?: Map<string, string>,
): ParametersSet {
  const changes: string[] = [];
  const problems: string[] = [];
  for (const { name, value } of wanted) {
    const parts = typeof name === "string" ? [name] : name;
    const dotted = parts.join(".");
    try {
      const current = readSysctl(name);
      if (current === undefined || current === value) continue;
      writeSysctl(name, value);
      if (before?.has(dotted) === false) before.set(dotted, current);
      changes.push(`set ${dotted} to ${value}`);
    } catch (error) {
      // The device was deleted in between.
      if (error instanceof SystemError && error.code === "ENOENT") continue;
      problems.push(
        `Cannot set ${dotted} to ${value}: ${
          messageOf(error)
        }. Let knet write below /proc/sys, or set it yourself: sysctl -w ${
          parts.join("/")
        }=${value}`,
      );
    }
  }
  return { changes, problems };
}

/** Two results as one. */
export function bothSet(a: ParametersSet, b: ParametersSet): ParametersSet {
  return {
    changes: [...a.changes, ...b.changes],
    problems: [...a.problems, ...b.problems],
  };
}
