/**
 * `knet store reach`: root tells this host's agent where hosts of the cluster may be, and is told who is there.
 *
 * @module
 */
import * as v from "valibot";
import { canonicalAddress } from "../base/address.ts";
import { after } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { answer, ask, text } from "../port/frame.ts";
import { type ByteStream, closeQuietly } from "../store/dqlite/stream.ts";
import { storeSockets } from "../store/remote/agent_way.ts";
import type { ReachAddress, StoreCarrier } from "./store_carrier.ts";

/** Addresses in one question. */
const MOST = 256;
/** Milliseconds that the agent may take: each address is looked at twice at most, all at once. */
const PATIENCE = 30_000;

const PORT = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const QUESTION = v.object({
  addresses: v.pipe(
    v.array(v.object({ address: text(45), port: v.optional(PORT) })),
    v.minLength(1),
    v.maxLength(MOST),
  ),
});
const FOUND = v.object({
  address: text(45),
  port: PORT,
  /** Absent if no host of the cluster is there. */
  node: v.optional(text(63)),
  name: v.optional(text(63)),
  problem: v.optional(v.string()),
});
const ANSWER = v.array(FOUND);

/** Who is at an address. */
export type Found = v.InferOutput<typeof FOUND>;

/** Serves one question. */
export async function serveReach(
  stream: ByteStream,
  carrier: Pick<StoreCarrier, "reach"> | undefined,
  nameOf: (nodeId: string) => string,
): Promise<void> {
  const timer = after(PATIENCE, () => closeQuietly(stream), { idle: true });
  try {
    await answer(stream, QUESTION, async ({ addresses }) => {
      if (carrier?.reach === undefined) throw new KnetError("This agent has no way to other hosts");
      const found = await carrier.reach(addresses);
      return found.map(({ address, port, nodeId, problem }): Found => ({
        ...{ address, port },
        ...(nodeId !== undefined && { node: nodeId, name: nameOf(nodeId) }),
        ...(problem !== undefined && { problem }),
      }));
    });
  } finally {
    timer.cancel();
  }
}

/**
 * Reads an address as it is typed: of either family, with or without a port, `[ADDRESS]:PORT` where the address has colons.
 *
 * @throws {SyntaxError} if it is none.
 */
export function readReachAddress(word: string): ReachAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+))(?::([0-9]{1,5}))?$/.exec(word) ??
    [];
  const port = digits === undefined ? undefined : Number(digits);
  try {
    if (port !== undefined && (port < 1 || port > 65_535)) throw new RangeError("no port");
    const address = canonicalAddress(bracketed ?? plain ?? word);
    return { address, ...(port !== undefined && { port }) };
  } catch {
    throw new SyntaxError(
      `"${word}" is no address; one is 192.0.2.7, 192.0.2.7:8473, 2001:db8::7 or [2001:db8::7]:8473`,
    );
  }
}

/**
 * Asks this host's agent.
 *
 * @throws {KnetError} exit code 3 if this user may not; 1 if no agent runs that holds the store, or it does not answer.
 */
export async function askReach(
  stateDir: string,
  addresses: readonly ReachAddress[],
): Promise<readonly Found[]> {
  let stream: ByteStream;
  try {
    stream = await Deno.connect({ transport: "unix", path: storeSockets(stateDir).reaching });
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
      throw new KnetError("Cannot tell this host's agent where others are: this user may not", {
        exitCode: 3,
        remedy: "Run it as root",
        cause: error,
      });
    }
    throw new KnetError(
      `Cannot tell this host's agent where others are: none runs that holds the store (${
        messageOf(error)
      })`,
      { remedy: "Start it: systemctl start knet, or knet join", cause: error },
    );
  }
  const timer = after(PATIENCE, () => closeQuietly(stream));
  try {
    return await ask(stream, { addresses }, ANSWER);
  } finally {
    timer.cancel();
    closeQuietly(stream);
  }
}
