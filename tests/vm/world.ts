/**
 * A host for tests of services: a network namespace with a bridge that has the gateway's address, and the services of its kernel.
 *
 * @module
 */
import { Nftables } from "../../ffi/libnftables.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { applyFirewall, type FirewallDesired } from "../../core/kernel/firewall/firewall.ts";
import { realServersOf } from "../../core/container/real_servers.ts";
import type { RealServer, ServicesDesired, VirtualServer } from "../../core/services/service.ts";
import { NO_TIMEOUTS } from "../../core/services/service.ts";
import {
  KernelServices,
  type KernelServicesOptions,
  type ServicesReconciled,
} from "../../core/kernel/ipvs/kernel_services.ts";
import type { TestNamespace } from "../support/ipvs.ts";

/** Settings of a host. */
export interface WorldHost {
  readonly network: string;
  readonly subnet: string;
  readonly gateway: string;
  readonly publicIp: string;
  /** Of the overlay, bytes. */
  readonly mtu: number;
  readonly peers?: readonly string[];
  readonly devices: readonly string[];
}

/** The one host of tests that need no other. */
export const ALONE: WorldHost = {
  network: "10.244.0.0/16",
  subnet: "10.244.1.0/24",
  gateway: "10.244.1.1",
  publicIp: "192.168.9.1",
  mtu: 1450,
  devices: ["knet0"],
};

/** What a test may choose. */
type WorldOptions = Partial<KernelServicesOptions>;

/** Services in a namespace's kernel, with everything that it needs around it. */
export class World implements Disposable {
  readonly namespace: TestNamespace;
  readonly host: WorldHost;
  readonly dataDir: string;
  readonly rtnl: NetlinkSocket;
  readonly nft: Nftables;
  kernel: KernelServices;
  #options: WorldOptions;

  private constructor(
    namespace: TestNamespace,
    host: WorldHost,
    options: WorldOptions,
    dataDir = Deno.makeTempDirSync({ prefix: "knet-services-" }),
  ) {
    this.namespace = namespace;
    this.host = host;
    this.dataDir = dataDir;
    this.#options = options;
    this.rtnl = namespace.within(() => openRtnl());
    this.nft = namespace.within(() => new Nftables());
    this.kernel = this.#makeKernel();
  }

  /** A host by itself, its bridge made here. */
  static async alone(
    namespace: TestNamespace,
    options: WorldOptions = {},
  ): Promise<World> {
    await namespace.run("ip link add knet0 type bridge");
    await namespace.run(`ip addr add ${ALONE.gateway}/24 dev knet0`);
    await namespace.run("ip link set knet0 up");
    return new World(namespace, ALONE, options);
  }

  /** A host whose devices are there already. */
  static of(namespace: TestNamespace, host: WorldHost, dataDir?: string): World {
    return new World(namespace, host, {}, dataDir);
  }

  #makeKernel(): KernelServices {
    const options = {
      realServers: realServersOf,
      refuses: (vip: string) => vip.startsWith("10.96."),
      ...this.#options,
      dataDir: this.dataDir,
    };
    const kernel = this.namespace.within(() => new KernelServices(this.rtnl, this.nft, options));
    const { peers, ...host } = this.host;
    kernel.configure({ ...host, nodeId: "test", peers: new Set(peers) });
    return kernel;
  }

  /** A new agent takes over from the one before. */
  restart(): void {
    this.kernel[Symbol.dispose]();
    this.kernel = this.#makeKernel();
  }

  /** Reconciles, the firewall too. */
  reconcile(...virtualServers: VirtualServer[]): ServicesReconciled {
    return this.set({ virtualServers, timeouts: NO_TIMEOUTS });
  }

  /** Reconciles, the firewall too. */
  set(desired: ServicesDesired): ServicesReconciled {
    return this.namespace.within(() => {
      const done = this.kernel.reconcile(desired);
      if (done.firewallDirty) applyFirewall(this.nft, this.firewall());
      return done;
    });
  }

  /** What the agent would want of the firewall. */
  firewall(): FirewallDesired {
    const { network, subnet } = this.host;
    return {
      ...{ network, subnet, address: this.host.publicIp, bridge: "knet0", ipMasq: true },
      peersOnly: {
        ...{ port: 8472, vni: 1, device: "knet.1", user: undefined },
        peers: this.host.peers ?? [],
      },
      serviceNetwork: "10.96.0.0/16",
      services: this.kernel.firewall,
      tunnelEnd: this.kernel.tunnelEnd,
    };
  }

  /** One look, as the agent takes it every second. */
  check(): ReturnType<KernelServices["check"]> {
    return this.namespace.within(() => this.kernel.check());
  }

  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
    this.nft[Symbol.dispose]();
    this.rtnl[Symbol.dispose]();
    Deno.removeSync(this.dataDir, { recursive: true });
  }
}

/** A real server from `10.244.1.5:80,w3`. */
export function real(text: string, more: Partial<RealServer> = {}): RealServer {
  const [, address = "", port, weight] = /^\[?([\d.a-f:]+?)\]?:(\d+)(?:,w(\d+))?$/.exec(text)!;
  return {
    ...{ address, port: Number(port), forward: "nat", upper: 0, lower: 0, draining: false },
    weight: Number(weight ?? 1),
    ...more,
  };
}

/** A virtual server from `web 10.96.0.1:80`, balancing by turns. */
export function virtual(
  text: string,
  realServers: readonly (RealServer | string)[],
  more: Partial<VirtualServer> = {},
): VirtualServer {
  const [, service = "", address = "", port] = /^(\S+) \[?([\d.a-f:]+?)\]?:(\d+)$/.exec(text)!;
  const forward = more.realServers?.[0]?.forward ?? "nat";
  return {
    ...{ service, family: address.includes(":") ? 6 : 4, protocol: "tcp", address },
    ...{ port: Number(port), scheduler: "rr", schedulerFlags: [], persistent: 0 },
    ...{ persistenceNetmask: 32, onePacket: false, masquerade: "auto" },
    ...more,
    realServers: realServers.map((one) => typeof one === "string" ? real(one, { forward }) : one),
  };
}
