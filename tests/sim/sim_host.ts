/**
 * A host of a simulation: the real membership, a kernel that is a table of peers, a snapshot that is written a moment late.
 *
 * @module
 */
import { after, type Timer } from "../../core/base/clock.ts";
import type { ClusterConfig } from "../../core/cluster/config.ts";
import type { Lease } from "../../core/cluster/lease.ts";
import { Membership } from "../../core/agent/membership.ts";
import { backendOf } from "../../core/overlay/backend/backends.ts";
import { peerKey } from "../../core/overlay/overlay.ts";
import type { RememberedStore } from "../../core/store/store_memory.ts";
import { knownBy, type KnownStore } from "../../core/store/adoption.ts";
import type { SimStore, Way } from "./sim_store.ts";

/** Milliseconds from a change to the snapshot that has it. */
const WRITE_DELAY = 500;

interface Memory {
  readonly own: Lease;
  readonly config: ClusterConfig;
  readonly peers: readonly Lease[];
  readonly store: RememberedStore | undefined;
}

/** One host. */
export class SimHost {
  readonly name: string;
  readonly way: Way;
  address: string;
  /** What its kernel holds; it outlives the agent. */
  readonly kernel = new Map<string, Lease>();
  own: Lease | undefined;
  /** Subnets that its containers had: how often it was renumbered shows in it. */
  readonly subnets: string[] = [];
  #disk: Memory | undefined;
  #stop: AbortController | undefined;
  #membership: Membership | undefined;
  #ended: Promise<void> = Promise.resolve();
  #write: Timer | undefined;
  #boots = 1;

  constructor(name: string, address: string, store: SimStore) {
    this.name = name;
    this.address = address;
    this.way = store.way();
  }

  /** Whether its agent runs. */
  get running(): boolean {
    return this.#stop !== undefined;
  }
  /** Whether it has joined and not left. */
  get member(): boolean {
    return this.#disk !== undefined || this.running;
  }
  /** How its agent finds the store. */
  get health(): string {
    const { state, detail } = this.#membership?.health ?? { state: "no agent", detail: "" };
    const by = this.#membership?.takenOver;
    return `${state}: ${detail}${
      by ? `; taken over by ${by.publicIp} ${by.bootId} ${by.agentId}` : ""
    }`;
  }
  get well(): boolean {
    return this.#membership?.health.state === "ok" && this.#membership.takenOver === undefined;
  }

  /** What its snapshot says, for an adoption. */
  get known(): KnownStore | undefined {
    const disk = this.#disk;
    if (disk === undefined) return undefined;
    const { config, own, peers, store } = disk;
    return knownBy({ version: 1, config, own, peers, ...(store && { store }) });
  }

  /** Starts the agent. */
  start(): void {
    const disk = this.#disk;
    this.own = disk?.own;
    // A process of its own has a store of its own.
    this.way.store.expect(undefined);
    const stop = this.#stop = new AbortController();
    const alive = () => this.#stop === stop;
    for (const peer of disk?.peers ?? []) {
      if (!this.kernel.has(peerKey(peer))) this.kernel.set(peerKey(peer), peer);
    }
    const membership = this.#membership = new Membership({
      store: this.way.store,
      identity: {
        ...{ nodeId: this.name, nodeName: this.name, agentId: `agent-${this.name}` },
        bootId: `boot-${this.name}-${this.#boots}`,
      },
      family: 4,
      loadConfig: async (store) => {
        const config = await store.getConfig();
        if (config === undefined) throw new Error("no configuration");
        return config;
      },
      backendOf: (config) => backendOf(config.backend),
      publicIp: () => this.address,
      remembered: disk?.own,
      ...(disk && { rememberedConfig: disk.config }),
      ...(disk?.store && { rememberedStore: disk.store }),
      events: {
        onLease: (lease, config) => {
          if (!alive()) return;
          if (this.subnets.at(-1) !== lease.subnet) this.subnets.push(lease.subnet);
          this.own = lease;
          this.#touch(config);
        },
        onAllPeers: (peers) => {
          if (!alive()) return;
          this.kernel.clear();
          for (const peer of peers) this.kernel.set(peerKey(peer), peer);
          this.#touch();
        },
        onSomePeers: (changed, removed) => {
          if (!alive()) return;
          for (const key of removed) this.kernel.delete(key);
          for (const peer of changed) this.kernel.set(peerKey(peer), peer);
          this.#touch();
        },
        onHealth: () => {},
      },
    });
    this.#ended = membership.run(stop.signal).catch(() => {
      // Refused at its first join: the host stays out until somebody starts it again.
      if (alive()) this.#stop = undefined;
    });
  }

  #config: ClusterConfig | undefined;

  #touch(config?: ClusterConfig): void {
    this.#config = config ?? this.#config;
    const membership = this.#membership!;
    this.#write ??= after(WRITE_DELAY, () => {
      this.#write = undefined;
      if (this.own === undefined || this.#config === undefined) return;
      this.#disk = {
        own: this.own,
        config: this.#config,
        peers: [...this.kernel.values()],
        store: membership.store,
      };
    });
  }

  /** Ends the agent at once; what it had not written is lost. */
  kill(): void {
    this.#write?.cancel();
    this.#write = undefined;
    const stop = this.#stop;
    this.#stop = undefined;
    stop?.abort();
  }

  /** The power goes, and comes back: the kernel is empty. */
  reboot(): void {
    this.kill();
    this.kernel.clear();
    this.#boots++;
    this.start();
  }

  /** Gives the lease back and forgets everything. */
  async leave(): Promise<void> {
    this.kill();
    await this.#ended;
    this.#disk = undefined;
    this.kernel.clear();
    this.subnets.length = 0;
    this.own = undefined;
    await this.way.store.releaseLease(this.name, { agentId: `agent-${this.name}` }).catch(() => {});
  }

  /** Tells the agent that its address is another one. */
  move(address: string): void {
    this.address = address;
    this.#membership?.refresh({ renew: true });
  }
}
