/**
 * What tests do with a host, whether it is a machine with a kernel of its own or a guest of this computer's.
 *
 * @module
 */
import type { Outcome } from "../support/exec.ts";

/** A Debian with systemd as process 1. */
export interface Host extends AsyncDisposable {
  readonly name: string;
  readonly address: string;
  /**
   * Runs a script of bash as root.
   *
   * @throws {Error} with its output if it fails.
   */
  sh(script: string, options?: { check?: boolean; timeout?: number }): Promise<Outcome>;
  /** What a script printed, trimmed. */
  read(script: string, timeout?: number): Promise<string>;
  /** Restarts it as an administrator does. */
  reboot(): Promise<void>;
  /** Takes its current away for a moment. */
  cutPower(): Promise<void>;
}
