/**
 * The sockets that paths are tried by: one in the overlay on the bridge's address, one beside it on the underlay's, both on one UDP
 * port at both ends, so that what one host asks opens the way for what the other asks, through firewalls that know connections.
 *
 * Nobody but peers is answered: in the overlay the hosts' own addresses, which no container has, and never by the bridge; beside it
 * the peers' public addresses. An answer is as short as the shortest question.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { EventPoll } from "../../../ffi/poll.ts";
import { ProbeSocket } from "../../../ffi/probe_socket.ts";
import { after, monotonicClock, sleep } from "../../base/clock.ts";
import { messageOf } from "../../base/error.ts";
import {
  type Answer,
  decodeEchoReply,
  decodeMessage,
  encodeAnswer,
  encodeEcho,
  encodeQuestion,
  PROBE_PORT,
} from "../../inspect/probe/message.ts";

import { type Asked, numberOf, type Place, type Reply, type Way, type WireHooks } from "./ways.ts";

const log = getLogger(["knet", "probe"]);

/** Milliseconds that an answer may take. */
const PATIENCE = 1000;
/** Packets that are read at once; behind them comes a pause, so that a flood takes no processor. */
const AT_ONCE = 64;
/** Milliseconds. */
const PAUSE = 50;

/** Asks and answers, until it is disposed of. */
export class ProbeWire implements AsyncDisposable {
  readonly #hooks: WireHooks;
  readonly #poll = new EventPoll();
  readonly #sockets = new Map<Way, ProbeSocket>();
  /** For echoes; open only as long as one is under way. */
  readonly #echoes = new Map<Way, { socket: ProbeSocket; users: number }>();
  readonly #waiting = new Map<
    bigint,
    { way: Way; to: number; sent: number; done: (reply: Reply | undefined) => void }
  >();
  #place: Place | undefined;
  #closed = false;
  #reading: Promise<void> | undefined;
  #problems: readonly string[] = [];

  constructor(hooks: WireHooks) {
    this.#hooks = hooks;
  }

  /** What stands in the way of asking and answering, in sentences. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** What this host is; undefined before it is anything. */
  get place(): Place | undefined {
    return this.#place;
  }

  /** Says what this host is, and opens the sockets where that is another than before. */
  configure(place: Place): void {
    const before = this.#place;
    this.#place = place;
    const problems: string[] = [];
    for (const [way, field] of [["through", "gateway"], ["beside", "address"]] as const) {
      if (before?.[field] === place[field] && this.#sockets.has(way)) continue;
      this.#close(way);
      try {
        const socket = ProbeSocket.udp(numberOf(place[field]), PROBE_PORT);
        this.#sockets.set(way, socket);
        this.#poll.add(socket.fd);
      } catch (error) {
        problems.push(
          `Cannot try the paths to peers: ${messageOf(error)} on ${place[field]}. ` +
            "Let whatever has that port use another; until then peers may take this host for one that cannot be reached",
        );
      }
    }
    for (const problem of problems) {
      if (!this.#problems.includes(problem)) log.warn("{problem}", { problem });
    }
    this.#problems = problems;
    this.#reading ??= this.#read();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#poll.close();
    await this.#reading;
    for (const one of [...this.#waiting.values()]) one.done(undefined);
    for (const way of [...this.#sockets.keys()]) this.#close(way);
    for (const { socket } of this.#echoes.values()) socket[Symbol.dispose]();
    this.#echoes.clear();
  }

  /**
   * Asks a peer's agent.
   *
   * @param to The peer's address on that way, a number.
   * @param bytes Of the UDP payload.
   * @returns what it answered within a second, undefined if it did not.
   */
  ask(way: Way, to: number, subnet: number, bytes: number): Promise<Reply | undefined> {
    const place = this.#place;
    const socket = this.#sockets.get(way);
    if (place === undefined || socket === undefined) return Promise.resolve(undefined);
    const nonce = newNonce();
    const question = encodeQuestion({
      heard: this.#hooks.heard(way, subnet),
      nonce,
      subnet: numberOf(place.subnet),
      mtu: place.mtu,
      length: bytes,
    });
    return this.#wait(nonce, way, to, () => socket.send(question, to, PROBE_PORT));
  }

  /**
   * Asks a host's kernel, by ICMP.
   *
   * @param bytes Of the ICMP message.
   * @returns what came back within a second; undefined if nothing did, or this host may send no echoes.
   */
  async echo(way: Way, to: number, bytes?: number): Promise<Reply | undefined> {
    const place = this.#place;
    if (place === undefined) return undefined;
    let held = this.#echoes.get(way);
    if (held === undefined) {
      try {
        const own = way === "through" ? place.gateway : place.address;
        held = { socket: ProbeSocket.echo(numberOf(own)), users: 0 };
      } catch (error) {
        log.debug("{message}", { message: messageOf(error) });
        return undefined;
      }
      this.#echoes.set(way, held);
      this.#poll.add(held.socket.fd);
    }
    held.users++;
    const { socket } = held;
    const nonce = newNonce();
    try {
      return await this.#wait(nonce, way, to, () => socket.send(encodeEcho(nonce, bytes), to));
    } finally {
      if (--held.users === 0 && this.#echoes.get(way) === held) {
        this.#echoes.delete(way);
        this.#poll.remove(socket.fd);
        socket[Symbol.dispose]();
      }
    }
  }

  #wait(nonce: bigint, way: Way, to: number, send: () => number): Promise<Reply | undefined> {
    return new Promise((resolve) => {
      const done = (reply: Reply | undefined) => {
        this.#waiting.delete(nonce);
        timer.cancel();
        resolve(reply);
      };
      const timer = after(PATIENCE, () => done(undefined), { idle: true });
      this.#waiting.set(nonce, { way, to, sent: monotonicClock(), done });
      if (send() !== 0) done(undefined);
    });
  }

  #close(way: Way): void {
    const socket = this.#sockets.get(way);
    if (socket === undefined) return;
    this.#sockets.delete(way);
    this.#poll.remove(socket.fd);
    socket[Symbol.dispose]();
  }

  async #read(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#poll.wait();
        let most = 0;
        for (const [way, socket] of this.#sockets) most = Math.max(most, this.#drain(way, socket));
        for (const [way, { socket }] of this.#echoes) {
          most = Math.max(most, this.#drainEchoes(way, socket));
        }
        if (most >= AT_ONCE) await sleep(PAUSE);
      } catch (error) {
        log.debug("{message}", { message: messageOf(error) });
        await sleep(PAUSE);
      }
    }
  }

  #drain(way: Way, socket: ProbeSocket): number {
    let count = 0;
    for (; count < AT_ONCE; count++) {
      const packet = socket.receive();
      if (packet === undefined) break;
      const message = decodeMessage(packet.bytes);
      const place = this.#place;
      if (message === undefined || place === undefined) continue;
      if (packet.ifindex === place.bridge && way === "through") continue; // A container's.
      const { from, port, ttl } = packet;
      if (message.kind === "answer") {
        this.#answered(message.nonce, way, from, ttl, message);
        continue;
      }
      const { nonce, length, heard, subnet } = message;
      const asked: Asked = { way, subnet, heard, from };
      if (!this.#hooks.knows(way, from)) {
        this.#hooks.onStranger(asked);
        continue;
      }
      this.#hooks.onQuestion(asked);
      const answer = encodeAnswer({
        heard: this.#hooks.heard(way, subnet),
        nonce,
        subnet: numberOf(place.subnet),
        mtu: place.mtu,
        length,
        seen: { address: from, port, ttl: ttl ?? 0 },
      });
      socket.send(answer, from, port);
    }
    return count;
  }

  #drainEchoes(way: Way, socket: ProbeSocket): number {
    let count = 0;
    for (; count < AT_ONCE; count++) {
      const packet = socket.receive();
      if (packet === undefined) break;
      const nonce = decodeEchoReply(packet.bytes);
      if (nonce !== undefined) this.#answered(nonce, way, packet.from, packet.ttl);
    }
    return count;
  }

  #answered(
    nonce: bigint,
    way: Way,
    from: number,
    ttl: number | undefined,
    answer?: Answer,
  ): void {
    const waiting = this.#waiting.get(nonce);
    if (waiting === undefined || waiting.way !== way || waiting.to !== from) return;
    const rtt = monotonicClock() - waiting.sent;
    waiting.done({ rtt, ttl, ...(answer !== undefined && { answer }) });
  }
}

/** Nobody guesses it who does not see the question. */
function newNonce(): bigint {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return BigInt(high!) << 32n | BigInt(low!);
}
