/**
 * The packet loop: waits, passes packets both ways, and comes back when the agent has something to say.
 * It owns its thread and stops it while there is nothing to do.
 *
 * @module
 */
import { POLLIN } from "../../../ffi/linux/fcntl.ts";
import { Pieces, PollSet } from "../../../ffi/packet_io.ts";
import { addressOf } from "../../../ffi/memory.ts";
import { IcmpAnswerer } from "./icmp.ts";
import { Inward } from "./inward.ts";
import { PacketMemory } from "./packet_memory.ts";
import { Outward } from "./outward.ts";
import { buildPeerTable, type PeerTable } from "./routes.ts";
import type { LoopSetup } from "./setup.ts";

const [WAKE, TUN, UDP] = [0, 1, 2];

/** Both directions and what they share. */
export class PacketLoop {
  readonly #memory = new PacketMemory(Outward.memorySize + Inward.memorySize + 8192);
  readonly #outward: Outward;
  readonly #inward: Inward;
  readonly #icmp: IcmpAnswerer;
  readonly #poll = new PollSet(3);
  readonly #wake: number;
  readonly #signal = new Pieces(1);
  readonly #broken: (errno: number) => void;
  /** Referred to by address only, and so held here. */
  #table!: PeerTable;

  /**
   * @param wake An eventfd that counts down by one a read.
   * @param broken Called when the device is gone.
   */
  constructor(wake: number, counters: Float64Array, broken: (errno: number) => void) {
    this.#wake = wake;
    this.#broken = broken;
    this.#icmp = new IcmpAnswerer(this.#memory, counters);
    this.#outward = new Outward(this.#memory, counters, this.#icmp);
    this.#inward = new Inward(this.#memory, counters);
    this.#signal.add(this.#memory.base + this.#memory.allocate(8), 8);
    this.#poll.set(WAKE, wake);
    this.usePeers(buildPeerTable([], 0));
  }

  /** Says what to work with, from now on. */
  configure(setup: LoopSetup): void {
    this.#outward.configure(setup);
    this.#inward.configure(setup);
    this.#icmp.useSocket(setup.icmp);
    this.#poll.set(TUN, setup.tun.fd);
    this.#poll.set(UDP, setup.udp.fd);
  }

  /** Swaps the peers. */
  usePeers(table: PeerTable): void {
    this.#table = table;
    this.#outward.usePeers(table, addressOf(this.#table.sockaddrs.buffer));
    this.#inward.usePeers(table);
  }

  /** Passes packets until the eventfd is written to, and takes one from it. */
  run(): void {
    const poll = this.#poll;
    for (;;) {
      poll.wait(-1);
      if (poll.ready(WAKE) !== 0) {
        this.#signal.read(this.#wake);
        return;
      }
      if (poll.ready(UDP) !== 0) this.#inward.turn();
      const tun = poll.ready(TUN);
      if (tun === 0) continue;
      const failed = (tun & POLLIN) !== 0 ? this.#outward.turn() : tun;
      if (failed !== 0) {
        // A deleted device is ready for ever.
        poll.set(TUN, -1);
        this.#broken(failed);
      }
    }
  }
}
