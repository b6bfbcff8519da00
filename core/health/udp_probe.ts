/**
 * Looks whether a real server answers a datagram, or at least does not refuse it; and whether one answers a DNS query.
 *
 * @module
 */
import { SystemError } from "../../ffi/libc.ts";
import { socketAddress } from "../../ffi/tcp.ts";
import { UdpClient } from "../../ffi/udp_client.ts";
import { after, monotonicClock, random, type Timer } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import type { DnsCheck, UdpCheck } from "../services/check_kinds.ts";
import { bytesOf, textOf } from "./bytes.ts";
import { dnsQuery, judgeDns } from "./dns_query.ts";
import { failed, LATE, PASSED, type ProbeResult, type ProbeTarget } from "./probe.ts";

/** Milliseconds from one look to the next at whether something has come. */
const TICK = 5;
/** Datagrams that are taken at one look, and by one check: others have to have their turn. */
const MOST_AT_ONCE = 8;
const MOST_DATAGRAMS = 64;

const FLOODED: ProbeResult = {
  passed: false,
  detail: `the answer was not among the first ${MOST_DATAGRAMS} datagrams`,
};

/** What a datagram that came means; undefined: it is none of ours. */
type Judge = (bytes: Uint8Array) => ProbeResult | undefined;

/** The port is refused. */
const REFUSED = failed("ECONNREFUSED", "");

function judgeError(error: unknown): ProbeResult {
  if (error instanceof SystemError && error.code === "ECONNREFUSED") return REFUSED;
  return error instanceof SystemError
    ? failed(error.code, error.message.replace(/^Cannot /, ""))
    : failed(undefined, messageOf(error));
}

/**
 * Asks by one datagram.
 *
 * @param silence What it means that nothing comes.
 */
function exchange(
  { address, port }: ProbeTarget,
  bytes: Uint8Array<ArrayBuffer>,
  judge: Judge,
  silence: () => ProbeResult,
  done: (result: ProbeResult) => void,
): () => void {
  let client: UdpClient | undefined;
  let timer: Timer | undefined;
  let came = 0;
  const end = (result: ProbeResult) => {
    if (client === undefined) return;
    timer?.cancel();
    client[Symbol.dispose]();
    client = undefined;
    done(result);
  };
  /** The result, if what has come has one. */
  const take = (from: UdpClient): ProbeResult | undefined => {
    for (let n = 0; n < MOST_AT_ONCE; n++) {
      const datagram = from.receive();
      if (datagram === undefined) return undefined;
      const result = judge(datagram);
      if (result !== undefined) return result;
      if (++came === MOST_DATAGRAMS) return FLOODED;
    }
    return undefined;
  };
  const look = () => {
    if (client === undefined) return;
    try {
      const result = take(client);
      if (result !== undefined) return end(result);
      timer = after(TICK, look);
    } catch (error) {
      end(judgeError(error));
    }
  };
  try {
    client = UdpClient.open(socketAddress(address, port));
    client.send(bytes);
    timer = after(1, look);
  } catch (error) {
    const result = judgeError(error);
    queueMicrotask(() => {
      if (client === undefined) done(result);
      else end(result);
    });
  }
  return () => {
    if (client !== undefined) end(silence());
  };
}

/**
 * Milliseconds for which silence says nothing after a refusal: of what a host refuses, Linux tells each other one once a second only
 * (net.ipv4.icmp_ratelimit), for all of its ports together.
 */
const WARY = 10_000;
/** When ports refused last, on the monotonic clock. */
const refusals = new Map<string, number>();

/** What silence means where no answer is expected. */
function judgeSilence(key: string): ProbeResult {
  const refused = refusals.get(key);
  if (refused === undefined || monotonicClock() - refused >= WARY) return PASSED;
  return { passed: undefined, detail: REFUSED.detail };
}

function noteRefusal(key: string): void {
  const now = monotonicClock();
  for (const [other, then] of refusals) if (now - then >= WARY) refusals.delete(other);
  refusals.set(key, now);
}

/** Looks by a datagram: refused is failed; with `expect`, an answer without it, or none, is, too. */
export function udpProbe(
  target: ProbeTarget,
  { send = "", expect }: Pick<UdpCheck, "send" | "expect">,
  done: (result: ProbeResult) => void,
): () => void {
  let answered = false;
  const judge = (bytes: Uint8Array): ProbeResult => {
    answered = true;
    return expect === undefined || textOf(bytes).includes(expect)
      ? PASSED
      : { passed: false, detail: "the answer is not what is expected" };
  };
  if (expect !== undefined) return exchange(target, bytesOf(send), judge, () => LATE, done);
  const key = `${target.address} ${target.port}`;
  return exchange(target, bytesOf(send), judge, () => judgeSilence(key), (result) => {
    if (result === REFUSED) noteRefusal(key);
    else if (result === PASSED && answered) refusals.delete(key);
    done(result);
  });
}

/** Looks by a DNS query: an answer without an error is good, whatever it says. */
export function dnsProbe(
  target: ProbeTarget,
  { name, query: type }: Pick<DnsCheck, "name" | "query">,
  done: (result: ProbeResult) => void,
): () => void {
  const query = dnsQuery(Math.floor(random() * 65_536), name, type);
  return exchange(target, query, (bytes) => judgeDns(query, bytes), () => LATE, done);
}
