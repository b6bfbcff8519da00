/**
 * Files that live in memory and have no name: the way knet loads the libraries it carries without
 * leaving a file in a folder that others can write.
 *
 * @module
 */
import { EINVAL } from "./errno.ts";
import { OwnedFd, writeFd } from "./file.ts";
import { cString, errno, libc, prepareErrno, SystemError } from "./libc.ts";

/** linux/memfd.h */
const MFD_CLOEXEC = 0x1;
/** linux/memfd.h, since Linux 6.3: the file can never be made executable. */
const MFD_NOEXEC_SEAL = 0x8;

/**
 * Makes a file in memory with the given bytes.
 *
 * A library is mapped, not executed, so the file need not be executable; saying so is what lets it
 * through where `vm.memfd_noexec=2` forbids every other kind.
 *
 * @param name shown in /proc/PID/maps, for whoever looks there.
 * @returns its descriptor, which the caller closes.
 * @throws {SystemError} if the kernel refuses.
 */
export function createMemfd(name: string, bytes: Uint8Array<ArrayBuffer>): number {
  prepareErrno();
  const c = libc();
  const text = cString(name);
  let fd = c.memfd_create(text, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (fd < 0) {
    const number = errno();
    if (number !== EINVAL) throw new SystemError(number, "create a file in memory", name);
    // Before Linux 6.3 the flag is unknown.
    fd = c.memfd_create(text, MFD_CLOEXEC);
    if (fd < 0) throw new SystemError(errno(), "create a file in memory", name);
  }
  using file = new OwnedFd(fd);
  writeFd(fd, bytes, name);
  return file.release();
}
