/**
 * The services of this host between the store and the kernel: what the store says, less what drains and what fails here.
 *
 * @module
 */
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import { after, monotonicClock, type Timer } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { activeCheck } from "../services/check.ts";
import { virtualServerOf } from "../services/virtual_server.ts";
import { Drains } from "./drains.ts";
import { Checker, checkKey, type Health } from "./checker.ts";
import type { Probe } from "./probe.ts";
import { readMemory, writeMemory } from "./remembered_health.ts";
import {
  type Connections,
  type Destination,
  NO_TIMEOUTS,
  realServerKey,
  type Service,
  type ServicesDesired,
  type ServiceTimeouts,
  type VirtualServer,
} from "../services/service.ts";

const log = getLogger(["knet", "service"]);

/** What a monitor is made of. */
export interface MonitorOptions {
  /** Where it remembers from one start to the next. */
  readonly stateDir: string;
  /**
   * Called when virtual servers have changed for a reason of this host: a check, or the end of a drain. Not called for what
   * `setServices` and `changeServices` bring, whose caller knows. Returns at once.
   */
  readonly onChange: (names: readonly string[]) => void;
  readonly probe?: Probe;
}

/** Milliseconds; changes within it are written together. */
const MEMORY_DELAY = 200;

/** Follows the services until disposed. */
export class ServiceMonitor implements Disposable {
  readonly #options: MonitorOptions;
  readonly #services = new Map<string, Service>();
  readonly #virtualServers = new Map<string, VirtualServer>();
  /** Services by the keys of the checks that they ask for. */
  readonly #checks = new Map<string, Set<string>>();
  /** Keys of the checks that a service asks for, by its name. */
  readonly #asked = new Map<string, ReadonlySet<string>>();
  readonly #drains: Drains;
  readonly #checker: Checker;
  #timeouts: ServiceTimeouts = NO_TIMEOUTS;
  #drainTimer: Timer | undefined;
  #memoryTimer: Timer | undefined;
  /** What is written, so that it is not written again. */
  #memory = "";
  #disposed = false;

  constructor(options: MonitorOptions) {
    this.#options = options;
    const memory = readMemory(this.#path, (sentence) => log.warn(sentence));
    this.#drains = new Drains(memory.drained);
    this.#checker = new Checker({
      onChange: (key) => this.#onHealth(key),
      down: new Set(memory.down),
      ...(options.probe && { probe: options.probe }),
    });
  }

  get #path(): string {
    return join(this.#options.stateDir, "services.json");
  }

  /** Services by name, as the store has them. */
  get services(): ReadonlyMap<string, Service> {
    return this.#services;
  }
  /** Virtual servers by their services' names, as the kernel shall have them. */
  get virtualServers(): ReadonlyMap<string, VirtualServer> {
    return this.#virtualServers;
  }
  /** All that the kernel shall have. */
  get desired(): ServicesDesired {
    return { virtualServers: [...this.#virtualServers.values()], timeouts: this.#timeouts };
  }
  /** Whether a drain waits for its connections: somebody has to count them. */
  get draining(): boolean {
    return this.#drains.pending;
  }
  /** Checks under way, and real servers that are checked. */
  get checks(): { readonly inFlight: number; readonly size: number } {
    return this.#checker;
  }

  /** What this host's check says of a destination; undefined if it is not checked. */
  health(service: Service, one: Destination): Health | undefined {
    const key = checkOf(service, one);
    return key === undefined ? undefined : this.#checker.health(key);
  }

  /**
   * Takes everything there is.
   *
   * @param now The store's clock, milliseconds since the epoch; undefined while it is not known.
   */
  setServices(
    services: readonly Service[],
    timeouts: ServiceTimeouts,
    now: number | undefined,
  ): void {
    const names = new Set(services.map(({ name }) => name));
    const gone = [...this.#services.keys()].filter((name) => !names.has(name));
    this.changeServices(services, gone, timeouts, now);
  }

  /** Takes what changed. */
  changeServices(
    changed: readonly Service[],
    removed: readonly string[],
    timeouts: ServiceTimeouts | undefined,
    now: number | undefined,
  ): void {
    if (timeouts !== undefined) this.#timeouts = timeouts;
    for (const name of removed) {
      this.#ask(name, new Set());
      this.#drains.remove(name);
      this.#services.delete(name);
      this.#virtualServers.delete(name);
    }
    for (const service of changed) {
      this.#ask(service.name, this.#wantedChecks(service, this.#services.get(service.name)));
      this.#services.set(service.name, service);
      this.#drains.set(service, now);
      this.#compute(service);
    }
    this.#armDrains();
    this.#remember();
  }

  /**
   * Takes a count of connections; to be called every second or so while `draining`.
   *
   * @param count Connections of a service's real server (a key of `realServerKey`); undefined if the kernel has no such one.
   */
  noteConnections(
    count: (service: string, realServer: string) => Connections | undefined,
  ): void {
    this.#endDrains(count);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#drainTimer?.cancel();
    // Checks that end now say nothing any more, and what they said is what is kept.
    if (this.#memoryTimer !== undefined) this.#writeMemory();
    this.#disposed = true;
    this.#checker[Symbol.dispose]();
  }

  #compute(service: Service): void {
    this.#virtualServers.set(
      service.name,
      virtualServerOf(service, {
        isDown: (_, one) => {
          const key = checkOf(service, one);
          return key !== undefined && this.#checker.isDown(key);
        },
        isDrained: (_, one) => this.#drains.isFinished(service, one),
      }),
    );
  }

  #wantedChecks(service: Service, before: Service | undefined): Set<string> {
    const keys = new Set<string>();
    const check = activeCheck(service.check);
    if (check === undefined) return keys;
    for (const one of service.destinations) {
      if (one.draining !== undefined) continue;
      // A real server that failed does not count as up again because its check has another pace now.
      const old = before === undefined ? undefined : checkOf(before, one);
      const down = old !== undefined && this.#checker.isDown(old);
      keys.add(this.#checker.add(one.address, one.port, check, down));
    }
    return keys;
  }

  /** Notes which checks a service asks for; those that nobody asks for any more end. */
  #ask(name: string, keys: ReadonlySet<string>): void {
    for (const key of keys) {
      const names = this.#checks.get(key);
      if (names === undefined) this.#checks.set(key, new Set([name]));
      else names.add(name);
    }
    for (const key of this.#asked.get(name) ?? []) {
      if (keys.has(key)) continue;
      const names = this.#checks.get(key);
      names?.delete(name);
      if (names?.size !== 0) continue;
      this.#checks.delete(key);
      this.#checker.remove(key);
    }
    if (keys.size === 0) this.#asked.delete(name);
    else this.#asked.set(name, keys);
  }

  #onHealth(key: string): void {
    const names = [...this.#checks.get(key) ?? []];
    const health = this.#checker.health(key);
    const [address, port] = key.split(" ");
    const realServer = realServerKey({ address: address!, port: Number(port) });
    if (health?.up === false) {
      log.warn("Real server {realServer} of {names} fails: {detail}", {
        realServer,
        names: names.join(", "),
        detail: health.detail,
      });
    } else {
      log.info("Real server {realServer} of {names} is back", {
        realServer,
        names: names.join(", "),
      });
    }
    this.#tell(names);
  }

  #tell(names: readonly string[]): void {
    for (const name of names) {
      const service = this.#services.get(name);
      if (service !== undefined) this.#compute(service);
    }
    this.#remember();
    if (names.length > 0) this.#options.onChange(names);
  }

  #endDrains(count?: Parameters<ServiceMonitor["noteConnections"]>[0]): void {
    const ended = this.#drains.advance(count);
    if (ended.length > 0) this.#tell(ended);
    this.#armDrains();
  }

  #armDrains(): void {
    this.#drainTimer?.cancel();
    const { next } = this.#drains;
    if (next === undefined || this.#disposed) return;
    this.#drainTimer = after(Math.ceil(next - monotonicClock()), () => this.#endDrains());
  }

  #remember(): void {
    if (this.#disposed) return;
    this.#memoryTimer ??= after(MEMORY_DELAY, () => this.#writeMemory());
  }

  #writeMemory(): void {
    this.#memoryTimer?.cancel();
    this.#memoryTimer = undefined;
    const memory = {
      version: 1,
      drained: this.#drains.finished,
      down: this.#checker.downKeys(),
    } as const;
    const text = JSON.stringify(memory);
    if (text === this.#memory) return;
    try {
      writeMemory(this.#path, memory);
      this.#memory = text;
    } catch (error) {
      log.warn("{message}", { message: messageOf(error) });
    }
  }
}

function checkOf({ check }: Service, one: Destination): string | undefined {
  const active = one.draining === undefined ? activeCheck(check) : undefined;
  return active && checkKey(one.address, one.port, active);
}
