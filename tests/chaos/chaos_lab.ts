/**
 * The hosts that chaos befalls, before any of them joins.
 *
 * @module
 */
import type { Host } from "../support/host.ts";
import { Lab, ROUTER, type StoreKind } from "../support/lab.ts";

/** Hosts, and what their store needs outside of them. */
export function labOf(hosts: number, store: StoreKind): Promise<Lab> {
  if (store !== "dqlite") return Lab.create({ hosts, store, standby: store === "postgres" });
  return bareLab(hosts);
}

/** Hosts that hold the store themselves, and get to each other as those of users do. */
async function bareLab(hosts: number): Promise<Lab> {
  const lab = await Lab.create({ hosts: 0, store: "dqlite" });
  try {
    for (let n = 0; n < hosts; n++) await lab.addHost({ storeUrl: "" });
    return lab;
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** Whether there is a file. */
export function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Takes the address of a host away, if it has it, and gives it another. */
export async function readdress(host: Host, address: string): Promise<void> {
  await host.sh(`
    ip addr del ${host.address}/24 dev eth0 2>/dev/null || true
    ip addr add ${address}/24 dev eth0
    ip route replace default via ${ROUTER}`);
  host.address = address;
}
