/**
 * Frees the addresses of Docker's containers that are gone: Docker tells of a container's end for a quarter of a minute and no longer,
 * so that what ends while the agent is away would have its address until the reboot.
 *
 * @module
 */
import * as v from "valibot";
import { monotonicClock } from "../../base/clock.ts";
import { parseShape } from "../../base/shape.ts";
import { bootId } from "../../cluster/node_identity.ts";
import { lockBook } from "../addresses.ts";
import { askOver } from "../ask.ts";
import { readHeld, writeHeld } from "../held.ts";
import { readInstalledDocker } from "./install.ts";
import { DOCKER_RUNTIME } from "./network.ts";

/** Milliseconds for which Docker must not have known an address: what it has just asked for, it has not written down yet. */
const GRACE = 50_000;

const NETWORK = v.looseObject({
  Containers: v.optional(v.nullable(
    v.record(v.string(), v.looseObject({ IPv4Address: v.optional(v.string()) })),
  )),
});

/** Looks again and again; remembers since when Docker does not know an address. */
export class DockerReclaimer {
  readonly #dataDir: string;
  readonly #bootId: string | undefined;
  readonly #unknownSince = new Map<string, number>();
  #asking = false;

  constructor(options: { readonly dataDir: string; readonly bootId?: string }) {
    this.#dataDir = options.dataDir;
    this.#bootId = options.bootId;
  }

  /**
   * Looks once. A Docker that does not answer keeps its addresses.
   *
   * @returns addresses that were freed.
   */
  async look(): Promise<string[]> {
    // A Docker that hangs is not asked a second time.
    if (this.#asking) return [];
    this.#asking = true;
    try {
      return await this.#look();
    } finally {
      this.#asking = false;
    }
  }

  async #look(): Promise<string[]> {
    const place = { dataDir: this.#dataDir, bootId: this.#bootId ?? bootId() };
    const addresses = readHeld(place).filter(({ runtime }) => runtime === DOCKER_RUNTIME)
      .map(({ address }) => address);
    const known = addresses.length === 0 ? undefined : await knownToDocker(this.#dataDir);
    if (known === undefined) {
      this.#unknownSince.clear();
      return [];
    }
    const now = monotonicClock();
    const unknown = new Set(addresses.filter((address) => !known.has(address)));
    for (const address of this.#unknownSince.keys()) {
      if (!unknown.has(address)) this.#unknownSince.delete(address);
    }
    for (const address of unknown) {
      if (!this.#unknownSince.has(address)) this.#unknownSince.set(address, now);
    }
    const gone = [...unknown].filter((one) => now - this.#unknownSince.get(one)! >= GRACE);
    if (gone.length === 0) return [];
    using _lock = await lockBook(place.dataDir);
    const isGone = new Set(gone);
    writeHeld(
      place,
      readHeld(place).filter((one) => one.runtime !== DOCKER_RUNTIME || !isGone.has(one.address)),
    );
    for (const address of gone) this.#unknownSince.delete(address);
    return gone;
  }
}

/** Addresses that containers of the network have; undefined if Docker does not say. */
async function knownToDocker(dataDir: string): Promise<Set<string> | undefined> {
  const installed = readInstalledDocker(dataDir);
  if (installed === undefined) return undefined;
  const { socket, network } = installed;
  const answer = await askOver(socket, "GET", `/networks/${network}`, "");
  // A network that is gone has no containers.
  if (answer?.status === 404) return new Set();
  if (answer?.status !== 200) return undefined;
  const { Containers: containers } = parseShape(NETWORK, answer.body);
  return new Set(
    Object.values(containers ?? {}).map((one) => one.IPv4Address?.replace(/\/\d+$/, "") ?? ""),
  );
}
