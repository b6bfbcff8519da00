/**
 * Containers of this host: attached to the bridge by a veth pair, with an address of the host's subnet.
 *
 * @module
 */
import { type ContainerRecord, readBook } from "./container/addresses.ts";
import { bootId as currentBootId } from "./node.ts";

export type { ContainerRecord } from "./container/addresses.ts";
export { attach, type AttachOptions, type AttachResult } from "./container/attach.ts";
export { detach, type DetachOptions, type DetachResult } from "./container/detach.ts";
export {
  isStranded,
  renumber,
  type RenumberResult,
  repairContainers,
  type RepairOptions,
} from "./container/renumber.ts";
export { reclaimVanished } from "./container/vanished.ts";

/**
 * The containers that are attached, by the address book; nobody after a reboot.
 *
 * @param bootId the default is this boot's.
 */
export function listContainers(dataDir: string, bootId?: string): ContainerRecord[] {
  return readBook({ dataDir, bootId: bootId ?? currentBootId() });
}
