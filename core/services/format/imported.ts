/**
 * Services out of other programs' files, which have no names yet.
 *
 * @module
 */
import type { KnetError } from "../../base/error.ts";
import type { DestinationRequest } from "../destination.ts";
import { makeService, type ServiceRequest } from "../request.ts";
import {
  type Forward,
  type Protocol,
  realServerKey,
  type Service,
  type ServiceTimeouts,
} from "../service.ts";
import { ServiceError } from "../service_error.ts";

/** A service of the rules. It has no name yet: the store may hold it under one. */
export interface ImportedService {
  readonly vip: string;
  readonly port: number;
  readonly protocol: Protocol;
  /**
   * Makes the whole service.
   *
   * @param base The service that has this address, port and protocol already: what rules do not say stays as it is there.
   * @throws {KnetError} exit code 2, naming the line.
   */
  make(name: string, base?: Service): Service;
}

/** What was read. */
export interface Imported {
  readonly services: readonly ImportedService[];
  readonly timeouts?: ServiceTimeouts;
  /** Sentences about rules that were left out. */
  readonly warnings: readonly string[];
}

/** A service as it is read, line by line. */
export interface ServiceDraft {
  readonly line: number;
  readonly vip: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly request: ServiceRequest;
  readonly servers: { readonly line: number; readonly request: DestinationRequest }[];
  forward?: Forward;
}

/**
 * A service of a draft, checked by itself.
 *
 * @param refuse The error of a line.
 * @throws {KnetError} what `refuse` gives.
 */
export function importedService(
  { vip, port, protocol, request, servers, line, forward = "nat" }: ServiceDraft,
  refuse: (line: number, state: string) => KnetError,
): ImportedService {
  const make = (name: string, base?: Service) => {
    const known = new Map(base?.destinations.map((one) => [realServerKey(one), one]));
    const whole: ServiceRequest = {
      ...{ ...request, vip, port, protocol, forward },
      ...(base !== undefined && servers.length === 0 && { forward: base.forward }),
      destinations: servers.map(({ request }): DestinationRequest => {
        const old = known.get(realServerKey({ ...request, port: request.port! }));
        return { ...(old && { upper: old.upper, lower: old.lower }), ...request };
      }),
    };
    try {
      return makeService(name, whole, base);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const [field, n] = error.field;
      const at = field === "destinations" ? servers[n as number]?.line : undefined;
      throw refuse(at ?? line, error.message.charAt(0).toLowerCase() + error.message.slice(1));
    }
  };
  make("check"); // Mistakes are found before the store is asked.
  return { vip, port, protocol, make };
}

/** A name for a service that has none: `vs-10.96.0.10-80-tcp`. */
export function importedName({ vip, port, protocol }: ImportedService): string {
  return `vs-${vip.replaceAll(":", "-")}-${port}-${protocol}`;
}
