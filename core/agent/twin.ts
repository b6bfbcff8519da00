/**
 * Two hosts with one replica: a machine that was cloned has its original's. Both would vote as the same member of the cluster's own store,
 * and what one of them has acknowledged the other may take back.
 *
 * @module
 */
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { canonicalAddress } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { readSnapshot } from "../store/snapshot.ts";
import type { StoreCarrier } from "./store_carrier.ts";

/**
 * Refuses to take part in the store while another host does so as this one.
 *
 * @throws {KnetError} exit code 4, naming its address.
 */
export async function refuseTwin(
  carrier: StoreCarrier | undefined,
  { nodeId, dataDir }: { readonly nodeId: string; readonly dataDir: string },
): Promise<void> {
  const own = readSnapshot(dataDir, undefined, () => {})?.own;
  using rtnl = openRtnl();
  const local = new Set(listAddresses(rtnl).map(({ address }) => address));
  const known = own === undefined ? [] : [canonicalAddress(own.publicIp)];
  const address = await carrier?.twin?.(known, (one) => local.has(one));
  if (address === undefined) return;
  throw new KnetError(
    `Cannot take part in the store: "${
      own?.nodeName ?? nodeId
    }" at ${address} runs with the same node id ${nodeId} and the same data directory`,
    {
      exitCode: 4,
      remedy:
        "One is a copy of the other: on this one, empty the data directory and give it another --node-id (or another /etc/machine-id)",
    },
  );
}
