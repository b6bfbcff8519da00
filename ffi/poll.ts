/**
 * Waits for kernel events on many descriptors at once, without stopping the event loop: one
 * nonblocking foreign call of poll(2), which Deno runs on a thread of its own.
 *
 * Up to Deno 2.7 a buffer that only such a call refers to can be collected while the call runs, and
 * the kernel then writes into memory that is something else by now. Every buffer handed over is
 * therefore kept in a set of this module until its call has ended.
 *
 * @module
 */
import { closeFile } from "./file.ts";
import { check, libc, prepareErrno } from "./libc.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, POLLFD, POLLIN } from "./linux/fcntl.ts";

/** What calls under way read and write. */
const held = new Set<Uint8Array<ArrayBuffer>>();

const LONGEST_MS = 0x7fffffff;
const MOST_FAILURES = 100;

/** A set of descriptors to wait for. */
export class EventPoll implements Disposable {
  readonly #fds = new Set<number>();
  #wake: number | undefined;
  #woken = false;
  #waiting = false;
  /** The eventfd of a closed set whose last call has not ended yet: its number must not be reused before. */
  #closing: number | undefined;

  constructor() {
    prepareErrno();
    this.#wake = check(libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "create an eventfd");
  }

  /** Waits for this descriptor from now on, in a wait under way too. */
  add(fd: number): void {
    this.#fds.add(fd);
    this.#signal();
  }

  /** Waits for this descriptor no more. Do this before closing it. */
  remove(fd: number): void {
    this.#fds.delete(fd);
    this.#signal();
  }

  /** Makes a wait under way, or else the next one, end at once. */
  wake(): void {
    this.#woken = true;
    this.#signal();
  }

  /**
   * Waits until one of the descriptors has something to read, or an error to report.
   *
   * @param timeoutMs the longest time to wait, in milliseconds; without it there is no limit.
   * @returns the descriptors that are ready; none if the time is up or the wait was ended by
   * {@linkcode wake} or {@linkcode close}.
   * @throws {TypeError} if another wait is under way.
   */
  async wait(timeoutMs?: number): Promise<number[]> {
    if (this.#waiting) throw new TypeError("Cannot wait for kernel events: a wait is under way");
    this.#waiting = true;
    try {
      return await this.#waitLoop(timeoutMs);
    } finally {
      this.#waiting = false;
      if (this.#closing !== undefined) closeFile(this.#closing);
      this.#closing = undefined;
    }
  }

  async #waitLoop(timeoutMs: number | undefined): Promise<number[]> {
    const until = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    let failures = 0;
    while (this.#wake !== undefined) {
      if (this.#woken) {
        this.#woken = false;
        return [];
      }
      const left = until === undefined ? -1 : Math.ceil(Math.max(0, until - performance.now()));
      const fds = [this.#wake, ...this.#fds];
      const { count, ready } = await pollOnce(fds, Math.min(left, LONGEST_MS));
      if (count < 0) {
        // The errno stayed on the other thread. It is EINTR unless something is badly wrong.
        if (++failures === MOST_FAILURES) {
          throw new Error("Cannot wait for kernel events: poll failed");
        }
        continue;
      }
      failures = 0;
      if (ready.delete(fds[0]!)) this.#drain();
      const known = [...ready].filter((fd) => this.#fds.has(fd));
      if (known.length > 0) {
        this.#woken = false;
        return known;
      }
      if (until !== undefined && performance.now() >= until) return [];
    }
    return [];
  }

  /** Ends a wait under way, and releases what is held. The descriptors themselves stay open. */
  close(): void {
    const fd = this.#wake;
    if (fd === undefined) return;
    this.#signal();
    this.#wake = undefined;
    this.#fds.clear();
    if (this.#waiting) this.#closing = fd;
    else closeFile(fd);
  }

  /** Same as {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #signal(): void {
    if (this.#wake === undefined || !this.#waiting) return;
    libc().write(this.#wake, ONE, 8n);
  }

  #drain(): void {
    if (this.#wake !== undefined) libc().read(this.#wake, new Uint8Array(8), 8n);
  }
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

async function pollOnce(
  fds: readonly number[],
  timeout: number,
): Promise<{ count: number; ready: Set<number> }> {
  // An explicit ArrayBuffer: V8 may keep the bytes of a small typed array on its own heap and move them.
  const bytes = new Uint8Array(new ArrayBuffer(fds.length * POLLFD));
  const view = new DataView(bytes.buffer);
  fds.forEach((fd, index) => {
    view.setInt32(index * POLLFD, fd, true);
    view.setInt16(index * POLLFD + 4, POLLIN, true);
  });
  held.add(bytes);
  try {
    const count = await libc().pollAside(bytes, BigInt(fds.length), timeout);
    const ready = fds.filter((_, index) => view.getInt16(index * POLLFD + 6, true) !== 0);
    return { count, ready: new Set(count > 0 ? ready : []) };
  } finally {
    held.delete(bytes);
  }
}
