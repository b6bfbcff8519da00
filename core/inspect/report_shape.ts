/**
 * The shapes of what an agent says over its socket, so that a command that meets an agent of another version says so rather than
 * stumble.
 *
 * @module
 */
import * as v from "valibot";
import { KnetError, messageOf } from "../base/error.ts";
import { parseShape, word } from "../base/shape.ts";
import type { BackendType } from "../cluster/config.ts";
import type { PortMapping } from "../container/record.ts";
import type { Via } from "../overlay/backend/backend.ts";
import type { TunnelStatus } from "../overlay/udp/data_plane.ts";
import { TIMEOUTS_SHAPE } from "../services/service_shapes.ts";
import type { PathFault } from "./probe/findings.ts";
import type { RealServerReport, ServicesReport, Traffic } from "./service_report.ts";

/** Whether something is an object of numbers, and objects in it. */
function holdsNumbers(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  for (const key in value) {
    const held = (value as Record<string, unknown>)[key];
    if (typeof held !== "number" && typeof held !== "object") return false;
  }
  return true;
}

/** What `StatusReport` describes; it does not import it, since that file reads by this shape. */
const STATUS = v.looseObject({
  node: v.looseObject({
    id: v.string(),
    name: v.string(),
    publicIp: v.string(),
    subnet: v.string(),
    backend: word<BackendType>(),
    mtu: v.number(),
    device: v.string(),
    bridge: v.string(),
    lease: v.looseObject({
      acquired: v.number(),
      renewed: v.number(),
      expires: v.number(),
      reserved: v.boolean(),
    }),
  }),
  agent: v.looseObject({
    running: v.boolean(),
    pid: v.exactOptional(v.number()),
    since: v.exactOptional(v.number()),
    ready: v.boolean(),
    state: v.string(),
  }),
  store: v.looseObject({
    url: v.string(),
    state: word<"ok" | "away" | "unknown">(),
    detail: v.string(),
    revision: v.number(),
    clock: v.exactOptional(v.number()),
  }),
  peers: v.array(v.looseObject({
    name: v.string(),
    nodeId: v.string(),
    subnet: v.string(),
    publicIp: v.string(),
    expired: v.boolean(),
    route: v.boolean(),
    neighbour: v.boolean(),
    fdb: v.boolean(),
    // An agent of 0.1 does not tell.
    entries: v.optional(v.record(v.string(), v.boolean()), {}),
    via: word<Via>(),
    warning: v.exactOptional(v.string()),
    probe: v.exactOptional(v.looseObject({
      rtt: v.exactOptional(v.number()),
      loss: v.exactOptional(v.number()),
      mtu: v.exactOptional(v.number()),
      fault: v.exactOptional(word<PathFault>()),
    })),
  })),
  containers: v.array(v.looseObject({
    netns: v.string(),
    name: v.exactOptional(v.string()),
    runtime: v.exactOptional(v.string()),
    containerId: v.exactOptional(v.string()),
    ports: v.exactOptional(v.array(v.looseObject({
      hostPort: v.number(),
      containerPort: v.number(),
      protocol: word<PortMapping["protocol"]>(),
      hostIp: v.exactOptional(v.string()),
    }))),
    ifname: v.string(),
    address: v.string(),
    stranded: v.boolean(),
  })),
  tunnel: v.exactOptional(v.looseObject({
    offloads: v.boolean(),
    counters: v.custom<TunnelStatus["counters"]>(
      holdsNumbers,
      "they are no counters",
    ),
  })),
  warnings: v.array(v.string()),
});

// By hand: a report of 20,000 services has 60,000 of them, which as schemas would cost 0.2 s.
const TRAFFIC = v.custom<Traffic>(
  (value) => holdsNumbers(value) && holdsNumbers((value as { rates?: unknown }).rates),
  "it is no traffic",
);

const SERVICES: v.GenericSchema<unknown, ServicesReport> = v.looseObject({
  problem: v.exactOptional(v.string()),
  warnings: v.exactOptional(v.array(v.string())),
  services: v.array(v.looseObject({
    name: v.string(),
    programmed: v.boolean(),
    problem: v.exactOptional(v.string()),
    traffic: v.exactOptional(TRAFFIC),
    realServers: v.array(v.looseObject({
      address: v.string(),
      port: v.number(),
      weight: v.number(),
      health: word<RealServerReport["health"]>(),
      detail: v.string(),
      drain: word<RealServerReport["drain"]>(),
      programmed: v.boolean(),
      active: v.number(),
      inactive: v.number(),
      persistent: v.number(),
      traffic: v.exactOptional(TRAFFIC),
    })),
  })),
  foreign: v.array(v.looseObject({
    address: v.string(),
    port: v.number(),
    protocol: word<ServicesReport["foreign"][number]["protocol"]>(),
    fwmark: v.exactOptional(v.number()),
  })),
  sysctls: v.array(v.looseObject({
    name: v.string(),
    value: v.string(),
    wanted: v.exactOptional(v.string()),
    before: v.exactOptional(v.string()),
    why: v.string(),
  })),
  timeouts: v.exactOptional(TIMEOUTS_SHAPE),
});

function read<T>(schema: v.GenericSchema<unknown, T>, body: string): T {
  try {
    return parseShape(schema, body);
  } catch (error) {
    throw new KnetError(`Cannot understand this host's agent: ${messageOf(error)}`, {
      remedy: "Restart it, so that it is of the version of this program: systemctl restart knet",
      cause: error,
    });
  }
}

/**
 * Reads the agent's answer to /status.
 *
 * @throws {KnetError} if it is another thing.
 */
export function readStatusReport(body: string): v.InferOutput<typeof STATUS> {
  return read(STATUS, body);
}

/**
 * Reads the agent's answer to /services.
 *
 * @throws {KnetError} if it is another thing.
 */
export function readServicesReport(body: string): ServicesReport {
  return read(SERVICES, body);
}
