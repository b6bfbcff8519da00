/**
 * Addresses that were virtual IPs: connections to them end by a reset, which only who knows of them can send.
 *
 * @module
 */

/** As many are remembered; the longest gone are forgotten first. */
const MOST = 1024;

/** Those that are refused by nothing else. */
export class GoneVips {
  readonly #gone = new Set<string>();
  readonly #refuses: (address: string) => boolean;

  /** @param refuses Whether an address is refused as soon as it is no virtual IP: those of the service network are. */
  constructor(refuses: (address: string) => boolean = () => false) {
    this.#refuses = refuses;
  }

  /**
   * Takes note of what goes and what comes back.
   *
   * @param before virtual servers that the kernel had.
   * @param vips virtual IPs from now on.
   * @returns all that are gone.
   */
  change(
    before: Iterable<{ readonly address: string }>,
    vips: ReadonlySet<string>,
  ): ReadonlySet<string> {
    for (const { address } of before) {
      if (!vips.has(address) && !this.#refuses(address)) this.#gone.add(address);
    }
    for (const one of this.#gone) if (vips.has(one)) this.#gone.delete(one);
    for (const one of this.#gone) {
      if (this.#gone.size <= MOST) break;
      this.#gone.delete(one);
    }
    return new Set(this.#gone);
  }
}
