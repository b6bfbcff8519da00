/**
 * Containers of this host: attached to the bridge by a veth pair, with an address of the host's subnet.
 *
 * @module
 */
import { type ContainerRecord, readBook } from "./addresses.ts";
import { bootId as currentBootId } from "../cluster/node_identity.ts";

export type { ContainerRecord } from "./addresses.ts";
export { attach, type AttachOptions, type AttachResult } from "./attach.ts";
export { detach, type DetachOptions, type DetachResult } from "./detach.ts";
export {
  isStranded,
  renumber,
  type RenumberResult,
  repairContainers,
  type RepairOptions,
} from "./renumber.ts";
export { reclaimVanished } from "./vanished.ts";

/** By what a container is known to people, and by which ports of the host it is reached, for reports. */
export function namesOfRecord(
  { netns, name, runtime, containerId, ports }: ContainerRecord,
): Pick<ContainerRecord, "netns" | "name" | "runtime" | "containerId" | "ports"> {
  return {
    netns,
    ...(name !== undefined && { name }),
    ...(runtime !== undefined && { runtime }),
    ...(containerId !== undefined && { containerId }),
    ...(ports !== undefined && { ports }),
  };
}

/**
 * The containers that are attached, by the address book; nobody after a reboot.
 *
 * @param bootId the default is this boot's.
 */
export function listContainers(dataDir: string, bootId?: string): ContainerRecord[] {
  return readBook({ dataDir, bootId: bootId ?? currentBootId() });
}
