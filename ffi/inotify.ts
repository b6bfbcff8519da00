/**
 * Watching a directory without touching its files: inotify(7).
 *
 * Deno's own watcher (seen in 2.9) opens and closes each file that an event names. A process that closes any descriptor of a file loses
 * all its record locks on it (fcntl(2)), SQLite's among them: two writers then meet, and the database is damaged.
 *
 * @module
 */
import { closeFile, OwnedFd } from "./file.ts";
import { check, cString, libc, prepareErrno } from "./libc.ts";
import { O_CLOEXEC, O_NONBLOCK } from "./linux/fcntl.ts";
import { EventPoll } from "./poll.ts";

// linux/inotify.h
const IN_CLOSE_WRITE = 0x8;
const IN_MOVED_TO = 0x80;
const IN_DELETE = 0x200;

/** Whatever is read is news; it only has to be taken away. */
const BUFFER = 4096;

/**
 * Calls `onChange` soon after a file of a directory was deleted, closed by one who wrote it, or moved there; once for many at a time.
 *
 * @returns what ends it.
 * @throws {SystemError} if the directory cannot be watched: it is not there, or the user has too many watches.
 */
export function watchDirectory(path: string, onChange: () => void): Disposable {
  prepareErrno();
  const c = libc();
  using opened = new OwnedFd(check(c.inotify_init1(O_CLOEXEC | O_NONBLOCK), "watch", path));
  const { fd } = opened;
  const events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE;
  check(c.inotify_add_watch(fd, cString(path), events), "watch", path);
  const poll = new EventPoll();
  opened.release();
  poll.add(fd);
  let ended = false;
  const follow = async () => {
    const bytes = new Uint8Array(BUFFER);
    try {
      while (!ended) {
        if ((await poll.wait()).length === 0) continue;
        while (libc().read(fd, bytes, BigInt(BUFFER)) > 0n);
        if (!ended) onChange();
      }
    } finally {
      closeFile(fd);
    }
  };
  void follow();
  return {
    [Symbol.dispose]() {
      ended = true;
      poll.close();
    },
  };
}
