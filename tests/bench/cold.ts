/**
 * One run of knet's plan and send in a fresh process: `cold.ts NETNS PEERS` prints the milliseconds.
 *
 * @module
 */
import { Field } from "./field.ts";
import { peerLeases } from "./peers.ts";
import { knetRival } from "./entry_rivals.ts";

const [netns = "", peers = "0"] = Deno.args;
console.log(knetRival(Field.join(netns), peerLeases(Number(peers))).run());
