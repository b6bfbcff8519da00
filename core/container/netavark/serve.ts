/**
 * Does what podman asks of the plugin. It runs in the agent; that containers go, it does wherever it is called.
 *
 * @module
 */
import { KnetError, messageOf } from "../../base/error.ts";
import { readNodeState } from "../../cluster/node_state.ts";
import { attach } from "../attach.ts";
import { release } from "../release.ts";
import { PODMAN_RUNTIME } from "../record.ts";
import { netavarkError, type NetavarkQuestion } from "./protocol.ts";
import { defineNetwork, readNetavark, readTeardown } from "./request.ts";

/** Where containers are attached. */
export interface NetavarkHost {
  readonly stateDir: string;
  readonly dataDir: string;
}

/** What goes to netavark. */
export interface NetavarkAnswer {
  readonly ok: boolean;
  /** What the plugin prints; `teardown` has nothing to say. */
  readonly document: string;
}

/** Answers one question, with a result or with an error: it never throws. */
export async function answerNetavark(
  host: NetavarkHost,
  question: NetavarkQuestion,
): Promise<NetavarkAnswer> {
  try {
    return { ok: true, document: await act(host, question) };
  } catch (error) {
    const remedy = error instanceof KnetError ? error.remedy : undefined;
    return { ok: false, document: netavarkError(messageOf(error), remedy) };
  }
}

async function act(
  { stateDir, dataDir }: NetavarkHost,
  { command, netns, netnsSeen, input }: NetavarkQuestion,
): Promise<string> {
  if (command === "create") {
    const state = readNodeState(stateDir);
    if (state === undefined) {
      throw new KnetError("Cannot make podman's network: this host has not joined the cluster", {
        remedy: "Start the agent and wait until it is ready: knet join",
      });
    }
    return JSON.stringify(defineNetwork(input, state));
  }
  if (command === "teardown") {
    const { ifname, ...whose } = readTeardown(input);
    await release({ dataDir }, { runtime: PODMAN_RUNTIME, ...whose }, ifname);
    return "";
  }
  const { containerId, network, ifname, name, ip, mac, ports, bandwidth } = readNetavark(input);
  const identity = { runtime: PODMAN_RUNTIME, containerId, network };
  const attached = await attach({
    netns,
    ...(netnsSeen !== undefined && { netnsSeen }),
    ifname,
    ...(ip !== undefined && { ip }),
    ...(mac !== undefined && { mac }),
    identity,
    names: name === undefined ? {} : { name },
    ports,
    ...(bandwidth !== undefined && { bandwidth }),
    stateDir,
    dataDir,
  });
  const { address, prefixLength, gateway } = attached;
  return JSON.stringify({
    dns_search_domains: [],
    dns_server_ips: [],
    interfaces: {
      [ifname]: {
        mac_address: attached.mac,
        subnets: [{ gateway, ipnet: `${address}/${prefixLength}` }],
      },
    },
  });
}
