/**
 * `ip -ts monitor route`: the moment at which the kernel's routing table changed.
 *
 * @module
 */
import type { Background } from "./exec.ts";
import type { Host } from "./host.ts";
import { until } from "./wait.ts";

/** What happened to a route, and when (milliseconds since the epoch). */
interface RouteEvent {
  readonly at: number;
  readonly deleted: boolean;
  readonly text: string;
}

/** Tells when a peer came to be known to a host. */
export interface PeerMonitor {
  /** Waits for the first change of the peer with a subnet that is not older than `since`; returns its moment. */
  changed(subnet: string, deleted: boolean, since: number): Promise<number>;
}

/** The monitor that fits the host's backend. */
export function monitorPeers(host: Host): PeerMonitor {
  return host.backend.entriesPerPeer ? new RouteMonitor(host) : new StatusMonitor(host);
}

/** Asks the agent for its peers again and again: where they have no entries in the kernel, it alone knows them. */
class StatusMonitor implements PeerMonitor {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  async changed(subnet: string, deleted: boolean): Promise<number> {
    const what = `${this.#host.name} ${deleted ? "forgets" : "knows"} the peer with ${subnet}`;
    const { value } = await until(what, async () => {
      const { body } = await this.#host.get("/status");
      const { peers } = JSON.parse(body) as { peers: { subnet: string }[] };
      return peers.some((peer) => peer.subnet === subnet) !== deleted && { at: Date.now() };
    }, { interval: 1 });
    return value.at;
  }
}

/** A running monitor on one host. */
class RouteMonitor implements PeerMonitor {
  readonly #host: Host;
  readonly #process: Background;

  constructor(host: Host) {
    this.#host = host;
    this.#process = host.spawn("stdbuf -oL ip -ts monitor route", { env: { TZ: "UTC" } });
  }

  get #events(): RouteEvent[] {
    const lines = this.#process.stdout.split("\n").slice(0, -1);
    return lines.flatMap((line) => {
      const match = /^\[(\S+)\] (Deleted )?(.*)$/.exec(line);
      if (match === null) return [];
      return [{
        at: Date.parse(`${match[1]}Z`),
        deleted: match[2] !== undefined,
        text: match[3] ?? "",
      }];
    });
  }

  async changed(subnet: string, deleted: boolean, since: number): Promise<number> {
    const what = `${this.#host.name} ${deleted ? "drops" : "has"} the route to ${subnet}`;
    const { value } = await until(what, () => {
      return this.#events.find((event) =>
        event.deleted === deleted && event.text.startsWith(`${subnet} `) && event.at >= since
      );
    }, { interval: 5 });
    return value.at;
  }
}
