/**
 * The agent's metrics, in Prometheus' text format (prom-client).
 *
 * @module
 */
import { monotonicClock, wallClock } from "../base/clock.ts";
import { VERSION } from "../base/version.ts";
import { isExpired } from "../cluster/allocate.ts";
import type { ProbeStatus } from "../inspect/probe/findings.ts";
import type { ServiceReport } from "../inspect/service_report.ts";
import type { StatusReport } from "../inspect/status.ts";
import type { Lease } from "../cluster/lease.ts";
import type { EntryCount } from "../kernel/entries.ts";
import type { Reconciled } from "../overlay/overlay.ts";
import type { TunnelStatus } from "../overlay/udp/data_plane.ts";
import type { KernelNews } from "./kernel_events.ts";
import type { Membership } from "./membership.ts";
import { registerProcessMetrics } from "./process_metrics.ts";
import { Counter, Gauge, Histogram, Registry } from "./prom.ts";
import { serviceMetrics } from "./service_metrics.ts";
import { tunnelMetrics } from "./tunnel_metrics.ts";

/** Kinds of drift, as far as they are told apart. */
const DRIFT = ["overlay", "underlay", "sysctl", "firewall"] as const;

/** Seconds: from what an idle reconcile takes to what a large cluster's first one does. */
const WORK_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Labels of what is told of each peer. */
const PEER = ["peer", "subnet"] as const;

/** Where an event came from that the kernel's state follows. */
export type EventSource = "store" | "kernel";

/** What the gauges are read from. */
export interface MetricFacts {
  readonly ready: boolean;
  readonly membership: Pick<Membership, "health" | "revision" | "renewals" | "own" | "storeNow">;
  /** Leases of the other hosts. */
  readonly peers: readonly Lease[];
  /** Entries of each kind in the kernel. */
  readonly entries: readonly EntryCount[];
  readonly tunnel?: TunnelStatus | undefined;
  readonly containers: StatusReport["containers"];
  /** How packets fare on the way to a peer; absent: nobody tries. */
  readonly probeOf?: (lease: Lease) => ProbeStatus | undefined;
  /** What this host makes of each service. */
  readonly serviceReports?: readonly ServiceReport[];
  readonly services: {
    /** Virtual servers that the kernel shall have. */
    readonly count: number;
    /** Generic netlink messages sent to IPVS. */
    readonly messages: number;
    /** Real servers that are checked from here. */
    readonly checks: number;
  };
}

/** What the agent counts and times, and the gauges beside it. */
export class AgentMetrics {
  readonly #registry = new Registry();
  /** When the first event came that the kernel has not followed yet, on the monotonic clock. */
  readonly #waiting = new Map<EventSource, number>();
  readonly #gauges = new Map<string, Gauge>();

  readonly #reconciles: Counter;
  readonly #operations: Counter;
  readonly #refused: Counter;
  readonly #drift: Counter;
  readonly #overruns: Counter;
  readonly #errors: Counter;
  readonly #renewals: Counter;
  readonly #messages: Counter;
  readonly #reconcileTime: Histogram;
  readonly #storeTime: Histogram;
  readonly #eventTime: Histogram;

  /** @param since When the agent started, milliseconds since the epoch. */
  constructor(since: number = wallClock()) {
    // The order here is the order in the text.
    this.#gauge("knet_build_info", "1, with the version.", "version");
    this.#gauge("knet_ready", "1 once this host is programmed.");
    this.#gauge("knet_peers", "Other hosts of the cluster.");
    this.#gauge("knet_peers_expired", "Of these, with an expired lease.");
    this.#gauge("knet_peer_up", "1 if nothing is wrong on the path to a peer.", ...PEER);
    this.#gauge(
      "knet_peer_round_trip_seconds",
      "Time of a question and its answer through the overlay.",
      ...PEER,
    );
    this.#gauge("knet_peer_loss_ratio", "Share of the last 20 questions not answered.", ...PEER);
    this.#gauge("knet_peer_path_mtu_bytes", "The longest packet that passed of late.", ...PEER);
    this.#gauge("knet_peer_fault", "1 for what is wrong on the path to a peer.", ...PEER, "fault");
    this.#gauge("knet_entries", "Entries in the kernel.", "kind");
    this.#gauge(
      "knet_entries_wanted",
      "Entries that should be in the kernel; next-hop objects where it has them.",
      "kind",
    );
    this.#reconciles = this.#counter("reconciles", "Times the kernel was reconciled.", "cause");
    this.#operations = this.#counter("operations", "Changes of entries sent to the kernel.");
    this.#refused = this.#counter("operations_refused", "Of these, refused by the kernel.");
    this.#drift = this.#counter(
      "drift_events",
      "Times the kernel told of a change to what is knet's.",
      "what",
    );
    for (const what of DRIFT) this.#drift.inc({ what }, 0);
    this.#overruns = this.#counter("overruns", "Times the kernel dropped notifications.");
    this.#errors = this.#counter("errors", "Reconciles that failed, wholly or in part.");
    this.#gauge("knet_last_error_timestamp_seconds", "When the last of them was; 0 for never.");
    this.#reconcileTime = this.#histogram(
      "reconcile_duration",
      "Time that a reconcile took.",
      "cause",
    );
    this.#eventTime = this.#histogram(
      "event_to_kernel",
      "Time from an event of the store or the kernel until the kernel was as it asks.",
      "source",
    );
    this.#storeTime = this.#histogram("store_call_duration", "Time that a store took.", "call");
    this.#gauge("knet_store_up", "1 if the store answers.");
    this.#gauge(
      "knet_store_different",
      "1 if the store is not the one that this host knows: nothing is written to it.",
    );
    this.#gauge("knet_store_revision", "The store's revision that this host has.");
    this.#gauge(
      "knet_lease_expires_timestamp_seconds",
      "When this host's lease expires; +Inf for a reservation, 0 without a lease.",
    );
    this.#renewals = this.#counter("lease_renewals", "Renewals of this host's lease.");
    this.#gauge("knet_services", "Services that this host shall have.");
    this.#gauge("knet_checks", "Real servers that this host checks.");
    this.#messages = this.#counter(
      "ipvs_messages",
      "Generic netlink messages sent to IPVS, requests for dumps among them.",
    );
    this.#gauge("knet_containers", "Attached interfaces of containers.");
    this.#gauge(
      "knet_containers_stranded",
      "Of these, with an address of a subnet that is not this host's any more.",
    );
    registerProcessMetrics(this.#registry, since);
  }

  #gauge(name: string, help: string, ...labelNames: string[]): void {
    const registers = [this.#registry];
    this.#gauges.set(name, new Gauge({ name, help, labelNames, registers }));
  }

  #counter(name: string, help: string, ...labelNames: string[]): Counter {
    const registers = [this.#registry];
    return new Counter({ name: `knet_${name}_total`, help, labelNames, registers });
  }

  #histogram(name: string, help: string, ...labelNames: string[]): Histogram {
    return new Histogram({
      name: `knet_${name}_seconds`,
      help,
      labelNames,
      buckets: WORK_BUCKETS,
      registers: [this.#registry],
    });
  }

  /**
   * The kernel was made to be as it should, or tried to.
   *
   * @param milliseconds What it took.
   * @param sources Whose events it followed.
   */
  reconciled(
    cause: string,
    done: Pick<Reconciled, "operations" | "failures">,
    milliseconds: number,
    sources: readonly EventSource[] = ["store", "kernel"],
  ): void {
    this.#reconciles.inc({ cause });
    this.#reconcileTime.observe({ cause }, milliseconds / 1000);
    this.#operations.inc(done.operations);
    this.#refused.inc(done.failures.length);
    if (done.failures.length > 0) this.failed();
    else this.followed(...sources);
  }

  /** Something went wrong. */
  failed(): void {
    this.#errors.inc();
    this.#gauges.get("knet_last_error_timestamp_seconds")!.set(wallClock() / 1000);
  }

  /** The kernel told of something. */
  noticed(news: KernelNews): void {
    for (const what of DRIFT) if (news[what]) this.#drift.inc({ what });
    if (news.overrun) this.#overruns.inc();
    if (news.overlay) this.heard("kernel", news.since);
  }

  /**
   * Something happened that the kernel may have to follow.
   *
   * @param since When, on the monotonic clock; now if absent.
   */
  heard(source: EventSource, since: number = monotonicClock()): void {
    if (!this.#waiting.has(source)) this.#waiting.set(source, since);
  }

  /** It was nothing. */
  heardNothing(source: EventSource): void {
    this.#waiting.delete(source);
  }

  /** The kernel is as these events ask. */
  followed(...sources: readonly EventSource[]): void {
    for (const source of sources) {
      const since = this.#waiting.get(source);
      if (since === undefined) continue;
      this.#waiting.delete(source);
      this.#eventTime.observe({ source }, (monotonicClock() - since) / 1000);
    }
  }

  /** The store was asked. */
  storeAsked(call: string, milliseconds: number): void {
    this.#storeTime.observe({ call }, milliseconds / 1000);
  }

  /** All metrics as Prometheus reads them. */
  async text(facts: MetricFacts): Promise<string> {
    const { membership, entries, containers, services } = facts;
    const set = (name: string, value: number, labels: Record<string, string> = {}) =>
      this.#gauges.get(`knet_${name}`)!.set(labels, value);
    set("build_info", 1, { version: VERSION });
    set("ready", facts.ready ? 1 : 0);
    set("peers", facts.peers.length);
    const { own, storeNow } = membership;
    set("peers_expired", facts.peers.filter((peer) => isExpired(peer, storeNow)).length);
    this.#setPeers(facts);
    for (const { kind, present, wanted } of entries) {
      set("entries", present, { kind });
      set("entries_wanted", wanted, { kind });
    }
    set("store_up", membership.health.state === "ok" ? 1 : 0);
    set("store_different", membership.health.state === "different" ? 1 : 0);
    set("store_revision", membership.revision);
    set(
      "lease_expires_timestamp_seconds",
      own === undefined ? 0 : own.reserved ? Infinity : own.expires / 1000,
    );
    set("services", services.count);
    set("checks", services.checks);
    // Those that a runtime attaches itself have none of knet's.
    set("containers", containers.filter(({ ifname }) => ifname !== "").length);
    set("containers_stranded", containers.filter(({ stranded }) => stranded).length);
    for (
      const [counter, total] of [
        [this.#renewals, membership.renewals],
        [this.#messages, services.messages],
      ] as const
    ) {
      counter.reset();
      counter.inc(total);
    }
    const texts = [await this.#registry.metrics()];
    texts.push(await serviceMetrics(facts.serviceReports ?? []));
    if (facts.tunnel !== undefined) texts.push(await tunnelMetrics(facts.tunnel));
    return texts.join("\n");
  }

  /** What is known of the path to each peer. Those that are gone have no series any more. */
  #setPeers({ peers, probeOf }: MetricFacts): void {
    const gauge = (name: string) => this.#gauges.get(`knet_peer_${name}`)!;
    const names = ["up", "round_trip_seconds", "loss_ratio", "path_mtu_bytes", "fault"];
    for (const name of names) gauge(name).reset();
    for (const lease of peers) {
      const probe = probeOf?.(lease);
      if (probe?.loss === undefined) continue;
      const labels = { peer: lease.nodeName, subnet: lease.subnet };
      gauge("up").set(labels, probe.fault === undefined ? 1 : 0);
      gauge("loss_ratio").set(labels, probe.loss);
      if (probe.rtt !== undefined) gauge("round_trip_seconds").set(labels, probe.rtt / 1000);
      if (probe.mtu !== undefined) gauge("path_mtu_bytes").set(labels, probe.mtu);
      if (probe.fault !== undefined) gauge("fault").set({ ...labels, fault: probe.fault }, 1);
    }
  }
}
