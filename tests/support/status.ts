/**
 * What the end-to-end tests read of `knet status --json`.
 *
 * @module
 */
import type { StatusReport } from "../../core/inspect/status.ts";
import type { Host } from "./host.ts";
import { until } from "./wait.ts";

/** Waits until a host's agent says that its store is there, or away; returns the sentence with it. */
export async function storeIs(
  host: Host,
  state: "ok" | "away" | "different",
  deadline?: number,
): Promise<string> {
  const { value } = await until(`the store of ${host.name} is ${state}`, async () => {
    const report = await host.knetJson<StatusReport>("status");
    if (report.store.state !== state) throw new Error(JSON.stringify(report.store));
    return report.store.detail || "(no sentence)";
  }, { interval: 100, ...(deadline === undefined ? {} : { deadline }) });
  return value;
}
