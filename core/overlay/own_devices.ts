/**
 * What knet's devices of one overlay should be like.
 *
 * @module
 */
import { formatPrefix, nthAddress, parsePrefix } from "../base/address.ts";
import { deriveMac } from "../base/mac.ts";
import type { Family } from "../cluster/lease.ts";
import { forwarding, ipv6Off, type Parameter } from "../kernel/device_parameters.ts";
import type { DeviceSpec } from "../kernel/devices.ts";
import type { Owner } from "../kernel/owner.ts";
import type { BackendContext } from "./backend/backend.ts";

/** The bridge's address: the first host address of the subnet. */
export function gatewayOf(subnet: string): string {
  return nthAddress(subnet, 1);
}

/** The bridge that this host's containers hang on. */
export function bridgeSpec(context: BackendContext, bridge: string, owner?: Owner): DeviceSpec {
  const { family, length } = parsePrefix(context.subnet);
  return {
    name: bridge,
    kind: "bridge",
    // Given at creation: a bridge without one takes the lowest of its ports', and changes with the first container.
    mac: deriveMac("bridge", context.nodeId, bridge),
    mtu: context.mtu,
    addresses: [formatPrefix({ family, address: gatewayOf(context.subnet), length })],
    parameters: deviceParameters(family, bridge),
    // Whoever made it may have IPv6 addresses on it.
    guestParameters: forwarding(bridge),
    ...(owner !== undefined && { owner }),
    ownNetwork: context.config.network,
  };
}

/** Kernel parameters of a device of knet's. */
function deviceParameters(family: Family, device: string): Parameter[] {
  return [...(family === 4 ? ipv6Off(device) : []), ...forwarding(device)];
}

/** A backend's device with what all of knet's have in common. */
export function equip(
  spec: DeviceSpec | undefined,
  family: Family,
  owner?: Owner,
): DeviceSpec | undefined {
  return spec && {
    ...spec,
    parameters: deviceParameters(family, spec.name),
    ...(owner !== undefined && { owner }),
  };
}
