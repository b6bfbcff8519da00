/**
 * Named pipes (fifo(7)).
 *
 * @module
 */
import { openFile, OwnedFd } from "./file.ts";
import { check, cString, libc, prepareErrno } from "./libc.ts";
import { O_NONBLOCK, O_RDWR } from "./linux/fcntl.ts";

/**
 * Makes a named pipe and opens it both ways, without waiting: as long as it is open here, neither a reader nor a writer of it waits for
 * somebody at the other end, and when it is closed, by death too, a reader that is alone then comes to the end.
 *
 * @param mode permission bits, less the umask's.
 * @throws {SystemError} if it cannot be made: the name is taken, or the file system has no pipes.
 */
export function openNewFifo(path: string, mode: number): OwnedFd {
  prepareErrno();
  check(libc().mkfifo(cString(path), mode), "make the pipe", path);
  return new OwnedFd(openFile(path, O_RDWR | O_NONBLOCK));
}
