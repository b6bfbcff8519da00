/**
 * Archives as tar reads them (POSIX ustar): regular files with short names.
 *
 * @module
 */

/** One file of an archive. */
export interface TarEntry {
  /** At most 100 bytes. */
  readonly name: string;
  readonly content: Uint8Array;
}

const BLOCK = 512;

/**
 * The archive's bytes. All files are root's, with mode 0600.
 *
 * @param date of every file, seconds since 1970.
 * @throws {RangeError} if a name is too long.
 */
export function tar(entries: readonly TarEntry[], date: number): Uint8Array<ArrayBuffer> {
  const size = entries.reduce((sum, { content }) => sum + BLOCK + padded(content.length), 0);
  const bytes = new Uint8Array(size + 2 * BLOCK); // Two empty blocks are the end.
  let at = 0;
  for (const { name, content } of entries) {
    bytes.set(header(name, content.length, date), at);
    bytes.set(content, at + BLOCK);
    at += BLOCK + padded(content.length);
  }
  return bytes;
}

const padded = (size: number) => Math.ceil(size / BLOCK) * BLOCK;

/** Fields of posix_header in tar.h: offset, and what stands there. */
function header(name: string, size: number, date: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  const put = (offset: number, text: string) => bytes.set(new TextEncoder().encode(text), offset);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  if (new TextEncoder().encode(name).length > 100) {
    throw new RangeError(`Cannot archive "${name}": its name is longer than 100 bytes`);
  }
  put(0, name);
  put(100, octal(0o600, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(date, 11));
  put(148, " ".repeat(8)); // The checksum counts itself as blanks.
  put(156, "0");
  put(257, "ustar");
  put(263, "00");
  put(148, `${octal(bytes.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
  return bytes;
}
