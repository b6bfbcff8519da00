/**
 * What the agent's process takes, by the names that Prometheus' clients have for it.
 *
 * prom-client's own are made for Node: they read folders of /proc, which Deno does not allow this program, and show what Deno leaves
 * empty.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/file.ts";
import { after, monotonicClock } from "../base/clock.ts";
import { Counter, Gauge, type Registry } from "./prom.ts";

/** USER_HZ: what the kernel counts processor time in towards programs, on all architectures that knet runs on. */
const TICKS = 100;

/** Seconds of processor time from the text of /proc/PID/stat (proc(5)). */
export function processorSeconds(stat: string): { user: number; system: number } {
  // The second field is the program's name, in which anything may stand.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { user: Number(fields[11]) / TICKS, system: Number(fields[12]) / TICKS };
}

/** The limit of open files from the text of /proc/PID/limits. */
export function mostOpenFiles(limits: string): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  return soft === undefined || soft === "unlimited" ? Infinity : Number(soft);
}

/** How many descriptors are open. The kernel says for how many it has room, and of each whether it is. */
function openFiles(): number {
  const status = readSmallFile("/proc/self/status") ?? "";
  const room = Number(/^FDSize:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  let open = 0;
  for (let fd = 0; fd < room; fd++) {
    if (readLink(`/proc/self/fd/${fd}`) !== undefined) open++;
  }
  return open;
}

/** How late a timer of no time comes, seconds. */
async function loopLag(): Promise<number> {
  const start = monotonicClock();
  await new Promise<void>((resolve) => after(0, resolve));
  return (monotonicClock() - start) / 1000;
}

/** Registers the metrics, which look when they are asked for. */
export function registerProcessMetrics(registry: Registry, since: number): void {
  const registers = [registry];
  const gauge = (name: string, help: string, look: () => number | Promise<number>) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        this.set(await look());
      },
    });
  const processor = (name: string, help: string, parts: readonly ("user" | "system")[]) =>
    new Counter({
      name: `process_cpu_${name}_total`,
      help,
      registers,
      collect() {
        const times = processorSeconds(readSmallFile("/proc/self/stat") ?? "");
        this.reset();
        this.inc(parts.reduce((sum, part) => sum + times[part], 0));
      },
    });
  processor("seconds", "Processor time of the agent.", ["user", "system"]);
  processor("user_seconds", "Of this, in the program.", ["user"]);
  processor("system_seconds", "Of this, in the kernel.", ["system"]);
  gauge(
    "process_resident_memory_bytes",
    "Resident memory of the agent.",
    () => Deno.memoryUsage().rss,
  );
  gauge(
    "process_start_time_seconds",
    "When the agent started, since the epoch.",
    () => since / 1000,
  );
  gauge("process_open_fds", "Open file descriptors.", openFiles);
  gauge(
    "process_max_fds",
    "Most file descriptors that may be open.",
    () => mostOpenFiles(readSmallFile("/proc/self/limits") ?? ""),
  );
  gauge("knet_event_loop_lag_seconds", "How late a timer came just now.", loopLag);
}
