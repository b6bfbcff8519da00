/**
 * Real servers as the command line takes them.
 *
 * @module
 */
import { type Destination, realServerKey } from "../model.ts";

/** What `parseDestination` reads: `10.244.1.5:8080,weight=3`. */
export function formatDestination(one: Destination): string {
  return [
    realServerKey(one),
    ...(one.weight === 1 ? [] : [`weight=${one.weight}`]),
    ...(one.upper === 0 ? [] : [`upper=${one.upper}`]),
    ...(one.lower === 0 ? [] : [`lower=${one.lower}`]),
  ].join(",");
}
