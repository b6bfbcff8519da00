/**
 * Services with ten real servers each: knet against `ipvsadm -R`, and what a look for drift costs.
 *
 * @module
 */
import { applyServices } from "../../core/kernel/ipvs/apply_servers.ts";
import { kernelServer } from "../../core/kernel/ipvs/kernel_server.ts";
import { NO_TIMEOUTS } from "../../core/services/service.ts";
import { planServices } from "../../core/kernel/ipvs/plan_servers.ts";
import { IpvsSocket } from "../../ffi/genl/ipvs.ts";
import { median } from "../support/wait.ts";
import { World } from "../vm/world.ts";
import { ipvsadmRules, NETWORK, tenEach } from "./svc_cases.ts";
import { onHost, startCost, timed, timedAsync } from "./svc_stage.ts";

/** Medians in milliseconds for one number of services. */
export interface EntriesFigures {
  readonly services: number;
  /** `ipvsadm -R` into an empty kernel, its own start left out. */
  readonly ipvsadm: number;
  /** The same entries by knet. */
  readonly servers: number;
  /** From nothing, virtual IPs and masquerading included. */
  readonly whole: number;
  /** One weight changed. */
  readonly change: number;
  /** A new agent that finds all as it should be. */
  readonly restart: number;
  /** One look for drift, as every second. */
  readonly check: number;
  /** One look after the connection counters changed. */
  readonly busyCheck: number;
  /** `cat /proc/net/ip_vs` to nowhere, its own start left out. */
  readonly cat: number;
}

type Ours = Omit<EntriesFigures, "services" | "ipvsadm" | "servers">;

/** Measures. */
export async function measureServiceEntries(
  sizes: readonly number[],
  say: (text: string) => void,
): Promise<EntriesFigures[]> {
  // The first run loads modules and warms both up.
  await byIpvsadm(10);
  await entriesByKnet(10);
  await byKnet(10);
  const results: EntriesFigures[] = [];
  for (const services of sizes) {
    const theirs: number[] = [];
    const entries: number[] = [];
    const ours: Ours[] = [];
    for (let round = 0; round < (services > 1000 ? 1 : 2); round++) {
      say(`${services} services: ipvsadm`);
      theirs.push(await byIpvsadm(services));
      say(`${services} services: knet`);
      entries.push(await entriesByKnet(services));
      ours.push(await byKnet(services));
    }
    const of = (name: keyof Ours) => median(ours.map((one) => one[name]));
    results.push({
      ...{ services, ipvsadm: median(theirs), servers: median(entries), whole: of("whole") },
      ...{ change: of("change"), restart: of("restart"), check: of("check") },
      ...{ busyCheck: of("busyCheck"), cat: of("cat") },
    });
  }
  return results;
}

function byIpvsadm(count: number): Promise<number> {
  const text = ipvsadmRules(tenEach(count));
  return onHost(async (host) => {
    const start = await startCost(host);
    return await timedAsync(() => host.run("ipvsadm -R", text)) - start;
  });
}

/**
 * Virtual and real servers alone, as ipvsadm makes them; in a namespace of its own, since the kernel looks for every new real server
 * among all that were deleted in the last two minutes.
 */
function entriesByKnet(count: number): Promise<number> {
  return onHost((host) => {
    const servers = tenEach(count);
    const facts = { network: NETWORK, subnet: "10.244.1.0/24", peers: new Set<string>() };
    using socket = host.within(() => IpvsSocket.open());
    const took = host.within(() =>
      timed(() => {
        const wanted = new Map(servers.map((one) => {
          const server = kernelServer(one, facts);
          return [server.key, server] as const;
        }));
        const failures = applyServices(socket, planServices(wanted, new Map()));
        if (failures.length > 0) throw failures[0]!.error;
      })
    );
    return Promise.resolve(took);
  });
}

function byKnet(count: number): Promise<Ours> {
  return onHost(async (namespace) => {
    using world = await World.alone(namespace);
    // What did not change is the same object as before, as the agent has it.
    const all = tenEach(count);
    const set = (weight: number) => {
      all[count >> 1] = tenEach(count, weight)[count >> 1]!;
      const desired = { virtualServers: all, timeouts: NO_TIMEOUTS };
      return timed(() => world.set(desired));
    };
    const whole = set(1);
    const change = median([2, 3, 4, 5, 6].map(set));
    const before = world.kernel.messages;
    world.check();
    const looks = () => median(Array.from({ length: 10 }, () => timed(() => world.check())));
    const check = looks();
    const files = Array.from({ length: 10 }, () => "/proc/net/ip_vs").join(" ");
    const cat = (line: string) =>
      timedAsync(() => namespace.run(["sh", "-c", `cat ${line} > /dev/null`]));
    const idle = await cat("/dev/null");
    const whileReading = await cat(files);
    world.restart();
    const restart = set(6);
    if (world.kernel.messages !== 0) throw new Error("A new agent sent messages");
    if (before === 0) throw new Error("Nothing was sent");
    const busyCheck = await busyLooks(world);
    const cost = Math.max(0, whileReading - idle) / 10;
    return { whole, change, restart, check, busyCheck, cat: cost };
  });
}

/** Looks between which a connection is tried, so that no two are the same bytes. */
async function busyLooks(world: World): Promise<number> {
  const times: number[] = [];
  world.check();
  for (let round = 0; round < 5; round++) {
    await world.namespace.run([
      "bash",
      "-c",
      "timeout 0.2 bash -c ': > /dev/tcp/10.96.0.0/80' || true",
    ]);
    times.push(timed(() => world.check()));
  }
  return median(times);
}
