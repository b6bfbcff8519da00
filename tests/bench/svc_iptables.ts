/**
 * The claim that is always made for IPVS, measured: the same services by knet and as kube-proxy's iptables mode writes them.
 *
 * @module
 */
import { NO_TIMEOUTS, type VirtualServer } from "../../core/services/service.ts";
import { median } from "../support/wait.ts";
import { ALONE, World } from "../vm/world.ts";
import { answering, IPTABLES_BASE, iptablesRules, silent } from "./svc_cases.ts";
import { ANSWERING, onStage, type Stage, startCost, timed, timedAsync } from "./svc_stage.ts";

/** One way of having one number of services. */
export interface ModeFigures {
  readonly services: number;
  /** `knet`, `iptables-nft`, … */
  readonly mode: string;
  /** All of them from nothing, milliseconds. */
  readonly whole: number;
  /** One more, milliseconds. */
  readonly add: number;
  /** One more by writing only its own chains and the chain of all services, as newer kube-proxies do. */
  readonly addPartly: number | undefined;
  /** A connection to the service that was added last, microseconds (median). */
  readonly connect: number;
  /** What the kernel needs for them: unreclaimable slab, vmalloc and per-processor memory, MiB. */
  readonly kernel: number;
  /** Resident size of the process that holds them, MiB; iptables has none. */
  readonly resident: number | undefined;
}

/** How it is measured. */
export interface IptablesOptions {
  readonly sizes: readonly number[];
  /** Programs' names without `-restore`: `iptables-nft`, `iptables-legacy`. */
  readonly iptables: readonly string[];
  /** Seconds; no size is begun that would probably last beyond them. */
  readonly budget: number;
  readonly say: (text: string) => void;
}

const CONNECTS = 300;
const ADDITIONS = 3;
const PATIENCE = 4000;

/**
 * Measures.
 *
 * @returns the figures, and a sentence for each mode and size that was left out.
 */
export async function measureAgainstIptables(
  { sizes, iptables, budget, say }: IptablesOptions,
): Promise<{ results: ModeFigures[]; leftOut: string[] }> {
  const results: ModeFigures[] = [];
  const leftOut: string[] = [];
  // The first of each loads modules.
  for (const mode of ["knet", ...iptables]) await measureMode(mode, 1);
  const began = performance.now();
  const last = new Map<string, { services: number; seconds: number }>();
  for (const services of sizes) {
    for (const mode of ["knet", ...iptables]) {
      const before = last.get(mode);
      // At best as many times longer as there are more services.
      const guess = before === undefined ? 0 : before.seconds * services / before.services;
      const spent = (performance.now() - began) / 1000;
      if (before !== undefined && before.services > 1 && spent + guess > budget) {
        leftOut.push(
          `${mode} with ${services} services: would take ${Math.round(guess)} s or more`,
        );
        continue;
      }
      say(`${services} services by ${mode}`);
      const start = performance.now();
      results.push(await measureMode(mode, services));
      last.set(mode, { services, seconds: (performance.now() - start) / 1000 });
    }
  }
  return { results, leftOut };
}

function measureMode(mode: string, services: number): Promise<ModeFigures> {
  return mode === "knet" ? byKnet(services) : byIptables(services, mode);
}

/** Services of which none is ever asked. */
function services(count: number): VirtualServer[] {
  return Array.from({ length: count }, (_, index) => silent(index));
}

async function connect(stage: Stage, { address, port }: VirtualServer): Promise<number> {
  await stage.connect(address, port, 20);
  return median(await stage.connect(address, port, CONNECTS));
}

function byKnet(count: number): Promise<ModeFigures> {
  return onStage(async (stage) => {
    using world = World.of(stage.host, { ...ALONE, devices: ["knet0"] });
    const all = services(count);
    const set = () => timed(() => world.set({ virtualServers: [...all], timeouts: NO_TIMEOUTS }));
    const before = kernelMemory();
    const whole = set();
    const kernel = kernelMemory() - before;
    const resident = Deno.memoryUsage().rss / 2 ** 20;
    const times: number[] = [];
    for (let more = 0; more < ADDITIONS; more++) {
      // The agent looks every second, and then knows that nobody else changed anything.
      if (world.check() !== undefined) throw new Error("Something was not as it should be");
      all.push(answering(count + more, ANSWERING));
      times.push(set());
    }
    const connecting = await connect(stage, all.at(-1)!);
    const figures = { services: count, mode: "knet", whole, add: median(times) };
    return { ...figures, addPartly: undefined, connect: connecting, kernel, resident };
  });
}

function byIptables(count: number, mode: string): Promise<ModeFigures> {
  return onStage(async (stage) => {
    const start = await startCost(stage.host);
    const restore = async (text: string) => {
      const line = `${mode}-restore --noflush --counters`;
      return Math.max(0, await timedAsync(() => stage.host.run(line, text)) - start);
    };
    const all = services(count);
    const before = kernelMemory();
    await restore(IPTABLES_BASE);
    const whole = await restore(iptablesRules(all));
    const kernel = kernelMemory() - before;
    const times: number[] = [];
    const partly: number[] = [];
    for (let more = 0; more < ADDITIONS; more++) {
      // What takes long need not be taken twice.
      if (more === 2 && times[0]! > PATIENCE) break;
      const one = answering(count + more, ANSWERING);
      all.push(one);
      const few = more % 2 === 1;
      const text = iptablesRules(all, few ? [one] : all);
      (few ? partly : times).push(await restore(text));
    }
    const connecting = await connect(stage, all.at(-1)!);
    const figures = { services: count, mode, whole, add: median(times) };
    const addPartly = median(partly);
    return { ...figures, addPartly, connect: connecting, kernel, resident: undefined };
  });
}

/** MiB that the kernel has taken for itself, less what it can give back. */
function kernelMemory(): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return (of("SUnreclaim") + of("VmallocUsed") + of("Percpu")) / 1024;
}
