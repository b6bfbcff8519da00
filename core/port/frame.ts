/**
 * One question and one answer over a stream: JSON with its length before it (4 bytes, big-endian).
 *
 * @module
 */
import * as v from "valibot";
import { KnetError, messageOf } from "../base/error.ts";
import { parseShape } from "../base/shape.ts";
import { type ByteStream, readFull, writeAll } from "../store/dqlite/stream.ts";

/** The longest frame, bytes: the list of a thousand hosts. */
export const LONGEST_FRAME = 1 << 20;
/** The longest frame of somebody who has no certificate, bytes. */
export const LONGEST_OF_STRANGERS = 4096;

/** The other side, or the way to it, was gone before it had answered: it is busy, or just stops. */
export class HungUpError extends KnetError {
  override readonly name = "HungUpError";
}

/** Sends a value. */
export async function writeFrame(stream: ByteStream, value: unknown): Promise<void> {
  const body = new TextEncoder().encode(JSON.stringify(value));
  const frame = new Uint8Array(4 + body.length);
  new DataView(frame.buffer).setUint32(0, body.length);
  frame.set(body, 4);
  await writeAll(stream, frame);
}

/**
 * Receives a value of a shape.
 *
 * @param longest Bytes of it.
 * @throws {KnetError} if it is longer, another one, or does not come.
 */
export async function readFrame<T>(
  stream: ByteStream,
  shape: v.GenericSchema<unknown, T>,
  longest = LONGEST_FRAME,
): Promise<T> {
  const wrong = (state: string, cause?: unknown) =>
    new KnetError(`Cannot understand the other host: ${state}`, {
      remedy: "Run the same version of knet on all hosts",
      cause,
    });
  const head = new Uint8Array(4);
  const hungUp = () =>
    new HungUpError("Cannot understand the other host: it hung up", {
      remedy: "Try again; see the log of that host's agent",
    });
  if (!await readFull(stream, head)) throw hungUp();
  const length = new DataView(head.buffer).getUint32(0);
  if (length > longest) throw wrong(`it sends ${length} bytes, and ${longest} are allowed`);
  const body = new Uint8Array(length);
  if (!await readFull(stream, body)) throw hungUp();
  try {
    return parseShape(shape, new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw wrong(messageOf(error), error);
  }
}

/** A text of bounded length. */
export const text = (longest: number) => v.pipe(v.string(), v.maxLength(longest));

/** An error as it is sent. */
const ERROR = v.object({
  message: text(1000),
  remedy: v.optional(text(1000)),
  exitCode: v.picklist([1, 2, 3, 4]),
});

/**
 * Answers one question; what fails is told to the other side.
 *
 * @param longest Bytes of the question.
 */
export async function answer<Q>(
  stream: ByteStream,
  shape: v.GenericSchema<unknown, Q>,
  act: (question: Q) => Promise<unknown>,
  longest?: number,
): Promise<void> {
  let reply: unknown;
  try {
    reply = { result: await act(await readFrame(stream, shape, longest)) };
  } catch (error) {
    const { remedy, exitCode } = error instanceof KnetError
      ? error
      : { remedy: undefined, exitCode: 1 };
    const message = messageOf(error).slice(0, 1000);
    reply = { error: { message, exitCode, ...(remedy !== undefined && { remedy }) } };
  }
  await writeFrame(stream, reply);
}

/**
 * Asks one question.
 *
 * @throws {KnetError} what the other side says, or if it is not understood; {@linkcode HungUpError}.
 */
export async function ask<A>(
  stream: ByteStream,
  question: unknown,
  shape: v.GenericSchema<unknown, A>,
): Promise<A> {
  const replies = v.union([
    v.object({ error: ERROR }),
    v.object({ result: shape }),
  ]) as v.GenericSchema<unknown, { error: v.InferOutput<typeof ERROR> } | { result: A }>;
  let reply;
  try {
    await writeFrame(stream, question);
    reply = await readFrame(stream, replies);
  } catch (error) {
    if (error instanceof KnetError) throw error;
    throw new HungUpError(`Cannot hear what the other host answers: ${messageOf(error)}`, {
      cause: error,
      remedy: "Try again; see the log of that host's agent",
    });
  }
  if ("result" in reply) return reply.result;
  const { message, remedy, exitCode } = reply.error;
  throw new KnetError(message, { exitCode, ...(remedy !== undefined && { remedy }) });
}
