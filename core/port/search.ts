/**
 * The search for hosts that are not where they were: asked on this host's segment, answered by the one that is meant.
 *
 * Who asks says where he is, too. All of it are hints (`hints.ts`), which TLS proves or not. Questions go to all on the segment, by the
 * underlay's interface alone; an answer is as long as its question, goes to the address that asked and to the port of the store, is given
 * only to what came by the segment's own address for all, which no router passes on, and some times a second at most.
 *
 * Who is not answered asks again, the more seldom the longer. IPv4: the only family of underlays.
 *
 * @module
 */
import { EventPoll } from "../../ffi/poll.ts";
import { ALL_HOSTS, type ProbePacket, ProbeSocket } from "../../ffi/probe_socket.ts";
import { numberToAddress } from "../base/address.ts";
import { after, monotonicClock, random, sleep } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import {
  type Call,
  CLUSTER_LENGTH,
  isHostAddress,
  NONCE_LENGTH,
  readCall,
  writeCall,
} from "./call.ts";
import { type Hint, Hints } from "./hints.ts";

/** Milliseconds between questions for one host: at first, and at most. */
const [SOON, LATE] = [400, 15_000];
/** So many questions follow each other soon. */
const QUICK = 10;
/** Milliseconds after which a host that nobody missed is asked for as if for the first time. */
const FORGET = 60_000;
/** Milliseconds that an answer may take. */
const PATIENCE = 3000;
/** Questions that wait for an answer. */
const MOST_ASKED = 64;
/** Questions and answers of this host, each, at once, and then one each so many milliseconds. */
const [BURST, INTERVAL] = [20, 100];
/** Milliseconds over which those spread their answers who are all asked at once. */
const SPREAD = 200;
/** Datagrams that are read at once; behind them comes a pause, milliseconds, so that a flood takes no processor. */
const [AT_ONCE, PAUSE] = [64, 50];

/** An interface of the underlay. */
export interface SegmentDevice {
  readonly name: string;
  readonly ifindex: number;
}

/** What of a socket the search needs. */
export type SegmentSocket = Pick<ProbeSocket, "fd" | "send" | "receive"> & Disposable;

/** What is searched for, and by whom. */
export interface SearchOptions {
  /** This host's. */
  readonly nodeId: string;
  /** The store's: TCP of the agent, and UDP of the search. */
  readonly port: number;
  /** The fingerprint of the cluster's authority. */
  readonly cluster: Uint8Array;
  /** Told of a host that said where it is. */
  readonly onHint?: (nodeId: string) => void;
  readonly onProblem?: (sentence: string) => void;
  /** The default is `ProbeSocket.segment`. */
  readonly open?: (device: string, port: number) => SegmentSocket;
}

/** See the head of this file. */
export class Search implements AsyncDisposable {
  readonly #options: SearchOptions;
  readonly #cluster: Uint8Array;
  readonly #hints = new Hints();
  readonly #poll = new EventPoll();
  readonly #sockets = new Map<number, SegmentSocket>();
  /** By node id: how often it was asked for, and when last. */
  readonly #missed = new Map<string, { readonly asked: number; readonly at: number }>();
  /** By nonce: who was asked, and when. */
  readonly #asked = new Map<string, { readonly to: string; readonly at: number }>();
  readonly #questions = new Bucket();
  readonly #answers = new Bucket();
  #reading: Promise<void> | undefined;
  #closed = false;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#cluster = options.cluster.slice(0, CLUSTER_LENGTH);
  }

  /** Where a host may be, the newest first. */
  hintsOf(nodeId: string): readonly Hint[] {
    return this.#hints.of(nodeId);
  }

  /**
   * Searches by these interfaces from now on, and no others. Those that are there stay open.
   *
   * @param moved This host has another address than before: all that is missed is asked for at once.
   */
  by(devices: readonly SegmentDevice[], moved: boolean): void {
    if (this.#closed) return;
    if (moved) this.#missed.clear();
    for (const ifindex of this.#sockets.keys()) {
      if (!devices.some((device) => device.ifindex === ifindex)) this.#drop(ifindex);
    }
    const { port, open = (name, port) => ProbeSocket.segment(name, port) } = this.#options;
    for (const { name, ifindex } of devices) {
      if (this.#sockets.has(ifindex)) continue;
      try {
        const socket = open(name, port);
        this.#sockets.set(ifindex, socket);
        this.#poll.add(socket.fd);
      } catch (error) {
        this.#options.onProblem?.(
          `Cannot search for hosts of the cluster by ${name}: ${
            messageOf(error)
          }. Hosts that have another address are found by knet store reach alone`,
        );
      }
    }
    if (this.#sockets.size > 0) this.#reading ??= this.#read();
  }

  /**
   * A host was not where it was thought to be; without an id: nobody was.
   *
   * @returns whether that was asked now.
   */
  missed(nodeId = ""): boolean {
    const now = monotonicClock();
    const known = this.#missed.get(nodeId);
    const before = known !== undefined && now - known.at < FORGET ? known : undefined;
    if (before !== undefined && now - before.at < pauseAfter(before.asked)) return false;
    if (this.#sockets.size === 0 || !this.#questions.take()) return false;
    this.#missed.delete(nodeId);
    this.#missed.set(nodeId, { asked: (before?.asked ?? 0) + 1, at: now });
    trim(this.#missed, MOST_ASKED * 4);
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_LENGTH));
    this.#asked.set(textOf(nonce), { to: nodeId, at: now });
    trim(this.#asked, MOST_ASKED);
    const bytes = writeCall({ ...this.#call("question", nonce), to: nodeId });
    // An interface that is down, or has no address: it is tried again.
    for (const socket of this.#sockets.values()) socket.send(bytes, ALL_HOSTS, this.#options.port);
    return true;
  }

  /** Closes the sockets. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#poll.close();
    await this.#reading;
    for (const ifindex of [...this.#sockets.keys()]) this.#drop(ifindex);
  }

  #call(kind: Call["kind"], nonce: Uint8Array): Omit<Call, "to"> {
    const { port, nodeId } = this.#options;
    return { kind, nonce, port, cluster: this.#cluster, from: nodeId };
  }

  #drop(ifindex: number): void {
    const socket = this.#sockets.get(ifindex);
    if (socket === undefined) return;
    this.#sockets.delete(ifindex);
    this.#poll.remove(socket.fd);
    socket[Symbol.dispose]();
  }

  async #read(): Promise<void> {
    while (!this.#closed) {
      const ready = new Set(await this.#poll.wait());
      let many = false;
      for (const socket of [...this.#sockets.values()]) {
        if (!ready.has(socket.fd)) continue;
        let count = 0;
        for (; count < AT_ONCE; count++) {
          const packet = socket.receive();
          if (packet === undefined) break;
          this.heard(packet, socket);
        }
        many ||= count === AT_ONCE;
      }
      if (many) await sleep(PAUSE);
    }
  }

  /** Takes what came by one of the sockets. */
  heard(
    { from, port, to, bytes }: Omit<ProbePacket, "ttl" | "ifindex">,
    socket: SegmentSocket,
  ): void {
    const call = readCall(bytes);
    const own = this.#options;
    if (call === undefined || call.from === own.nodeId || port !== own.port) return;
    if (!isHostAddress(from) || !call.cluster.every((byte, n) => byte === this.#cluster[n])) return;
    const isQuestion = call.kind === "question";
    if (isQuestion !== (to === ALL_HOSTS)) return;
    if (!isQuestion && !this.#isAnswer(call)) return;
    const hint = { address: numberToAddress(BigInt(from), 4), port: call.port };
    if (!this.#hints.note(call.from, hint)) return;
    // It has moved, or begins: what was asked for in vain is worth another question.
    if (isQuestion) this.#missed.delete(call.from);
    own.onHint?.(call.from);
    if (!isQuestion || call.to !== "" && call.to !== own.nodeId) return;
    const answer = () => {
      if (this.#closed || ![...this.#sockets.values()].includes(socket)) return;
      if (!this.#answers.take()) return;
      socket.send(
        writeCall({ ...this.#call("answer", call.nonce), to: call.from }),
        from,
        own.port,
      );
    };
    if (call.to === "") after(random() * SPREAD, answer, { idle: true });
    else answer();
  }

  /** Whether it answers what was asked lately, and is who was asked. */
  #isAnswer({ nonce, from, to }: Call): boolean {
    const asked = this.#asked.get(textOf(nonce));
    return asked !== undefined && monotonicClock() - asked.at < PATIENCE &&
      (asked.to === "" || asked.to === from) && to === this.#options.nodeId;
  }
}

/** Milliseconds between a question and the next one for the same host, after so many. */
function pauseAfter(asked: number): number {
  return asked < QUICK ? SOON : Math.min(SOON * 2 ** (asked - QUICK), LATE);
}

const textOf = (nonce: Uint8Array) => nonce.join(" ");

/** Forgets the oldest. */
function trim(map: Map<string, unknown>, most: number): void {
  while (map.size > most) map.delete(map.keys().next().value!);
}

/** What may be sent at once, and in a while. */
class Bucket {
  #left = BURST;
  #at = monotonicClock();

  take(): boolean {
    const now = monotonicClock();
    this.#left = Math.min(BURST, this.#left + (now - this.#at) / INTERVAL);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
