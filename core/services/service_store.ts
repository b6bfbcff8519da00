/**
 * What edits of services ask of a store; the store itself stands above.
 *
 * @module
 */
import type { ClusterConfig } from "../cluster/config.ts";
import type { Service, ServiceTimeouts } from "./service.ts";

/** A row that was left out of what was read because it makes no sense. */
export interface RowProblem {
  /** What it holds: `lease of node "one"`. */
  readonly what: string;
  /** Why it makes no sense: `subnet: it is no network`. */
  readonly state: string;
}

/** A service of the store that cannot be used: its row as it is, which may hold anything. */
export interface UnreadService {
  readonly name: string;
  readonly vip: string;
  readonly port: number;
  readonly protocol: string;
  /** Why. */
  readonly state: string;
}

/** Which services an edit looks at: those named, those with one of the addresses, and those that share an address with one named. */
export type ServiceScope = "all" | {
  readonly names: readonly string[];
  readonly vips?: readonly string[];
};

/** What an edit sees. */
export interface ServiceView {
  /** Services of its scope by name. Destinations whose drain is over are left out. */
  readonly services: ReadonlyMap<string, Service>;
  /** What the store holds of that scope and cannot be used, by name. */
  readonly unread: ReadonlyMap<string, UnreadService>;
  readonly timeouts: ServiceTimeouts;
  /** Undefined before `initConfig`. */
  readonly config: ClusterConfig | undefined;
  /** Hosts with an underlay address that is in `vips` of the scope (all hosts if it is "all"). */
  readonly hosts: readonly { readonly nodeName: string; readonly publicIp: string }[];
  /** Addresses of the store itself. */
  readonly storeHosts: readonly string[];
  /** Store's clock, milliseconds since the epoch. */
  readonly now: number;
  /** For how long hosts announce what they hold, because the store was adopted just now, milliseconds; absent: they do not. */
  readonly settling?: number;
}

/** What an edit wants done. */
export interface ServiceEdit<T> {
  /** Services to write, whole; their revision is set by the store. */
  readonly put?: readonly Service[];
  /** Names of services to delete. */
  readonly remove?: readonly string[];
  readonly timeouts?: ServiceTimeouts;
  readonly result: T;
}

/** The part of a store that holds services. */
export interface ServiceStore {
  /** All services in the order of their names. */
  listServices(): Promise<{
    services: Service[];
    timeouts: ServiceTimeouts;
    revision: number;
    now: number;
    problems: readonly RowProblem[];
  }>;

  /** One service, without reading the others; undefined if there is none of that name. */
  getService(name: string): Promise<{ service: Service | undefined; now: number }>;

  /**
   * Reads services, lets `edit` decide, and writes what it wants, in one transaction that no other writer interleaves with. The
   * revision is raised once, and only if something is to be written. What `edit` throws leaves the store as it was.
   *
   * @param edit Called inside the transaction: pure and quick. It judges what may be written.
   * @returns What `edit` returned as `result`, and the revision afterwards.
   */
  editServices<T>(
    scope: ServiceScope,
    edit: (view: ServiceView) => ServiceEdit<T>,
  ): Promise<{ result: T; revision: number }>;
}
