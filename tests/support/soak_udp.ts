/**
 * The udp backend under everything at once: TCP and UDP both ways over a link that loses and reorders,
 * while a peer and a stranger send what must not get through.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { CounterName } from "../../core/overlay/udp/counters.ts";
import type { TunnelStatus } from "../../core/overlay/udp/data_plane.ts";
import { spoilRouter } from "./bad_link.ts";
import type { Container } from "./container.ts";
import { flows } from "./cluster.ts";
import { exec } from "./exec.ts";
import { hostileLine } from "./hostile.ts";
import type { Host } from "./host.ts";
import type { Lab } from "./lab.ts";
import { payload, sha256 } from "./transfer.ts";
import { flowLine, lastCounts } from "./udp_flow.ts";
import { sleep, until } from "./wait.ts";

const TRANSFER = 5_000_000;
/** Datagrams a second: more than this the receiving program cannot take when the processors are busy. */
const RATE = 500;
/** What the hostile datagrams must be counted as. */
const DROPS: readonly CounterName[] = [
  "inMalformed",
  "inSpoofed",
  "inNotOurs",
  "inTooBig",
  "inUnknownPeer",
];

/** What came of it. */
export interface SoakReport {
  readonly transfers: number;
  readonly datagrams: number;
  readonly hostile: number;
  /** Resident size of the attacked agent, KiB, one a second. */
  readonly resident: readonly number[];
  readonly counters: Readonly<Record<CounterName, number>>;
}

/** Counters of a host's packet loop. */
export async function tunnelCounters(host: Host): Promise<Record<CounterName, number>> {
  const { body } = await host.get("/status");
  const { tunnel } = JSON.parse(body) as { tunnel?: TunnelStatus };
  assert.ok(tunnel !== undefined, `${host.name} shows no packet loop`);
  return tunnel.counters;
}

function residentKib(host: Host): number {
  const status = Deno.readTextFileSync(`/proc/${host.agent!.pid}/status`);
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
}

async function transferOver(near: Container, far: Container, end: number): Promise<number> {
  const expected = sha256(payload(TRANSFER));
  await using _server = await near.serve(TRANSFER);
  let count = 0;
  while (Date.now() < end) {
    const [transfer] = await far.fetch([near.address]);
    assert.equal(transfer?.bytes, TRANSFER);
    assert.equal(transfer?.sha256, expected, "a transfer came out different");
    count++;
  }
  return count;
}

/** UDP one way; returns how many datagrams arrived. */
async function flowOver(from: Container, to: Container, seconds: number): Promise<number> {
  const receiver = to.spawn(flowLine("receive"));
  await until("the receiver is ready", () => receiver.stdout.includes("ready"));
  await from.run(flowLine("send", to.address, `${seconds}`, `${RATE}`), {
    timeout: seconds * 1000 + 30_000,
  });
  await sleep(1500);
  const { good, damaged } = lastCounts(receiver.stdout);
  await receiver.stop();
  assert.equal(damaged, 0, "damaged datagrams");
  // What others send at full speed may push out many, but traffic flows on.
  assert.ok(good > seconds * RATE * 0.1, `${good} datagrams of ${seconds * RATE} arrived`);
  return good;
}

/** Attacks host 1 from host 3, a peer, and from a stranger; returns how many datagrams were sent. */
async function attack(lab: Lab, stranger: string, seconds: number): Promise<number> {
  const [target, , peer] = lab.hosts;
  const subnets = [await peer!.subnet(), await target!.subnet()] as const;
  const line = hostileLine(target!.address, ...subnets, seconds);
  const options = { timeout: seconds * 1000 + 30_000 };
  const sent = await Promise.all([
    peer!.run(line, options),
    exec(["ip", "netns", "exec", stranger, ...line], options),
  ]);
  return sent.reduce((sum, { stdout }) => sum + Number(stdout), 0);
}

/**
 * Runs it on a lab of three hosts, the second behind the router, one container on each of the first two.
 *
 * @throws {AssertionError} if anything arrives damaged, an agent dies, or memory grows.
 */
export async function soakUdp(lab: Lab, seconds: number): Promise<SoakReport> {
  const [one, two] = lab.hosts as [Host, Host];
  const [near, far] = [one.containers[0]!, two.containers[0]!];
  const stranger = await lab.addStranger("x", "192.168.2.66");
  await using _bad = await spoilRouter(lab, { loss: 1, reorder: 5 });
  await flows(near, far.address);
  const end = Date.now() + seconds * 1000;
  const before = await tunnelCounters(one);
  const resident: number[] = [];
  const sampler = setInterval(() => resident.push(residentKib(one)), 1000);
  // The mark of what got through, seen where it would arrive.
  const through = near.spawn(flowLine("receive"));
  try {
    // A quarter of the time without the attack, so that both are seen.
    const quiet = seconds / 4;
    const [there, back, outward, hostile] = await Promise.all([
      transferOver(near, far, end),
      transferOver(far, near, end),
      flowOver(near, far, seconds),
      sleep(quiet * 1000).then(() => attack(lab, stranger, seconds - quiet)),
    ]);
    const counters = await tunnelCounters(one);
    for (const name of DROPS) {
      assert.ok(counters[name] > before[name], `${name} does not count`);
    }
    assert.ok(there > 0 && back > 0, "no transfer was finished");
    for (const host of lab.hosts) assert.equal(host.agent?.ended, undefined, `${host.name} ended`);
    await flows(near, far.address);
    return { transfers: there + back, datagrams: outward, hostile, resident, counters };
  } finally {
    clearInterval(sampler);
    await through.stop();
  }
}

/** Growth of the resident size in the second half of a soak, KiB: the median of its last quarter over that of its third. */
export function growth(resident: readonly number[]): number {
  const middle = (from: number, to: number) => {
    const part = resident.slice(
      Math.floor(resident.length * from),
      Math.ceil(resident.length * to),
    );
    return part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0;
  };
  return middle(0.75, 1) - middle(0.5, 0.75);
}
