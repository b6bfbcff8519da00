/**
 * Processor time of a full reconcile with nothing to do, for as many peers and containers: `deno task bench:reconcile`.
 *
 * Each in a network namespace of its own, with real entries and real veth pairs; needs root. What counts is that an item costs the same
 * at each size. Services need IPVS: tests/bench/svc.ts has them.
 *
 * @module
 */
import process from "node:process";
import { writeBook } from "../../core/container/addresses.ts";
import { repairContainers } from "../../core/container/renumber.ts";
import { reclaimVanished } from "../../core/container/vanished.ts";
import { bridgeOf, hostIfname, makeWire } from "../../core/container/wire.ts";
import type { NodeState } from "../../core/cluster/node_state.ts";
import { netnsId, newNetns, openNetns, withNetns } from "../../ffi/netns.ts";
import { setUp } from "../setup.ts";
import { Field } from "./field.ts";
import { peerLeases } from "./peers.ts";

const PEERS = [2_500, 5_000, 10_000];
const CONTAINERS = [125, 250, 500];
const RUNS = 20;
const BOOT = "bench";

/** Milliseconds of processor time of one run, system time included. */
function cost(run: () => void): number {
  run();
  const before = process.cpuUsage();
  for (let n = 0; n < RUNS; n++) run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / RUNS;
}

async function peers(count: number): Promise<number> {
  await using field = await Field.create();
  field.overlay.setPeers(peerLeases(count));
  field.overlay.reconcile();
  return cost(() => {
    const { operations } = field.overlay.reconcile();
    if (operations !== 0) throw new Error(`A second reconcile sent ${operations} messages`);
  });
}

async function containers(count: number): Promise<{ repair: number; reclaim: number }> {
  await using field = await Field.create();
  field.overlay.reconcile();
  const dataDir = Deno.makeTempDirSync({ prefix: "knet-bench-" });
  using namespace = openNetns(field.netns);
  const state = {
    ...{ nodeId: "bench", nodeName: "bench", network: "10.0.0.0/8", serviceNetwork: "" },
    ...{ subnet: "10.0.0.0/16", gateway: "10.0.0.1", mtu: 1450, bridge: "knet0", ipMasq: false },
    ...{ backend: "vxlan", publicIp: "172.31.0.1", iface: "eth0" },
  } as NodeState;
  const inside = Array.from({ length: count }, () => newNetns());
  try {
    const bridge = bridgeOf(field.rtnl, "knet0");
    const records = inside.map(({ fd }, n) => {
      const id = netnsId(fd);
      const record = {
        netns: `/proc/${Deno.pid}/fd/${fd}`,
        netnsId: id,
        ifname: "eth0",
        address: `10.0.${(n >> 8) + 1}.${n & 255}`,
        prefixLength: 16,
        hostIfname: hostIfname(id, "eth0"),
      };
      withNetns(
        namespace.fd,
        () => makeWire({ rtnl: field.rtnl, netnsFd: fd, bridge, state }, record),
      );
      return record;
    });
    writeBook({ dataDir, bootId: BOOT }, records);
    const repair = cost(() => {
      const done = repairContainers(field.rtnl, { dataDir, bootId: BOOT, state });
      if (done.length > 0) throw new Error(`There was something to repair: ${done[0]}`);
    });
    const reclaim = await withNetns(namespace.fd, () => {
      // Up to its first wait it is synchronous, and with nothing to reclaim it has none.
      return cost(() => void reclaimVanished({ dataDir, bootId: BOOT }));
    });
    return { repair, reclaim };
  } finally {
    for (const one of inside) one[Symbol.dispose]();
    Deno.removeSync(dataDir, { recursive: true });
  }
}

function row(what: string, sizes: readonly number[], costs: readonly number[]): string {
  const each = sizes.map((size, at) => (costs[at]! * 1000) / size);
  const cells = sizes.map((size, at) =>
    `${size}: ${costs[at]!.toFixed(1)} ms (${each[at]!.toFixed(1)} µs each)`
  );
  return `${what.padEnd(26)} ${cells.join("   ")}   largest/smallest ${
    (each.at(-1)! / each[0]!).toFixed(2)
  }`;
}

await setUp("bench");
const found = [];
for (const count of PEERS) found.push(await peers(count));
console.log(row("peers", PEERS, found));
const attached = [];
for (const count of CONTAINERS) attached.push(await containers(count));
console.log(row("containers", CONTAINERS, attached.map(({ repair }) => repair)));
console.log(row("containers, gone?", CONTAINERS, attached.map(({ reclaim }) => reclaim)));
