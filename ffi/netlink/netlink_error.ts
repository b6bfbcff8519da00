/**
 * What the kernel answers when it refuses a request.
 *
 * @module
 */
import { errnoName, errnoText } from "../errno.ts";

/** What the kernel answers when it is to delete what is not there; the device may have taken its entries with it. */
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL"]);

/**
 * A request that the kernel refused, made from the raw nlmsgerr: libnl's own codes fold several errnos into one.
 */
export class NetlinkError extends Error {
  /** Always "NetlinkError". */
  override readonly name = "NetlinkError";
  /** The positive errno (errno.h). */
  readonly errno: number;
  /** The errno's name, `ENETDOWN`. */
  readonly code: string;
  /** What was being done: `add route 10.244.3.0/24 via 10.244.3.0`. */
  readonly operation: string;
  /** The kernel's own words (NLMSGERR_ATTR_MSG of linux/netlink.h), if it had any. */
  readonly kernelMessage: string | undefined;

  /**
   * An error made of an errno and the kernel's words.
   *
   * @param errno The positive errno (errno.h).
   * @param operation What was being done: `add route 10.244.3.0/24`.
   * @param kernelMessage The kernel's own words.
   */
  constructor(errno: number, operation: string, kernelMessage?: string) {
    const code = errnoName(errno);
    super(`Cannot ${operation}: ${code} (${kernelMessage ?? errnoText(errno)})`);
    this.errno = errno;
    this.code = code;
    this.operation = operation;
    this.kernelMessage = kernelMessage;
  }

  /** Whether the object was not there; to a deletion that is no failure. */
  get isGone(): boolean {
    return GONE.has(this.code);
  }
}
