/**
 * The way to a virtual IP: this host's own address, behind which the kernel's IPVS balances.
 *
 * @module
 */
import { RTN_LOCAL } from "../../../ffi/linux/rtnetlink.ts";
import { readSmallFile } from "../../../ffi/file.ts";
import { parseIpvs, type ProcDest, type ProcService } from "../../../ffi/genl/ipvs_proc.ts";
import { Nftables, NoNftablesError } from "../../../ffi/libnftables.ts";
import { MissingLibraryError } from "../../../ffi/load.ts";
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { getRoute } from "../../../ffi/rtnl/route_lookup.ts";
import { familyOf, prefixContains } from "../../base/address.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { legacyTables, serviceTargets } from "../../kernel/firewall/firewall.ts";
import { recognise } from "../../kernel/firewall/firewall_managers.ts";
import { chainPath } from "../../kernel/firewall/ruleset.ts";
import { readFilters, verdictOf } from "../../kernel/firewall/verdict.ts";
import { procKey } from "../../kernel/ipvs/kernel_server.ts";
import { realServerKey, type Service, virtualServerKey } from "../../services/service.ts";
import type { ServicesReport } from "../service_report.ts";
import { askAgent } from "../ask_agent.ts";
import { broken, doubtful, fine, type TraceStep } from "./step.ts";

const AGENT = "The agent puts it there: knet join (knet svc status says what is in its way)";

/** What is known of the services at a virtual IP. */
export interface ServiceFacts {
  /** Those of the store at that address. */
  readonly services: readonly Service[];
  /** The kernel's virtual servers. */
  readonly shown: readonly ProcService[];
  /** What the agent found out by its checks; undefined if none answers. */
  readonly report: Pick<ServicesReport, "services"> | undefined;
}

/** The packet that is followed. */
export interface ServicePacket {
  readonly src: string;
  readonly dst: string;
  readonly iif: number;
}

/** What is at an address, by the store, the kernel and this host's agent. */
export async function serviceFacts(
  stateDir: string,
  services: readonly Service[],
  address: string,
): Promise<ServiceFacts> {
  const there = services.filter(({ vip }) => vip === address);
  if (there.length === 0) return { services: [], shown: [], report: undefined };
  const told = await askAgent(stateDir, "/services").catch(() => undefined);
  return {
    services: there,
    shown: parseIpvs(readSmallFile("/proc/thread-self/net/ip_vs") ?? ""),
    report: told === undefined ? undefined : JSON.parse(told) as ServicesReport,
  };
}

/** Whether other programs' rules let it in to IPVS, and out to the real servers. */
export function inputStep(
  { services, shown }: ServiceFacts,
  { src, dst }: ServicePacket,
  state: NodeState,
): TraceStep {
  try {
    using nft = new Nftables();
    const filters = readFilters(nft);
    const verdicts = services.flatMap(({ name, protocol, port, ...service }) => {
      const packet = { family: service.family, protocol, from: src } as const;
      const key = virtualServerKey({ address: dst, port, protocol });
      const dests = shown.find((one) => procKey(one) === key)?.dests ?? [];
      const into = { ...packet, port, to: dst, iif: state.bridge, local: true };
      return [
        { name, ...verdictOf(filters, ["prerouting", "input"], into) },
        ...(service.forward === "nat" ? dests : []).map((dest) => ({
          name,
          ...verdictOf(filters, ["output"], {
            ...packet,
            port: dest.port,
            to: dest.address,
            local: false,
          }),
        })),
      ];
    });
    const dropped = verdicts.find(({ fate }) => fate === "dropped") ??
      verdicts.find(({ fate }) => fate === "unsure");
    const out = dropped?.chain?.hook === "output";
    const open = { services: serviceTargets([dst], state.serviceNetwork), out };
    const managers = recognise(filters.chains, legacyTables(familyOf(dst)), state.network, open);
    if (dropped?.chain === undefined) {
      const unseen = managers.find((manager) => manager.unseen)?.advice;
      return unseen === undefined
        ? fine("input", "nothing seen that drops it")
        : doubtful("input", unseen.detail, unseen.commands.join("; "));
    }
    const path = chainPath(dropped.chain);
    const owner = managers.find(({ owns }) => owns(dropped.chain!));
    const remedy = owner?.advice.commands.join("; ") ??
      `Let containers pass: nft insert rule ${path} ip saddr ${state.network} accept; knet doctor says more`;
    const detail = `${path} drops what is for "${dropped.name}"`;
    if (dropped.fate === "unsure") {
      return doubtful(
        "input",
        `${detail}, unless a rule there that is not understood here accepts it`,
        remedy,
      );
    }
    // Which service is meant is for the packet's port to say.
    const all = services.every(({ name }) =>
      verdicts.some((one) => one.name === name && one.fate === "dropped")
    );
    return (all ? broken : doubtful)("input", detail, remedy);
  } catch (error) {
    if (!(error instanceof MissingLibraryError || error instanceof NoNftablesError)) throw error;
    return doubtful("input", `this host's firewall cannot be seen: ${error.message}`, error.remedy);
  }
}

/** Whether the virtual IP is an address of this host: what is for it has to get to the INPUT hook, where IPVS sits. */
export function virtualIpStep(rtnl: NetlinkSocket, packet: ServicePacket): TraceStep {
  const nowhere = (why: string) =>
    broken("route", `the virtual IP ${packet.dst} is no address of this host: ${why}`, AGENT);
  try {
    const route = getRoute(rtnl, { ...packet, entry: true });
    if (route.type !== RTN_LOCAL) return nowhere(`it is routed as ${route.dst}`);
    return fine("route", `${packet.dst} is a virtual IP, an address of this host: to IPVS`);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return nowhere(error.code);
  }
}

/**
 * A step a service: which one answers is for the packet's port to say, so one that cannot is a warning as long as another can. Pure.
 *
 * @param source Address of the container.
 */
export function serviceSteps(facts: ServiceFacts, source: string, state: NodeState): TraceStep[] {
  const steps = facts.services.map((service) => serviceStep(facts, service, source, state));
  const works = steps.some(({ status }) => status !== "broken");
  const order = (step: TraceStep) => step.status === "broken" ? 1 : 0;
  return steps.toSorted((a, b) => order(a) - order(b))
    .map((step) => works && step.status === "broken" ? { ...step, status: "warn" } : step);
}

function serviceStep(
  { shown, report }: ServiceFacts,
  service: Service,
  source: string,
  state: NodeState,
): TraceStep {
  const { name, vip, port, protocol, scheduler, forward } = service;
  const key = virtualServerKey({ address: vip, port, protocol });
  const what = `"${name}", ${protocol} port ${port}`;
  const server = shown.find((one) => procKey(one) === key);
  const told = report?.services.find((one) => one.name === name);
  if (server === undefined) {
    const why = told?.problem === undefined ? "" : `: ${told.problem}`;
    return broken("service", `${what}: the kernel has no such virtual server${why}`, AGENT);
  }
  const entry = `${server.protocol} ${vip}:${port} ${server.scheduler}`;
  if (server.dests.length === 0) {
    const remedy = `Give it one: knet svc to ${name} ADDRESS:PORT`;
    return broken("service", `${what}: it has no real server`, remedy, entry);
  }
  const servers = server.dests.map((dest) => {
    const health = told?.realServers.find((one) => realServerKey(one) === realServerKey(dest));
    const words = [realServerKey(dest), `weight ${dest.weight}`];
    if (health !== undefined) words.push(health.health);
    if (health !== undefined && health.drain !== "no") words.push(health.drain);
    if (health?.health === "down" && health.detail !== "") words.push(`(${health.detail})`);
    return words.join(" ");
  });
  const masquerade = masqueraded(service, server.dests, source, state);
  const detail = `${what}: ${scheduler}, ${forward}, ${masquerade}; ${servers.join(", ")}`;
  if (server.dests.every(({ weight }) => weight === 0)) {
    return broken(
      "service",
      `${detail}: none of them takes new connections`,
      `See why: knet svc status ${name}`,
      entry,
    );
  }
  const down = told?.realServers.some(({ health }) => health === "down") ?? false;
  return down
    ? doubtful("service", detail, `See what fails: knet svc status ${name}`, entry)
    : fine("service", detail, entry);
}

/** As knet's nftables rules have it, see kernel/firewall/service_rules.ts. */
function masqueraded(
  { masquerade, forward }: Service,
  dests: readonly Pick<ProcDest, "address">[],
  source: string,
  { network, subnet }: NodeState,
): string {
  const kept = "the source stays";
  if (forward !== "nat" || masquerade === "never") return kept;
  if (masquerade === "always") return "masqueraded";
  const here = prefixContains(subnet, source);
  const rewritten = dests.filter(({ address }) =>
    !prefixContains(network, address) || here && prefixContains(subnet, address)
  );
  if (rewritten.length === 0) return kept;
  if (rewritten.length === dests.length) return "masqueraded";
  return `masqueraded to ${rewritten.map(({ address }) => address).join(", ")}`;
}
