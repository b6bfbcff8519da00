/**
 * Looks whether a connection is accepted. All looks under way are watched together: the kernel is asked every few milliseconds which
 * of them are decided, and not at all while there are none.
 *
 * @module
 */
import { SystemError } from "../../ffi/libc.ts";
import {
  beginConnection,
  connectionError,
  connectionsDecided,
  endConnection,
  socketAddress,
} from "../../ffi/tcp.ts";
import { after, type Timer } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { failed, LATE, PASSED, type Probe, type ProbeResult } from "./probe.ts";

/** Milliseconds from one asking to the next. */
const TICK = 5;

/** Ends of the looks under way, by their descriptors. */
const open = new Map<number, (result: ProbeResult) => void>();
let timer: Timer | undefined;

function judge(error: unknown): ProbeResult {
  return error instanceof SystemError
    ? failed(error.code, error.message.replace(/^Cannot /, ""))
    : failed(undefined, messageOf(error));
}

function tick(): void {
  timer = undefined;
  for (const fd of connectionsDecided([...open.keys()])) {
    const error = connectionError(fd);
    end(fd, error === undefined ? PASSED : judge(error));
  }
  if (open.size > 0) timer ??= after(TICK, tick);
}

function end(fd: number, result: ProbeResult): void {
  const done = open.get(fd);
  if (done === undefined) return;
  open.delete(fd);
  endConnection(fd);
  if (open.size === 0) {
    timer?.cancel();
    timer = undefined;
  }
  done(result);
}

/** Looks by a TCP connection that is given up at once. */
export const tcpProbe: Probe = ({ address, port }, done) => {
  let fd: number;
  try {
    fd = beginConnection(socketAddress(address, port));
  } catch (error) {
    const result = judge(error);
    queueMicrotask(() => done(result));
    return () => {};
  }
  open.set(fd, done);
  // Sooner than a later tick: most are decided within the first millisecond.
  timer ??= after(1, tick);
  let given = false;
  return () => {
    // The number of the descriptor may be another's by then.
    if (!given && open.get(fd) === done) end(fd, LATE);
    given = true;
  };
};
