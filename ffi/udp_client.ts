/**
 * UDP to one other side each, many at a time, without waiting: a port that is refused is told, unlike on sockets that are not
 * connected.
 *
 * @module
 */
import { EAGAIN } from "./errno.ts";
import { OwnedFd } from "./file.ts";
import { check, errno, libc, prepareErrno, SystemError } from "./libc.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from "./linux/socket.ts";

const incoming = new Uint8Array(new ArrayBuffer(65_535));

/** A UDP socket that speaks with one other side, closed when disposed of. */
export class UdpClient extends OwnedFd {
  readonly #to: Uint8Array<ArrayBuffer>;

  private constructor(fd: number, to: Uint8Array<ArrayBuffer>) {
    super(fd);
    this.#to = to;
  }

  /**
   * Opens one in the network namespace of the calling thread.
   *
   * @param to of `socketAddress` (tcp.ts).
   * @throws {SystemError} if there is no way, or no descriptor left.
   */
  static open(to: Uint8Array<ArrayBuffer>): UdpClient {
    prepareErrno();
    using socket = new OwnedFd(
      check(libc().socket(to[0]!, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket"),
    );
    check(libc().connect(socket.fd, to, to.length), "connect");
    return new UdpClient(socket.release(), to);
  }

  /**
   * Sends a datagram, which may be empty.
   *
   * @throws {SystemError} ECONNREFUSED if what was sent before was refused.
   */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    prepareErrno();
    // The address again: one of no length is EINVAL, and an empty buffer is not always passed as NULL.
    const to = this.#to;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const sent = libc().sendto(this.fd, bytes, BigInt(bytes.length), flags, to, to.length);
    if (sent < 0) throw new SystemError(errno(), "send");
  }

  /**
   * The next datagram; undefined if none has come. Its bytes are good until the next is received.
   *
   * @throws {SystemError} ECONNREFUSED if the port is refused.
   */
  receive(): Uint8Array | undefined {
    prepareErrno();
    const size = BigInt(incoming.length);
    const count = Number(libc().recv(this.fd, incoming, size, MSG_DONTWAIT));
    if (count >= 0) return incoming.subarray(0, count);
    const number = errno();
    if (number === EAGAIN) return undefined;
    throw new SystemError(number, "receive");
  }
}
