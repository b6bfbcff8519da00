/**
 * The first part of the way: from the container to the host's own routing.
 *
 * @module
 */
import { Nftables, NoNftablesError } from "../../../ffi/libnftables.ts";
import { MissingLibraryError } from "../../../ffi/load.ts";
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { withNetns } from "../../../ffi/netns.ts";
import { getLink } from "../../../ffi/rtnl/link.ts";
import { getRoute } from "../../../ffi/rtnl/route_lookup.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { readSysctl } from "../../../ffi/sysctl.ts";
import type { ContainerRecord } from "../../container/addresses.ts";
import { reopen } from "../../container/namespace.ts";
import { messageOf } from "../../base/error.ts";
import { familyOf } from "../../base/address.ts";
import { type Openings, recognise } from "../../kernel/firewall/firewall_managers.ts";
import { checkForward } from "../../kernel/firewall/forward.ts";
import { single } from "../../kernel/firewall/passage.ts";
import { chainPath } from "../../kernel/firewall/ruleset.ts";
import {
  type Filters,
  readFilters,
  type Verdict,
  verdictOf,
} from "../../kernel/firewall/verdict.ts";
import { legacyTables } from "../../kernel/firewall/firewall.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { broken, doubtful, fine, routeText, type TraceStep } from "./step.ts";

/** Inside the container: interface, and the route that it takes. */
export function containerStep(from: ContainerRecord, destination: string): TraceStep {
  const again = `knet detach ${from.netns}, then knet attach ${from.netns}`;
  using namespace = reopen(from);
  if (namespace === undefined) {
    return broken("container", `the namespace of "${from.netns}" is gone`, again);
  }
  return withNetns(namespace.fd, () => {
    using inside = openRtnl();
    const link = getLink(inside, from.ifname);
    if (link === undefined) {
      return broken("container", `"${from.netns}" has no interface ${from.ifname}`, again);
    }
    if (!link.up) {
      return broken(
        "container",
        `${from.ifname} of "${from.netns}" is down`,
        `ip -n ${from.netns} link set ${from.ifname} up`,
      );
    }
    try {
      const route = getRoute(inside, { dst: destination, entry: true });
      const text = routeText(route, getLink(inside, route.ifindex ?? 0)?.name ?? "?");
      if (route.ifindex !== link.index) {
        return broken(
          "container",
          `"${from.netns}" sends it by another interface than ${from.ifname}`,
          "Change that route, which is the container's own",
          text,
        );
      }
      return fine("container", `leaves "${from.netns}" by ${from.ifname}`, text);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      return broken("container", `"${from.netns}" has no route to ${destination}`, again);
    }
  });
}

/** The veth pair and the bridge. */
export function bridgeStep(
  rtnl: NetlinkSocket,
  from: ContainerRecord,
  state: NodeState,
): TraceStep {
  const restart = "Start the agent, which mends it: knet join";
  const bridge = getLink(rtnl, state.bridge);
  if (bridge === undefined) return broken("bridge", `${state.bridge} does not exist`, restart);
  if (!bridge.up) return broken("bridge", `${state.bridge} is down`, restart);
  const host = getLink(rtnl, from.hostIfname);
  if (host === undefined) {
    return broken("bridge", `the veth end ${from.hostIfname} is gone`, restart);
  }
  if (host.master !== bridge.index) {
    return broken("bridge", `${host.name} is no port of ${bridge.name}`, restart);
  }
  if (!host.up) return broken("bridge", `${host.name} is down`, restart);
  return fine(
    "bridge",
    `arrives at ${bridge.name} through ${host.name}, for the gateway ${state.gateway}`,
  );
}

/** Whether this host forwards at all. */
export function forwardingStep(state: NodeState): TraceStep {
  const sysctls = ["net.ipv4.ip_forward", `net.ipv4.conf.${state.bridge}.forwarding`];
  const off = sysctls.find((name) => readSysctl(name) === "0");
  return off === undefined ? fine("forwarding", "this host forwards") : broken(
    "forwarding",
    `${off} is 0`,
    `sysctl -w ${off}=1, or start the agent: knet join`,
  );
}

/**
 * Whether this host forwards a packet: as above, and by other programs' rules.
 *
 * @param oif Name of the device that the kernel would send it by, if there is one.
 */
export function forwardStep(
  state: NodeState,
  { src, dst, oif }: {
    readonly src: string;
    readonly dst: string;
    readonly oif?: string | undefined;
  },
): TraceStep {
  const able = forwardingStep(state);
  if (able.status !== "ok") return able;
  return judged("forwarding", "this host forwards", state, {}, (nft, filters) => {
    const plan = checkForward(nft, state.network, legacyTables(4));
    if (plan.chains.length > 0 && plan.commands.length > 0) {
      return broken(
        "forwarding",
        `${plan.chains.join(", ")} drops forwarded packets, and knet's rules are not there`,
        "Start the agent, which adds them: knet join",
      );
    }
    const verdict = verdictOf(filters, ["prerouting", "forward", "postrouting"], {
      family: familyOf(dst),
      from: src,
      to: dst,
      iif: state.bridge,
      ...(oif !== undefined && { oif }),
      local: false,
    });
    const through = plan.chains.length === 0 ? "" : `; knet's rules in ${plan.chains.join(", ")}`;
    return { verdict, through };
  });
}

/** Whether other programs' rules let in what is for an address of this host. */
export function hostStep(
  state: NodeState,
  { src, dst }: { readonly src: string; readonly dst: string },
): TraceStep {
  const open = { services: [single(dst)] };
  return judged("delivery", `${dst} is an address of this host`, state, open, (_nft, filters) => {
    const packet = { family: familyOf(dst), from: src, to: dst, iif: state.bridge, local: true };
    return { verdict: verdictOf(filters, ["prerouting", "input"], packet), through: "" };
  });
}

/** What becomes of it in other programs' rules. */
function judged(
  step: "forwarding" | "delivery",
  detail: string,
  state: NodeState,
  open: Openings,
  look: (
    nft: Nftables,
    filters: Filters,
  ) => TraceStep | { readonly verdict: Verdict; readonly through: string },
): TraceStep {
  try {
    using nft = new Nftables();
    const filters = readFilters(nft);
    const seen = look(nft, filters);
    if ("step" in seen) return seen;
    const { verdict: { fate, chain }, through } = seen;
    if (chain !== undefined) {
      const path = chainPath(chain);
      const owner = recognise(filters.chains, "", state.network, open).find((one) =>
        one.owns(chain)
      );
      const remedy = owner?.advice.commands.join("; ") ??
        `nft insert rule ${path} ip saddr ${state.network} accept`;
      return fate === "dropped"
        ? broken(step, `${detail}, but ${path} drops it`, remedy)
        : doubtful(
          step,
          `${detail}; ${path} drops it, unless a rule there that is not understood here accepts it`,
          remedy,
        );
    }
    const legacy = recognise([], legacyTables(4), state.network, open)[0]?.advice;
    return legacy === undefined
      ? fine(step, detail + through)
      : doubtful(step, `${detail}; ${legacy.detail}`, legacy.commands.join("; "));
  } catch (error) {
    if (!(error instanceof MissingLibraryError || error instanceof NoNftablesError)) throw error;
    return doubtful(
      step,
      `${detail}; its firewall cannot be seen: ${messageOf(error)}`,
      error.remedy,
    );
  }
}
