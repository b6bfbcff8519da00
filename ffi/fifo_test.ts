import assert from "node:assert/strict";
import { EAGAIN } from "./errno.ts";
import { closeFile, openFile, readFd, writeFd } from "./file.ts";
import { openNewFifo } from "./fifo.ts";
import { SystemError } from "./libc.ts";
import { O_RDONLY, O_WRONLY } from "./linux/fcntl.ts";

const isError = (errno: number) => (error: unknown) =>
  error instanceof SystemError && error.errno === errno;

Deno.test("openNewFifo() waits for nobody, and its end is the reader's", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/pipe`;
    const pipe = openNewFifo(path, 0o600);
    assert.ok(Deno.statSync(path).isFifo);
    assert.throws(() => openNewFifo(path, 0o600), SystemError);
    const bytes = new Uint8Array(8);
    assert.throws(() => readFd(pipe.fd, bytes), isError(EAGAIN));
    // Neither waits: there is somebody at the other end.
    const reader = openFile(path, O_RDONLY);
    closeFile(openFile(path, O_WRONLY));
    writeFd(pipe.fd, new Uint8Array([1, 2]));
    pipe[Symbol.dispose]();
    assert.equal(readFd(reader, bytes), 2);
    assert.equal(readFd(reader, bytes), 0);
    closeFile(reader);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
