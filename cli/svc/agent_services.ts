/**
 * Asks this host's agent for what it makes of the services.
 *
 * @module
 */
import { KnetError } from "../../core/base/error.ts";
import type { ServicesReport } from "../../core/inspect/service_report.ts";
import type { Settings } from "../settings.ts";

/** What the agent of this host says of its services; undefined if there is no agent, or one without services. */
export async function askServices(settings: Settings): Promise<ServicesReport | undefined> {
  const { askAgent } = await import("../../core/inspect/ask_agent.ts");
  const body = await askAgent(settings.stateDir, "/services");
  if (body === undefined) return undefined;
  const { readServicesReport } = await import("../../core/inspect/report_shape.ts");
  return readServicesReport(body);
}

/** The same for a command that shows the store: without the right to ask, or without an answer, it shows that alone. */
export async function tryServices(settings: Settings): Promise<ServicesReport | undefined> {
  try {
    return await askServices(settings);
  } catch (error) {
    if (error instanceof KnetError) return undefined;
    throw error;
  }
}
