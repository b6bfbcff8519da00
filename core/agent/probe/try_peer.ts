/**
 * One round of questions to one peer.
 *
 * @module
 */
import { numberToAddress } from "../../base/address.ts";
import { monotonicClock } from "../../base/clock.ts";
import { MISSES } from "../../inspect/probe/findings.ts";
import { IP_AND_UDP, SHORTEST } from "../../inspect/probe/message.ts";
import type { PeerTrial } from "./peer_trial.ts";
import type { Place, Reply, Way } from "./ways.ts";
import type { ProbeWire } from "./wire.ts";

/** Each that many-th round asks beside the overlay, too. */
const BESIDE_EACH = 2;
/** Bytes of packets that are tried where one of the MTU's does not pass: what links and tunnels commonly bear. */
const SIZES = [576, 1000, 1230, 1280, 1350, 1400, 1422, 1430, 1450, 1472, 1500, 2000, 4000, 8000];

/** Asks a peer once, and on all ways there are where something is in doubt; what came of it is in the trial then. */
export async function tryPeer(wire: ProbeWire, trial: PeerTrial, place: Place): Promise<void> {
  const round = trial.round++;
  const tried: Promise<unknown>[] = [];
  // Where nothing is in doubt, one packet as long as the MTU tells all; else short ones go beside it, on all ways.
  const { doubtful } = trial;
  const passes = !doubtful && await askFull(wire, trial, place);
  if (round % BESIDE_EACH === 0 || !passes) tried.push(ask(wire, trial, "beside"));
  if (!passes) {
    if (doubtful) tried.push(askFull(wire, trial, place));
    tried.push(ask(wire, trial, "through"));
  }
  if (trial.ways.through.misses > 0) {
    for (const way of ["through", "beside"] as const) tried.push(echo(wire, trial, way));
  }
  if (trial.fullMisses >= MISSES) tried.push(measure(wire, trial, place));
  await Promise.all(tried);
}

async function ask(wire: ProbeWire, trial: PeerTrial, way: Way): Promise<void> {
  const asked = monotonicClock();
  const reply = await wire.ask(way, trial.addressOn(way), trial.subnet, SHORTEST);
  trial.ways[way].note(reply, asked, monotonicClock());
  if (reply !== undefined) noteSource(wire.place, trial, way, reply);
}

function noteSource(place: Place | undefined, trial: PeerTrial, way: Way, { answer }: Reply): void {
  if (answer === undefined || place === undefined || way !== "through") return;
  const seen = numberToAddress(BigInt(answer.seen.address), 4);
  trial.ways[way].changedSource = seen === place.gateway ? undefined : seen;
}

/** Asks as long as the MTU. What was answered tells of short packets, too; what was not does not. */
async function askFull(wire: ProbeWire, trial: PeerTrial, { mtu }: Place): Promise<boolean> {
  const asked = monotonicClock();
  const reply = await wire.ask("through", trial.gateway, trial.subnet, mtu - IP_AND_UDP);
  if (reply === undefined) {
    trial.fullMisses++;
    return false;
  }
  trial.fullMisses = 0;
  trial.largest = mtu;
  trial.ways.through.note(reply, asked, monotonicClock());
  noteSource(wire.place, trial, "through", reply);
  return true;
}

async function echo(wire: ProbeWire, trial: PeerTrial, way: Way): Promise<void> {
  const reply = await wire.echo(way, trial.addressOn(way));
  // An answer that came meanwhile has cleared it, and says more.
  if (trial.ways[way].misses > 0) trial.ways[way].echo = reply !== undefined;
}

/** Finds the longest packet that passes, among sizes that are common. */
async function measure(wire: ProbeWire, trial: PeerTrial, { mtu }: Place): Promise<void> {
  const sizes = SIZES.filter((size) => size < mtu);
  const passed = await Promise.all(sizes.map(async (size) => {
    const reply = await wire.ask("through", trial.gateway, trial.subnet, size - IP_AND_UDP);
    return reply === undefined ? 0 : size;
  }));
  if (trial.fullMisses > 0) trial.largest = Math.max(0, ...passed);
}
