/**
 * Does what was asked, over an engine.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { KnetError, StoreAwayError } from "../../base/error.ts";
import type { ServiceView } from "../../services/service_store.ts";
import { type CopyInfo, storeAdmin } from "../admin.ts";
import { retireNode } from "../authority.ts";
import { addressOf, nameOf as nodeOf } from "../dqlite/identity.ts";
import type { Engine } from "../engine.ts";
import { logProblem, problemTeller } from "../problem_log.ts";
import { sqlStore } from "../sql_store.ts";
import type { Store } from "../store.ts";
import type { Peer } from "./access.ts";
import type { ArgumentsOf, CallName, Request, ResultOf } from "./calls.ts";
import type { EditBasis, Members } from "./values.ts";

/** What is served. */
export interface Served {
  readonly engine: Engine;
  /** The same for the administrator's repair: tables whose counters were emptied are taken for what they are. Its engine is closed after. */
  readonly repairing?: () => Promise<Engine>;
  /** The replicas that hold it, where it is the cluster's own. */
  readonly replicas?: {
    members(): Members;
    /** Looks who is a member now. */
    refresh?(): Promise<void>;
    /** The last entry of this host's copy; undefined if it has none. */
    index?(): number | undefined;
    /** The same of all that have a copy and say so in a moment, by node id. */
    indexes?(): Promise<ReadonlyMap<string, number>>;
    /** Makes a node a member. */
    add(node: { readonly id: number; readonly address: string }): Promise<Members>;
    /** Takes a host's node out of the members, if it is one. */
    remove?(nodeId: string): Promise<void>;
    /** A host's name, by its node id. */
    nameOf(nodeId: string): string;
  };
}

/** Whose request it is. */
export interface Asking {
  readonly peer: Peer;
  /** Whether who asked is still there: nothing is written for somebody who has gone, and may ask somebody else. */
  readonly present: () => boolean;
}

/** A view as it travels, and what tells it from others. */
function basisOf(view: ServiceView): EditBasis {
  const order = (a: string, b: string) => a < b ? -1 : a > b ? 1 : 0;
  const { services, unread, config, now, settling = 0, ...rest } = view;
  const sent = {
    ...rest,
    services: [...services.values()].sort((a, b) => order(a.name, b.name)),
    unread: [...unread.values()].sort((a, b) => order(a.name, b.name)),
    hosts: [...view.hosts].sort((a, b) => order(a.publicIp + a.nodeName, b.publicIp + b.nodeName)),
    ...(config !== undefined && { config }),
  };
  const digest = createHash("sha256").update(JSON.stringify(sent)).digest("base64");
  return { view: { ...sent, now, settling }, digest };
}

/** Rows that make no sense are told of once, whoever reads them. */
const tellers = new WeakMap<Engine, ReturnType<typeof problemTeller>>();

function tellerOf(engine: Engine): ReturnType<typeof problemTeller> {
  const teller = tellers.get(engine) ?? problemTeller(logProblem);
  tellers.set(engine, teller);
  return teller;
}

/** The hosts of a cluster's own store, those that hold a copy first. */
export function copiesOf(
  { members, leader }: Members,
  nameOf: (nodeId: string) => string,
): CopyInfo[] {
  const rank = { voter: 0, standby: 1, spare: 2 };
  return members.map(({ address, role }) => {
    const node = nodeOf(address);
    return { node, name: nameOf(node), role, leads: address === leader };
  }).sort((a, b) => rank[a.role] - rank[b.role] || (a.name < b.name ? -1 : 1));
}

type Handlers = {
  readonly [Name in Exclude<CallName, "follow">]: (
    store: Store,
    given: ArgumentsOf<Name>,
    served: Served,
    asking: Asking,
  ) => Promise<ResultOf<Name>>;
};

async function repair<T>(
  { engine, repairing }: Served,
  work: (admin: ReturnType<typeof storeAdmin>) => Promise<T>,
): Promise<T> {
  if (repairing === undefined) return await work(storeAdmin(engine));
  await using admin = storeAdmin(await repairing());
  return await work(admin);
}

/** A host's word of its own lease. That its subnet is reserved is not its to say. */
async function ownWord(store: Store, own: ArgumentsOf<"announceLease">["own"], { peer }: Asking) {
  if (peer.role !== "node" || !own.reserved) return own;
  const { leases } = await store.listLeases();
  const reserved = leases.some((lease) =>
    lease.reserved && lease.nodeId === own.nodeId && lease.subnet === own.subnet
  );
  return { ...own, reserved };
}

const HANDLERS: Handlers = {
  async getConfig(store) {
    const config = await store.getConfig();
    return config === undefined ? {} : { config };
  },
  listLeases: async (store) => ({ ...await store.listLeases() } as ResultOf<"listLeases">),
  changesSince: (store, { revision, compare, lastGood }) =>
    store.changesSince(revision, compare, lastGood),
  listServices: async (store) => ({ ...await store.listServices() } as ResultOf<"listServices">),
  async getService(store, { name }) {
    const { service, now } = await store.getService(name);
    return { now, ...(service !== undefined && { service }) };
  },
  listContainers: (store, selector) => store.listContainers(selector),
  async putContainers(store, { change }) {
    await store.putContainers(change);
    return {};
  },
  async info(_store, _given, { engine, replicas }) {
    const found = await storeAdmin(engine).info();
    if (replicas === undefined) return found;
    // What is known is told where it cannot be looked at now.
    await replicas.refresh?.().catch(() => {});
    const indexes = await replicas.indexes?.();
    const copies = copiesOf(replicas.members(), replicas.nameOf).map((copy) => {
      const index = indexes?.get(copy.node);
      return { ...copy, ...(index !== undefined && { index }) };
    });
    return { ...found, copies };
  },
  members: (_store, _given, { replicas }) =>
    Promise.resolve(replicas?.members() ?? { members: [] }),
  position: (_store, _given, { replicas }) => {
    const index = replicas?.index?.();
    return Promise.resolve(index === undefined ? {} : { index });
  },
  joinReplica(_store, { nodeId, id }, { replicas }) {
    if (replicas !== undefined) return replicas.add({ id, address: addressOf(nodeId, id) });
    throw new KnetError("Cannot hold a copy of the store: it is not the cluster's own", {
      exitCode: 4,
    });
  },
  async retire(_store, { nodeId }, { engine, replicas }) {
    await replicas?.remove?.(nodeId);
    await retireNode(engine, nodeId);
    return {};
  },
  acquireLease: (store, { request }) =>
    store.acquireLease({
      ...request,
      backendData: (attempt) => {
        const data = request.backendData[attempt];
        if (data !== undefined) return data;
        throw new KnetError("Cannot lease a subnet: all MAC addresses of this host are taken", {
          exitCode: 4,
          remedy: "See knet lease ls for hosts that are copies of one another",
        });
      },
    }),
  renewLease: (store, { holder }) => store.renewLease(holder),
  announceLease: async (store, { own, lastGood }, _served, asking) =>
    await store.announceLease(await ownWord(store, own, asking), lastGood),
  async releaseLease(store, { selector, ...options }, _served, { peer }) {
    if (peer.role === "node") {
      // Another host's name may be what this one's node id is.
      const { leases } = await store.listLeases();
      const other = leases.find((lease) =>
        lease.nodeId !== peer.nodeId && [lease.nodeName, lease.subnet].includes(selector)
      );
      if (other !== undefined) {
        throw new KnetError(`Cannot release "${selector}": another host has this name`, {
          exitCode: 4,
          remedy: "Release it by its subnet, as root on a host that holds a copy of the store",
        });
      }
    }
    return await store.releaseLease(selector, options);
  },
  sweepDrained: (store) => store.sweepDrained(),
  initConfig: (store, { config, replace }) =>
    store.initConfig(config, replace === undefined ? {} : { replace }),
  reserveLease: (store, { subnet, publicIp, force }) =>
    store.reserveLease(subnet, publicIp, force === undefined ? {} : { force }),
  pruneLeases: (store, { nodeIds }) => store.pruneLeases(nodeIds),
  async viewServices(store, { scope }) {
    const { result, revision } = await store.editServices(scope, (view) => ({
      result: basisOf(view),
    }));
    return { basis: result, revision };
  },
  async editServices(store, { scope, digest, put, remove, timeouts }) {
    const { result: next, revision } = await store.editServices<EditBasis | undefined>(
      scope,
      (view) => {
        const basis = basisOf(view);
        if (basis.digest !== digest) return { result: basis };
        return { put, remove, ...(timeouts !== undefined && { timeouts }), result: undefined };
      },
    );
    return next === undefined ? { revision } : { basis: next, revision };
  },
  backup: (_store, _given, { engine }) => storeAdmin(engine).backup(),
  restore: (_store, { backup, known, force }, served) =>
    repair(served, (admin) => admin.restore(backup, known, force)),
  adopt: (_store, { known }, served) => repair(served, (admin) => admin.adopt(known)),
};

/**
 * Does what was asked.
 *
 * @param given The arguments, checked; that the peer may ask it is checked too.
 */
export async function dispatch(
  { call, expected }: Pick<Request, "call" | "expected">,
  given: unknown,
  served: Served,
  asking: Asking,
): Promise<unknown> {
  if (call === "follow") return {};
  const store = sqlStore(served.engine, () => {}, () => {
    if (asking.present()) return;
    throw new StoreAwayError("Cannot write to the store: who asked has gone");
  });
  store.expect(expected);
  const work = HANDLERS[call](store, given as never, served, asking) as Promise<unknown>;
  const result = await work;
  if (typeof result === "object" && result !== null && "problems" in result && call !== "info") {
    await tellerOf(served.engine)(Promise.resolve(result as ResultOf<"listLeases">));
  }
  return result;
}
