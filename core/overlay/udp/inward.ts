/**
 * From the peers to the TUN device.
 *
 * @module
 */
import { Inbox } from "../../../ffi/packet_io.ts";
import { COUNTER, type CounterName } from "./counters.ts";
import type { PacketMemory } from "./packet_memory.ts";
import { Merger } from "./merge.ts";
import { IP, isPacket, isSealed } from "./packet.ts";
import { isPeer, NOBODY, ownerOf, type PeerTable } from "./routes.ts";
import type { LoopSetup } from "./setup.ts";

/** As many bytes as a datagram or bundle can have, rounded up. */
const SLOT = 64 << 10;
const SLOTS = 16;

/** One direction of the packet loop. */
export class Inward {
  static readonly memorySize = SLOTS * SLOT + Merger.memorySize;

  readonly #memory: PacketMemory;
  readonly #counters: Float64Array;
  readonly #slots: number;
  readonly #inbox: Inbox;
  readonly #merger: Merger;
  #setup!: LoopSetup;
  #table!: PeerTable;
  #lastSource = -1;
  #lastOwner = NOBODY;

  constructor(memory: PacketMemory, counters: Float64Array) {
    this.#memory = memory;
    this.#counters = counters;
    this.#slots = memory.allocate(SLOTS * SLOT);
    this.#inbox = new Inbox(memory.base + this.#slots, SLOTS, SLOT);
    this.#merger = new Merger(memory, counters);
  }

  /** Says what to work with. */
  configure(setup: LoopSetup): void {
    this.#setup = setup;
    this.#merger.useDevice(setup.tun);
  }

  /** Swaps the peers. */
  usePeers(table: PeerTable): void {
    this.#table = table;
    this.#lastSource = -1;
  }

  /** Passes on what has arrived, up to a bound. */
  turn(): void {
    const inbox = this.#inbox;
    const count = inbox.receive(this.#setup.udp.fd, this.#setup.singly ? 1 : SLOTS);
    for (let slot = 0; slot < count; slot++) {
      const sender = inbox.source(slot);
      const size = inbox.segment(slot);
      const start = this.#slots + slot * SLOT;
      const end = start + inbox.length(slot);
      if (end === start) this.#drop("inMalformed");
      for (let at = start; at < end; at += size) {
        this.#pass(at, Math.min(size, end - at), sender);
      }
    }
    this.#merger.flush();
  }

  #drop(why: CounterName): void {
    this.#counters[COUNTER[why]]! += 1;
  }

  #pass(at: number, length: number, sender: number): void {
    const memory = this.#memory;
    const { view } = memory;
    const sound = isPacket(memory, at, length);
    const owner = sound ? this.#ownerOf(view.getUint32(at + IP.source)) : NOBODY;
    if (owner === NOBODY || this.#table.addresses[owner] !== sender) {
      if (!isPeer(this.#table, sender)) return this.#drop("inUnknownPeer");
      return this.#drop(sound ? "inSpoofed" : "inMalformed");
    }
    if (!isSealed(memory, at)) return this.#drop("inMalformed");
    const { first, last, mtu } = this.#setup;
    const destination = view.getUint32(at + IP.destination);
    if (destination < first || destination > last) return this.#drop("inNotOurs");
    // What is longer than the packet in it is padding.
    const packet = view.getUint16(at + IP.length);
    if (packet > mtu) return this.#drop("inTooBig");
    this.#merger.add(at, packet);
  }

  #ownerOf(source: number): number {
    if (source !== this.#lastSource) {
      this.#lastSource = source;
      this.#lastOwner = ownerOf(this.#table, source);
    }
    return this.#lastOwner;
  }
}
