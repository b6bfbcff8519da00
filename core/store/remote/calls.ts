/**
 * What may be asked: each call's arguments and answer, checked on both sides, and who may ask it.
 *
 * @module
 */
import * as v from "valibot";
import { CONFIG_SHAPE, LEASE_SHAPE } from "../../cluster/cluster_shapes.ts";
import { SERVICE_SHAPE, TIMEOUTS_SHAPE } from "../../services/service_shapes.ts";
import { BACKUP_SHAPE } from "../backup.ts";
import type { StoreMark } from "../identity.ts";
import {
  adopted,
  announcement,
  basis,
  changes,
  containerChange,
  containers,
  grant,
  holder,
  info,
  known,
  lastGood,
  MARK_SHAPE,
  members,
  problems,
  renewal,
  request,
  restored,
  scope,
  shownLease,
  text,
  whole,
} from "./values.ts";

/**
 * Who may ask: everybody who was let in; a host for its own lease (and an administrator); the administrator alone.
 */
export type Access = "read" | "own" | "admin";

/** One call. */
export interface Call<Arguments, Result> {
  readonly access: Access;
  /** Whether it is of no harm to ask it twice. */
  readonly reads: boolean;
  readonly arguments: v.GenericSchema<unknown, Arguments>;
  readonly result: v.GenericSchema<unknown, Result>;
}

function read<A, R>(args: v.GenericSchema<unknown, A>, result: v.GenericSchema<unknown, R>) {
  return { access: "read", reads: true, arguments: args, result } as const satisfies Call<A, R>;
}

function write<A, R>(
  access: Access,
  args: v.GenericSchema<unknown, A>,
  result: v.GenericSchema<unknown, R>,
) {
  return { access, reads: false, arguments: args, result } as const satisfies Call<A, R>;
}

const nothing = v.object({});

/** All calls by name. */
export const CALLS = {
  getConfig: read(nothing, v.object({ config: v.exactOptional(CONFIG_SHAPE) })),
  listLeases: read(
    nothing,
    v.object({ leases: v.array(LEASE_SHAPE), revision: whole, now: v.number(), problems }),
  ),
  changesSince: read(
    v.object({
      revision: whole,
      compare: v.exactOptional(v.picklist(["revision", "tally", "rows"])),
      lastGood,
    }),
    changes,
  ),
  listServices: read(
    nothing,
    v.object({
      services: v.array(SERVICE_SHAPE),
      timeouts: TIMEOUTS_SHAPE,
      revision: whole,
      now: v.number(),
      problems,
    }),
  ),
  getService: read(
    v.object({ name: text }),
    v.object({ service: v.exactOptional(SERVICE_SHAPE), now: v.number() }),
  ),
  listContainers: read(
    v.object({
      nodeId: v.exactOptional(text),
      name: v.exactOptional(text),
      address: v.exactOptional(text),
    }),
    containers,
  ),
  info: read(nothing, info),
  /** Who holds copies of the store, where it is the cluster's own. */
  members: read(nothing, members),
  /** Events of changes from now on. */
  follow: read(nothing, nothing),

  acquireLease: write("own", v.object({ request }), grant),
  renewLease: write("own", v.object({ holder }), renewal),
  announceLease: write("own", v.object({ own: LEASE_SHAPE, lastGood }), announcement),
  releaseLease: write(
    "own",
    v.object({
      selector: text,
      force: v.exactOptional(v.boolean()),
      agentId: v.exactOptional(text),
    }),
    shownLease,
  ),
  /** What a host says of its containers; it says it in parts that fit a request. */
  putContainers: write("own", v.object({ change: containerChange }), nothing),
  /** How far the copy of the host that is asked is. */
  position: read(nothing, v.object({ index: v.exactOptional(whole) })),
  /** Makes the replica of the host that asks a member, with an id that it chose. */
  joinReplica: write("own", v.object({ nodeId: text, id: whole }), members),
  /** Takes a host that has left out of the members, and revokes its certificates; twice is once. */
  retire: { ...write("own", v.object({ nodeId: text }), nothing), reads: true },
  /** What it deletes is over by the store's clock, whoever asks. */
  sweepDrained: write("own", nothing, v.array(v.string())),

  initConfig: write(
    "admin",
    v.object({ config: CONFIG_SHAPE, replace: v.exactOptional(v.boolean()) }),
    CONFIG_SHAPE,
  ),
  reserveLease: write(
    "admin",
    v.object({ subnet: text, publicIp: text, force: v.exactOptional(v.boolean()) }),
    LEASE_SHAPE,
  ),
  pruneLeases: write(
    "admin",
    v.object({ nodeIds: v.exactOptional(v.array(text)) }),
    v.array(LEASE_SHAPE),
  ),
  /** What an edit of services sees. */
  viewServices: {
    ...read(v.object({ scope }), v.object({ basis, revision: whole })),
    access: "admin",
  },
  /** Writes what an edit wants if its basis still holds; if not, the answer is the next basis. */
  editServices: write(
    "admin",
    v.object({
      scope,
      digest: text,
      put: v.array(SERVICE_SHAPE),
      remove: v.array(text),
      timeouts: v.exactOptional(TIMEOUTS_SHAPE),
    }),
    v.object({ basis: v.exactOptional(basis), revision: whole }),
  ),
  backup: { ...read(nothing, BACKUP_SHAPE), access: "admin" },
  restore: write(
    "admin",
    v.object({ backup: BACKUP_SHAPE, known: v.exactOptional(known), force: v.boolean() }),
    restored,
  ),
  adopt: write("admin", v.object({ known: v.exactOptional(known) }), adopted),
} as const;

/** The name of a call. */
export type CallName = keyof typeof CALLS;
/** What a call is given. */
export type ArgumentsOf<Name extends CallName> = v.InferOutput<(typeof CALLS)[Name]["arguments"]>;
/** What a call answers. */
export type ResultOf<Name extends CallName> = v.InferOutput<(typeof CALLS)[Name]["result"]>;

/** A request. */
export interface Request {
  readonly id: number;
  readonly call: CallName;
  readonly arguments: unknown;
  /** The store that is expected: nothing is written to another. */
  readonly expected?: StoreMark;
}

/** Whether there is a call of that name: a newer knet may know more. */
export function isCall(name: string): name is CallName {
  return Object.hasOwn(CALLS, name);
}

/** What a client sends after its greeting: a request, or a sign of life. */
export const CLIENT_SHAPE = v.union([
  v.object({
    id: whole,
    call: text,
    arguments: v.unknown(),
    expected: v.exactOptional(MARK_SHAPE),
  }),
  v.object({ beat: v.literal(true) }),
]);
