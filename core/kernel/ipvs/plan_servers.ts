/**
 * What has to be sent so that the kernel's virtual servers are as they should be. Pure.
 *
 * @module
 */
import type { KernelDest, KernelServer } from "./kernel_server.ts";

/** One message. */
export type ServiceOperation =
  | {
    readonly kind: "server";
    readonly verb: "add" | "change" | "delete";
    readonly server: KernelServer;
  }
  | {
    readonly kind: "dest";
    readonly verb: "add" | "change" | "delete";
    readonly server: KernelServer;
    readonly dest: KernelDest;
  };

/**
 * Compares and yields the fewest messages, in an order in which no service is ever worse off than before or after: what takes
 * connections comes before what gives them up, so that there is no moment without a real server to choose.
 *
 * @param wanted virtual servers as they should be, by key.
 * @param actual those of them that are there, and others of knet's that should go.
 * @param keep Leave those others, and real servers that are not wanted: what is wanted is not known to be all.
 */
export function planServices(
  wanted: ReadonlyMap<string, KernelServer>,
  actual: ReadonlyMap<string, KernelServer>,
  keep = false,
): ServiceOperation[] {
  const fresh: ServiceOperation[] = [];
  const adds: ServiceOperation[] = [];
  const raises: ServiceOperation[] = [];
  const settings: ServiceOperation[] = [];
  const others: ServiceOperation[] = [];
  const removals: ServiceOperation[] = [];
  for (const [key, server] of wanted) {
    const present = actual.get(key);
    if (present === server) continue;
    if (present === undefined) {
      fresh.push({ kind: "server", verb: "add", server });
      for (const dest of server.dests.values()) {
        fresh.push({ kind: "dest", verb: "add", server, dest });
      }
      continue;
    }
    if (!sameSettings(server, present)) settings.push({ kind: "server", verb: "change", server });
    for (const [name, dest] of server.dests) {
      const before = present.dests.get(name);
      if (before === undefined) adds.push({ kind: "dest", verb: "add", server, dest });
      else if (!sameDest(dest, before)) {
        const list = dest.weight > before.weight ? raises : others;
        list.push({ kind: "dest", verb: "change", server, dest });
      }
    }
    for (const [name, dest] of present.dests) {
      if (!server.dests.has(name)) removals.push({ kind: "dest", verb: "delete", server, dest });
    }
  }
  for (const [key, server] of actual) {
    if (!wanted.has(key)) removals.push({ kind: "server", verb: "delete", server });
  }
  return [...fresh, ...adds, ...raises, ...settings, ...others, ...(keep ? [] : removals)];
}

function sameSettings(a: KernelServer, b: KernelServer): boolean {
  return a.scheduler === b.scheduler && a.flags === b.flags && a.timeout === b.timeout &&
    a.netmask === b.netmask;
}

const LOCAL = 1; // IP_VS_CONN_F_LOCALNODE, linux/ip_vs.h

function sameDest(a: KernelDest, b: KernelDest): boolean {
  // The kernel may call a real server on the host itself local, however it was asked for.
  return a.weight === b.weight && a.upper === b.upper && a.lower === b.lower &&
    (a.forward === b.forward || b.forward === LOCAL);
}
