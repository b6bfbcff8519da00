/**
 * The shapes of what goes into calls and comes out of them.
 *
 * @module
 */
import * as v from "valibot";
import { word } from "../../base/shape.ts";
import { CONFIG_SHAPE, LEASE_SHAPE } from "../../cluster/cluster_shapes.ts";
import type { BackendType, ClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { Service } from "../../services/service.ts";
import { SERVICE_SHAPE, TIMEOUTS_SHAPE } from "../../services/service_shapes.ts";
import type { ServiceScope, ServiceView, UnreadService } from "../../services/service_store.ts";
import type { Adopted, KnownStore } from "../adoption.ts";
import type { StoreInfo } from "../admin.ts";
import type { Restored } from "../backup.ts";
import type { ContainerChange, ContainerList } from "../container_rows.ts";
import type { Member } from "../dqlite/wire.ts";
import type { StoreMark } from "../identity.ts";
import type { RowMark } from "../row_marks.ts";
import { SNAPSHOT_SHAPE } from "../snapshot.ts";
import type { Announcement, Changes, LeaseGrant, LeaseHolder, Renewal } from "../store.ts";

/** A short text. */
export const text = v.pipe(v.string(), v.maxLength(1000));
/** A whole number. */
export const whole = v.pipe(v.number(), v.safeInteger());
/** An address family. */
export const family = v.picklist([4, 6]);
/** A {@linkcode BackendData}. */
export const backendData = v.object({
  mac: v.exactOptional(text),
  vni: v.exactOptional(whole),
  probe: v.exactOptional(whole),
  wants: v.exactOptional(text),
});
/** The configuration that who asks goes on with. */
export const lastGood = v.exactOptional(CONFIG_SHAPE);
const problem = v.object({ what: v.string(), state: v.string() });
/** Rows that make no sense. */
export const problems = v.array(problem);

/** A {@linkcode StoreMark}. */
export const MARK_SHAPE: v.GenericSchema<unknown, StoreMark> = v.object({
  identity: whole,
  epoch: whole,
  revision: whole,
});

/** So many tries for a MAC that no peer has are sent along: it is derived on the host that asks. */
export const ATTEMPTS = 32;

/** A LeaseRequest, its backend data by attempt. */
export const request = v.object({
  nodeId: text,
  family,
  nodeName: text,
  publicIp: text,
  backend: word<BackendType>(),
  bootId: text,
  agentId: text,
  asked: v.exactOptional(v.boolean()),
  previousSubnet: v.exactOptional(text),
  backendData: v.pipe(v.array(backendData), v.minLength(1), v.maxLength(ATTEMPTS)),
  lastGood,
});

/** A LeaseGrant. */
export const grant: v.GenericSchema<unknown, LeaseGrant> = v.object({
  lease: LEASE_SHAPE,
  how: v.picklist(["new", "kept", "reserved", "reassigned", "asked"]),
  revision: whole,
  rival: v.exactOptional(LEASE_SHAPE),
  store: v.exactOptional(v.object({ identity: whole, epoch: whole })),
});

/** A LeaseHolder. */
export const holder: v.GenericSchema<unknown, LeaseHolder> = v.object({
  nodeId: text,
  family,
  agentId: text,
  nodeName: text,
  publicIp: text,
  subnet: text,
  backendData,
  bootId: v.exactOptional(text),
  heldIps: v.exactOptional(v.pipe(v.array(text), v.maxLength(64))),
  lastGood,
});

/** A Renewal. */
export const renewal: v.GenericSchema<unknown, Renewal> = v.variant("state", [
  v.object({
    state: v.literal("renewed"),
    lease: LEASE_SHAPE,
    rival: v.exactOptional(LEASE_SHAPE),
    unfit: v.exactOptional(v.string()),
  }),
  v.object({ state: v.literal("lost") }),
  v.object({ state: v.literal("taken-over"), by: LEASE_SHAPE }),
]);

/** One that was released may be one that nobody could use. */
export const shownLease = v.looseObject({}) as unknown as v.GenericSchema<unknown, Lease>;

/** An Announcement. */
export const announcement: v.GenericSchema<unknown, Announcement> = v.variant("state", [
  v.object({ state: v.literal("held"), lease: LEASE_SHAPE }),
  v.object({ state: v.literal("lost"), to: v.exactOptional(LEASE_SHAPE) }),
]);

const rowMark: v.GenericSchema<unknown, RowMark> = v.object({
  key: v.string(),
  revision: v.number(),
  gone: v.boolean(),
});

/** Changes. */
export const changes: v.GenericSchema<unknown, Changes> = v.object({
  mark: MARK_SHAPE,
  marks: v.array(rowMark),
  whole: v.boolean(),
  purged: v.number(),
  tally: v.exactOptional(v.string()),
  settling: v.number(),
  revision: whole,
  full: v.boolean(),
  config: v.exactOptional(v.nullable(CONFIG_SHAPE)),
  configProblem: v.exactOptional(v.string()),
  leases: v.array(LEASE_SHAPE),
  removed: v.array(v.object({ nodeId: v.string(), family })),
  services: v.array(SERVICE_SHAPE),
  removedServices: v.array(v.string()),
  timeouts: v.exactOptional(TIMEOUTS_SHAPE),
  now: v.number(),
  problems,
});

const container = v.object({
  nodeId: text,
  key: text,
  name: text,
  address: text,
  ifname: text,
  netns: text,
  runtime: text,
  containerId: text,
  labels: v.record(v.string(), v.string()),
  ports: v.array(v.object({
    hostPort: whole,
    containerPort: whole,
    protocol: v.picklist(["tcp", "udp", "sctp"]),
    hostIp: v.exactOptional(text),
  })),
});

/** A ContainerChange. */
export const containerChange: v.GenericSchema<unknown, ContainerChange> = v.object({
  nodeId: text,
  agentId: text,
  put: v.pipe(v.array(container), v.maxLength(1000)),
  remove: v.pipe(v.array(text), v.maxLength(1000)),
});

/** A ContainerList. */
export const containers: v.GenericSchema<unknown, ContainerList> = v.object({
  containers: v.array(v.object({ ...container.entries, nodeName: v.string() })),
  problems,
  leftOut: v.array(v.string()),
});

/** A ServiceScope. */
export const scope: v.GenericSchema<unknown, ServiceScope> = v.union([
  v.literal("all"),
  v.object({ names: v.array(text), vips: v.exactOptional(v.array(text)) }),
]);

/** A {@linkcode ServiceView} as it travels. */
export interface SentView extends Omit<ServiceView, "services" | "unread" | "config"> {
  readonly services: readonly Service[];
  readonly unread: readonly UnreadService[];
  readonly config?: ClusterConfig;
}

/** What an edit is based on. */
export interface EditBasis {
  readonly view: SentView;
  /** Of all that the view shows but the time; by it the server tells whether it still holds. */
  readonly digest: string;
}

/** An EditBasis. */
export const basis: v.GenericSchema<unknown, EditBasis> = v.object({
  view: v.object({
    services: v.array(SERVICE_SHAPE),
    unread: v.array(v.object({
      name: v.string(),
      vip: v.string(),
      port: v.number(),
      protocol: v.string(),
      state: v.string(),
    })),
    timeouts: TIMEOUTS_SHAPE,
    config: v.exactOptional(CONFIG_SHAPE),
    hosts: v.array(v.object({ nodeName: v.string(), publicIp: v.string() })),
    storeHosts: v.array(v.string()),
    now: v.number(),
    settling: v.exactOptional(v.number()),
  }),
  digest: v.string(),
});

/** A StoreInfo. */
export const info: v.GenericSchema<unknown, StoreInfo> = v.object({
  engine: v.picklist(["sqlite", "postgres", "dqlite"]),
  location: v.string(),
  mark: MARK_SHAPE,
  schema: v.number(),
  config: v.exactOptional(CONFIG_SHAPE),
  leases: v.object({ held: v.number(), expired: v.number(), reserved: v.number() }),
  services: v.number(),
  realServers: v.number(),
  tombstones: v.number(),
  now: v.number(),
  problems: v.array(v.string()),
  copies: v.exactOptional(
    v.array(v.object({
      node: v.string(),
      name: v.string(),
      role: v.picklist(["voter", "standby", "spare"]),
      leads: v.boolean(),
      index: v.exactOptional(whole),
    })),
  ),
});

/** Who is a member, and the address of the one that leads. */
export interface Members {
  readonly members: readonly Member[];
  readonly leader?: string;
  /** Of the cluster, where it was made of what was left of another: the time of its recovery, seconds since 1970. */
  readonly generation?: number;
}

/** {@linkcode Members}. */
export const members: v.GenericSchema<unknown, Members> = v.object({
  members: v.array(v.object({
    id: whole,
    address: text,
    role: v.picklist(["voter", "standby", "spare"]),
  })),
  leader: v.exactOptional(text),
  generation: v.exactOptional(whole),
});

/** A KnownStore. */
export const known: v.GenericSchema<unknown, KnownStore> = v.object({
  mark: MARK_SHAPE,
  snapshot: SNAPSHOT_SHAPE,
});

/** A Restored. */
export const restored: v.GenericSchema<unknown, Restored> = v.object({
  mark: MARK_SHAPE,
  leases: v.number(),
  services: v.number(),
});

/** An Adopted. */
export const adopted: v.GenericSchema<unknown, Adopted> = v.object({
  mark: MARK_SHAPE,
  remembered: v.boolean(),
});
