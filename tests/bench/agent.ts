/**
 * The compiled agent on a host of the lab: from exec to the last peer's entry, memory, and from a commit in the store to the kernel.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { decodeFdb } from "../../ffi/rtnl/fdb.ts";
import { openRtnl, RTM, RTNLGRP } from "../../ffi/rtnl/rtnl.ts";
import { KNET_PROTOCOL } from "../../core/kernel/kind.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { median, sleep } from "../support/wait.ts";
import { CONFIG, peerLease, peerLeases } from "./peers.ts";
import { fillStore, movePeer } from "./store_file.ts";

/** What was measured with one number of leases in the store. Times are medians in milliseconds. */
export interface AgentResult {
  readonly leases: number;
  /** From exec to the last peer's route. */
  readonly lastEntry: number | undefined;
  /** From exec to READY. */
  readonly ready: number;
  /** Resident memory some seconds after, MiB. */
  readonly resident: number;
  /** Processor time until then, milliseconds. */
  readonly processor: number;
  /** From a commit that moves one peer to its entry in the kernel. */
  readonly moved: number | undefined;
  readonly runs: Record<string, readonly number[]>;
}

const MOVES = 11;
const TIMEOUT = 60_000;

/**
 * Measures with each number of leases; needs the compiled binary.
 *
 * @param options.once Counts the first run, too, and moves no peers: for runs of several binaries in turn.
 */
export async function measureAgent(
  binary: string,
  sizes: readonly number[],
  runs: number,
  say: (text: string) => void,
  options: { readonly once?: boolean } = {},
): Promise<AgentResult[]> {
  Deno.env.set("KNET_BIN", binary);
  await using lab = await Lab.create({ hosts: 1 });
  const host = lab.host(1);
  const results: AgentResult[] = [];
  for (const size of sizes) {
    say(`agent with ${size} leases`);
    const folder = `n${size}`;
    const env = { KNET_STORE: `sqlite:/run/shared/${folder}/knet.db` };
    const file = `${lab.shared}/${folder}/knet.db`;
    await Deno.mkdir(`${lab.shared}/${folder}`, { mode: 0o700 });
    await host.knet(
      ["init", "--network", CONFIG.network, "--service-network", CONFIG.serviceNetwork],
      { env },
    );
    fillStore(file, peerLeases(size));
    const times = {
      lastEntry: [] as number[],
      ready: [] as number[],
      resident: [] as number[],
      processor: [] as number[],
    };
    let moved: number[] = [];
    for (let run = options.once ? 1 : 0; run <= runs; run++) {
      const { lastEntry, ready } = await start(host, env, size);
      await sleep(3000);
      const resident = residentMiB(host.agent!.pid);
      const processor = processorMs(host.agent!.pid);
      if (run === runs && size > 0 && !options.once) moved = await measureMoves(host, file, size);
      await host.stop();
      await host.reboot();
      await host.sh("rm -rf /run/host/data/*");
      await sleep(500 + size / 20);
      if (run === 0) continue; // Brings the binary and the database into the page cache.
      if (size > 0) times.lastEntry.push(lastEntry);
      times.ready.push(ready);
      times.resident.push(resident);
      times.processor.push(processor);
    }
    results.push({
      leases: size,
      lastEntry: size > 0 ? median(times.lastEntry) : undefined,
      ready: median(times.ready),
      resident: median(times.resident),
      processor: median(times.processor),
      moved: moved.length > 0 ? median(moved) : undefined,
      runs: { ...times, moved },
    });
  }
  return results;
}

/** A socket that hears a group of the host's kernel; its buffer takes what thousands of peers make. */
export function listen(host: Host, group: number): NetlinkSocket {
  using namespace = openNetns(host.options.netns);
  const socket = withNetns(namespace.fd, () => openRtnl({ receiveBuffer: 256 << 20 }));
  socket.joinGroup(group);
  return socket;
}

/** Starts the agent; the command line goes through nsenter, whose millisecond counts too. */
async function start(
  host: Host,
  env: Record<string, string>,
  peers: number,
): Promise<{ lastEntry: number; ready: number }> {
  using events = listen(host, RTNLGRP.IPV4_ROUTE);
  const stateFile = host.path("/run/knet/node.json");
  let routes = 0;
  let lastEntry: number | undefined;
  let ready: number | undefined;
  const begin = performance.now();
  const agent = await host.join({ env, wait: false });
  while (ready === undefined || routes < peers) {
    const { overrun } = events.receive((message) => {
      const protocol = message.data[message.offset + 5];
      if (message.type === RTM.NEWROUTE && protocol === KNET_PROTOCOL) routes++;
    });
    const now = performance.now() - begin;
    if (routes >= peers) lastEntry ??= now;
    if (ready === undefined && exists(stateFile)) ready = now;
    if (overrun) throw new Error("Lost notifications of the agent's routes");
    if (agent.ended !== undefined) throw new Error(`The agent ended: ${agent.stderr}`);
    if (now > TIMEOUT) {
      throw new Error(`The agent programmed ${routes} of ${peers} routes: ${agent.stderr}`);
    }
    await sleep(1);
  }
  return { lastEntry: lastEntry!, ready };
}

async function measureMoves(host: Host, file: string, peers: number): Promise<number[]> {
  using events = listen(host, RTNLGRP.NEIGH);
  const times: number[] = [];
  for (let move = 0; move < MOVES; move++) {
    const { nodeId } = peerLease((peers >> 1) + move);
    const address = `192.0.2.${1 + move}`;
    await sleep(700); // Longer than the agent's own pauses: each move is an event of its own.
    movePeer(file, nodeId, address);
    const begin = performance.now();
    let arrived = false;
    while (!arrived) {
      events.receive((message) => {
        if (message.type === RTM.NEWNEIGH && decodeFdb(message)?.dst === address) arrived = true;
      });
      if (performance.now() - begin > TIMEOUT) throw new Error(`${nodeId} did not move`);
      if (!arrived) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.2);
    }
    times.push(performance.now() - begin);
  }
  return times;
}

/** Resident memory of a process, MiB. */
export function residentMiB(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s*(\d+)/.exec(status)?.[1]) / 1024;
}

/** Processor time of a process and its threads, in steps of 10 ms. */
export function processorMs(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name in brackets may hold blanks; utime and stime are the 14th and 15th field of proc(5).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Whether there is such a file. */
export function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
