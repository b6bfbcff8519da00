/**
 * What an ADD of the CNI plugin takes beside flannel's chain: `deno task bench:cni [--runs N] [--bin DIR]`.
 *
 * Both are called by cnitool in turn, on one host of the lab whose agent and plugin are `dist/knet`, so that ratios are of pairs. The
 * folder has cnitool, flannel, bridge, host-local and portmap: `go install` of github.com/containernetworking/cni/cnitool and of
 * plugins/main/bridge, plugins/ipam/host-local, plugins/meta/portmap of github.com/containernetworking/plugins; flannel's is built
 * from its repository, flannel-io/cni-plugin. Then fifty at once, with the memory that they take together (proportional set size).
 *
 * @module
 */
import { table } from "../../cli/output.ts";
import { startCluster } from "../support/cluster.ts";
import { askContainers } from "../../core/container/ask.ts";
import { exec } from "../support/exec.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { median } from "../support/wait.ts";
import { compileEmpty } from "./startup.ts";

const BINARY = new URL("../../dist/knet", import.meta.url).pathname;
const AT_ONCE = 50;

interface Options {
  runs: number;
  bin: string;
}

function parse(args: readonly string[]): Options {
  const options = { runs: 40, bin: "/var/cache/knet-cni/bin" };
  for (let at = 0; at < args.length; at += 2) {
    const [flag, value = ""] = args.slice(at, at + 2);
    if (flag === "--runs" && Number(value) > 0) options.runs = Number(value);
    else if (flag === "--bin" && value !== "") options.bin = value;
    else {
      console.error(`Cannot understand "${flag} ${value}"`);
      Deno.exit(2);
    }
  }
  return options;
}

/** Places plugins and the two networks' configurations on a host. */
async function place(host: Host, bin: string): Promise<void> {
  const flannel = {
    cniVersion: "1.0.0",
    name: "flannel",
    plugins: [
      { type: "flannel", subnetFile: "/run/knet/subnet.env", delegate: { bridge: "cni0" } },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
  await host.sh(`mkdir -p /run/cni/bin /run/cni/net.d
cp ${bin}/* /run/cni/bin/
cat > /run/cni/net.d/20-flannel.conflist << 'end'
${JSON.stringify(flannel)}
end`);
  await host.knet("install cni --bin-dir /run/cni/bin --conf-dir /run/cni/net.d");
}

const ENV = { NETCONFPATH: "/run/cni/net.d", CNI_PATH: "/run/cni/bin" };

const cnitool = (host: Host, verb: string, network: string, netns: string) =>
  host.run(["/run/cni/bin/cnitool", verb, network, `/run/netns/${netns}`], { env: ENV });

async function timed(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

/** Bytes that the plugin's processes take together, those that wait for their turn among them. */
function memoryOfPlugins(): number {
  let sum = 0;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0");
      const waits = words[1] === "/run/cni/bin/knet-cni" || words[0] === "flock";
      if (!waits && !(words[0] === BINARY && words[1] === "__cni")) continue;
      const [, kib = "0"] = /^Pss: +(\d+) kB/m.exec(
        Deno.readTextFileSync(`/proc/${name}/smaps_rollup`),
      ) ?? [];
      sum += Number(kib) * 1024;
    } catch {
      // It ended.
    }
  }
  return sum;
}

/** Asks the agent as the plugin does, from a program that runs already. */
async function askAgent(host: Host, command: string, netns: string): Promise<void> {
  const environment = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: netns,
    CNI_NETNS: `/run/netns/${netns}`,
    CNI_IFNAME: "eth0",
  };
  const config = JSON.stringify({ cniVersion: "1.0.0", name: "bench" });
  const body = JSON.stringify({ environment, config });
  const answer = await askContainers(host.path("/run/knet"), "/cni", body);
  if (answer?.status !== 200) throw new Error(answer?.body);
}

async function atOnce(host: Host): Promise<{ seconds: number; peak: number }> {
  const names = Array.from({ length: AT_ONCE }, (_, n) => `many${n}`);
  await host.sh(names.map((name) => `ip netns add ${name}`).join("\n"));
  let peak = 0;
  let open = true;
  const watch = (async () => {
    while (open) {
      peak = Math.max(peak, memoryOfPlugins());
      await new Promise((done) => setTimeout(done, 20));
    }
  })();
  const took = await timed(() =>
    Promise.all(names.map((name) => cnitool(host, "add", "knet", name)))
  );
  open = false;
  await watch;
  for (const name of names) await cnitool(host, "del", "knet", name);
  return { seconds: took / 1000, peak };
}

if (import.meta.main) {
  const { runs, bin } = parse(Deno.args);
  Deno.env.set("KNET_BIN", BINARY);
  const scratch = await Deno.makeTempDir({ prefix: "knet-bench-" });
  await using lab = await Lab.create({ hosts: 1, store: "sqlite" });
  await startCluster(lab);
  const host = lab.host(1);
  try {
    const empty = await compileEmpty(scratch);
    await place(host, bin);
    const times = {
      ...{ knet: [] as number[], flannel: [] as number[] },
      ...{ empty: [] as number[], agent: [] as number[] },
    };
    for (let run = 0; run <= runs; run++) {
      const add = (network: "knet" | "flannel") => async () => {
        const netns = `${network}${run}`;
        await host.run(["ip", "netns", "add", netns]);
        times[network].push(await timed(() => cnitool(host, "add", network, netns)));
      };
      const rivals = [
        add("knet"),
        add("flannel"),
        async () => times.empty.push(await timed(() => exec([...host.enter, empty]))),
        async () => {
          await host.run(["ip", "netns", "add", `agent${run}`]);
          times.agent.push(await timed(() => askAgent(host, "ADD", `agent${run}`)));
        },
      ];
      for (const one of run % 2 ? rivals : rivals.toReversed()) await one();
      // The first of each reads files from the disk.
      if (run === 0) { for (const one of Object.values(times)) one.length = 0; }
    }
    for (let run = 0; run <= runs; run++) {
      for (const network of ["knet", "flannel"]) {
        await cnitool(host, "del", network, `${network}${run}`);
      }
      await askAgent(host, "DEL", `agent${run}`);
    }
    const ratios = times.knet.map((one, n) => one / times.flannel[n]!);
    const ms = (list: readonly number[]) => median(list).toFixed(1);
    console.log(table(["ADD by cnitool", "median ms"], [
      ["knet", ms(times.knet)],
      ["flannel, bridge, host-local, portmap", ms(times.flannel)],
      ["knet, the agent's part", ms(times.agent)],
      ["a Deno program that does nothing", ms(times.empty)],
      ["ratio of pairs", median(ratios).toFixed(2)],
    ]));
    const { seconds, peak } = await atOnce(host);
    console.log(
      `${AT_ONCE} at once: ${seconds.toFixed(2)} s, ${(peak / 2 ** 20).toFixed(0)} MiB in all`,
    );
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}
