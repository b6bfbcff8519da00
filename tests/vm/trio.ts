/**
 * Three hosts with containers, as network namespaces on one underlay, and somebody outside: the overlay made by hand, as knet's
 * VXLAN backend makes it, the services by three planes.
 *
 * @module
 */
import { writeBook } from "../../core/container/addresses.ts";
import { bootId } from "../../core/node.ts";
import type { VirtualServer } from "../../core/service/model.ts";
import { netnsId, openNetns, withNetns } from "../../ffi/netns.ts";
import type { Background } from "../support/exec.ts";
import { exec } from "../support/exec.ts";
import type { TestNamespace } from "../support/ipvs.ts";
import { serve } from "./talk.ts";
import { World } from "./world.ts";

/** A container of one host. */
export interface Container {
  readonly name: string;
  readonly host: number;
  readonly address: string;
}

/** Two containers on each host. */
export const CONTAINERS: readonly Container[] = [1, 2, 3].flatMap((host) =>
  ["a", "b"].map((letter, index) => ({
    name: `${letter}${host}`,
    host,
    address: `10.244.${host}.${index + 2}`,
  }))
);

/** Port of all containers' servers. */
export const PORT = 8080;

const mac = (host: number) => `02:00:00:00:00:0${host}`;

let count = 0;

/** The three hosts. */
export class Trio implements AsyncDisposable {
  readonly prefix = `kt${Deno.pid}x${++count}`;
  readonly hosts: World[] = [];
  readonly #handles: Disposable[] = [];
  readonly #servers: Background[] = [];

  /** Name of a namespace: `h1`, `a1`, `out`. */
  name(short: string): string {
    return `${this.prefix}-${short}`;
  }

  /**
   * Builds everything.
   *
   * @param vips addresses that the servers take requests for, beside their own.
   */
  static async create(vips: readonly string[]): Promise<Trio> {
    const trio = new Trio();
    try {
      await exec(["sh", "-e", "-c", trio.#script()], { timeout: 120_000 });
      for (const host of [1, 2, 3]) trio.hosts.push(trio.#host(host));
      for (const { name, address } of CONTAINERS) {
        const addresses = [address, ...vips];
        trio.#servers.push(await serve(trio.name(name), name, PORT, addresses));
      }
      return trio;
    } catch (error) {
      await trio[Symbol.asyncDispose]();
      throw error;
    }
  }

  #script(): string {
    const n = (short: string) => this.name(short);
    const lines = [`ip netns add ${n("under")}`, `ip -n ${n("under")} link add br type bridge`];
    lines.push(`ip -n ${n("under")} link set br up`);
    const plug = (space: string, address: string) => {
      lines.push(
        `ip netns add ${n(space)}`,
        `ip -n ${n(space)} link set lo up`,
        `ip -n ${n(space)} link add eth0 type veth peer name ${space} netns ${n("under")}`,
        `ip -n ${n(space)} addr add ${address}/24 dev eth0`,
        `ip -n ${n(space)} link set eth0 up`,
        `ip -n ${n("under")} link set ${space} master br up`,
      );
    };
    plug("out", "192.168.9.100");
    lines.push(`ip -n ${n("out")} route add 10.96.0.0/16 via 192.168.9.1`);
    for (const host of [1, 2, 3]) {
      const h = n(`h${host}`);
      plug(`h${host}`, `192.168.9.${host}`);
      lines.push(
        `ip netns exec ${h} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=1`,
        `ip -n ${h} link add knet0 type bridge`,
        `ip -n ${h} addr add 10.244.${host}.1/24 dev knet0`,
        `ip -n ${h} link set knet0 up`,
        `ip -n ${h} link add knet.1 address ${mac(host)} type vxlan id 1 dstport 8472 ` +
          `local 192.168.9.${host} dev eth0 nolearning`,
        `ip -n ${h} addr add 10.244.${host}.0/32 dev knet.1`,
        `ip -n ${h} link set knet.1 mtu 1450 up`,
      );
      for (const peer of [1, 2, 3].filter((other) => other !== host)) {
        const gateway = `10.244.${peer}.0`;
        lines.push(
          `ip -n ${h} neigh add ${gateway} lladdr ${mac(peer)} dev knet.1`,
          `bridge -n ${h} fdb add ${mac(peer)} dst 192.168.9.${peer} dev knet.1`,
          `ip -n ${h} route add ${gateway}/24 via ${gateway} dev knet.1 onlink`,
        );
      }
    }
    for (const { name, host, address } of CONTAINERS) {
      const h = n(`h${host}`);
      lines.push(
        `ip netns add ${n(name)}`,
        `ip -n ${n(name)} link set lo up`,
        `ip -n ${n(name)} link add eth0 type veth peer name ${name} netns ${h}`,
        `ip -n ${n(name)} addr add ${address}/24 dev eth0`,
        `ip -n ${n(name)} link set eth0 mtu 1450 up`,
        `ip -n ${n(name)} route add default via 10.244.${host}.1`,
        `ip -n ${h} link set ${name} master knet0 up`,
      );
    }
    return lines.join("\n");
  }

  #host(host: number): World {
    const name = this.name(`h${host}`);
    const handle = openNetns(name);
    this.#handles.push(handle);
    const namespace: TestNamespace = {
      name,
      within: (fn) => withNetns(handle.fd, fn),
      run: async (line) => {
        const words = typeof line === "string" ? line.split(" ") : line;
        return (await exec(["ip", "netns", "exec", name, ...words])).stdout;
      },
    };
    const dataDir = Deno.makeTempDirSync({ prefix: "knet-trio-" });
    const containers = CONTAINERS.filter((one) => one.host === host).map((one) => {
      using space = openNetns(this.name(one.name));
      return {
        netns: this.name(one.name),
        netnsId: netnsId(space.fd),
        ifname: "eth0",
        address: one.address,
        prefixLength: 24,
        hostIfname: one.name,
      };
    });
    writeBook({ dataDir, bootId: bootId() }, containers);
    return World.of(namespace, {
      network: "10.244.0.0/16",
      subnet: `10.244.${host}.0/24`,
      gateway: `10.244.${host}.1`,
      publicIp: `192.168.9.${host}`,
      peers: [1, 2, 3].filter((other) => other !== host).map((other) => `192.168.9.${other}`),
      devices: ["knet0", "knet.1"],
    }, dataDir);
  }

  /** Gives all hosts the same services. */
  reconcile(...servers: VirtualServer[]): string[] {
    return this.hosts.flatMap((host) => host.reconcile(...servers).problems);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server[Symbol.asyncDispose]();
    for (const host of this.hosts) host[Symbol.dispose]();
    for (const handle of this.#handles) handle[Symbol.dispose]();
    const { stdout } = await exec("ip netns list");
    for (const line of stdout.split("\n")) {
      const name = line.split(" ")[0] ?? "";
      if (name.startsWith(`${this.prefix}-`)) await exec(`ip netns delete ${name}`);
    }
  }
}
