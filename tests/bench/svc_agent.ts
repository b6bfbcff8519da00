/**
 * The compiled agent with many services and checks: memory and processor time.
 *
 * @module
 */
import { Background } from "../support/exec.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { ipvsHere } from "../support/vm_initrd.ts";
import { median, sleep, until } from "../support/wait.ts";

/** What the agent takes with 1,000 services of ten real servers each. */
export interface ServiceAgentFigures {
  /** Checks a second that the services ask for. */
  readonly wanted: number;
  /** Checks a second that the agent did. */
  readonly checks: number;
  /** MiB resident: median and most of the samples. */
  readonly resident: number;
  readonly most: number;
  /** Percent of one processor. */
  readonly processor: number;
  /** Percent of one processor while there is nothing to do but a look every second: the same services without checks. */
  readonly looks: number;
  /** Milliseconds from `ipvsadm -C` until everything is there again. */
  readonly healed: number | undefined;
}

const SERVICES = 1000;
/** Seconds between two checks of a real server: with 10,000 of them, a thousand a second. */
const INTERVAL = 10;
const SECONDS = 20;
const PORTS = 100;
const ADDRESSES = 100;

// Accepts on many ports of all addresses, says how often, and closes.
const SERVER = `
use IO::Select; use IO::Socket::INET; $| = 1; my $count = 0; my $said = time;
my $all = IO::Select->new(map { IO::Socket::INET->new(LocalPort => 8000 + $_, Listen => 1024, ReuseAddr => 1, Blocking => 0) or die $! } 0..${
  PORTS - 1
});
print "ready\\n";
while (1) {
  for my $s ($all->can_read(1)) { while (my $c = $s->accept) { close $c; $count++ } }
  if (time > $said) { $said = time; print "accepted $count\\n" }
}`;

function yaml(prefix: string, checks: boolean): string {
  const services = Array.from({ length: SERVICES }, (_, index) => {
    const to = Array.from({ length: 10 }, (_, one) => {
      const at = index * 10 + one;
      return `      - ${prefix}.${101 + at % ADDRESSES}:${8000 + Math.floor(at / ADDRESSES)}`;
    });
    return [
      `  - name: s${index}`,
      `    vip: 10.96.${1 + (index >> 8)}.${index & 255}`,
      "    port: 80",
      ...(checks ? ["    check: tcp", `    check-interval: ${INTERVAL}s`] : []),
      "    to:",
      ...to,
    ].join("\n");
  });
  return `services:\n${services.join("\n")}\n`;
}

/** Measures; needs the compiled binary. On a kernel without IPVS the agent checks all the same, and programs nothing. */
export async function measureServiceAgent(
  binary: string,
  say: (text: string) => void,
): Promise<ServiceAgentFigures> {
  Deno.env.set("KNET_BIN", binary);
  await using lab = await Lab.create({ hosts: 1 });
  try {
    const host = lab.host(1);
    say("agent: services into the store");
    await host.knet("init --network 10.244.0.0/16");
    await host.join({ args: ["--ip-masq"] });
    const web = await host.attach("web");
    const prefix = web.address.split(".").slice(0, 3).join(".");
    // One namespace answers for a hundred addresses, ARP included.
    await web.run(`ip route add local ${prefix}.96/27 dev lo`);
    await web.run(`ip route add local ${prefix}.128/25 dev lo`);
    const server = host.keep(new Background([...web.enter, "perl", "-e", SERVER]));
    await until("the real servers listen", () => {
      if (server.ended !== undefined) throw new Error(server.stderr);
      return server.stdout.includes("ready");
    });
    const apply = async (checks: boolean) => {
      await Deno.writeTextFile(host.path("/run/host/services.yaml"), yaml(prefix, checks));
      await host.knet("svc apply -f /run/host/services.yaml", { timeout: 300_000 });
    };
    say("agent: programming");
    await apply(false);
    if (ipvsHere()) await programmed(host);
    const { pid } = host.agent!;
    await sleep(INTERVAL * 1000);
    say(`agent: ${SECONDS} seconds without checks`);
    const looks = await busy(pid, () => {});
    say(`agent: ${SECONDS} seconds of checks`);
    await apply(true);
    await sleep(INTERVAL * 1000);
    const accepted = () => Number(server.stdout.trimEnd().split(" ").at(-1));
    const [count, begin] = [accepted(), performance.now()];
    const samples: number[] = [];
    const processor = await busy(pid, () => samples.push(resident(pid)));
    const seconds = (performance.now() - begin) / 1000;
    const checks = (accepted() - count) / seconds;
    let healed: number | undefined;
    if (ipvsHere()) {
      say("agent: ipvsadm -C");
      await host.run("ipvsadm -C");
      healed = await programmed(host);
    }
    return {
      ...{ wanted: SERVICES * 10 / INTERVAL, checks, processor, looks, healed },
      ...{ resident: median(samples), most: Math.max(...samples) },
    };
  } catch (error) {
    console.log(lab.logs());
    throw error;
  }
}

/** Milliseconds until all services are in the kernel. */
async function programmed(host: Host): Promise<number> {
  const last = `10.96.${1 + (SERVICES - 1 >> 8)}.${(SERVICES - 1) & 255}:80`;
  const { ms } = await until("all services are in the kernel", async () => {
    const { stdout } = await host.run("ipvsadm -Sn");
    return stdout.includes(last) && stdout.split("\n").length > SERVICES * 11;
  }, { interval: 200, deadline: 120_000 });
  return ms;
}

/** Percent of one processor that a process takes, all threads, with something done every second. */
async function busy(pid: number, everySecond: () => void): Promise<number> {
  const [ticks, begin] = [processorTicks(pid), performance.now()];
  while (performance.now() - begin < SECONDS * 1000) {
    await sleep(1000);
    everySecond();
  }
  return (processorTicks(pid) - ticks) / ((performance.now() - begin) / 1000);
}

function resident(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s*(\d+)/.exec(status)?.[1]) / 1024;
}

/** Hundredths of a second of processor time, all threads. */
function processorTicks(pid: number): number {
  const words = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return Number(words[11]) + Number(words[12]);
}
