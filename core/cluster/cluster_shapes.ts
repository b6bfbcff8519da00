/**
 * The shapes of a configuration and a lease where they come from outside: snapshots and files.
 *
 * @module
 */
import * as v from "valibot";
import { word } from "../base/shape.ts";
import type { BackendConfig, BackendType, ClusterConfig } from "./config.ts";
import type { Lease } from "./lease.ts";

const mtu = v.exactOptional(v.number());

const BACKEND: v.GenericSchema<unknown, BackendConfig> = v.variant("type", [
  v.looseObject({
    type: v.literal("vxlan"),
    vni: v.number(),
    port: v.number(),
    directRouting: v.boolean(),
    mtu,
  }),
  v.looseObject({ type: v.literal("host-gw"), mtu }),
  v.looseObject({ type: v.literal("udp"), port: v.number(), mtu }),
]);

/** A {@linkcode ClusterConfig}. */
export const CONFIG_SHAPE: v.GenericSchema<unknown, ClusterConfig> = v.looseObject({
  network: v.string(),
  subnetLen: v.number(),
  subnetMin: v.string(),
  subnetMax: v.string(),
  backend: BACKEND,
  serviceNetwork: v.string(),
  leaseTtl: v.number(),
});

/** A {@linkcode Lease}; its backend may be one that only a newer knet has. */
export const LEASE_SHAPE: v.GenericSchema<unknown, Lease> = v.looseObject({
  nodeId: v.string(),
  family: v.picklist([4, 6]),
  nodeName: v.string(),
  subnet: v.string(),
  publicIp: v.string(),
  backend: word<BackendType>(),
  backendData: v.looseObject({
    mac: v.exactOptional(v.string()),
    vni: v.exactOptional(v.number()),
    probe: v.exactOptional(v.number()),
    wants: v.exactOptional(v.string()),
  }),
  bootId: v.string(),
  agentId: v.string(),
  acquired: v.number(),
  renewed: v.number(),
  expires: v.number(),
  reserved: v.boolean(),
  revision: v.number(),
});
