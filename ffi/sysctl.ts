/**
 * Kernel parameters under /proc/sys, those of the network namespace that the calling thread is in.
 *
 * @module
 */
import { readSmallFile, writeSmallFile } from "./file.ts";

/**
 * The name of a parameter: `net.ipv4.ip_forward`, or its parts
 * (`["net", "ipv4", "conf", "knet.1", "forwarding"]`).
 */
export type SysctlName = string | readonly string[];

/**
 * The file that holds a parameter.
 *
 * Interface names may contain dots (`knet.1`). In a dotted name under `net.ipv4.conf` and its three
 * siblings everything between there and the last dot is taken for the interface, since no parameter of
 * an interface has a dot in its own name.
 *
 * @throws {SyntaxError} if a part is empty or would lead out of /proc/sys.
 */
export function sysctlPath(name: SysctlName): string {
  const parts = typeof name === "string" ? splitName(name) : name;
  for (const part of parts) {
    if (part === "" || part === "." || part === ".." || part.includes("/")) {
      throw new SyntaxError(`Cannot name a kernel parameter "${parts.join(".")}": malformed`);
    }
  }
  return `/proc/sys/${parts.join("/")}`;
}

function splitName(name: string): string[] {
  const match = name.match(/^(net)\.(ipv4|ipv6)\.(conf|neigh)\.(.+)\.([^.]+)$/);
  return match === null ? name.split(".") : match.slice(1);
}

/**
 * Reads a kernel parameter.
 *
 * @returns its value without the newline, or undefined if this kernel (or interface) has no such one.
 * @throws {SystemError} if it cannot be read.
 *
 * @example
 * ```ts no-assert
 * import { readSysctl } from "./sysctl.ts";
 *
 * readSysctl("net.ipv4.ip_forward"); // "1"
 * ```
 */
export function readSysctl(name: SysctlName): string | undefined {
  return readSmallFile(sysctlPath(name))?.trimEnd();
}

/**
 * Sets a kernel parameter.
 *
 * @throws {SystemError} if there is no such parameter, or it refuses the value.
 */
export function writeSysctl(name: SysctlName, value: string | number): void {
  writeSmallFile(sysctlPath(name), `${value}\n`);
}
