/**
 * Three hosts with containers, as network namespaces on one underlay, and somebody outside: the overlay made by hand, as knet's
 * VXLAN backend makes it, the services by three planes.
 *
 * @module
 */
import { writeBook } from "../../core/container/addresses.ts";
import { bootId } from "../../core/cluster/node_identity.ts";
import type { VirtualServer } from "../../core/services/service.ts";
import { netnsId, openNetns, withNetns } from "../../ffi/netns.ts";
import type { Background } from "../support/exec.ts";
import { exec } from "../support/exec.ts";
import type { TestNamespace } from "../support/ipvs.ts";
import { inside, serve } from "./talk.ts";
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
      await trio.#serve(vips);
      return trio;
    } catch (error) {
      await trio[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Commands of `ip -b`, by namespace; few processes, since each takes a third of a second emulated. */
  #script(): string {
    const batches = new Map<string, string[]>();
    const bridges: string[] = [];
    const put = (space: string, ...lines: string[]) =>
      batches.set(space, [...batches.get(space) ?? [], ...lines]);
    const n = (short: string) => this.name(short);
    put("under", "link add name wire type bridge", "link set wire up");
    const plug = (space: string, address: string) => {
      put("under", `link add name ${space} type veth peer name eth0 netns ${n(space)}`);
      put("under", `link set ${space} master wire up`);
      put(space, "link set lo up", `addr add ${address}/24 dev eth0`, "link set eth0 up");
    };
    plug("out", "192.168.9.100");
    put("out", "route add 10.96.0.0/16 via 192.168.9.1");
    for (const host of [1, 2, 3]) {
      const h = `h${host}`;
      plug(h, `192.168.9.${host}`);
      put(
        h,
        "link add name knet0 type bridge",
        `addr add 10.244.${host}.1/24 dev knet0`,
        "link set knet0 up",
        `link add name knet.1 address ${mac(host)} type vxlan id 1 dstport 8472 ` +
          `local 192.168.9.${host} dev eth0 nolearning`,
        `addr add 10.244.${host}.0/32 dev knet.1`,
        "link set knet.1 mtu 1450 up",
      );
      for (const peer of [1, 2, 3].filter((other) => other !== host)) {
        const gateway = `10.244.${peer}.0`;
        put(h, `neigh add ${gateway} lladdr ${mac(peer)} dev knet.1`);
        put(h, `route add ${gateway}/24 via ${gateway} dev knet.1 onlink`);
        bridges.push(
          `bridge -n ${n(h)} fdb add ${mac(peer)} dst 192.168.9.${peer} dev knet.1`,
        );
      }
      bridges.push(
        `ip netns exec ${n(h)} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=1`,
      );
    }
    for (const { name, host, address } of CONTAINERS) {
      put(`h${host}`, `link add name ${name} type veth peer name eth0 netns ${n(name)}`);
      put(`h${host}`, `link set ${name} master knet0 up`);
      put(
        name,
        "link set lo up",
        `addr add ${address}/24 dev eth0`,
        "link set eth0 mtu 1450 up",
        `route add default via 10.244.${host}.1`,
      );
    }
    return [
      "ip -b - <<END",
      ...[...batches.keys()].map((space) => `netns add ${n(space)}`),
      "END",
      // Pairs are made by the side that comes first.
      ...[...batches].map(([space, lines]) =>
        [`ip -n ${n(space)} -b - <<END`, ...lines, "END"].join("\n")
      ),
      ...bridges,
    ].join("\n");
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
      mtu: 1450,
      peers: [1, 2, 3].filter((other) => other !== host).map((other) => `192.168.9.${other}`),
      devices: ["knet0", "knet.1"],
    }, dataDir);
  }

  /** Makes servers take requests for other addresses, beside their own. */
  async #serve(vips: readonly string[]): Promise<void> {
    const started = CONTAINERS.map(({ name, address }) =>
      serve(inside(this.name(name)), name, PORT, [address, ...vips])
    );
    this.#servers.push(...await Promise.all(started));
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
    const names = stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
    const ours = names.filter((name) => name.startsWith(`${this.prefix}-`));
    await exec("ip -b -", { stdin: ours.map((name) => `netns delete ${name}\n`).join("") });
  }
}
