/**
 * The memory that the packet loop works in: one block, made at the start, known by address to the
 * kernel, by views to JavaScript and by import to WebAssembly.
 *
 * @module
 */
import { addressOf } from "../../../ffi/memory.ts";
import { type Summer, summer } from "./sum.ts";

const WASM_PAGE = 65536;

/** A block of memory that never moves. */
export class PacketMemory {
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Address of its first byte. */
  readonly base: number;
  /** The ones' complement sum of bytes in it. */
  readonly sum: Summer;
  #used = 0;

  constructor(size: number) {
    const pages = Math.ceil(size / WASM_PAGE);
    // With the greatest size fixed it cannot grow, and what cannot grow does not move.
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { buffer } = memory as { buffer: ArrayBuffer };
    this.u8 = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.view = new DataView(buffer);
    this.base = addressOf(buffer);
    this.sum = summer(memory);
  }

  /**
   * Sets a part aside.
   *
   * @returns its offset, a multiple of 64.
   */
  allocate(size: number): number {
    const at = this.#used;
    this.#used = Math.ceil((at + size) / 64) * 64;
    if (this.#used > this.u8.length) throw new RangeError("Cannot set memory aside: none is left");
    return at;
  }
}
