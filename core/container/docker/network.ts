/**
 * The network that Docker's containers join: Docker's own bridge driver, on knet's bridge, with addresses by knet. So ports, compose
 * and Docker's name server are as ever. Pure.
 *
 * @module
 */
import { join } from "node:path";
import { parsePrefix } from "../../base/address.ts";
import type { NodeState } from "../../cluster/node_state.ts";

/** Name of the driver. */
export const DOCKER_DRIVER = "knet";

/** By which the book knows what Docker holds. */
export const DOCKER_RUNTIME = "docker";

/** Path of the agent's socket for Docker. */
export function dockerSocket(stateDir: string): string {
  return join(stateDir, "docker.sock");
}

/** What Docker finds the driver by: a file with its socket's URL. */
export const specText = (stateDir: string) => `unix://${dockerSocket(stateDir)}\n`;

/** Folder of the state of the agent whose socket a driver's file names; undefined if it names none of knet's. */
export function specState(text: string): string | undefined {
  return /^unix:\/\/(\/.+)\/docker\.sock\n?$/.exec(text)?.[1];
}

/** The request that makes the network. */
export function networkRequest(
  name: string,
  { subnet, gateway, bridge, mtu }: Pick<NodeState, "subnet" | "gateway" | "bridge" | "mtu">,
): Readonly<Record<string, unknown>> {
  const v6 = parsePrefix(subnet).family === 6;
  return {
    Name: name,
    Driver: "bridge",
    CheckDuplicate: true,
    EnableIPv6: v6,
    IPAM: { Driver: DOCKER_DRIVER, Config: [{ Subnet: subnet, Gateway: gateway }] },
    Labels: { "io.knet": "network" },
    Options: {
      "com.docker.network.bridge.name": bridge,
      // What leaves the cluster network is knet's affair (--ip-masq); between hosts nothing may be masqueraded.
      "com.docker.network.bridge.enable_ip_masquerade": "false",
      "com.docker.network.driver.mtu": `${mtu}`,
      // From 28 on Docker drops what other hosts send to a container's own address. Older ones do not know the option.
      "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected",
    },
  };
}
