/**
 * Where the hosts of the cluster are, as far as this one was told or has seen: it has to find them before it reaches the store.
 *
 * An address is a hint: who answers there has to prove which node it is.
 *
 * @module
 */
import * as v from "valibot";
import { messageOf } from "../base/error.ts";
import { readTextIfPresent, writeFileAtomically } from "../base/files.ts";
import { parseShape } from "../base/shape.ts";
import { canonicalAddress } from "../base/address.ts";
import { isNodeWord } from "../cluster/node_word.ts";
import { text } from "./frame.ts";
import { portFiles } from "./node_files.ts";

/** A host. */
export interface KnownHost {
  readonly nodeId: string;
  /** The one that was good last comes first. */
  readonly addresses: readonly string[];
  /** TCP. */
  readonly port: number;
}

/** Addresses of one host that are remembered. */
const MOST_ADDRESSES = 4;
/** Hosts that are remembered. */
const MOST_HOSTS = 5000;

function isAddress(text: string): boolean {
  try {
    return canonicalAddress(text) === text;
  } catch {
    return false;
  }
}

/** A list of hosts as it comes from outside. */
export const HOSTS: v.GenericSchema<unknown, KnownHost[]> = v.pipe(
  v.array(v.object({
    nodeId: v.pipe(text(63), v.check(isNodeWord, "it is no node id")),
    addresses: v.pipe(
      v.array(v.pipe(text(45), v.check(isAddress, "it is no address"))),
      v.maxLength(MOST_ADDRESSES),
    ),
    port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  })),
  v.maxLength(MOST_HOSTS),
);

/** The hosts that are known, kept in the data directory. */
export class Hosts {
  readonly #path: string;
  readonly #known = new Map<string, KnownHost>();

  /** Those that were known before. A file that makes no sense is none. */
  constructor(dataDir: string, onProblem: (sentence: string) => void = () => {}) {
    this.#path = portFiles(dataDir).hosts;
    try {
      const text = readTextIfPresent(this.#path);
      if (text !== undefined) {
        for (const host of parseShape(HOSTS, text)) this.#known.set(host.nodeId, host);
      }
    } catch (error) {
      onProblem(`Cannot use "${this.#path}": ${messageOf(error)}`);
    }
  }

  /** All of them. */
  get all(): readonly KnownHost[] {
    return [...this.#known.values()];
  }

  /** One of them. */
  get(nodeId: string): KnownHost | undefined {
    return this.#known.get(nodeId);
  }

  /** A host was met at an address, and has proven who it is. */
  met(nodeId: string, address: string, port: number): void {
    const before = this.#known.get(nodeId);
    if (before?.addresses[0] === address && before.port === port) return;
    const isNew = !before?.addresses.includes(address) || before.port !== port;
    const others = (before?.addresses ?? []).filter((other) => other !== address);
    this.#known.set(nodeId, {
      nodeId,
      addresses: [address, ...others].slice(0, MOST_ADDRESSES),
      port,
    });
    // Which of them was good last is worth no write.
    if (isNew) this.#write();
  }

  /** Somebody says where hosts are: what is known already comes first. */
  told(hosts: readonly KnownHost[]): void {
    const before = JSON.stringify(this.all);
    for (const { nodeId, addresses, port } of hosts) {
      const known = this.#known.get(nodeId);
      if (known === undefined && this.#known.size >= MOST_HOSTS) continue;
      const all = [...new Set([...known?.addresses ?? [], ...addresses])];
      // The newest of what one is told has a place even where four are known.
      const kept = all.length > MOST_ADDRESSES
        ? [...all.slice(0, MOST_ADDRESSES - 1), addresses[0]!]
        : all;
      this.#known.set(nodeId, { nodeId, addresses: [...new Set(kept)], port: known?.port ?? port });
    }
    if (JSON.stringify(this.all) !== before) this.#write();
  }

  #write(): void {
    try {
      writeFileAtomically(this.#path, `${JSON.stringify(this.all)}\n`, 0o600, 0o700);
    } catch {
      // A full disk keeps nobody from using what is known.
    }
  }
}
