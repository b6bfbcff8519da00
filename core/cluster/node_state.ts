/**
 * What the agent leaves for the commands of the same host: `node.json` for knet's own, `subnet.env` for
 * others (flannel's CNI plugin works unchanged with `subnetFile` pointed at it).
 *
 * @module
 */
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import type { BackendType } from "./config.ts";
import { messageOf } from "../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../base/files.ts";
import { parseShape, word } from "../base/shape.ts";

/** This host's place in the cluster as the agent last programmed it. */
export interface NodeState {
  readonly nodeId: string;
  readonly nodeName: string;
  /** The cluster network. */
  readonly network: string;
  readonly serviceNetwork: string;
  /** This host's subnet. */
  readonly subnet: string;
  /** The bridge's address in it, without prefix length. */
  readonly gateway: string;
  /** Of the overlay: device, bridge and containers; bytes. */
  readonly mtu: number;
  readonly bridge: string;
  readonly ipMasq: boolean;
  readonly backend: BackendType;
  /** Name of the backend's device; absent where it has none. */
  readonly device?: string;
  /** UDP port of the tunnel; absent where there is none. */
  readonly port?: number;
  readonly publicIp: string;
  /** Name of the underlay interface. */
  readonly iface: string;
  /** Those by which the other hosts are reached, where that one only holds the address: `lo` of a host that speaks BGP. */
  readonly ways?: readonly string[];
}

/** Names of the interfaces by which the other hosts are reached; none: it is not known. */
export function hostWays({ iface, ways }: Pick<NodeState, "iface" | "ways">): readonly string[] {
  return ways ?? (iface === "lo" ? [] : [iface]);
}

/** Names of the devices by which the other hosts' containers are reached: the backend's, or without one those of the hosts. */
export function overlayWays(
  state: Pick<NodeState, "device" | "iface" | "ways">,
): readonly string[] {
  return state.device === undefined ? hostWays(state) : [state.device];
}

const log = getLogger(["knet", "node"]);

const STATE_SHAPE: v.GenericSchema<unknown, NodeState> = v.looseObject({
  nodeId: v.string(),
  nodeName: v.string(),
  network: v.string(),
  serviceNetwork: v.string(),
  subnet: v.string(),
  gateway: v.string(),
  mtu: v.number(),
  bridge: v.string(),
  ipMasq: v.boolean(),
  backend: word<BackendType>(),
  device: v.exactOptional(v.string()),
  port: v.exactOptional(v.number()),
  publicIp: v.string(),
  iface: v.string(),
  ways: v.exactOptional(v.array(v.string())),
});

const stateFile = (stateDir: string) => join(stateDir, "node.json");
const envFile = (stateDir: string) => join(stateDir, "subnet.env");

/** What the agent wrote last; undefined if no agent has run since boot or after `knet leave`. */
export function readNodeState(stateDir: string): NodeState | undefined {
  const text = readTextIfPresent(stateFile(stateDir));
  if (text === undefined) return undefined;
  try {
    return parseShape(STATE_SHAPE, text);
  } catch (error) {
    // Written atomically, so only a foreign hand can have broken it: the agent writes it anew.
    log.warn("{message}", { message: `Cannot use "${stateFile(stateDir)}": ${messageOf(error)}` });
    return undefined;
  }
}

/** The text of `subnet.env`: knet's four names and the same four as flannel has them. */
export function subnetEnv(state: NodeState): string {
  const length = state.subnet.slice(state.subnet.indexOf("/"));
  const values = {
    NETWORK: state.network,
    SUBNET: state.gateway + length,
    MTU: state.mtu,
    IPMASQ: state.ipMasq,
  };
  return ["KNET", "FLANNEL"].flatMap((prefix) =>
    Object.entries(values).map(([name, value]) => `${prefix}_${name}=${value}\n`)
  ).join("");
}

/** Writes both files, if what they say has changed. */
export function writeNodeState(stateDir: string, state: NodeState): void {
  for (
    const [path, text] of [
      [stateFile(stateDir), JSON.stringify(state, null, 2) + "\n"],
      [envFile(stateDir), subnetEnv(state)],
    ] as const
  ) {
    if (readTextIfPresent(path) !== text) writeFileAtomically(path, text);
  }
}

/** Removes both files. */
export function removeNodeState(stateDir: string): void {
  removeIfPresent(envFile(stateDir));
  removeIfPresent(stateFile(stateDir));
}
