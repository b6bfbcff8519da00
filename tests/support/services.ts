/**
 * Services for tests: a plain one, and any.
 *
 * @module
 */
import fc from "fast-check";
import {
  type Check,
  compareDestinations,
  FORWARDS,
  MASQUERADES,
  ON_EMPTY,
  PROTOCOLS,
  SCHEDULER_FLAGS,
  SCHEDULERS,
  type Service,
} from "../../core/services/service.ts";
import { makeService, type ServiceRequest } from "../../core/services/request.ts";

/** A service with two real servers. */
export function service(name: string, more: ServiceRequest = {}): Service {
  return makeService(name, {
    vip: "10.96.0.10",
    port: 80,
    destinations: [{ address: "10.244.0.1", port: 8080 }, { address: "10.244.1.1", port: 8080 }],
    ...more,
  });
}

const check: fc.Arbitrary<Check> = fc.oneof(
  fc.constant({ type: "none" } as const),
  fc.record({
    type: fc.constant("tcp" as const),
    interval: fc.integer({ min: 100, max: 3_600_000 }),
    timeout: fc.integer({ min: 10, max: 60_000 }),
    rise: fc.integer({ min: 1, max: 100 }),
    fall: fc.integer({ min: 1, max: 100 }),
  }, { noNullPrototype: true }),
  fc.record({
    type: fc.constant("http" as const),
    // What begins with two slashes is refused where it is written: it is the rest of a URL.
    path: fc.stringMatching(/^\/([!-.0-~][!-~]{0,11})?$/),
    interval: fc.integer({ min: 100, max: 3_600_000 }),
    timeout: fc.integer({ min: 10, max: 60_000 }),
    rise: fc.integer({ min: 1, max: 100 }),
    fall: fc.integer({ min: 1, max: 100 }),
  }, { noNullPrototype: true }),
  fc.record({
    type: fc.constant("none" as const),
    text: fc.constantFrom(
      "https:/a?b host=a.example status=200-299,401",
      'tcp port=81 tls verify=no send="a b" expect=\\x00\\xff',
      "udp",
      "dns:a.example query=AAAA",
    ),
    interval: fc.integer({ min: 100, max: 3_600_000 }),
    timeout: fc.integer({ min: 10, max: 60_000 }),
    rise: fc.integer({ min: 1, max: 100 }),
    fall: fc.integer({ min: 1, max: 100 }),
  }, { noNullPrototype: true }),
);

/** Any service that the rules allow, at an address that follows from `n`. */
export function anyService(n: number): fc.Arbitrary<Service> {
  return fc.record({
    family: fc.constantFrom(4 as const, 6 as const),
    port: fc.integer({ min: 1, max: 65_535 }),
    protocol: fc.constantFrom(...PROTOCOLS),
    scheduler: fc.constantFrom(...SCHEDULERS),
    flags: fc.subarray([...SCHEDULER_FLAGS]),
    forward: fc.constantFrom(...FORWARDS),
    persistent: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 86_400 })),
    netmask: fc.integer({ min: 1, max: 32 }),
    onePacket: fc.boolean(),
    masquerade: fc.constantFrom(...MASQUERADES),
    check,
    onEmpty: fc.constantFrom(...ON_EMPTY),
    drainTimeout: fc.integer({ min: 0, max: 86_400 }),
    hosts: fc.uniqueArray(fc.integer({ min: 1, max: 250 }), { maxLength: 5 }),
    weight: fc.integer({ min: 0, max: 65_535 }),
    upper: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  }).map((any): Service => {
    const { family, port, protocol, scheduler, forward, hosts, upper } = any;
    return {
      name: `s${n}`,
      vip: family === 4 ? `10.96.${n >> 8}.${n & 255}` : `fd00:96::${(n + 1).toString(16)}`,
      port,
      family,
      protocol,
      scheduler,
      schedulerFlags: any.flags.filter((flag) => flag.startsWith(`${scheduler}-`)),
      forward,
      persistent: any.persistent,
      persistenceNetmask: any.persistent === 0 ? (family === 4 ? 32 : 128) : any.netmask,
      onePacket: protocol === "udp" && any.onePacket,
      masquerade: forward === "nat" ? any.masquerade : "auto",
      check: any.check,
      onEmpty: any.onEmpty,
      drainTimeout: any.drainTimeout,
      destinations: hosts.map((host) => ({
        address: family === 4 ? `10.244.0.${host}` : `fd00:244::${host.toString(16)}`,
        port: forward === "nat" ? (port % 65_535) + 1 : port,
        weight: any.weight,
        upper,
        lower: Math.floor(upper / 2),
      })).sort(compareDestinations),
      revision: 0,
    };
  });
}

/** Any services, each at an address of its own. */
export function anyServices(most = 6): fc.Arbitrary<Service[]> {
  return fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: most })
    .chain((numbers) => fc.tuple(...numbers.sort().map(anyService)));
}
