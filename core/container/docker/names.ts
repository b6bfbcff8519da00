/**
 * What Docker's containers on knet's network are called: the driver of addresses is told of no names, so the agent asks Docker afterwards,
 * beside everything else and never within a call of Docker's. A Docker that does not answer leaves them as they were.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import { monotonicClock } from "../../base/clock.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { parseShape } from "../../base/shape.ts";
import type { ClusterContainer, PortMapping } from "../../cluster/cluster_container.ts";
import type { BookPlace } from "../addresses.ts";
import { askOver } from "../ask.ts";
import { heldVersion, readHeld } from "../held.ts";
import { type RuntimesWord, toldContainers } from "../told.ts";
import { readInstalledDocker } from "./install.ts";
import { DOCKER_RUNTIME } from "./network.ts";

const log = getLogger(["knet", "containers"]);

/** Milliseconds, and bytes, that Docker's answer may take. */
const BOUNDS = { deadline: 2000, longest: 16 * 1024 * 1024 };
/** Milliseconds before Docker is asked again as long as it does not tell all names: at first, and at most. */
const [SOON, LATE] = [1000, 60_000];

const LIST = v.array(v.looseObject({
  Id: v.string(),
  Names: v.optional(v.nullable(v.array(v.string()))),
  Labels: v.optional(v.nullable(v.record(v.string(), v.string()))),
  Ports: v.optional(v.nullable(v.array(v.looseObject({
    IP: v.optional(v.string()),
    PrivatePort: v.number(),
    PublicPort: v.optional(v.number()),
    Type: v.string(),
  })))),
  NetworkSettings: v.optional(v.nullable(v.looseObject({
    Networks: v.optional(v.nullable(
      v.record(v.string(), v.looseObject({ IPAddress: v.optional(v.string()) })),
    )),
  }))),
}));

/**
 * Reads Docker's list of containers (`GET /containers/json` of its API): those with an address in a network, by that. Pure.
 *
 * @throws {SyntaxError | TypeError} if it is none.
 */
export function readDockerList(text: string, network: string): Map<string, RuntimesWord> {
  return new Map(
    parseShape(LIST, text).flatMap((one) => {
      const address = one.NetworkSettings?.Networks?.[network]?.IPAddress ?? "";
      if (address === "") return [];
      return [[address, {
        // Names of links, `/other/alias`, are others'.
        name: one.Names?.find((name) => /^\/[^/]+$/.test(name))?.slice(1) ?? "",
        containerId: one.Id,
        labels: one.Labels ?? {},
        ports: portsOf(one.Ports ?? []),
      }]];
    }),
  );
}

function portsOf(
  ports: readonly {
    readonly IP?: string | undefined;
    readonly PrivatePort: number;
    readonly PublicPort?: number | undefined;
    readonly Type: string;
  }[],
): PortMapping[] {
  const found = new Map<string, PortMapping>();
  for (const { IP: ip = "", PrivatePort: containerPort, PublicPort: hostPort, Type } of ports) {
    if (hostPort === undefined || (Type !== "tcp" && Type !== "udp" && Type !== "sctp")) continue;
    const isAny = ["", "0.0.0.0", "::"].includes(ip);
    // Docker tells of both families.
    const key = `${isAny ? "" : ip} ${String(hostPort).padStart(5)} ${Type}`;
    found.set(key, {
      ...{ hostPort, containerPort, protocol: Type },
      ...(!isAny && { hostIp: ip }),
    });
  }
  return [...found].sort(([a], [b]) => a < b ? -1 : 1).map(([, mapping]) => mapping);
}

/** Asks again and again, the less often the less there is to learn. */
export class DockerNames {
  readonly place: BookPlace;
  #named: ReadonlyMap<string, RuntimesWord> = new Map();
  #text = "";
  #held = "";
  #addresses: readonly string[] = [];
  #asked = -Infinity;
  #pause = SOON;
  #asking = false;
  #problem = "";

  constructor(place: BookPlace) {
    this.place = place;
  }

  /** What is known, by address. */
  get named(): ReadonlyMap<string, RuntimesWord> {
    return this.#named;
  }

  /** Another text after every change of what is known. */
  get version(): string {
    return this.#text;
  }

  /** Docker's containers on knet's network, as far as they are known; none where that cannot be read. */
  containers(nodeId: string): ClusterContainer[] {
    try {
      const held = readHeld(this.place).filter(({ runtime }) => runtime === DOCKER_RUNTIME);
      return toldContainers(nodeId, [], held, this.#named);
    } catch (error) {
      if (error instanceof KnetError) return []; // Whoever gives out addresses says so.
      throw error;
    }
  }

  /** Asks if it is time to; nobody has to wait for it. */
  async look(): Promise<void> {
    // A Docker that hangs is not asked a second time.
    if (this.#asking) return;
    this.#asking = true;
    try {
      await this.#look();
      this.#problem = "";
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#problem) {
        log.debug("Cannot ask Docker for names: {problem}", { problem });
      }
      this.#problem = problem;
    } finally {
      this.#asking = false;
    }
  }

  async #look(): Promise<void> {
    const held = heldVersion(this.place.dataDir);
    if (held !== this.#held) {
      this.#addresses = readHeld(this.place).filter(({ runtime }) => runtime === DOCKER_RUNTIME)
        .map(({ address }) => address);
      this.#held = held;
      this.#pause = SOON;
    }
    const now = monotonicClock();
    if (this.#addresses.length === 0 || now - this.#asked < this.#pause) return;
    this.#asked = now;
    this.#pause = Math.min(this.#pause * 2, LATE);
    const installed = readInstalledDocker(this.place.dataDir);
    if (installed === undefined) return;
    const { socket, network } = installed;
    const filters = encodeURIComponent(JSON.stringify({ network: [network] }));
    const target = `/containers/json?filters=${filters}`;
    const answer = await askOver(socket, "GET", target, "", BOUNDS);
    if (answer?.status !== 200) return;
    this.#named = readDockerList(answer.body, network);
    this.#text = JSON.stringify([...this.#named]);
    // What all have now changes by a renaming alone.
    if (this.#addresses.every((address) => this.#named.has(address))) this.#pause = LATE;
  }
}
