/**
 * Netlink sockets: libnl owns and sends, the answers are read straight into a buffer of ours. Everything is synchronous; the kernel
 * works on a request before `sendmsg` returns.
 *
 * @module
 */
import { EAGAIN, EINTR, ENOBUFS } from "../errno.ts";
import { errno, libc, SystemError } from "../libc.ts";
import { libnl, libnlError } from "../libnl.ts";
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  NLMSGERR_ATTR_MSG,
} from "../linux/netlink.ts";
import {
  MSG_DONTWAIT,
  MSG_TRUNC,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_NETLINK,
  SOL_SOCKET,
} from "../linux/socket.ts";
import { Batch } from "./batch.ts";
import { NetlinkError } from "./netlink_error.ts";
import { Attributes, type MessageView, messageView, walkMessages } from "./message.ts";

const SEND_BYTES = 256 * 1024;
const RECEIVE_BYTES = 256 * 1024;
const BUFFER_BYTES = 4 * 1024 * 1024;
const DUMP_TRIES = 20;

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
}

/** One netlink socket. */
export class NetlinkSocket implements Disposable {
  #socket: Deno.PointerValue;
  /** Its file descriptor, for a poll. */
  readonly fd: number;
  /** Its port id, which comes back in the notifications that its requests cause. */
  readonly portId: number;
  #sequence = 1;
  /** Made at the first use: a socket that is opened and closed costs little. */
  #buffer = new Uint8Array(0);
  readonly #message: MessageView = messageView();

  private constructor(socket: Deno.PointerValue, fd: number, portId: number) {
    this.#socket = socket;
    this.fd = fd;
    this.portId = portId;
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
      const bytes = options.receiveBuffer ?? BUFFER_BYTES;
      if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) {
        setOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
      }
      if (!setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES)) {
        setOption(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
      }
      return new NetlinkSocket(socket, fd, nl.nl_socket_get_local_port(socket));
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
   * @returns The messages that failed, in their order.
   */
  send(batch: Batch): BatchFailure[] {
    const failures: BatchFailure[] = [];
    for (let first = 0; first < batch.count;) {
      const start = batch.startOf(first);
      let next = first + 1;
      while (next < batch.count && batch.startOf(next + 1) - start <= SEND_BYTES) next++;
      const { view } = batch;
      const base = this.#sequence;
      this.#sequence = (this.#sequence + next - first) >>> 0 || 1;
      for (let index = first; index < next; index++) {
        view.setUint32(batch.startOf(index) + 8, (base + index - first) >>> 0, true);
      }
      const last = batch.startOf(next - 1) + 6;
      view.setUint16(last, view.getUint16(last, true) | NLM_F_ACK, true);
      this.#transmit(batch.bytes.subarray(start, batch.startOf(next)));
      this.#collect(base, next - first, (offset, error) => {
        failures.push({
          index: first + offset,
          error: new NetlinkError(error.errno, batch.describe(first + offset), error.message),
        });
      });
      first = next;
    }
    return failures;
  }

  #collect(
    base: number,
    count: number,
    fail: (offset: number, error: { errno: number; message: string | undefined }) => void,
  ): void {
    for (let done = false; !done;) {
      const length = this.#receive(0);
      walkMessages(this.#buffer, length, this.#message, (message) => {
        if (message.type !== NLMSG_ERROR) return;
        const offset = (message.seq - base) >>> 0;
        if (offset >= count) return; // An answer to an earlier send that was given up.
        const error = decodeError(message);
        if (error.errno !== 0) fail(offset, error);
        if (offset === count - 1) done = true;
      });
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
   * Asks for all objects of a kind. A dump that a change interrupted is begun again.
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
      for (let done = false; !done;) {
        const length = this.#receive(0);
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
      if (!interrupted) return;
      if (attempt === DUMP_TRIES) {
        throw new NetlinkError(EINTR, batch.describe(0), `interrupted by changes ${attempt} times`);
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

function setOption(fd: number, level: number, option: number, value: number): boolean {
  return libc().setsockopt(fd, level, option, new Int32Array([value]), 4) === 0;
}

/** Reads a struct nlmsgerr and the extended acknowledgement behind it. */
export function decodeError(message: MessageView): { errno: number; message: string | undefined } {
  const { view, offset, end } = message;
  if (end - offset < 4 + NLMSG_HDRLEN) return { errno: 0, message: undefined };
  const code = 0 - view.getInt32(offset, true);
  if (code === 0 || (message.flags & NLM_F_ACK_TLVS) === 0) {
    return { errno: code, message: undefined };
  }
  const inner = message.flags & NLM_F_CAPPED ? NLMSG_HDRLEN : view.getUint32(offset + 4, true);
  if (inner > end - offset) return { errno: code, message: undefined };
  return { errno: code, message: messageBehind(message, 4 + ((inner + 3) & ~3)) };
}

/** The kernel's words in the extended acknowledgement that starts so many bytes into the payload. */
function messageBehind(message: MessageView, skip: number): string | undefined {
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return undefined;
  const { data, view, offset, end } = message;
  return new Attributes().parse(data, view, offset + skip, end).string(NLMSGERR_ATTR_MSG);
}
