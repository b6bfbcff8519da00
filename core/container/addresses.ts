/**
 * The address book of this host's containers: who is attached, and by which address.
 *
 * It lives in the data directory and not in the store, so that containers are attached while the store
 * is away; and it carries the boot id, because a reboot takes all namespaces with it.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { FileLock, holder } from "../../ffi/file_lock.ts";
import {
  canonicalAddress,
  nthAddress,
  parsePrefix,
  prefixContains,
  prefixSize,
} from "../base/address.ts";
import { monotonicClock, random, sleep } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { fileVersion, readTextIfPresent, writeFileAtomically } from "../base/files.ts";
import { checkShape, parseShape } from "../base/shape.ts";
import { type ContainerRecord, FORMER, type FormerAddress, isRuntimes, RECORDS } from "./record.ts";

export type { ContainerRecord } from "./record.ts";

const BOOK = v.looseObject({
  bootId: v.exactOptional(v.string()),
  containers: v.array(v.unknown()),
  former: v.exactOptional(v.unknown()),
});

/** Where the book is and which boot it must be of. */
export interface BookPlace {
  readonly dataDir: string;
  readonly bootId: string;
}

const bookFile = (dataDir: string) => join(dataDir, "containers.json");
const lockFile = (dataDir: string) => join(dataDir, "containers.lock");

/**
 * Reads who is attached; nobody, if the book is of an earlier boot.
 *
 * @throws {KnetError} if the file cannot be read or is not what knet wrote.
 */
export function readBook({ dataDir, bootId }: BookPlace): ContainerRecord[] {
  const text = readTextIfPresent(bookFile(dataDir));
  return text === undefined ? [] : parseBook(text, bootId, bookFile(dataDir));
}

/** Another string after every change of the book, at the cost of a stat. */
export function bookVersion(dataDir: string): string {
  return fileVersion(bookFile(dataDir));
}

/** Parses the book's text; `path` is for the error's message. */
export function parseBook(text: string, bootId: string, path: string): ContainerRecord[] {
  try {
    const book = parseShape(BOOK, text);
    // What an earlier boot left is not looked at.
    return book.bootId === bootId ? checkShape(RECORDS, book).containers : [];
  } catch (error) {
    // Going on with an empty book would give out addresses that are in use.
    throw new KnetError(
      `Cannot read the containers' addresses: "${path}" is not what knet wrote: ${
        messageOf(error)
      }`,
      {
        remedy: `Detach this host's containers or reboot, then remove "${path}"`,
        cause: error,
      },
    );
  }
}

/**
 * The addresses that runtimes' containers had before the reboot, or before they were gone without a word, and have not asked for since. A book that cannot be read has none.
 */
export function readFormer({ dataDir, bootId }: BookPlace): FormerAddress[] {
  const text = readTextIfPresent(bookFile(dataDir));
  if (text === undefined) return [];
  try {
    const book = parseShape(BOOK, text);
    if (book.bootId === bootId) return checkShape(FORMER, book.former ?? []);
    const gone = checkShape(RECORDS, book).containers;
    return [...checkShape(FORMER, book.former ?? []), ...formerOf(gone)].slice(-MOST_FORMER);
  } catch {
    return []; // A convenience; readBook() tells of the book.
  }
}

/** What runtimes' containers may come back for. */
function formerOf(records: readonly ContainerRecord[]): FormerAddress[] {
  return records.flatMap(({ runtime, containerId, network, ifname, address }) =>
    runtime === undefined || containerId === undefined
      ? []
      : [{ runtime, containerId, ...(network !== undefined && { network }), ifname, address }]
  );
}

/** More are not remembered: as many as a subnet of 16 bits has hosts would make a slow book. */
const MOST_FORMER = 1024;

/**
 * Writes who is attached. The caller holds the lock. Whoever is attached again, and whoever `forget` names, has no former address any
 * more.
 *
 * @param gone who may come back for the address.
 */
export function writeBook(
  place: BookPlace,
  containers: readonly ContainerRecord[],
  forget: (former: FormerAddress) => boolean = () => false,
  gone: readonly ContainerRecord[] = [],
): void {
  const { dataDir, bootId } = place;
  const known = [...readFormer(place), ...formerOf(gone)].slice(-MOST_FORMER);
  const former = known.filter((one) =>
    !forget(one) && !containers.some((record) => isRuntimes(record, one, one.ifname))
  );
  const book = { bootId, containers, ...(former.length > 0 && { former }) };
  writeFileAtomically(bookFile(dataDir), JSON.stringify(book, null, 2) + "\n", 0o600, 0o700);
}

/** Longest wait for other attaches on this host, milliseconds. */
const LOCK_DEADLINE = 60_000;

/**
 * Takes the book's lock, waiting for others.
 *
 * @throws {KnetError} if somebody holds it for a minute.
 */
export async function lockBook(dataDir: string): Promise<FileLock> {
  Deno.mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const deadline = monotonicClock() + LOCK_DEADLINE;
  for (;;) {
    const lock = FileLock.acquire(lockFile(dataDir));
    if (lock !== undefined) return lock;
    if (monotonicClock() > deadline) {
      const pid = holder(lockFile(dataDir));
      throw new KnetError(
        `Cannot lock "${lockFile(dataDir)}": ${
          pid === undefined ? "somebody" : `process ${pid}`
        } has held it for a minute`,
        { remedy: "Wait for that process, or end it" },
      );
    }
    // At random, so that fifty who wait do not come in step.
    await sleep(2 + random() * 8);
  }
}

/** Takes the book's lock only if it is free now. */
export function tryLockBook(dataDir: string): FileLock | undefined {
  Deno.mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  return FileLock.acquire(lockFile(dataDir));
}

/** What an address is chosen from. */
export interface AddressPool {
  /** This host's subnet. */
  readonly subnet: string;
  /** The bridge's address in it. */
  readonly gateway: string;
  /** Addresses of containers. */
  readonly taken: readonly string[];
  /** Addresses that others hold, with who that is: `host-local's network "cni0"`. */
  readonly foreign?: ReadonlyMap<string, string>;
  /** Addresses given only where there is no other: somebody had them lately. */
  readonly avoid?: ReadonlySet<string>;
}

/**
 * Chooses a container's address: the one asked for, or the lowest free one. Network address, broadcast
 * address and the bridge's are never given away.
 *
 * @param container for the message: `web`.
 * @throws {KnetError} exit code 2 if the address asked for is no container's address of the subnet, 4 if
 * it is taken, 1 if all are.
 */
export function chooseAddress(pool: AddressPool, container: string, wanted?: string): string {
  const prefix = parsePrefix(pool.subnet);
  const taken = new Set(pool.taken.map(canonicalAddress));
  const gateway = canonicalAddress(pool.gateway);
  // IPv6 has no broadcast address; its subnet-router anycast address (RFC 4291) is number 0 as well.
  const last = prefixSize(prefix) - (prefix.family === 4 ? 2n : 1n);
  const first = nthAddress(prefix, 1);
  const final = nthAddress(prefix, last);
  if (wanted !== undefined) {
    const address = canonicalAddress(wanted);
    const refuse = (state: string, exitCode: 2 | 4) =>
      new KnetError(`Cannot attach "${container}" with address ${address}: ${state}`, {
        exitCode,
        remedy: `Leave --ip away, or choose a free address from ${first} to ${final}`,
      });
    if (!prefixContains(prefix, address)) {
      throw refuse(`it is outside this host's subnet ${pool.subnet}`, 2);
    }
    if (address === nthAddress(prefix, 0)) {
      throw refuse(`it is the network address of ${pool.subnet}`, 2);
    }
    if (prefix.family === 4 && address === nthAddress(prefix, last + 1n)) {
      throw refuse(`it is the broadcast address of ${pool.subnet}`, 2);
    }
    if (address === gateway) throw refuse("it is the bridge's", 4);
    if (taken.has(address)) throw refuse("it is taken by another container", 4);
    const holder = pool.foreign?.get(address);
    if (holder !== undefined) throw refuse(`it is held by ${holder}`, 4);
    return address;
  }
  let second: string | undefined;
  for (let n = 1n; n <= last; n++) {
    const address = nthAddress(prefix, n);
    if (address === gateway || taken.has(address) || pool.foreign?.has(address)) continue;
    if (!pool.avoid?.has(address)) return address;
    second ??= address;
  }
  if (second !== undefined) return second;
  const others =
    [...pool.foreign?.keys() ?? []].filter((one) => prefixContains(prefix, one)).length;
  throw new KnetError(
    `Cannot attach "${container}": all ${last - 1n} addresses of ${pool.subnet} are taken${
      others === 0 ? "" : `, ${others} of them by others than knet`
    }`,
    { remedy: "Detach a container, or start this one on another host" },
  );
}
