/**
 * What `knet ping` and `knet netcheck` are told by the agent of a path that it looked at closely.
 *
 * @module
 */
import * as v from "valibot";
import { KnetError, messageOf } from "../../base/error.ts";
import { parseShape } from "../../base/shape.ts";
import { askAgent } from "../ask_agent.ts";

/** Packets of one kind that were sent, and what came back. */
export interface Tally {
  readonly sent: number;
  readonly received: number;
  /** Milliseconds; absent if nothing came back. */
  readonly rtt?: { readonly min: number; readonly avg: number; readonly max: number };
}

/** A path that was looked at. */
export interface LookReport {
  readonly target: { readonly name: string; readonly address: string; readonly publicIp?: string };
  /** By what packets to it travel; absent for what is no peer. */
  readonly via?: string;
  /** Answered by the peer's agent; absent for what is no peer. */
  readonly through?: Tally;
  readonly beside?: Tally;
  /** Answered by a kernel. */
  readonly echoThrough: Tally;
  readonly echoBeside?: Tally;
  /** Bytes: this overlay's MTU, and the longest packet with don't-fragment that was answered. */
  readonly mtu: { readonly overlay: number; readonly path: number };
  /** Routers that the outer packets pass, there and back, as far as their hop limits tell. */
  readonly hops?: { readonly there: number; readonly back: number };
  /** A TCP connection with more than a few packets; absent where nobody would take it. */
  readonly tcp?: {
    readonly passed: boolean;
    readonly detail: string;
  };
  /** What is wrong, in sentences. */
  readonly findings: readonly string[];
}

/** A real server that fails one host's check. */
export interface SeenDown {
  readonly service: string;
  /** `10.244.1.5:80`. */
  readonly realServer: string;
  /** Why. */
  readonly detail: string;
}

/** What one host knows of the paths to its peers, and of the real servers that fail its checks. */
export interface PathsReport {
  readonly node: string;
  /** The first of them; absent: an older knet tells none. */
  readonly down?: readonly SeenDown[];
  readonly paths: readonly {
    readonly peer: string;
    readonly rtt?: number;
    readonly loss?: number;
    readonly mtu?: number;
    readonly fault?: string;
  }[];
}

const TALLY = v.looseObject({
  sent: v.number(),
  received: v.number(),
  rtt: v.exactOptional(v.looseObject({ min: v.number(), avg: v.number(), max: v.number() })),
});

const LOOK: v.GenericSchema<unknown, LookReport> = v.looseObject({
  target: v.looseObject({
    name: v.string(),
    address: v.string(),
    publicIp: v.exactOptional(v.string()),
  }),
  via: v.exactOptional(v.string()),
  through: v.exactOptional(TALLY),
  beside: v.exactOptional(TALLY),
  echoThrough: TALLY,
  echoBeside: v.exactOptional(TALLY),
  mtu: v.looseObject({ overlay: v.number(), path: v.number() }),
  hops: v.exactOptional(v.looseObject({ there: v.number(), back: v.number() })),
  tcp: v.exactOptional(v.looseObject({ passed: v.boolean(), detail: v.string() })),
  findings: v.array(v.string()),
});

const PATHS: v.GenericSchema<unknown, PathsReport> = v.looseObject({
  node: v.string(),
  down: v.exactOptional(
    v.array(v.looseObject({ service: v.string(), realServer: v.string(), detail: v.string() })),
  ),
  paths: v.array(v.looseObject({
    peer: v.string(),
    rtt: v.exactOptional(v.number()),
    loss: v.exactOptional(v.number()),
    mtu: v.exactOptional(v.number()),
    fault: v.exactOptional(v.string()),
  })),
});

/**
 * Reads what a peer's agent says of its paths.
 *
 * @throws {KnetError} if it is another thing.
 */
export function readPaths(text: string): PathsReport {
  return read(PATHS, text);
}

function read<T>(schema: v.GenericSchema<unknown, T>, body: string): T {
  try {
    return parseShape(schema, body);
  } catch (error) {
    throw new KnetError(`Cannot understand the agent: ${messageOf(error)}`, {
      remedy: "Bring it to the version of this program: systemctl restart knet",
      cause: error,
    });
  }
}

/** Milliseconds that a close look may take: where nothing comes back, each question takes a second. */
const PATIENCE = 30_000;

async function askRunning(stateDir: string, path: string): Promise<string> {
  const body = await askAgent(stateDir, path, "GET", PATIENCE);
  if (body !== undefined) return body;
  const runs = await askAgent(stateDir, "/healthz") !== undefined;
  throw new KnetError(
    runs
      ? "Cannot try a path: this host's agent is of a version that tries none, or nothing of that name is there"
      : "Cannot try a path: no agent runs on this host",
    { remedy: runs ? "See knet status for the peers' names" : "Start it: systemctl start knet" },
  );
}

/**
 * Has this host's agent look at the path to a peer (by name, node id, subnet or address) or to an address of the cluster network.
 *
 * @throws {KnetError} if no agent runs, or it knows nothing of that name.
 */
export async function lookAt(stateDir: string, target: string): Promise<LookReport> {
  return read(LOOK, await askRunning(stateDir, `/probe/${encodeURIComponent(target)}`));
}

/**
 * What this host and its peers know of their paths; of a peer that does not tell, its name.
 *
 * @throws {KnetError} if no agent runs.
 */
export async function allPaths(
  stateDir: string,
): Promise<{ readonly told: readonly PathsReport[]; readonly silent: readonly string[] }> {
  const shape = v.looseObject({ told: v.array(PATHS), silent: v.array(v.string()) });
  return read(shape, await askRunning(stateDir, "/paths"));
}
