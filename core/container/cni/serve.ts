/**
 * Does what a runtime asks of the CNI plugin. It runs in the agent; that containers go, it does wherever it is called.
 *
 * @module
 */
import { withNetns } from "../../../ffi/netns.ts";
import { getLink } from "../../../ffi/rtnl/link.ts";
import { listRoutes } from "../../../ffi/rtnl/route.ts";
import { RT_TABLE_MAIN } from "../../../ffi/linux/rtnetlink.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { familyOf, parsePrefix } from "../../base/address.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { bootId } from "../../cluster/node_identity.ts";
import { readNodeState } from "../../cluster/node_state.ts";
import { readBook } from "../addresses.ts";
import { attach } from "../attach.ts";
import { openContainer } from "../namespace.ts";
import { CNI_RUNTIME, isRuntimes } from "../record.ts";
import { release, releaseUnknown } from "../release.ts";
import { NoShapingError, shapeFault } from "../shaping.ts";
import { farEndIntact } from "../wire.ts";
import {
  answerVersion,
  CniCode,
  type CniEnvironment,
  CniError,
  errorDocument,
} from "./protocol.ts";
import { type CniRequest, readRequest } from "./request.ts";
import { resultDocument } from "./result.ts";

/** Where containers are attached. */
export interface CniHost {
  readonly stateDir: string;
  readonly dataDir: string;
  /** Why the network is not there yet; undefined if it is. */
  readonly notReady?: () => string | undefined;
  /** What of the network is out of order for those that are there; undefined if nothing is. */
  readonly limited?: () => string | undefined;
}

/** What a runtime tells the plugin. */
export interface CniCall {
  readonly environment: CniEnvironment;
  /** The network's configuration. */
  readonly config: string;
  /** `device:inode` of the namespace that the plugin sees at CNI_NETNS. */
  readonly netnsSeen?: string | undefined;
}

/** What goes to the runtime. */
export interface CniAnswer {
  readonly ok: boolean;
  /** What the plugin prints; some commands have nothing to say. */
  readonly document: string;
}

/** Answers one request, with a result or with the specification's error: it never throws. */
export async function answerCni(
  host: CniHost,
  call: CniCall,
): Promise<CniAnswer> {
  let config: unknown;
  try {
    config = parse(call.config);
    const request = readRequest(call.environment, config);
    return { ok: true, document: await act(host, request, call.netnsSeen) };
  } catch (error) {
    return { ok: false, document: errorDocument(cniErrorOf(error), answerVersion(config)) };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CniError(
      CniCode.undecodable,
      `Cannot read the network's configuration: ${messageOf(error)}`,
    );
  }
}

/** Any error as CNI has them. */
export function cniErrorOf(error: unknown): CniError {
  if (error instanceof CniError) return error;
  // The specification has a code for what a plugin cannot do of a configuration.
  if (error instanceof NoShapingError) {
    return new CniError(CniCode.unsupportedField, error.message, error.remedy);
  }
  if (!(error instanceof KnetError)) return new CniError(CniCode.failed, messageOf(error));
  const { failed, refused, lacking, conflict } = CniCode;
  const code = { 1: failed, 2: refused, 3: lacking, 4: conflict }[error.exitCode];
  return new CniError(code, error.message, error.remedy);
}

async function act(
  host: CniHost,
  request: CniRequest,
  netnsSeen: string | undefined,
): Promise<string> {
  const identity = {
    runtime: CNI_RUNTIME,
    containerId: request.containerId,
    network: request.network,
  };
  switch (request.command) {
    case "ADD":
      return await add(host, request, netnsSeen);
    case "DEL":
      await release(host, identity, request.ifname);
      return "";
    case "CHECK":
      check(host, request, netnsSeen);
      return "";
    case "GC": {
      const known = new Set(request.valid.map((one) => `${one.containerID} ${one.ifname}`));
      await releaseUnknown(host, identity, (id, ifname) => known.has(`${id} ${ifname}`));
      return "";
    }
    case "STATUS": {
      const reason = host.notReady?.();
      const limits = host.limited?.();
      if (reason === undefined && limits === undefined) return "";
      throw new CniError(
        reason === undefined ? CniCode.limited : CniCode.notAvailable,
        `Cannot attach containers on this host: ${reason ?? limits}`,
        "See knet status",
      );
    }
  }
}

async function add(
  host: CniHost,
  request: CniRequest,
  netnsSeen: string | undefined,
): Promise<string> {
  const { network, containerId, ifname, wishes, previous } = request;
  const sandbox = request.netns!;
  const attached = await attach({
    netns: sandbox,
    ...(netnsSeen !== undefined && { netnsSeen }),
    ifname,
    ...wishes,
    identity: { runtime: CNI_RUNTIME, containerId, network },
    stateDir: host.stateDir,
    dataDir: host.dataDir,
  });
  if (attached.how !== "attached") {
    throw new CniError(
      CniCode.conflict,
      `Cannot attach container "${containerId}": its interface "${ifname}" is attached already, with ${attached.address}`,
      "Ask for DEL first",
    );
  }
  using rtnl = openRtnl();
  const hostMac = getLink(rtnl, attached.hostIfname)?.mac ?? "";
  const bridgeMac = getLink(rtnl, attached.bridge)?.mac ?? "";
  return resultDocument(request.cniVersion, {
    attached,
    bridgeMac,
    hostMac,
    sandbox,
    routes: routesInside(attached.netns, ifname, attached.gateway),
    ...(previous !== undefined && { previous }),
  });
}

/** Networks that an interface leads to by the gateway. */
function routesInside(netns: string, ifname: string, gateway: string): string[] {
  using namespace = openContainer(netns);
  return withNetns(namespace.fd, () => {
    using inside = openRtnl();
    const link = getLink(inside, ifname);
    if (link === undefined) return [];
    return listRoutes(inside, {
      family: familyOf(gateway),
      ifindex: link.index,
      table: RT_TABLE_MAIN,
    })
      .filter((route) => route.gateway === gateway).map(({ dst }) => dst);
  });
}

/** Looks whether a container still has what it was given. */
function check(host: CniHost, request: CniRequest, netnsSeen: string | undefined): void {
  const { containerId, ifname, network, previous } = request;
  const fault = (code: number, state: string) =>
    new CniError(
      code,
      `Cannot vouch for "${ifname}" of container "${containerId}": ${state}`,
      "Remove the container and start it again",
    );
  const book = readBook({ dataDir: host.dataDir, bootId: bootId() });
  const identity = { runtime: CNI_RUNTIME, containerId, network };
  const record = book.find((one) => isRuntimes(one, identity, ifname));
  if (record === undefined) throw fault(CniCode.unknownContainer, "knet did not attach it");
  const { address, prefixLength, hostIfname } = record;
  const addresses = previous?.ips?.map((one) => one.address);
  if (addresses !== undefined && !addresses.includes(`${address}/${prefixLength}`)) {
    throw fault(
      CniCode.failed,
      `it has ${address}/${prefixLength} and not ${addresses.join(", ")}`,
    );
  }
  const state = readNodeState(host.stateDir);
  using rtnl = openRtnl();
  const wire = getLink(rtnl, hostIfname);
  const bridge = state && getLink(rtnl, state.bridge);
  if (wire === undefined || bridge === undefined || wire.master !== bridge.index || !wire.up) {
    throw fault(CniCode.failed, `"${hostIfname}" is not on the bridge`);
  }
  const unlimited = record.bandwidth && shapeFault(rtnl, wire, record.bandwidth, state!.mtu);
  if (unlimited !== undefined) throw fault(CniCode.failed, unlimited);
  using namespace = openContainer(request.netns!, netnsSeen);
  if (!farEndIntact(namespace.fd, record)) {
    throw fault(CniCode.failed, `the interface is not there, not up or lacks ${address}`);
  }
  const want = state && parsePrefix(state.subnet).length;
  if (want !== prefixLength) throw fault(CniCode.failed, "this host has another subnet now");
}
