/**
 * The Internet checksum (RFC 1071): ones' complement sums of 16-bit words.
 *
 * Every byte of a TCP packet that the kernel left without checksum is summed here. JavaScript takes about a nanosecond a byte, which
 * would be most of the packet loop's time; WebAssembly with vectors takes a tenth of that or less, so the
 * sum is written in its instructions. Where the processor has no such vectors, JavaScript does it.
 *
 * @module
 */

/** Sums bytes of one memory. */
export interface Summer {
  /**
   * The sum of the 16-bit words from an offset on, folded to 16 bits and not complemented. An odd last
   * byte counts as the high half of a word.
   *
   * @param length At most 65,536 bytes.
   */
  (at: number, length: number): number;
}

/** Folds the carries of a sum below 2^32 back, to 16 bits. */
export function fold(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/**
 * What becomes of a checksum when a word that it covers changes (RFC 1624, equation 3).
 *
 * @param checksum As it stands in the packet.
 */
export function updateChecksum(checksum: number, before: number, after: number): number {
  return ~fold((~checksum & 0xffff) + (~before & 0xffff) + after) & 0xffff;
}

/** A sum in JavaScript. */
export function plainSummer(bytes: Uint8Array): Summer {
  return (at, length) => {
    let sum = 0;
    const end = at + (length & ~1);
    for (; at < end; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
    if (length & 1) sum += bytes[at]! << 8;
    return fold(sum >>> 0);
  };
}

/** A sum in WebAssembly, or in JavaScript on a processor without vectors. */
export function summer(memory: WebAssembly.Memory): Summer {
  try {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(sumModule()), {
      m: { m: memory },
    });
    return instance.exports.s as Summer;
  } catch {
    return plainSummer(new Uint8Array(memory.buffer));
  }
}

// WebAssembly's binary format, as far as it is needed here.
const I32 = 0x7f;
const V128 = 0x7b;
const NOTHING = 0x40;
const get = (local: number) => [0x20, local];
const set = (local: number) => [0x21, local];
const tee = (local: number) => [0x22, local];
/** i32.const of a number below 64, or of 65535. */
const constant = (value: number) => value < 64 ? [0x41, value] : [0x41, 0xff, 0xff, 0x03];
const ADD = [0x6a];
const SUB = [0x6b];
const AND = [0x71];
const OR = [0x72];
const SHL = [0x74];
const SHR = [0x76];
const GE = [0x4f];
const END = [0x0b];
const LOAD8 = [0x2d, 0, 0];
const LOAD16 = [0x2f, 0, 0];
const loadVector = (offset: number) => [0xfd, 0x00, 0, offset];
/** Adds the halves of each 32 bits: i32x4.extadd_pairwise_i16x8_u. */
const PAIRS = [0xfd, 0x7f];
const ADD_VECTOR = [0xfd, 0xae, 0x01];
const lane = (index: number) => [0xfd, 0x1b, index];

/** `while (length >= step) { body; at += step; length -= step }`. */
function whileAtLeast(step: number, body: number[]): number[] {
  return [
    ...[0x03, NOTHING, ...get(LENGTH), ...constant(step), ...GE, 0x04, NOTHING],
    ...body,
    ...[...get(AT), ...constant(step), ...ADD, ...set(AT)],
    ...[...get(LENGTH), ...constant(step), ...SUB, ...set(LENGTH)],
    ...[0x0c, 1, ...END, ...END],
  ];
}

const AT = 0;
const LENGTH = 1;
const SUM = 2;
const EVEN = 3;
const ODD = 4;

const addVector = (to: number, offset: number) => [
  ...[...get(AT), ...loadVector(offset), ...PAIRS],
  ...[...get(to), ...ADD_VECTOR, ...set(to)],
];
const FOLD = [
  ...[...get(SUM), ...constant(0xffff), ...AND],
  ...[...get(SUM), ...constant(16), ...SHR, ...ADD, ...set(SUM)],
];

/** The words are summed as the processor has them, low byte first; the halves of the sum change places at the end. */
function sumModule(): Uint8Array<ArrayBuffer> {
  const body = [
    ...[2, 1, I32, 2, V128],
    ...whileAtLeast(32, [...addVector(EVEN, 0), ...addVector(ODD, 16)]),
    ...whileAtLeast(16, addVector(EVEN, 0)),
    ...[...get(EVEN), ...get(ODD), ...ADD_VECTOR, ...tee(EVEN), ...lane(0)],
    ...[1, 2, 3].flatMap((index) => [...get(EVEN), ...lane(index), ...ADD]),
    ...set(SUM),
    ...whileAtLeast(2, [...get(AT), ...LOAD16, ...get(SUM), ...ADD, ...set(SUM)]),
    ...whileAtLeast(1, [...get(AT), ...LOAD8, ...get(SUM), ...ADD, ...set(SUM)]),
    ...FOLD,
    ...FOLD,
    ...[...get(SUM), ...constant(8), ...SHL, ...constant(0xffff), ...AND],
    ...[...get(SUM), ...constant(8), ...SHR, ...OR],
    ...END,
  ];
  const section = (id: number, content: number[]) => [id, ...leb(content.length), ...content];
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 2, I32, I32, 1, I32]),
    ...section(2, [1, ...name("m"), ...name("m"), 0x02, 0x00, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name("s"), 0x00, 0]),
    ...section(10, [1, ...leb(body.length), ...body]),
  ]);
}

/** A number in LEB128. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
