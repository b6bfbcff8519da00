/**
 * `knet doctor`: what is missing or wrong on this host, and the remedy.
 *
 * @module
 */
import { type DoctorCheck, examine, type Finding } from "./check.ts";
import { deviceChecks } from "./device_check.ts";
import { DEFAULT_PORT } from "../../port/port.ts";
import { dqliteDirectory } from "../../store/location.ts";
import { firewallChecks } from "./firewall_check.ts";
import { hostChecks } from "./host_check.ts";
import { managerChecks } from "./network_managers.ts";
import { pathsFinding } from "./paths_check.ts";
import { policyChecks } from "./policy_check.ts";
import { portChecks } from "./ports_check.ts";
import { storeChecks } from "./store_check.ts";
import { networkChecks } from "./underlay_check.ts";
import { storedAgentId, storedNodeId } from "../../cluster/node_identity.ts";
import { readNodeState } from "../../cluster/node_state.ts";
import { askAgent } from "../ask_agent.ts";

export type { DoctorCheck } from "./check.ts";

/** All checks. */
export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
}

/** Where to look. */
export interface DoctorOptions {
  /** What stands in the way of telling is a finding. */
  readonly storeUrl: () => Promise<string>;
  readonly stateDir: string;
  readonly dataDir: string;
}

/** What a file says, nothing if it may not be read: doctor works without root as far as it can. */
function readable<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

async function paths(stateDir: string): Promise<Finding> {
  const body = await askAgent(stateDir, "/status");
  if (body === undefined) return pathsFinding(undefined);
  const { readStatusReport } = await import("../report_shape.ts");
  return pathsFinding(readStatusReport(body).peers);
}

/**
 * Examines this host. Nothing is changed and nothing is left behind, kernel modules apart that trying a
 * feature loads, as joining would.
 */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const checks = await hostChecks();
  const nodeId = readable(() => storedNodeId(options.dataDir));
  const { checks: ofStore, config, leases, services } = await storeChecks(
    options.storeUrl,
    options.stateDir,
    nodeId,
  );
  checks.push(...ofStore);
  // Who may not ask is answered by somebody.
  const agentRuns = await askAgent(options.stateDir, "/healthz").catch(() => "") !== undefined;
  checks.push(await examine("paths to peers", () => paths(options.stateDir)));
  const state = readable(() => readNodeState(options.stateDir));
  checks.push(...await networkChecks({ config, leases, state, agentRuns }));
  const agentId = readable(() => storedAgentId(options.dataDir)) ?? "unknown";
  checks.push(...await deviceChecks({ id: agentId, dataDir: options.dataDir }));
  checks.push(...await portChecks(options.dataDir));
  if (config !== undefined) {
    const held = dqliteDirectory(await options.storeUrl().catch(() => "")) !== undefined;
    const facts = { config, leases, services, state, ...(held && { store: DEFAULT_PORT }) };
    checks.push(...await policyChecks(facts), ...await firewallChecks(facts));
  }
  checks.push(...await managerChecks());
  return { checks };
}
