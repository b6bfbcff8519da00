/**
 * What hosts ask the store for, for tests of the contract.
 *
 * @module
 */
import type { LeaseRequest } from "../../core/store/store.ts";

/** What the n-th node asks for. */
export function node(n: number, more: Partial<LeaseRequest> = {}): LeaseRequest {
  return {
    nodeId: `node-${n}`,
    family: 4,
    nodeName: `n${n}`,
    publicIp: `192.168.2.${n}`,
    backend: "vxlan",
    bootId: "boot",
    agentId: `agent-${n}`,
    backendData: (attempt) => ({ vni: 1, mac: `02:00:00:00:0${attempt}:${(16 + n).toString(16)}` }),
    ...more,
  };
}

/** What the n-th node renews by. */
export const holder = (
  n: number,
  subnet: string,
  more: { agentId?: string; publicIp?: string } = {},
) => ({
  nodeId: `node-${n}`,
  family: 4 as const,
  agentId: `agent-${n}`,
  nodeName: `n${n}`,
  publicIp: `192.168.2.${n}`,
  subnet,
  backendData: node(n).backendData(0),
  ...more,
});
