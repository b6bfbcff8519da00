/**
 * Keeps the kernel parameters that services need.
 *
 * @module
 */
import type { RecordKeeper } from "./owned_servers.ts";
import {
  ensureSysctls,
  restoreSysctls,
  type SysctlRow,
  sysctlRows,
  sysctlsRight,
  type SysctlWanted,
} from "./sysctls.ts";

/** Looks after which the parameters are read again. */
const LOOKS = 10;

/** Kernel parameters of the network namespace that the thread is in at each call. */
export class SysctlKeeper {
  readonly #record: RecordKeeper;
  #wanted: readonly SysctlWanted[] = [];
  #right = false;
  #looks = 0;

  constructor(record: RecordKeeper) {
    this.#record = record;
  }

  /** @returns what was done, in words. */
  ensure(wanted: readonly SysctlWanted[]): string[] {
    if (this.#right && JSON.stringify(wanted) === JSON.stringify(this.#wanted)) return [];
    this.#wanted = wanted;
    const before = new Map(this.#record.record.sysctls);
    const changes = ensureSysctls(wanted, before);
    this.#record.save({ sysctls: before });
    this.#right = true;
    return changes;
  }

  /** Whether all is as it should be; looked at every tenth time only. */
  isRight(): boolean {
    if (++this.#looks % LOOKS === 0) this.#right &&= sysctlsRight(this.#wanted);
    return this.#right;
  }

  /** The parameters as they are. */
  rows(): SysctlRow[] {
    return sysctlRows(this.#wanted, this.#record.record.sysctls);
  }

  /** Gives them the values that they had before knet. */
  restore(): void {
    restoreSysctls(this.#record.record.sysctls);
    this.#right = false;
  }
}
