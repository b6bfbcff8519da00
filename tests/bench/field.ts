/**
 * Where entries are programmed: a network namespace with an underlay and knet's devices, emptied between two runs.
 *
 * @module
 */
import { Overlay } from "../../core/overlay/overlay.ts";
import { apply } from "../../core/kernel/apply.ts";
import { plan } from "../../core/kernel/plan.ts";
import { KernelSockets } from "../../core/kernel/kind.ts";
import { KINDS } from "../../core/kernel/kinds/kinds.ts";
import { readTables, type Tables } from "../../core/kernel/tables.ts";
import { Wishes } from "../../core/kernel/wishes.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { exec } from "../support/exec.ts";
import { labPrefix, sweep } from "../support/names.ts";
import { sleep } from "../support/wait.ts";
import { CONFIG } from "./peers.ts";

const ADDRESS = "172.31.0.1";

/** A namespace with knet's devices in it. */
export class Field implements AsyncDisposable {
  readonly netns: string;
  /** Socket that knet programs by. */
  readonly rtnl: NetlinkSocket;
  /** knet's side of the kernel, configured and without peers. */
  readonly overlay: Overlay;

  private constructor(netns: string) {
    this.netns = netns;
    using namespace = openNetns(netns);
    this.rtnl = withNetns(namespace.fd, () => openRtnl());
    const eth0 = getLink(this.rtnl, "eth0")!;
    this.overlay = new Overlay(this.rtnl, { bridge: "knet0", plainRoutes: false });
    this.overlay.configure({
      config: CONFIG,
      family: 4,
      nodeId: "bench",
      subnet: "10.0.0.0/24",
      backendData: { vni: 1, mac: "02:00:00:00:00:01" },
      underlay: {
        ifindex: eth0.index,
        name: eth0.name,
        address: ADDRESS,
        prefixLength: 12,
        nearby: [],
        publicIp: ADDRESS,
        mtu: eth0.mtu,
      },
      mtu: eth0.mtu - 50,
      announced: true,
    });
    this.overlay.reconcile();
  }

  /** Makes the namespace; its name is one that a later run sweeps if this one is killed. */
  static async create(): Promise<Field> {
    await sweep();
    const netns = `${labPrefix()}-bench`;
    await exec(["ip", "netns", "add", netns]);
    try {
      await exec(`ip -n ${netns} link add eth0 type veth peer name eth1`);
      await exec(`ip -n ${netns} addr add ${ADDRESS}/12 dev eth0`);
      for (const name of ["lo", "eth0", "eth1"]) await exec(`ip -n ${netns} link set ${name} up`);
      return new Field(netns);
    } catch (error) {
      await exec(["ip", "netns", "delete", netns], { check: false });
      throw error;
    }
  }

  /** A field that another process made. */
  static join(netns: string): Field {
    return new Field(netns);
  }

  /** What is in the kernel now. */
  tables(): Tables {
    const scope = { family: 4, device: this.overlay.device } as const;
    return readTables(KINDS, new KernelSockets(this.rtnl), scope);
  }

  /** Deletes all entries of peers, and says how many there were of each kind. */
  clear(): Record<string, number> {
    const tables = this.tables();
    const counts = Object.fromEntries(
      KINDS.map((kind) => [kind.name, tables.of(kind).entries.size]),
    );
    const operations = plan(new Wishes(), tables, KINDS);
    const [failure] = apply(new KernelSockets(this.rtnl), operations, tables);
    if (failure !== undefined) throw failure.error;
    return counts;
  }

  /**
   * Empties the namespace after a run and lets the kernel free what it freed later, so that no rival pays for another.
   *
   * @param peers How many peers the run must have programmed.
   * @param nexthops Whether each has a next-hop object.
   */
  async empty(peers: number, nexthops: boolean): Promise<void> {
    const counts = this.clear();
    const wanted = { fdb: peers, neighbour: peers, nexthop: nexthops ? peers : 0, route: peers };
    if (JSON.stringify(counts) !== JSON.stringify(wanted)) {
      throw new Error(`Programmed ${JSON.stringify(counts)} and not ${JSON.stringify(wanted)}`);
    }
    await sleep(100 + peers / 25);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.rtnl[Symbol.dispose]();
    await exec(["ip", "netns", "delete", this.netns], { check: false });
    await sleep(2000);
  }
}
