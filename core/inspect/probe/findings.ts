/**
 * What is wrong with the path to a peer, from which questions were answered. Pure.
 *
 * There are four: a datagram and an ICMP echo through the overlay, and the same beside it. The datagrams are answered by the peer's
 * agent, the echoes by its kernel. Nothing is said of a path as long as packets are known to pass it, whoever knows: a peer behind
 * a firewall that takes no questions asks by itself, and says in its questions whether it is answered.
 *
 * @module
 */
import type { Via } from "../../overlay/backend/backend.ts";

/** Questions in a row without an answer that make a path one that does not carry. */
export const MISSES = 3;
/** Milliseconds for which what a peer said of itself counts: half as long again as it takes until it says it anew. */
export const LATELY = 15_000;

/** One way to a peer: through the overlay or beside it. */
export interface WayFacts {
  /** Questions in a row without an answer. */
  readonly misses: number;
  /** Milliseconds since the first of these was asked; 0 if there is none. */
  readonly silent: number;
  /** Milliseconds since the peer answered by it, Infinity for never. */
  readonly answered: number;
  /** Milliseconds since the peer asked by it. */
  readonly heard: number;
  /** Milliseconds since the peer asked by it and said that its last question was answered; Infinity if it said since that it was not. */
  readonly confirmed: number;
  /** Whether the peer's kernel answered the last echo; undefined: none was sent. */
  readonly echo?: boolean | undefined;
  /** This host's address as the peer saw it, where that is not the one that the question was sent from. */
  readonly changedSource?: string | undefined;
}

/** What is known of the path to a peer. */
export interface PathFacts {
  readonly name: string;
  readonly subnet: string;
  readonly publicIp: string;
  readonly via: Via;
  /** UDP port of the tunnel; undefined where there is none. */
  readonly port: number | undefined;
  /** Whether the peer's agent is one that answers. One of an older knet, or that was never there, is not. */
  readonly answers: boolean;
  readonly expired: boolean;
  readonly through: WayFacts;
  readonly beside: WayFacts;
  /** Questions as long as the overlay's MTU. */
  readonly full: {
    readonly misses: number;
    /** MTU of this host's overlay, bytes. */
    readonly mtu: number;
    /** The longest packet that was answered, bytes; 0: none, or not tried. */
    readonly largest: number;
  };
  /** An address that questions came from which say that they are this peer's, and which is not its own; undefined: none lately. */
  readonly stranger?: string | undefined;
}

/** Kinds of what can be wrong. */
export type PathFault =
  | "dead"
  | "public-ip"
  | "blocked"
  | "blocked-there"
  | "blocked-back"
  | "checksum"
  | "mtu"
  | "masquerade";

/** What is wrong with a path. */
export interface PathFinding {
  readonly fault: PathFault;
  /** For status and log. */
  readonly sentence: string;
}

/** What status and metrics tell of the path to a peer. */
export interface ProbeStatus {
  /** Milliseconds, smoothed; absent as long as nothing was answered. */
  readonly rtt?: number;
  /** Share of the last questions that was not answered, 0 to 1; absent before the first. */
  readonly loss?: number;
  /** Bytes of the longest packet that was answered of late; absent before the first. */
  readonly mtu?: number;
  /** What is wrong with it. */
  readonly fault?: PathFault;
}

/** Whether packets pass in both directions, as far as either end knows. */
function carries({ misses, answered, confirmed }: WayFacts): boolean {
  return (misses < MISSES && answered < Infinity) || confirmed < LATELY;
}

/** What is wrong with the path to a peer; undefined: nothing, or nothing that can be told. */
export function findingOf(facts: PathFacts): PathFinding | undefined {
  const { through, beside, via, expired } = facts;
  if (via === "none" || expired) return undefined;
  if (carries(through)) return ofWorking(facts);
  // Nothing was asked often enough to tell.
  if (through.misses < MISSES) return undefined;
  const known = facts.answers || through.answered < Infinity || beside.answered < Infinity;
  if (!known) return undefined;
  const who = `host "${facts.name}" (${facts.subnet})`;
  // What was heard before the silence says nothing about it.
  const { silent } = through;
  const besides = beside.answered < silent || beside.heard < silent;
  if (through.echo === true) {
    // Its agent has stopped, or a firewall takes no questions; the network goes on. Unless the agent is known to be there.
    return besides ? { fault: "checksum", sentence: checksumSentence(who, facts) } : undefined;
  }
  const port = facts.port === undefined
    ? `packets between containers (${via})`
    : `UDP port ${facts.port}`;
  if (through.heard < Math.min(silent, 2 * LATELY)) {
    return {
      fault: "blocked-there",
      sentence:
        `Nothing that is sent to ${who} at ${facts.publicIp} is answered through the overlay, while its own packets arrive: ` +
        `${port} from this host to it is blocked on the way, by a firewall there, or takes another way`,
    };
  }
  const { stranger } = facts;
  if (stranger !== undefined) {
    return {
      fault: "public-ip",
      sentence:
        `Packets of ${who} come from ${stranger}, not from its public address ${facts.publicIp}: ` +
        `give it the right one by knet join --public-ip there, or take what rewrites the source out of the way`,
    };
  }
  const cure = "Let it pass in both hosts' firewalls and on the way";
  if (besides) {
    return {
      fault: "blocked",
      sentence:
        `Nothing comes back from ${who} through the overlay, while its agent at ${facts.publicIp} answers: ` +
        `${port} is blocked between the hosts, in one direction or both. ${cure}`,
    };
  }
  if (beside.echo === true) {
    return {
      fault: "blocked",
      sentence:
        `Nothing comes back from ${who} through the overlay, nor from its agent, while ${facts.publicIp} answers pings: ` +
        `knet has not been started there since it was booted (systemctl status knet), or ${port} is blocked between the hosts. ${cure}`,
    };
  }
  return {
    fault: "dead",
    sentence:
      `Nothing comes back from ${who}, neither through the overlay nor from its public address ${facts.publicIp}: ` +
      `the host is down or cut off, or its --public-ip is wrong. If it is gone for good: knet leave --node ${facts.name}`,
  };
}

/** What may be wrong where short packets pass. */
function ofWorking(facts: PathFacts): PathFinding | undefined {
  const { full, through } = facts;
  const who = `host "${facts.name}" (${facts.subnet})`;
  // As long as the largest is still that of before, nobody has measured what passes now: packets were lost, of whatever size.
  if (full.misses >= MISSES && full.largest < full.mtu) {
    const largest = full.largest > 0
      ? `the largest that does has ${full.largest}`
      : "only short ones do";
    return {
      fault: "mtu",
      sentence:
        `Packets of ${full.mtu} bytes, this overlay's MTU, do not reach ${who}; ${largest}. Connections will open and then hang: ` +
        `give all hosts' interfaces one MTU, or the cluster the smallest (knet init --mtu)`,
    };
  }
  if (through.changedSource !== undefined) {
    return {
      fault: "masquerade",
      sentence:
        `Packets of this host reach ${who} through the overlay from ${through.changedSource}: something on this host rewrites the ` +
        `source of what goes into the tunnel (masquerading twice). Except the cluster network from that rule`,
    };
  }
  return undefined;
}

function checksumSentence(who: string, { port }: PathFacts): string {
  const device = port === undefined ? "the interface" : "the tunnel's device and the interface";
  return `ICMP reaches ${who} through the overlay and UDP does not, though its agent answers beside it: checksums that an interface ` +
    `should have made are wrong (turn the offload off: ethtool -K … tx-checksum-ip-generic off, for ${device} on both hosts), ` +
    `or a firewall there drops what containers' hosts send`;
}
