/**
 * The agent's metrics, in Prometheus' text format (version 0.0.4).
 *
 * Written by hand: the package prom-client takes 65 ms to load and 20 MB to hold, a fifth of what the
 * whole agent may take, for what are thirty lines here.
 *
 * @module
 */
import type { Lease } from "../cluster/lease.ts";
import { isExpired } from "../cluster/allocate.ts";
import { wallClock } from "../base/clock.ts";
import type { StatusReport } from "../inspect/status.ts";
import type { EntryCount } from "../kernel/entries.ts";
import type { TunnelStatus } from "../overlay/udp/data_plane.ts";
import { VERSION } from "../base/version.ts";
import type { KernelNews } from "./kernel_events.ts";
import type { Membership } from "./membership.ts";
import type { Reconciled } from "../overlay/overlay.ts";
import { tunnelMetrics } from "./tunnel_metrics.ts";

/** One family of metrics. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  /** A number, or one for each set of labels. */
  readonly value: number | readonly Sample[];
}

/** One value with its labels. */
export type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** Content type of {@linkcode exposition}. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Writes metrics as Prometheus reads them. */
export function exposition(metrics: readonly Metric[]): string {
  const lines: string[] = [];
  for (const { name, help, type, value } of metrics) {
    const text = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
    lines.push(`# HELP ${name} ${text}`, `# TYPE ${name} ${type}`);
    const samples: readonly Sample[] = typeof value === "number" ? [[{}, value]] : value;
    for (const [labels, number] of samples) {
      const pairs = Object.entries(labels).map(([label, word]) =>
        `${label}="${escapeLabel(word)}"`
      );
      lines.push(
        `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${formatNumber(number)}`,
      );
    }
  }
  return lines.join("\n") + "\n";
}

function formatNumber(number: number): string {
  return Number.isFinite(number) || Number.isNaN(number)
    ? String(number)
    : number > 0
    ? "+Inf"
    : "-Inf";
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** Kinds of drift, as far as they are told apart. */
const DRIFT = ["overlay", "underlay", "sysctl", "firewall"] as const;

/** What the agent counts. */
export class Counters {
  readonly #reconciles = new Map<string, number>();
  readonly #drift = new Map<string, number>(DRIFT.map((what) => [what, 0]));
  #operations = 0;
  #refused = 0;
  #overruns = 0;
  #errors = 0;
  #lastError = 0;

  /** The kernel was made to be as it should, or tried to. */
  reconciled(cause: string, done: Pick<Reconciled, "operations" | "failures">): void {
    this.#reconciles.set(cause, (this.#reconciles.get(cause) ?? 0) + 1);
    this.#operations += done.operations;
    this.#refused += done.failures.length;
    if (done.failures.length > 0) this.failed();
  }

  /** Something went wrong. */
  failed(): void {
    this.#errors++;
    this.#lastError = wallClock();
  }

  /** The kernel told of something. */
  noticed(news: KernelNews): void {
    for (const what of DRIFT) {
      if (news[what]) this.#drift.set(what, this.#drift.get(what)! + 1);
    }
    if (news.overrun) this.#overruns++;
  }

  /** The counters as metrics. */
  metrics(): Metric[] {
    const counter = (name: string, help: string, value: Metric["value"]): Metric => ({
      name: `knet_${name}`,
      help,
      type: "counter",
      value,
    });
    const by = (label: string, counts: ReadonlyMap<string, number>): Sample[] =>
      [...counts].map(([word, count]) => [{ [label]: word }, count]);
    return [
      counter(
        "reconciles_total",
        "Times the kernel was reconciled.",
        by("cause", this.#reconciles),
      ),
      counter("operations_total", "Changes of entries sent to the kernel.", this.#operations),
      counter("operations_refused_total", "Of these, refused by the kernel.", this.#refused),
      counter(
        "drift_events_total",
        "Times the kernel told of a change to what is knet's.",
        by("what", this.#drift),
      ),
      counter("overruns_total", "Times the kernel dropped notifications.", this.#overruns),
      counter("errors_total", "Reconciles that failed, wholly or in part.", this.#errors),
      {
        name: "knet_last_error_timestamp_seconds",
        help: "When the last of them was; 0 for never.",
        type: "gauge",
        value: this.#lastError / 1000,
      },
    ];
  }
}

/** What the gauges are read from. */
export interface MetricFacts {
  readonly counters: Counters;
  readonly ready: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly membership: Pick<Membership, "health" | "revision" | "renewals" | "own">;
  /** Leases of the other hosts. */
  readonly peers: readonly Lease[];
  /** Entries of each kind in the kernel. */
  readonly entries: readonly EntryCount[];
  readonly tunnel?: TunnelStatus | undefined;
  readonly containers: StatusReport["containers"];
  readonly services: {
    /** Virtual servers that the kernel shall have. */
    readonly count: number;
    /** Generic netlink messages sent to IPVS. */
    readonly messages: number;
    /** Real servers that are checked from here. */
    readonly checks: number;
  };
}

/** All metrics of the agent. */
export function agentMetrics(facts: MetricFacts): Metric[] {
  const { membership, peers, entries, containers } = facts;
  const now = wallClock();
  const gauge = (name: string, help: string, value: Metric["value"]): Metric => ({
    name,
    help,
    type: "gauge",
    value,
  });
  const sizes = (size: (count: EntryCount) => number): Sample[] =>
    entries.map((count) => [{ kind: count.kind }, size(count)]);
  const own = membership.own;
  return [
    gauge("knet_build_info", "1, with the version.", [[{ version: VERSION }, 1]]),
    gauge("knet_ready", "1 once this host is programmed.", facts.ready ? 1 : 0),
    gauge("knet_peers", "Other hosts of the cluster.", peers.length),
    gauge(
      "knet_peers_expired",
      "Of these, with an expired lease.",
      peers.filter((peer) => isExpired(peer, now)).length,
    ),
    gauge("knet_entries", "Entries in the kernel.", sizes(({ present }) => present)),
    gauge(
      "knet_entries_wanted",
      "Entries that should be in the kernel; next-hop objects where it has them.",
      sizes(({ wanted }) => wanted),
    ),
    ...facts.counters.metrics(),
    ...tunnelMetrics(facts.tunnel),
    gauge("knet_store_up", "1 if the store answers.", membership.health.state === "ok" ? 1 : 0),
    gauge("knet_store_revision", "The store's revision that this host has.", membership.revision),
    gauge(
      "knet_lease_expires_timestamp_seconds",
      "When this host's lease expires; +Inf for a reservation, 0 without a lease.",
      own === undefined ? 0 : own.reserved ? Infinity : own.expires / 1000,
    ),
    {
      name: "knet_lease_renewals_total",
      help: "Renewals of this host's lease.",
      type: "counter",
      value: membership.renewals,
    },
    gauge("knet_services", "Services that this host shall have.", facts.services.count),
    gauge("knet_checks", "Real servers that this host checks.", facts.services.checks),
    {
      name: "knet_ipvs_messages_total",
      help: "Generic netlink messages sent to IPVS, requests for dumps among them.",
      type: "counter",
      value: facts.services.messages,
    },
    gauge("knet_containers", "Attached interfaces of containers.", containers.length),
    gauge(
      "knet_containers_stranded",
      "Of these, with an address of a subnet that is not this host's any more.",
      containers.filter(({ stranded }) => stranded).length,
    ),
    gauge(
      "process_resident_memory_bytes",
      "Resident memory of the agent.",
      Deno.memoryUsage().rss,
    ),
    gauge(
      "process_start_time_seconds",
      "When the agent started, since the epoch.",
      facts.since / 1000,
    ),
  ];
}
