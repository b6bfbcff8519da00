/**
 * Netlink sockets: libnl owns and sends, the answers are read straight into a buffer of ours. Everything is synchronous; the kernel
 * works on a request before `sendmsg` returns.
 *
 * A receive buffer that is full costs answers: the kernel says ENOBUFS once and drops all further ones without a word until everything
 * is read. So no more is sent at a time than there is room for the refusals of, and nothing is waited for without an end.
 *
 * Longer than others: sending and the two ways of collecting answers share a socket's buffer and sequence.
 *
 * @module
 */
import { EAGAIN, EINTR, ENOBUFS, ETIMEDOUT } from "../errno.ts";
import { errno, libc, SystemError } from "../libc.ts";
import { libnl, libnlError } from "../libnl.ts";
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NLM_F_ACK,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "../linux/netlink.ts";
import { MSG_DONTWAIT, MSG_TRUNC, SOL_NETLINK } from "../linux/socket.ts";
import { decodeError, messageBehind } from "./acknowledgement.ts";
import { Batch } from "./batch.ts";
import { NetlinkError } from "./netlink_error.ts";
import { type MessageView, messageView, walkMessages } from "./message.ts";
import { receiveBufferOf, setBuffers, setOption, setPatience } from "./socket_options.ts";

const SEND_BYTES = 256 * 1024;
const RECEIVE_BYTES = 256 * 1024;
const BUFFER_BYTES = 4 * 1024 * 1024;
const DUMP_TRIES = 20;
/** Seconds that an answer may take. The kernel has worked on a request before it is sent; only what got lost is waited for so long. */
const PATIENCE = 10;
/** Bytes of the receive buffer that the kernel charges for a refusal with its explanation, and some more. */
const REFUSAL_BYTES = 2048;

/** A message of a batch that the kernel refused. */
export interface BatchFailure {
  /** Its place in the batch. */
  readonly index: number;
  /** Why. */
  readonly error: NetlinkError;
}

/** How a socket is opened. */
export interface NetlinkSocketOptions {
  /** Bytes of the receive buffer; beyond the host's limit where the process may. The default is 4 MiB. */
  readonly receiveBuffer?: number;
  /** Seconds that an answer may take. The default is 10. */
  readonly patience?: number;
}

/** One netlink socket. */
export class NetlinkSocket implements Disposable {
  #socket: Deno.PointerValue;
  /** Its file descriptor, for a poll. */
  readonly fd: number;
  /** Its port id, which comes back in the notifications that its requests cause. */
  readonly portId: number;
  /** Messages whose refusals the receive buffer has room for. */
  readonly #room: number;
  #sequence = 1;
  /** Made at the first use: a socket that is opened and closed costs little. */
  #buffer = new Uint8Array(0);
  readonly #message: MessageView = messageView();

  private constructor(socket: Deno.PointerValue, fd: number, portId: number, room: number) {
    this.#socket = socket;
    this.fd = fd;
    this.portId = portId;
    this.#room = room;
  }

  /**
   * Opens a socket in the network namespace that the thread is in.
   *
   * @param protocol NETLINK_ number of linux/netlink.h, 0 for NETLINK_ROUTE.
   * @throws {MissingLibraryError} without libnl.
   * @throws {SystemError} if the kernel gives none.
   */
  static open(protocol: number, options: NetlinkSocketOptions = {}): NetlinkSocket {
    const nl = libnl();
    const socket = nl.nl_socket_alloc();
    if (socket === null) throw new Error("Cannot open a netlink socket: out of memory");
    try {
      const status = nl.nl_connect(socket, protocol);
      if (status < 0) throw new Error(`Cannot open a netlink socket: ${libnlError(status)}`);
      const fd = nl.nl_socket_get_fd(socket);
      for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
        setOption(fd, SOL_NETLINK, option, 1); // Older kernels do without.
      }
      setBuffers(fd, options.receiveBuffer ?? BUFFER_BYTES, BUFFER_BYTES);
      setPatience(fd, options.patience ?? PATIENCE);
      const room = Math.max(1, Math.floor(receiveBufferOf(fd) / REFUSAL_BYTES));
      return new NetlinkSocket(socket, fd, nl.nl_socket_get_local_port(socket), room);
    } catch (error) {
      nl.nl_socket_free(socket);
      throw error;
    }
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    if (this.#socket === null) return;
    libnl().nl_socket_free(this.#socket);
    this.#socket = null;
  }

  /**
   * Subscribes to a multicast group.
   *
   * @throws {Error} if there is no such group.
   */
  joinGroup(group: number): void {
    const status = libnl().nl_socket_add_membership(this.#socket, group);
    if (status < 0) throw new Error(`Cannot join netlink group ${group}: ${libnlError(status)}`);
  }

  #transmit(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#socket === null) throw new TypeError("Cannot send: the netlink socket is closed");
    const status = libnl().nl_sendto(this.#socket, bytes, BigInt(bytes.length));
    if (status < 0) throw new Error(`Cannot send to the kernel: ${libnlError(status)}`);
  }

  /** Bytes received into the buffer; throws with the errno. */
  #receive(flags: number): number {
    const { recv } = libc();
    if (this.#buffer.length === 0) this.#buffer = new Uint8Array(RECEIVE_BYTES);
    while (true) {
      const length = Number(
        recv(this.fd, this.#buffer, BigInt(this.#buffer.length), flags | MSG_TRUNC),
      );
      if (length >= 0) return Math.min(length, this.#buffer.length);
      const code = errno();
      if (code !== EINTR) throw new SystemError(code, "receive from the kernel");
    }
  }

  /**
   * Sends all messages of a batch in a few sends. Only the last message of each asks for an acknowledgement: the kernel reports
   * every failure anyway.
   *
   * @returns The messages that failed, in their order; ENOBUFS where the answer was lost, so that nobody knows whether one did.
   * @throws {NetlinkError} ETIMEDOUT if the kernel does not answer.
   */
  send(batch: Batch): BatchFailure[] {
    const failures: BatchFailure[] = [];
    for (let first = 0; first < batch.count;) {
      const start = batch.startOf(first);
      let next = first + 1;
      while (
        next < batch.count && next - first < this.#room &&
        batch.startOf(next + 1) - start <= SEND_BYTES
      ) next++;
      const { view } = batch;
      const base = this.#sequence;
      this.#sequence = (this.#sequence + next - first) >>> 0 || 1;
      for (let index = first; index < next; index++) {
        view.setUint32(batch.startOf(index) + 8, (base + index - first) >>> 0, true);
      }
      const last = batch.startOf(next - 1) + 6;
      view.setUint16(last, view.getUint16(last, true) | NLM_F_ACK, true);
      this.#transmit(batch.bytes.subarray(start, batch.startOf(next)));
      const fail = (offset: number, errno: number, text: string | undefined) =>
        failures.push({
          index: first + offset,
          error: new NetlinkError(errno, batch.describe(first + offset), text),
        });
      this.#collect(base, next - first, fail, () => batch.describe(first));
      first = next;
    }
    return failures.sort((a, b) => a.index - b.index);
  }

  #collect(
    base: number,
    count: number,
    fail: (offset: number, errno: number, text: string | undefined) => void,
    describe: () => string,
  ): void {
    /** Those that were answered, once that counts. */
    const refused = new Set<number>();
    let done = false;
    const take = (message: MessageView) => {
      if (message.type !== NLMSG_ERROR) return;
      const offset = (message.seq - base) >>> 0;
      if (offset >= count) return; // An answer to an earlier send that was given up.
      const { errno, message: text } = decodeError(message);
      if (errno !== 0) {
        refused.add(offset);
        fail(offset, errno, text);
      }
      if (offset === count - 1) done = true;
    };
    while (!done) {
      const length = this.#answer(describe);
      if (length !== undefined) {
        walkMessages(this.#buffer, length, this.#message, take);
        continue;
      }
      // Those that were not answered may have been done, or refused.
      this.receive(take);
      for (let offset = 0; offset < count; offset++) {
        if (refused.has(offset) || (done && offset === count - 1)) continue;
        fail(offset, ENOBUFS, "the answer was lost, so it may have been done or not");
      }
      return;
    }
  }

  /**
   * Waits for an answer.
   *
   * @returns bytes in the buffer; undefined if the kernel dropped some, and will drop all others until everything is read.
   * @throws {NetlinkError} ETIMEDOUT
   */
  #answer(describe: () => string): number | undefined {
    try {
      return this.#receive(0);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (error.errno === ENOBUFS) return undefined;
      if (error.errno !== EAGAIN) throw error;
      throw new NetlinkError(ETIMEDOUT, describe(), "the kernel does not answer");
    }
  }

  /**
   * Sends a batch and throws the first failure.
   *
   * @throws {NetlinkError}
   */
  request(batch: Batch): void {
    const failure = this.send(batch)[0];
    if (failure !== undefined) throw failure.error;
  }

  /**
   * Asks for all objects of a kind. A dump that a change interrupted, or of which something was dropped, is begun again.
   *
   * @param build Writes the one request.
   * @param onMessage Called for every object.
   * @param options.restart Forget what came so far.
   * @throws {NetlinkError}
   */
  dump(
    build: (batch: Batch) => void,
    onMessage: (message: MessageView) => void,
    options: { readonly restart?: () => void } = {},
  ): void {
    for (let attempt = 1;; attempt++) {
      const batch = new Batch(512);
      build(batch);
      const sequence = this.#sequence;
      this.#sequence = (this.#sequence + 1) >>> 0 || 1;
      batch.view.setUint32(8, sequence, true);
      this.#transmit(batch.bytes);
      let interrupted = false;
      let lost = false;
      for (let done = false; !done;) {
        const length = this.#answer(() => batch.describe(0));
        if (length === undefined) {
          this.receive(() => {});
          lost = true;
          break;
        }
        walkMessages(this.#buffer, length, this.#message, (message) => {
          if (message.seq !== sequence || done) return;
          if (message.flags & NLM_F_DUMP_INTR) interrupted = true;
          if (message.type === NLMSG_DONE) {
            done = true;
            const status = message.end - message.offset >= 4
              ? message.view.getInt32(message.offset, true)
              : 0;
            if (status < 0) {
              throw new NetlinkError(-status, batch.describe(0), messageBehind(message, 4));
            }
          } else if (message.type === NLMSG_ERROR) {
            done = true;
            const error = decodeError(message);
            if (error.errno !== 0) {
              throw new NetlinkError(error.errno, batch.describe(0), error.message);
            }
          } else onMessage(message);
        });
      }
      if (!interrupted && !lost) return;
      if (attempt === DUMP_TRIES) {
        throw lost
          ? new NetlinkError(ENOBUFS, batch.describe(0), `answers were lost ${attempt} times`)
          : new NetlinkError(EINTR, batch.describe(0), `interrupted by changes ${attempt} times`);
      }
      options.restart?.();
    }
  }

  /**
   * Reads the notifications that have arrived, without waiting.
   *
   * @returns Whether the kernel had to drop some.
   */
  receive(onMessage: (message: MessageView) => void): { overrun: boolean } {
    let overrun = false;
    while (true) {
      let length: number;
      try {
        length = this.#receive(MSG_DONTWAIT);
      } catch (error) {
        if (error instanceof SystemError && error.errno === ENOBUFS) {
          overrun = true;
          continue;
        }
        if (error instanceof SystemError && error.errno === EAGAIN) return { overrun };
        throw error;
      }
      walkMessages(this.#buffer, length, this.#message, onMessage);
    }
  }
}
