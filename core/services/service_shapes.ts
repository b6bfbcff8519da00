/**
 * The shape of a service where it comes from outside: snapshots and files. Words that only a newer knet has pass; the kernel refuses
 * them one by one.
 *
 * @module
 */
import * as v from "valibot";
import { word } from "../base/shape.ts";
import type { Check, Service, ServiceTimeouts } from "./service.ts";

const pace = { interval: v.number(), timeout: v.number(), rise: v.number(), fall: v.number() };

/** A {@linkcode Check}. */
export const CHECK_SHAPE: v.GenericSchema<unknown, Check> = v.variant("type", [
  v.looseObject({ type: v.literal("none"), text: v.exactOptional(v.string()) }),
  v.looseObject({ type: v.literal("tcp"), ...pace }),
  v.looseObject({ type: v.literal("http"), path: v.string(), ...pace }),
]);

/** A {@linkcode Service}. */
export const SERVICE_SHAPE: v.GenericSchema<unknown, Service> = v.looseObject({
  name: v.string(),
  vip: v.string(),
  port: v.number(),
  family: v.picklist([4, 6]),
  protocol: word<Service["protocol"]>(),
  scheduler: word<Service["scheduler"]>(),
  schedulerFlags: v.array(word<Service["schedulerFlags"][number]>()),
  forward: word<Service["forward"]>(),
  persistent: v.number(),
  persistenceNetmask: v.number(),
  onePacket: v.boolean(),
  masquerade: word<Service["masquerade"]>(),
  check: CHECK_SHAPE,
  onEmpty: word<Service["onEmpty"]>(),
  drainTimeout: v.number(),
  destinations: v.array(v.looseObject({
    address: v.string(),
    port: v.number(),
    weight: v.number(),
    upper: v.number(),
    lower: v.number(),
    draining: v.exactOptional(v.looseObject({ deadline: v.number() })),
  })),
  revision: v.number(),
});

/** {@linkcode ServiceTimeouts}. */
export const TIMEOUTS_SHAPE: v.GenericSchema<unknown, ServiceTimeouts> = v.looseObject({
  tcp: v.number(),
  tcpfin: v.number(),
  udp: v.number(),
});
