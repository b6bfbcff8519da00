/**
 * What is wrong with a service that somebody described.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";

/** Where in the description: `["destinations", 2, "weight"]`. */
export type Field = readonly (string | number)[];

/** A description that makes no service. Readers of files catch it to name the line. */
export class ServiceError extends KnetError {
  override readonly name = "ServiceError";
  readonly field: Field;

  /**
   * @param what What cannot be used: `weight 70000 of 10.244.1.5:80`.
   * @param state Why.
   */
  constructor(field: Field, what: string, state: string, remedy: string) {
    super(`Cannot use ${what}: ${state}`, { exitCode: 2, remedy });
    this.field = field;
  }
}
