/**
 * How much one TCP connection carries between two containers, by iperf3.
 *
 * @module
 */
import type { Container } from "../support/container.ts";
import { until } from "../support/wait.ts";

/** What one connection came to. */
export interface Throughput {
  readonly gbits: number;
  /** Processor seconds of the whole machine per gigabyte. */
  readonly cpu: number;
  readonly retransmits: number;
}

/** Seconds that the processors were busy since the machine started. */
function busySeconds(): number {
  const [, ...fields] = Deno.readTextFileSync("/proc/stat").split("\n", 1)[0]!.split(/\s+/);
  const [user, nice, system, , , irq, softirq] = fields.map(Number) as number[];
  return (user! + nice! + system! + irq! + softirq!) / 100;
}

/** One TCP connection between two containers for so many seconds. */
export async function throughput(
  near: Container,
  far: Container,
  seconds: number,
): Promise<Throughput> {
  const server = far.spawn("iperf3 -s -1 --forceflush");
  await until("iperf3 listens", () => server.stdout.includes("listening"));
  const before = busySeconds();
  const { stdout } = await near.run(`iperf3 -J -c ${far.address} -t ${seconds}`);
  const busy = busySeconds() - before;
  await server.status;
  const { end } = JSON.parse(stdout) as {
    end: {
      sum_sent: { retransmits: number };
      sum_received: { bytes: number; bits_per_second: number };
    };
  };
  return {
    gbits: end.sum_received.bits_per_second / 1e9,
    cpu: busy / (end.sum_received.bytes / 1e9),
    retransmits: end.sum_sent.retransmits,
  };
}
