/**
 * The TUN device as one of knet's devices: made by opening it, watched and mended like the others.
 *
 * @module
 */
import { SystemError } from "../../../ffi/libc.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { deleteLink, getLink } from "../../../ffi/rtnl/link.ts";
import { TUN_PATH } from "../../../ffi/tun.ts";
import { getLogger } from "@logtape/logtape";
import type { BackendContext, Companion } from "../backend/backend.ts";
import type { DeviceSpec } from "../../kernel/devices.ts";
import { KnetError } from "../../base/error.ts";
import type { Lease } from "../../cluster/lease.ts";
import { DataPlane, type TunnelStatus } from "./data_plane.ts";
import type { UdpPeer } from "./routes.ts";

const log = getLogger(["knet", "overlay"]);

/** The packet loop as what runs beside the backend udp. */
export function makeTunnel(rtnl: NetlinkSocket, onBroken: (why: string) => void): Companion {
  const plane = new DataPlane((why) => {
    log.warn("The packet loop has to be mended: {why}", { why });
    onBroken(why);
  });
  return {
    backend: "udp",
    get status(): TunnelStatus | undefined {
      return plane.status;
    },
    ensure: (context, spec) => ensureTunnel(rtnl, plane, context, spec!),
    setPeers: (peers) => plane.setPeers(tunnelPeers(peers)),
    [Symbol.asyncDispose]: () => plane[Symbol.asyncDispose](),
  };
}

/** The peers that the packet loop has to know; reservations that nobody has taken are left out. */
function tunnelPeers(leases: readonly Lease[]): UdpPeer[] {
  return leases.filter(({ agentId }) => agentId !== "")
    .map(({ subnet, publicIp }) => ({ subnet, publicIp }));
}

/**
 * Opens the device and the sockets, as far as that has not been done.
 *
 * @returns what was done, in words.
 * @throws {KnetError} if this host has no TUN, or another program has the device or the port.
 */
function ensureTunnel(
  rtnl: NetlinkSocket,
  plane: DataPlane,
  context: BackendContext,
  spec: DeviceSpec,
): string[] {
  const { config: { backend }, subnet, underlay, mtu } = context;
  if (backend.type !== "udp") throw new TypeError(`Not a udp configuration: ${backend.type}`);
  const changes: string[] = [];
  const { name } = spec;
  const present = getLink(rtnl, name);
  if (present !== undefined && present.kind !== "tun") {
    deleteLink(rtnl, present.index);
    changes.push(`replaced ${name}: it is a ${present.kind ?? "physical"} device`);
  }
  const { port } = backend;
  const open = (gone: boolean) =>
    plane.open(
      { device: name, subnet, local: underlay.address, port, mtu, offloads: true },
      gone,
    );
  try {
    try {
      open(present?.index !== plane.deviceIndex);
    } catch (error) {
      if (!isOther(error, name) || present === undefined) throw error;
      // A TAP device is of the kind "tun" too.
      deleteLink(rtnl, present.index);
      changes.push(`replaced ${name}: it is no TUN device`);
      open(true);
    }
    plane.deviceIndex = getLink(rtnl, name)?.index;
  } catch (error) {
    throw explained(error, name, port);
  }
  if (present === undefined) changes.push(`created ${name}`);
  return changes;
}

/** Whether a device of this name is something else. */
function isOther(error: unknown, name: string): boolean {
  return error instanceof SystemError && error.code === "EINVAL" && error.path === name;
}

function explained(error: unknown, name: string, port: number): unknown {
  if (!(error instanceof SystemError)) return error;
  const { code, operation } = error;
  const wrong = (state: string, remedy: string) =>
    new KnetError(`Cannot use the backend udp: ${state}`, { exitCode: 3, remedy, cause: error });
  if (error.path === TUN_PATH) {
    return wrong(
      `${TUN_PATH} cannot be opened (${code})`,
      "Load the kernel module tun, or choose another --backend",
    );
  }
  if (code === "EBUSY") {
    return wrong(
      `another program holds the device "${name}"`,
      `Find it with: grep -l "iff:.${name}" /proc/*/fdinfo/*`,
    );
  }
  if (code === "EADDRINUSE") {
    return wrong(
      `another program has UDP port ${port}`,
      `Find it with: ss -lunp sport = :${port}`,
    );
  }
  if (code === "EPERM") {
    return wrong(`the process may not ${operation}`, "Give it CAP_NET_ADMIN and CAP_NET_RAW");
  }
  return error;
}
