/**
 * What knet remembers of the virtual servers that it made, in the data directory: by it a service that was removed while the agent
 * was down is removed at its next start, and one that an administrator made by hand never is.
 *
 * @module
 */
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import { messageOf } from "../../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../../base/files.ts";
import { parseShape } from "../../base/shape.ts";
import { hiddenPart, type KernelServer } from "./kernel_server.ts";
import { NO_TIMEOUTS, type ServiceTimeouts } from "../../services/service.ts";

/** The hidden part of a virtual server that knet did not see whole: it has to be dumped. */
export const UNSEEN = "?";

/** What the file holds. */
export interface ServiceRecord {
  /** Keys of virtual servers, with what /proc does not show of them. */
  readonly servers: ReadonlyMap<string, string>;
  /** Timeouts that were set. */
  readonly timeouts: ServiceTimeouts;
  /** Timeouts before the first that was set. */
  readonly timeoutsBefore: ServiceTimeouts;
  /** Kernel parameters that were changed, with their values before. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** Network namespaces of containers that were made real servers, by `device:inode`. */
  readonly containers: readonly string[];
}

/** Nothing made yet. */
export const EMPTY_RECORD: ServiceRecord = {
  servers: new Map(),
  timeouts: NO_TIMEOUTS,
  timeoutsBefore: NO_TIMEOUTS,
  sysctls: new Map(),
  containers: [],
};

const log = getLogger(["knet", "service"]);

const TIMEOUTS: v.GenericSchema<unknown, Partial<ServiceTimeouts>> = v.looseObject({
  tcp: v.exactOptional(v.number()),
  tcpfin: v.exactOptional(v.number()),
  udp: v.exactOptional(v.number()),
});

const RECORD = v.looseObject({
  bootId: v.string(),
  servers: v.record(v.string(), v.string()),
  timeouts: v.exactOptional(TIMEOUTS),
  timeoutsBefore: v.exactOptional(TIMEOUTS),
  sysctls: v.record(v.string(), v.string()),
  containers: v.array(v.string()),
});

const fileOf = (dataDir: string) => join(dataDir, "kernel-services.json");

/** Reads the file; nothing made if there is none, or if it is of an earlier boot: the kernel forgot everything then. */
export function readRecord(dataDir: string, bootId: string): ServiceRecord {
  const text = readTextIfPresent(fileOf(dataDir));
  return text === undefined ? EMPTY_RECORD : parseRecord(text, bootId);
}

/** Parses the file's text. What is no record counts as none: nothing is removed then. */
export function parseRecord(text: string, bootId: string): ServiceRecord {
  try {
    const parsed = parseShape(RECORD, text);
    if (parsed.bootId !== bootId) return EMPTY_RECORD;
    return {
      servers: new Map(Object.entries(parsed.servers)),
      timeouts: { ...NO_TIMEOUTS, ...parsed.timeouts },
      timeoutsBefore: { ...NO_TIMEOUTS, ...parsed.timeoutsBefore },
      sysctls: new Map(Object.entries(parsed.sysctls)),
      containers: parsed.containers,
    };
  } catch (error) {
    log.warn("{message}", {
      message: `Cannot read which virtual servers are knet's, none is removed: ${messageOf(error)}`,
    });
    return EMPTY_RECORD;
  }
}

function recordText(bootId: string, record: ServiceRecord): string {
  const { servers, timeouts, timeoutsBefore, sysctls, containers } = record;
  return JSON.stringify({
    bootId,
    servers: Object.fromEntries(servers),
    timeouts,
    timeoutsBefore,
    sysctls: Object.fromEntries(sysctls),
    containers,
  }) + "\n";
}

/**
 * What to write down before sending: all virtual servers that may come to be knet's or still are, so that a crash on the way orphans
 * none.
 */
export function intended(
  recorded: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, KernelServer>,
): ReadonlyMap<string, string> {
  let servers: Map<string, string> | undefined;
  for (const [key, server] of wanted) {
    const before = recorded.get(key);
    const hidden = hiddenPart(server);
    if (before === hidden) continue;
    servers ??= new Map(recorded);
    servers.set(key, before === undefined ? hidden : UNSEEN);
  }
  return servers ?? recorded;
}

/** What to write down once it was sent. */
export function achieved(
  recorded: ReadonlyMap<string, string>,
  servers: ReadonlyMap<string, KernelServer>,
): ReadonlyMap<string, string> {
  const isSo = ([key, server]: [string, KernelServer]) => recorded.get(key) === hiddenPart(server);
  if (recorded.size === servers.size && [...servers].every(isSo)) return recorded;
  return new Map([...servers].map(([key, server]) => [key, hiddenPart(server)]));
}

function sameMap(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

/** Keeps the record on the disk, and writes only what differs. */
export class RecordKeeper {
  readonly #dataDir: string;
  readonly #bootId: string;
  #record: ServiceRecord;

  constructor(dataDir: string, bootId: string) {
    this.#dataDir = dataDir;
    this.#bootId = bootId;
    this.#record = readRecord(dataDir, bootId);
  }

  get record(): ServiceRecord {
    return this.#record;
  }
  /** Whether nothing was written down since this host started: it is the first time, or the file was lost. */
  get isEmpty(): boolean {
    return this.#record === EMPTY_RECORD;
  }

  /** Changes parts of the record; on the disk when this returns. */
  save(change: Partial<ServiceRecord>): void {
    const before = this.#record;
    const record = { ...before, ...change };
    const same = sameMap(record.servers, before.servers) &&
      sameMap(record.sysctls, before.sysctls) &&
      JSON.stringify([record.timeouts, record.timeoutsBefore]) ===
        JSON.stringify([before.timeouts, before.timeoutsBefore]) &&
      record.containers.join() === before.containers.join();
    if (!same) {
      writeFileAtomically(fileOf(this.#dataDir), recordText(this.#bootId, record), 0o600, 0o700);
    }
    this.#record = record;
  }

  /** Forgets everything. */
  clear(): void {
    removeIfPresent(fileOf(this.#dataDir));
    this.#record = EMPTY_RECORD;
  }
}
