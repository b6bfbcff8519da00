/**
 * The IPAM driver of Docker's plugin protocol (libnetwork's docs/ipam.md): Docker's own bridge driver makes the interfaces, on knet's
 * bridge, and asks for nothing but addresses. There is one pool, this host's subnet.
 *
 * Nothing here may ask Docker anything: dockerd waits for the answer, at its start as well.
 *
 * @module
 */
import * as v from "valibot";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { canonicalAddress, parsePrefix } from "../../base/address.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { checkShape } from "../../base/shape.ts";
import { bootId } from "../../cluster/node_identity.ts";
import { type NodeState, readNodeState } from "../../cluster/node_state.ts";
import { type BookPlace, lockBook, readBook, readFormer } from "../addresses.ts";
import { findAddress } from "../find_address.ts";
import { forgetNeighbour } from "../forget_neighbour.ts";
import { readHeld, writeHeld } from "../held.ts";
import { bridgeOf } from "../wire.ts";
import { DOCKER_RUNTIME } from "./network.ts";

/** Where addresses are given out. */
export interface IpamHost {
  readonly stateDir: string;
  readonly dataDir: string;
  /** The default is this boot's. */
  readonly bootId?: string;
}

/** The one address space. */
const SPACE = "knet";

const POOL = v.looseObject({
  Pool: v.optional(v.string()),
  SubPool: v.optional(v.string()),
  V6: v.optional(v.boolean()),
});
const ADDRESS = v.looseObject({
  PoolID: v.string(),
  Address: v.optional(v.string()),
  Options: v.optional(v.nullable(v.record(v.string(), v.string()))),
});

/**
 * Answers one call.
 *
 * @param path `/IpamDriver.RequestAddress`.
 * @returns the answer's document, an error's as well; undefined if there is no such call.
 */
export async function answerIpam(
  host: IpamHost,
  path: string,
  text: string,
): Promise<unknown | undefined> {
  try {
    return await act(host, path, text);
  } catch (error) {
    const remedy = error instanceof KnetError && error.remedy ? ` (${error.remedy})` : "";
    return { Error: messageOf(error) + remedy };
  }
}

async function act(host: IpamHost, path: string, text: string): Promise<unknown | undefined> {
  const asked = text.trim() === "" ? {} : JSON.parse(text) as unknown;
  switch (path) {
    case "/Plugin.Activate":
      return { Implements: ["IpamDriver"] };
    case "/IpamDriver.GetCapabilities":
      return { RequiresMACAddress: false, RequiresRequestReplay: false };
    case "/IpamDriver.GetDefaultAddressSpaces":
      return { LocalDefaultAddressSpace: SPACE, GlobalDefaultAddressSpace: SPACE };
    case "/IpamDriver.RequestPool":
      return requestPool(stateOf(host), checkShape(POOL, asked));
    case "/IpamDriver.ReleasePool":
      return {};
    case "/IpamDriver.RequestAddress":
      return await requestAddress(host, checkShape(ADDRESS, asked));
    case "/IpamDriver.ReleaseAddress":
      return await releaseAddress(host, checkShape(ADDRESS, asked));
  }
  return undefined;
}

function stateOf({ stateDir }: IpamHost): NodeState {
  const state = readNodeState(stateDir);
  if (state !== undefined) return state;
  throw new KnetError("Cannot give Docker an address: this host has not joined the cluster", {
    remedy: "Start the agent and wait until it is ready: knet join",
  });
}

function requestPool(
  { subnet, gateway }: NodeState,
  { Pool: pool = "", SubPool: subPool = "", V6: v6 = false }: v.InferOutput<typeof POOL>,
): unknown {
  if (v6 || (pool !== "" && pool !== subnet) || subPool !== "") {
    throw new KnetError(
      `Cannot give Docker the pool ${v6 ? "of IPv6" : subPool || pool}: this host has ${subnet}`,
      { remedy: "Leave --subnet, --ip-range and --ipv6 away, or run knet install docker" },
    );
  }
  const length = parsePrefix(subnet).length;
  return {
    PoolID: `${SPACE}/${subnet}`,
    Pool: subnet,
    Data: { "com.docker.network.gateway": `${gateway}/${length}` },
  };
}

async function requestAddress(
  host: IpamHost,
  { PoolID: pool, Address: wanted = "", Options: options }: v.InferOutput<typeof ADDRESS>,
): Promise<unknown> {
  const state = stateOf(host);
  const { subnet, gateway } = state;
  if (pool !== `${SPACE}/${subnet}`) {
    throw new KnetError(
      `Cannot give Docker an address of ${pool}: this host has ${subnet} now`,
      { remedy: "Make the network anew: docker network rm knet, then knet install docker" },
    );
  }
  const length = parsePrefix(subnet).length;
  const isGateway = options?.["RequestAddressType"] === "com.docker.network.gateway";
  if (isGateway || (wanted !== "" && canonicalAddress(wanted) === gateway)) {
    if (wanted === "" || canonicalAddress(wanted) === gateway) {
      return { Address: `${gateway}/${length}`, Data: {} };
    }
    throw new KnetError(`Cannot make ${wanted} Docker's gateway: it is ${gateway} on this host`);
  }
  const place = placeOf(host);
  using _lock = await lockBook(place.dataDir);
  using rtnl = openRtnl();
  const held = readHeld(place);
  const where = { rtnl, state, bridge: bridgeOf(rtnl, state.bridge), held };
  const { address } = findAddress(where, readBook(place), DOCKER_RUNTIME, {
    wanted: wanted === "" ? undefined : wanted,
    preferred: undefined,
    former: readFormer(place),
  });
  writeHeld(place, [...held, { address, runtime: DOCKER_RUNTIME }]);
  return { Address: `${address}/${length}`, Data: {} };
}

async function releaseAddress(
  host: IpamHost,
  { Address: text = "" }: v.InferOutput<typeof ADDRESS>,
): Promise<unknown> {
  const address = canonicalAddress(text);
  const place = placeOf(host);
  using _lock = await lockBook(place.dataDir);
  const held = readHeld(place);
  const rest = held.filter((one) => !(one.runtime === DOCKER_RUNTIME && one.address === address));
  if (rest.length === held.length) return {};
  // Docker gives a container that comes back with this address another MAC address.
  using rtnl = openRtnl();
  forgetNeighbour(rtnl, address);
  writeHeld(place, rest);
  return {};
}

function placeOf({ dataDir, bootId: boot }: IpamHost): BookPlace {
  return { dataDir, bootId: boot ?? bootId() };
}
