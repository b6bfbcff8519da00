/**
 * A close look at one path, on demand: `knet ping` and `knet netcheck`.
 *
 * @module
 */
import { sleep } from "../../base/clock.ts";
import { numberToAddress, prefixContains } from "../../base/address.ts";
import { hopsOf, IP_AND_UDP, SHORTEST } from "../../inspect/probe/message.ts";
import type { LookReport, PathsReport, Tally } from "../../inspect/probe/look.ts";
import { askReport, tryTcp } from "./bulk.ts";
import type { PeerProbes } from "./peer_probes.ts";
import type { PeerTrial } from "./peer_trial.ts";
import { numberOf, type Reply } from "./ways.ts";

/** Packets of each kind. */
const COUNT = 5;
/** Milliseconds between two of them. */
const PACE = 100;
/** Peers that are asked at once for what they know. */
const AT_ONCE = 8;

/** Sends some packets of one kind. */
async function some(
  send: () => Promise<Reply | undefined>,
): Promise<{ tally: Tally; replies: readonly Reply[] }> {
  const sent: Promise<Reply | undefined>[] = [];
  for (let n = 0; n < COUNT; n++) {
    if (n > 0) await sleep(PACE);
    sent.push(send());
  }
  const replies = (await Promise.all(sent)).filter((reply) => reply !== undefined);
  return { tally: tallyOf(replies.map(({ rtt }) => rtt)), replies };
}

/** Round-trips of answers as a tally. */
export function tallyOf(times: readonly number[], sent = COUNT): Tally {
  if (times.length === 0) return { sent, received: 0 };
  const sum = times.reduce((total, time) => total + time, 0);
  const rtt = { min: Math.min(...times), avg: sum / times.length, max: Math.max(...times) };
  return { sent, received: times.length, rtt };
}

/** Sizes that are tried at once. */
const GRID = 16;

/**
 * The longest packet that is answered, to within some bytes: of many sizes at once, since each that is not answered takes a second.
 *
 * @param passes Whether one of so many bytes is.
 * @returns 0 if none is.
 */
export async function longestPassing(
  least: number,
  most: number,
  passes: (bytes: number) => Promise<boolean>,
): Promise<number> {
  if (await passes(most) || await passes(most)) return most;
  const longest = async (from: number, to: number) => {
    const step = (to - from) / GRID;
    const sizes = Array.from({ length: GRID }, (_, n) => Math.floor(from + n * step));
    const tried = await Promise.all(sizes.map(async (size) => {
      const [one, other] = await Promise.all([passes(size), passes(size)]);
      return one || other ? size : 0;
    }));
    return Math.max(...tried);
  };
  const rough = await longest(least, most);
  if (rough === 0) return 0;
  return await longest(rough, Math.min(most, rough + (most - least) / GRID));
}

async function lookAtPeer(probes: PeerProbes, trial: PeerTrial, via: string): Promise<LookReport> {
  const { wire } = probes;
  const { gateway, subnet, publicIp, lease } = trial;
  const { mtu } = probes.place!;
  const ask = (bytes: number) => () => wire.ask("through", gateway, subnet, bytes - IP_AND_UDP);
  const [through, beside, echoThrough, echoBeside, path, tcp] = await Promise.all([
    some(ask(SHORTEST + IP_AND_UDP)),
    some(() => wire.ask("beside", publicIp, subnet, SHORTEST)),
    some(() => wire.echo("through", gateway)),
    some(() => wire.echo("beside", publicIp)),
    longestPassing(SHORTEST + IP_AND_UDP, mtu, async (bytes) => await ask(bytes)() !== undefined),
    tryTcp(numberToAddress(BigInt(gateway), 4)),
  ]);
  const findings = trial.finding === undefined ? [] : [trial.finding.sentence];
  const last = beside.replies.at(-1);
  const there = hopsOf(last?.answer?.seen.ttl), back = hopsOf(last?.ttl);
  const hops = there !== undefined && back !== undefined ? { there, back } : undefined;
  if (hops !== undefined && hops.there !== hops.back) {
    findings.push(
      `Packets to ${lease.publicIp} pass ${hops.there} routers and those back ${hops.back}: the ways differ, ` +
        "which strict rp_filter and firewalls that know connections do not bear",
    );
  }
  const seen = last?.answer && numberToAddress(BigInt(last.answer.seen.address), 4);
  const { announced, address } = probes.place!;
  if (seen !== undefined && seen !== announced) {
    findings.push(
      `Packets of this host reach ${lease.publicIp} from ${seen}, not from its public address ${announced}` +
        (seen === address ? "" : ": something on the way rewrites the source") +
        ". Give it the right one: knet join --public-ip",
    );
  }
  if (!tcp.passed && through.tally.received > 0 && trial.answers) {
    findings.push(
      `TCP does not pass where single packets do (${tcp.detail}): ` +
        "a segmentation or checksum offload is broken (ethtool -K … tso off gso off tx off, to try), or the MTU is mixed",
    );
  }
  return {
    target: {
      name: lease.nodeName,
      address: numberToAddress(BigInt(gateway), 4),
      publicIp: lease.publicIp,
    },
    via,
    through: through.tally,
    beside: beside.tally,
    echoThrough: echoThrough.tally,
    echoBeside: echoBeside.tally,
    mtu: { overlay: mtu, path },
    ...(hops !== undefined && { hops }),
    ...(trial.answers && { tcp }),
    findings,
  };
}

async function lookAtAddress(
  probes: PeerProbes,
  name: string,
  address: string,
): Promise<LookReport> {
  const { wire, place } = probes;
  const to = numberOf(address);
  const { mtu } = place!;
  const [{ tally }, path] = await Promise.all([
    some(() => wire.echo("through", to)),
    longestPassing(
      SHORTEST + IP_AND_UDP,
      mtu,
      async (bytes) => await wire.echo("through", to, bytes - 20) !== undefined,
    ),
  ]);
  const findings: string[] = [];
  if (tally.received === 0) {
    findings.push(
      `${address} does not answer: nothing has that address, it answers no ICMP, or the way to it breaks (knet trace tells where)`,
    );
  } else if (path < mtu) {
    findings.push(
      `Packets of ${mtu} bytes do not reach ${address}, the longest that does has about ${path}`,
    );
  }
  return {
    target: { name, address },
    echoThrough: tally,
    mtu: { overlay: mtu, path },
    findings,
  };
}

/**
 * Looks at the path to a peer, or to an address of the cluster network.
 *
 * @param word A peer's name, node id, subnet or address; else an address.
 * @returns undefined if nothing is known by that word, or this host is not ready.
 */
export async function lookClosely(
  probes: PeerProbes,
  word: string,
  facts: { network: string | undefined; viaOf: (trial: PeerTrial) => string },
): Promise<LookReport | undefined> {
  if (probes.place === undefined || facts.network === undefined) return undefined;
  const trial = probes.find(word);
  if (trial !== undefined) return await lookAtPeer(probes, trial, facts.viaOf(trial));
  if (!/^[0-9.]+$/.test(word) || !isInside(facts.network, word)) return undefined;
  return await lookAtAddress(probes, word, word);
}

function isInside(network: string, word: string): boolean {
  try {
    return prefixContains(network, word);
  } catch {
    return false;
  }
}

/** What this host and all of its peers know of theirs; of peers that do not tell, the names. */
export async function pathsOfAll(
  probes: PeerProbes,
  read: (text: string) => PathsReport,
): Promise<{ told: readonly PathsReport[]; silent: readonly string[] }> {
  const told = [probes.paths];
  const silent: string[] = [];
  const rest = probes.trials.filter(({ answers }) => answers);
  for (const { lease } of probes.trials.filter(({ answers }) => !answers)) {
    silent.push(lease.nodeName);
  }
  const work = async () => {
    for (let trial = rest.shift(); trial !== undefined; trial = rest.shift()) {
      try {
        told.push(read(await askReport(numberToAddress(BigInt(trial.gateway), 4))));
      } catch {
        silent.push(trial.lease.nodeName);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { told, silent };
}
