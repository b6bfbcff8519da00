/**
 * `knet doctor`: what is missing or wrong on this host, and the remedy.
 *
 * @module
 */
import { libnlOrigin, MissingLibraryError } from "../ffi/load.ts";
import { Nftables } from "../ffi/libnftables.ts";
import { missingCapabilities } from "../ffi/privilege.ts";
import { listAddresses } from "../ffi/rtnl/address.ts";
import { type Link, listLinks } from "../ffi/rtnl/link.ts";
import { nexthopsSupported } from "../ffi/rtnl/nexthop.ts";
import { listRoutes, type Route } from "../ffi/rtnl/route.ts";
import { openRtnl } from "../ffi/rtnl/rtnl.ts";
import { readSysctl } from "../ffi/sysctl.ts";
import { prefixesOverlap } from "./address.ts";
import type { ClusterConfig } from "./cluster.ts";
import { KnetError, messageOf } from "./error.ts";
import { checkForward } from "./firewall/forward.ts";
import { legacyTables } from "./firewall.ts";
import type { Lease } from "./lease.ts";
import { readNodeState } from "./node_state.ts";
import { onSameLink } from "./same_link.ts";
import { openStore } from "./store/open.ts";
import { KNET_PROTOCOL, MAIN_TABLE } from "./tables.ts";
import { chooseUnderlay, type Underlay } from "./underlay.ts";

/** One check. */
export interface DoctorCheck {
  readonly check: string;
  readonly status: "ok" | "warn" | "fail" | "skip";
  readonly detail: string;
  readonly remedy?: string;
}

/** All checks. */
export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
}

/** Where to look. */
export interface DoctorOptions {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
}

const NOTIFY_PATIENCE = 4000;

/** Runs one check; what it throws is its failure. */
async function examine(
  check: string,
  run: () => Promise<Omit<DoctorCheck, "check">> | Omit<DoctorCheck, "check">,
): Promise<DoctorCheck> {
  try {
    return { check, ...await run() };
  } catch (error) {
    const remedy = error instanceof KnetError || error instanceof MissingLibraryError
      ? error.remedy
      : undefined;
    return {
      check,
      status: "fail",
      detail: messageOf(error),
      ...(remedy !== undefined && { remedy }),
    };
  }
}

/** Other devices that own the cluster's VNI and port. Pure. */
export function vxlanRivals(links: readonly Link[], config: ClusterConfig): Link[] {
  const { backend } = config;
  if (backend.type !== "vxlan") return [];
  return links.filter((link) =>
    link.name !== `knet.${backend.vni}` && link.vxlan?.vni === backend.vni &&
    link.vxlan.port === backend.port
  );
}

/** Routes of others inside the cluster network. Pure. */
export function overlappingRoutes(
  routes: readonly Route[],
  links: readonly Link[],
  network: string,
): Route[] {
  const name = (route: Route) => links.find((link) => link.index === route.ifindex)?.name ?? "";
  return routes.filter((route) =>
    !route.dst.endsWith("/0") && route.protocol !== KNET_PROTOCOL && route.table === MAIN_TABLE &&
    !/^(knet|cni)/.test(name(route)) && prefixesOverlap(route.dst, network)
  );
}

/** Hosts that the host-gw backend cannot reach from here, this one left out. Pure. */
export function peersOffLink(
  config: ClusterConfig,
  leases: readonly Lease[],
  underlay: Underlay,
): Lease[] {
  if (config.backend.type !== "host-gw") return [];
  return leases.filter(({ agentId, publicIp }) =>
    agentId !== "" && publicIp !== underlay.publicIp && !onSameLink(underlay, publicIp)
  );
}

/** The underlay that the agent uses, or would use. */
function underlayOf({ stateDir }: DoctorOptions): Underlay {
  using rtnl = openRtnl();
  const iface = readNodeState(stateDir)?.iface;
  return chooseUnderlay({
    links: listLinks(rtnl),
    addresses: listAddresses(rtnl),
    routes: listRoutes(rtnl, { table: MAIN_TABLE }),
  }, { family: 4, ...(iface !== undefined && { iface }) });
}

async function examineStore(
  url: string,
): Promise<{ checks: DoctorCheck[]; config: ClusterConfig | undefined; leases: readonly Lease[] }> {
  let config: ClusterConfig | undefined;
  let leases: readonly Lease[] = [];
  const store = await openStore(url).catch(() => undefined);
  const reach = await examine("store", async () => {
    await using opened = store ?? await openStore(url);
    config = await opened.getConfig();
    if (config !== undefined) ({ leases } = await opened.listLeases());
    const told = await new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve("changes are not notified"), NOTIFY_PATIENCE);
      const subscription = opened.subscribe(() => {}, (state, detail) => {
        clearTimeout(timer);
        queueMicrotask(() => subscription[Symbol.dispose]());
        resolve(state === "notify" ? detail : `${state}: ${detail}`);
      });
    });
    const detail = `${opened.location} answers, ${told}`;
    return config === undefined
      ? { status: "warn", detail: `${detail}; it holds no cluster yet`, remedy: "Run knet init" }
      : { status: told.startsWith("poll") ? "warn" : "ok", detail };
  });
  return { checks: [reach], config, leases };
}

/** Examines this host. Nothing is changed and nothing is left behind. */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const checks: DoctorCheck[] = [];
  checks.push(
    await examine("privileges", () => {
      const missing = missingCapabilities(["netAdmin"]);
      return missing.length === 0 ? { status: "ok", detail: "CAP_NET_ADMIN is there" } : {
        status: "fail",
        detail: `${missing.join(", ")} is missing`,
        remedy: "Run knet as root, or give it the capability",
      };
    }),
    await examine("libnl", () => ({ status: "ok", detail: `the ${libnlOrigin()} copy` })),
    await examine("libnftables", () => {
      using nft = new Nftables();
      nft.run("list tables");
      return { status: "ok", detail: "loaded" };
    }),
  );
  const { checks: ofStore, config, leases } = await examineStore(options.storeUrl);
  checks.push(...ofStore);
  checks.push(
    await examine("underlay", () => {
      const underlay = underlayOf(options);
      return {
        status: "ok",
        detail: `${underlay.address} on ${underlay.name}, MTU ${underlay.mtu}`,
      };
    }),
    await examine("next-hop objects", () => {
      using rtnl = openRtnl();
      return nexthopsSupported(rtnl) ? { status: "ok", detail: "the kernel has them" } : {
        status: "warn",
        detail: "the kernel has none: thousands of peers are slow to program",
        remedy: "Use Linux 5.3 or newer",
      };
    }),
    await examine(
      "forwarding",
      () =>
        readSysctl("net.ipv4.ip_forward")?.trim() === "1"
          ? { status: "ok", detail: "net.ipv4.ip_forward is 1" }
          : { status: "ok", detail: "net.ipv4.ip_forward is 0; knet join sets it" },
    ),
  );
  if (config === undefined) return { checks };
  const { network } = config;
  checks.push(
    await examine("peers on the link", () => {
      const away = peersOffLink(config, leases, underlayOf(options));
      if (config.backend.type !== "host-gw") {
        return { status: "ok", detail: `${config.backend.type} needs none` };
      }
      return away.length === 0 ? { status: "ok", detail: "host-gw reaches all" } : {
        status: "warn",
        detail: `host-gw has no route to ${
          away.map((lease) => `${lease.nodeName} (${lease.publicIp})`).join(", ")
        }`,
        remedy: "Put these hosts on the same link, or use the backend vxlan",
      };
    }),
    await examine("VNI and port", () => {
      if (config.backend.type !== "vxlan") {
        return { status: "ok", detail: `${config.backend.type} has none` };
      }
      using rtnl = openRtnl();
      const [rival] = vxlanRivals(listLinks(rtnl), config);
      return rival === undefined ? { status: "ok", detail: "no other device owns them" } : {
        status: "fail",
        detail: `"${rival.name}" owns them`,
        remedy: "Remove that device, or give the cluster another --vni or --port",
      };
    }),
    await examine("routes", () => {
      using rtnl = openRtnl();
      const [other] = overlappingRoutes(
        listRoutes(rtnl, { family: 4 }),
        listLinks(rtnl),
        network,
      );
      return other === undefined
        ? { status: "ok", detail: `no other route overlaps ${network}` }
        : {
          status: "fail",
          detail: `the route ${other.dst} overlaps ${network}`,
          remedy: "Remove that route, or choose another network for the cluster",
        };
    }),
    await examine("firewall", () => {
      using nft = new Nftables();
      const { chains, advice } = checkForward(nft, network, legacyTables(4));
      if (advice.length > 0) {
        return {
          status: "warn",
          detail: advice.map((one) => one.detail).join("; "),
          remedy: advice.flatMap((one) => one.commands).join("; "),
        };
      }
      return chains.length === 0 ? { status: "ok", detail: "nothing drops forwarded packets" } : {
        status: "ok",
        detail: `${chains.join(", ")} drops; knet join adds its two rules there`,
      };
    }),
  );
  return { checks };
}
