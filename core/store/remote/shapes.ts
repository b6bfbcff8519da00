/**
 * What travels beside requests: greetings, answers, events.
 *
 * @module
 */
import * as v from "valibot";
import { ERROR_SHAPE } from "./errors.ts";

/** The first message of each side. */
export const GREETING_SHAPE = v.object({
  protocol: v.pipe(v.number(), v.safeInteger()),
  knet: v.pipe(v.string(), v.maxLength(100)),
});

/** What a server sends after its greeting. Events that only a newer knet has say nothing. */
export const SERVER_SHAPE = v.union([
  v.object({ id: v.number(), error: ERROR_SHAPE }),
  v.object({ id: v.number(), result: v.unknown() }),
  v.object({
    event: v.literal("state"),
    state: v.picklist(["notify", "poll", "away"]),
    detail: v.string(),
  }),
  v.object({ event: v.string() }),
]);

/** What a server sends. */
export type ServerMessage = v.InferOutput<typeof SERVER_SHAPE>;
