/**
 * Published ports of this host's containers, as the book has them, for the firewall that the agent keeps.
 *
 * @module
 */
import type { Nftables } from "../../ffi/libnftables.ts";
import { bookVersion, type ContainerRecord } from "../container/addresses.ts";
import { listContainers } from "../container/container.ts";
import { loopback, publishedPorts } from "../container/publish.ts";
import { type Parameter, type ParametersSet, setParameters } from "../kernel/device_parameters.ts";
import {
  hasLoopbackPorts,
  hasPorts,
  type PortMaps,
  portMaps,
  readPorts,
} from "../kernel/firewall/firewall.ts";

/** Reads the book when it has changed, and looks after what 127.0.0.1 needs. */
export class HostPorts {
  readonly #dataDir: string;
  readonly #bridge: string;
  #version: string | undefined;
  #book: readonly ContainerRecord[] = [];
  #maps: PortMaps | undefined;
  /** Whether knet has the bridge take packets for 127.0.0.1; undefined: an earlier agent may have. */
  #loopback: boolean | undefined;

  constructor({ dataDir, bridge }: { readonly dataDir: string; readonly bridge: string }) {
    this.#dataDir = dataDir;
    this.#bridge = bridge;
  }

  /**
   * What is to be published.
   *
   * @returns undefined if nothing is.
   * @throws {KnetError} if the book cannot be read; what was published is kept in mind.
   */
  read(subnet: string): PortMaps | undefined {
    const version = bookVersion(this.#dataDir);
    if (version !== this.#version) {
      this.#book = listContainers(this.#dataDir);
      this.#version = version;
    }
    const maps = portMaps(publishedPorts(this.#book), subnet);
    return this.#maps = hasPorts(maps) ? maps : undefined;
  }

  /** Whether the book has changed since {@linkcode read}. */
  get outdated(): boolean {
    return this.#version !== undefined && bookVersion(this.#dataDir) !== this.#version;
  }

  /** What {@linkcode read} found last. */
  get maps(): PortMaps | undefined {
    return this.#maps;
  }

  /**
   * Writes the table. The bridge takes packets for 127.0.0.1 only while the rules that guard it stand.
   *
   * @param write Makes the table be as it should; says whether it is.
   */
  guarded(nft: Nftables | undefined, write: () => boolean): ParametersSet {
    const wanted = hasLoopbackPorts(this.#maps);
    const before = this.#loopback ?? (nft !== undefined && readPorts(nft) !== undefined);
    const off = () => before ? setParameters([this.#parameter(false)]) : NOTHING;
    const first = wanted ? NOTHING : off();
    this.#loopback = write() && wanted;
    if (!wanted) return first;
    return this.#loopback ? setParameters([this.#parameter(true)]) : off();
  }

  /** What has to stay set. */
  get parameters(): Parameter[] {
    return this.#loopback === true ? [this.#parameter(true)] : [];
  }

  #parameter(wanted: boolean): Parameter {
    return loopback(this.#bridge, wanted);
  }
}

const NOTHING: ParametersSet = { changes: [], problems: [] };
