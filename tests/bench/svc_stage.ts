/**
 * Network namespaces for the benchmark of services: a host, alone or with a container that serves and one that asks.
 *
 * @module
 */
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { exec } from "../support/exec.ts";
import type { TestNamespace } from "../support/ipvs.ts";
import { median, sleep } from "../support/wait.ts";
import { inside, serve } from "../vm/talk.ts";

const PORT = 8080;

/** The real servers that answer, on a stage with containers. */
export const ANSWERING: readonly string[] = [`10.244.1.2:${PORT}`, `10.244.1.3:${PORT}`];

/** A host that has its loopback device up and nothing else, and goes away afterwards. */
export async function onHost<T>(run: (namespace: TestNamespace) => Promise<T>): Promise<T> {
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
        const options = { timeout: 600_000, ...(stdin === undefined ? {} : { stdin }) };
        return (await exec(["ip", "netns", "exec", name, ...words], options)).stdout;
      },
    });
  } finally {
    await exec(`ip netns delete ${name}`, { timeout: 300_000 });
    // The kernel takes a namespace down after the command has ended, and slows what comes next.
    await sleep(2000);
  }
}

/** A stage with containers. */
export interface Stage {
  readonly host: TestNamespace;
  /** Microseconds that each of some connections took to be established, the container that asks being on another subnet. */
  connect(address: string, port: number, count: number): Promise<number[]>;
}

const CLIENT = `
use Socket; use Time::HiRes qw(time); my ($address, $port, $count) = @ARGV;
for my $i (1..$count) {
  local $SIG{ALRM} = sub { die "no connection to $address:$port\\n" }; alarm 60;
  socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
  my $began = time;
  connect($s, sockaddr_in($port, inet_aton($address))) or die "$!\\n";
  my $took = time - $began;
  sysread($s, my $line, 100) or die "nothing: $!\\n";
  printf "%.0f\\n", $took * 1e6;
}`;

/** A host with a bridge, knet0, a container there that serves, and one elsewhere in the container network that asks. */
export function onStage<T>(run: (stage: Stage) => Promise<T>): Promise<T> {
  return onHost(async (host) => {
    const [server, client] = [`${host.name}-s`, `${host.name}-c`];
    const script = `
ip netns add ${server}; ip netns add ${client}
ip -n ${host.name} -b - <<END
link add name knet0 type bridge
addr add 10.244.1.1/24 dev knet0
link set knet0 up
link add name one type veth peer name eth0 netns ${server}
link set one master knet0 up
link add name two type veth peer name eth0 netns ${client}
addr add 10.244.2.1/24 dev two
link set two up
END
ip -n ${server} -b - <<END
link set lo up
addr add 10.244.1.2/24 dev eth0
addr add 10.244.1.3/24 dev eth0
link set eth0 up
route add default via 10.244.1.1
END
ip -n ${client} -b - <<END
addr add 10.244.2.2/24 dev eth0
link set eth0 up
route add default via 10.244.2.1
END
ip netns exec ${host.name} sysctl -qw net.ipv4.ip_forward=1`;
    try {
      await exec(["sh", "-e", "-c", script]);
      const addresses = ANSWERING.map((one) => one.split(":")[0]!);
      await using _server = await serve(inside(server), "web", PORT, addresses);
      return await run({
        host,
        connect: async (address, port, count) => {
          const words = [...inside(client), "perl", "-e", CLIENT, address, `${port}`, `${count}`];
          const { stdout } = await exec(words, { timeout: 300_000 });
          return stdout.trim().split("\n").map(Number);
        },
      });
    } finally {
      await exec(`ip netns delete ${server}`, { check: false });
      await exec(`ip netns delete ${client}`, { check: false });
    }
  });
}

/** Milliseconds that a function takes. */
export function timed(run: () => unknown): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

/** Milliseconds until a promise is kept. */
export async function timedAsync(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Milliseconds that it takes to start a program on a host, whatever it does: emulated, a good part of a second. */
export async function startCost(host: TestNamespace): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < 5; run++) times.push(await timedAsync(() => host.run("true")));
  return median(times);
}
