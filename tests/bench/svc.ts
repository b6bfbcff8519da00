/**
 * Services in the kernel, by knet and by `ipvsadm -R`: `deno task bench:svc`. Where the running kernel has no IPVS, in a virtual
 * machine, whose processor is emulated: figures compare with each other, not with those of a real machine.
 *
 * @module
 */
import { NO_TIMEOUTS, type VirtualServer } from "../../core/service/model.ts";
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { setUp } from "../setup.ts";
import { exec } from "../support/exec.ts";
import { runInVm, vmProblem } from "../support/vm.ts";
import { ipvsHere } from "../support/vm_initrd.ts";
import { median, ms } from "../support/wait.ts";
import { virtual, World } from "../vm/world.ts";

const REAL_SERVERS = 10;
const LIMIT = 1_500_000;

/** Services with ten real servers each, and a changed weight in one of them if asked for. */
function services(count: number, weight = 1): VirtualServer[] {
  return Array.from({ length: count }, (_, index) => {
    const [high, low] = [index >> 8, index & 255];
    const real = Array.from({ length: REAL_SERVERS }, (_, one) => {
      const changed = index === count >> 1 && one === 5 ? `,w${weight}` : "";
      return `10.244.${low}.${one + 2}:${8000 + (high & 63)}${changed}`;
    });
    return virtual(`s${index} 10.96.${high}.${low}:80`, real);
  });
}

/** The same as `ipvsadm -R` reads it. */
function rules(servers: readonly VirtualServer[]): string {
  return servers.flatMap(({ address, port, realServers }) => [
    `-A -t ${address}:${port} -s rr`,
    ...realServers.map((one) =>
      `-a -t ${address}:${port} -r ${one.address}:${one.port} -m -w ${one.weight}`
    ),
  ]).join("\n") + "\n";
}

async function inNamespace<T>(
  run: (namespace: Parameters<typeof World.alone>[0]) => Promise<T>,
): Promise<T> {
  const name = `knet-bench-${crypto.randomUUID().slice(0, 8)}`;
  await exec(`ip netns add ${name}`);
  try {
    await exec(`ip -n ${name} link set lo up`);
    using handle = openNetns(name);
    return await run({
      name,
      within: (fn) => withNetns(handle.fd, fn),
      run: async (line, stdin) => {
        const words = typeof line === "string" ? line.split(" ") : line;
        const options = { timeout: 300_000, ...(stdin === undefined ? {} : { stdin }) };
        return (await exec(["ip", "netns", "exec", name, ...words], options)).stdout;
      },
    });
  } finally {
    await exec(`ip netns delete ${name}`);
  }
}

function timed<T>(run: () => T): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

interface Figures {
  readonly ipvsadm: number;
  readonly servers: number;
  readonly whole: number;
  readonly change: number;
  readonly restart: number;
  readonly check: number;
  readonly idle: number;
  readonly rss: number;
}

async function byIpvsadm(count: number): Promise<number> {
  const text = rules(services(count));
  return await inNamespace(async ({ run }) => {
    const start = performance.now();
    await run("ipvsadm -R", text);
    return performance.now() - start;
  });
}

async function byKnet(count: number): Promise<Omit<Figures, "ipvsadm">> {
  return await inNamespace(async (namespace) => {
    using world = await World.alone(namespace);
    // What did not change is the same object as before, as the agent has it.
    const all = services(count);
    const set = (weight: number) => {
      all[count >> 1] = services(count, weight)[count >> 1]!;
      const desired = { virtualServers: all, timeouts: NO_TIMEOUTS };
      return timed(() => world.set(desired));
    };
    const whole = set(1);
    const rss = Deno.memoryUsage().rss / 2 ** 20;
    const change = median([2, 3, 4, 5, 6].map(set));
    const before = world.plane.messages;
    world.check();
    const checks = Array.from({ length: 10 }, () => timed(() => world.check()));
    world.restart();
    const restart = set(6);
    if (world.plane.messages !== 0) throw new Error("A new agent sent messages");
    if (before === 0) throw new Error("Nothing was sent");
    await namespace.run("ipvsadm -C");
    const servers = timed(() => world.check());
    const check = median(checks);
    return { whole, servers, change, restart, check, idle: check / 10, rss };
  });
}

async function measure(): Promise<void> {
  console.log(
    "| services × real servers | `ipvsadm -R` | knet: the same entries | with virtual IPs, masquerading | one weight changed | new agent, nothing to do | a look for drift | resident |",
  );
  console.log(`|${" --- |".repeat(8)}`);
  // The first run loads modules and warms both up.
  await byIpvsadm(10);
  await byKnet(10);
  const counts = Deno.args.filter((word) => /^\d+$/.test(word)).map(Number);
  for (const count of counts.length > 0 ? counts : [1000, 2000, 5000]) {
    const rounds = count > 1000 ? 1 : 3;
    const theirs: number[] = [];
    const ours: Omit<Figures, "ipvsadm">[] = [];
    for (let round = 0; round < rounds; round++) {
      theirs.push(await byIpvsadm(count));
      ours.push(await byKnet(count));
    }
    const of = (name: keyof Omit<Figures, "ipvsadm">) => median(ours.map((one) => one[name]));
    console.log(
      `| ${count.toLocaleString("en")} × ${REAL_SERVERS} | ${ms(median(theirs))} | ${
        ms(of("servers"))
      } | ` +
        `${ms(of("whole"))} | ${ms(of("change"))} | ${ms(of("restart"))} | ` +
        `${ms(of("check"))} (${of("idle").toFixed(1)} % of a core) | ${of("rss").toFixed(0)} MiB |`,
    );
  }
}

if (import.meta.main) {
  if (ipvsHere()) await measure();
  else {
    await setUp("test");
    const problem = vmProblem();
    if (problem !== undefined) {
      console.log(`SKIPPED bench:svc: this kernel has no IPVS, and a virtual machine ${problem}`);
      Deno.exit(0);
    }
    const encoder = new TextEncoder();
    const script = new URL(import.meta.url).pathname;
    const { code } = await runInVm(
      [Deno.execPath(), "run", "-A", "--no-check", script, ...Deno.args],
      { timeout: LIMIT, onOutput: (text) => Deno.stdout.writeSync(encoder.encode(text)) },
    );
    Deno.exit(code ?? 1);
  }
}
