/**
 * Gives back the lease of a host which will not, and takes the host out of those that hold the store.
 *
 * @module
 */
import { KnetError, StoreAwayError } from "../base/error.ts";
import { dqliteDirectory } from "../store/location.ts";
import { patientStore } from "../store/patient_store.ts";
import { wayByAgent } from "../store/remote/agent_way.ts";
import type { RemoteWay } from "../store/remote/link.ts";
import { remoteAdmin } from "../store/remote/remote_store.ts";
import type { Store } from "../store/store.ts";
import { readVerdict, withoutWrites } from "../store/verdict_file.ts";
import { type LeftCertificate, revoked } from "./leave_store.ts";
import { retire } from "./retire.ts";

/** Milliseconds that the store has to say who takes part in it. */
const ANSWER = 5000;

/** What was done. */
export interface LeftFor {
  /** Subnet given back, if there was a lease. */
  readonly released?: string;
  /** Of a host of a cluster that holds the store itself. */
  readonly certificate?: LeftCertificate;
}

/**
 * Does it.
 *
 * @param node Its name, node id or subnet; of a host without a lease, its node id.
 * @throws {KnetError} exit code 4 if there is no such host, or it lives and `force` is not set.
 */
export async function leaveFor(
  node: string,
  store: Store,
  { storeUrl, stateDir, force }: {
    readonly storeUrl: string;
    readonly stateDir: string;
    readonly force: boolean;
  },
): Promise<LeftFor> {
  const verdict = readVerdict(stateDir);
  const careful = verdict?.location === store.location ? withoutWrites(store, verdict) : store;
  const release = () => patientStore(careful, () => {}).releaseLease(node, { force });
  if (dqliteDirectory(storeUrl) === undefined) {
    return { released: (await release()).subnet };
  }
  const way = wayByAgent(stateDir, store.location);
  let given: { readonly nodeId: string; readonly subnet?: string };
  try {
    given = await release();
  } catch (error) {
    await refuseStranger(node, store, way, error);
    given = { nodeId: node };
  }
  const { subnet, nodeId } = given;
  const certificate = await revoked(nodeId, () => retire(way, nodeId));
  return { ...(subnet !== undefined && { released: subnet }), certificate };
}

/**
 * Of a node without a lease: nothing, if it takes part in the store all the same. Its join ended between the two.
 *
 * @param why It has no lease that can be given back.
 * @throws `why`, if it does not take part either.
 */
export async function refuseStranger(
  node: string,
  store: Store,
  way: RemoteWay,
  why: unknown,
): Promise<void> {
  if (!(why instanceof KnetError) || why instanceof StoreAwayError) throw why;
  await using admin = remoteAdmin(way, ANSWER);
  const { copies = [] } = await admin.info();
  const { leases } = await store.listLeases();
  const isMember = copies.some((copy) => copy.node === node);
  if (!isMember || leases.some(({ nodeId }) => nodeId === node)) throw why;
}
