/**
 * Memory that the kernel and JavaScript share: addresses for structures that point to others.
 *
 * @module
 */

/**
 * Where a buffer lies. It stays there as long as the buffer is neither transferred nor, as memory of
 * WebAssembly, grown; whoever passes the address on must keep the buffer alive.
 *
 * @returns the address as a number: user space on all 64-bit targets ends below 2^53.
 */
export function addressOf(buffer: ArrayBuffer): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}

/** Writes a pointer into a structure, without making a bigint of it. */
export function setPointer(view: DataView, offset: number, address: number): void {
  view.setUint32(offset, address, true);
  view.setUint32(offset + 4, address / 0x1_0000_0000, true);
}

/** Reads a pointer from a structure. */
export function getPointer(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x1_0000_0000;
}
