/**
 * Keeps the kernel parameters that services need.
 *
 * @module
 */
import type { RecordKeeper } from "./owned_servers.ts";
import { type ParametersSet, setParameters } from "../device_parameters.ts";
import {
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
  /** What cannot be set. While there is such a thing, nothing is looked at: each look would find it. */
  #problems: readonly string[] = [];
  #looks = 0;

  constructor(record: RecordKeeper) {
    this.#record = record;
  }

  /** What could not be set is a problem and no reason to stop: services work without most of them. */
  ensure(wanted: readonly SysctlWanted[]): ParametersSet {
    if (this.#right && JSON.stringify(wanted) === JSON.stringify(this.#wanted)) {
      return { changes: [], problems: this.#problems };
    }
    this.#wanted = wanted;
    const before = new Map(this.#record.record.sysctls);
    const { changes, problems } = setParameters(wanted, before);
    this.#record.save({ sysctls: before });
    this.#right = true;
    this.#problems = problems;
    return { changes, problems };
  }

  /** Whether all is as it should be; looked at every tenth time only. */
  isRight(): boolean {
    if (++this.#looks % LOOKS === 0 && this.#problems.length === 0) {
      this.#right &&= sysctlsRight(this.#wanted);
    }
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
