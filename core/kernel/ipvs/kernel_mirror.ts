/**
 * The kernel's virtual servers as knet knows them: what is knet's, what is somebody else's, and whether that is still so.
 *
 * @module
 */
import type { IpvsSocket } from "../../../ffi/genl/ipvs.ts";
import { listDests } from "../../../ffi/genl/ipvs_dest.ts";
import type { IpvsProc, ProcService } from "../../../ffi/genl/ipvs_proc.ts";
import { getService } from "../../../ffi/genl/ipvs_service.ts";
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { ServiceFailure } from "./apply_servers.ts";
import {
  dumpedServer,
  hiddenPart,
  type KernelServer,
  procKey,
  procServer,
  sameVisible,
  ticksOf,
} from "./kernel_server.ts";
import { realServerKey } from "../../services/service.ts";
import type { ServiceOperation } from "./plan_servers.ts";

/** Virtual servers for which as many questions are cheaper than reading all that there are. */
const FEW = 16;

/** Mirror of the kernel's tables. */
export class KernelMirror {
  readonly #ipvs: IpvsSocket;
  readonly #proc: IpvsProc;
  /** Digest of the file when all was as the mirror says. */
  #digest: number | undefined;
  /** The kernel's ticks a second, once they are known. */
  #ticks: number | undefined;
  /** Knet's virtual servers, by key. */
  servers: Map<string, KernelServer> = new Map();
  /** Everybody else's; those by firewall mark are under `FWM n`. */
  foreign: Map<string, ProcService> = new Map();

  constructor(ipvs: IpvsSocket, proc: IpvsProc) {
    this.#ipvs = ipvs;
    this.#proc = proc;
  }

  /**
   * Reads what is there. Only virtual servers that differ are dumped, of the others one read of a file tells enough.
   *
   * @param owned keys of knet's virtual servers, with their hidden parts.
   * @param wanted virtual servers as they should be.
   * @throws {NetlinkError}
   */
  read(
    owned: ReadonlyMap<string, string>,
    wanted: ReadonlyMap<string, KernelServer>,
    deep = false,
  ): void {
    this.#digest = undefined;
    this.servers = new Map();
    this.foreign = new Map();
    this.#proc.read();
    for (const shown of this.#proc.parse()) {
      const key = procKey(shown);
      const hidden = key === undefined ? undefined : owned.get(key);
      if (key === undefined || hidden === undefined) {
        this.foreign.set(key ?? `${shown.protocol} ${shown.port}`, shown);
        continue;
      }
      const server = wanted.get(key);
      const actual = server === undefined
        ? procServer(key, shown)
        : !deep && hidden === hiddenPart(server) && this.#isRight(server, shown)
        ? server
        : this.#dump(key, server);
      if (actual !== undefined) this.servers.set(key, actual);
    }
  }

  /** As far as /proc shows it. */
  #isRight(wanted: KernelServer, shown: ProcService): boolean {
    if (!sameVisible(wanted, shown)) return false;
    const ticks = ticksOf(wanted, shown);
    if (ticks === 0) return true;
    // The first that makes sense tells of all.
    return ticks !== undefined && ticks === (this.#ticks ??= ticks);
  }

  #dump(key: string, server: KernelServer): KernelServer | undefined {
    const service = getService(this.#ipvs, server);
    return dumpedServer(key, service, listDests(this.#ipvs, server));
  }

  /** Brings the mirror up to date with what was sent. */
  advance(operations: readonly ServiceOperation[], failures: readonly ServiceFailure[]): void {
    this.#digest = undefined;
    const partly = new Set(failures.map(({ operation }) => operation.server.key));
    for (const { kind, verb, server } of operations) {
      if (partly.has(server.key)) continue;
      if (kind === "server" && verb === "delete") this.servers.delete(server.key);
      else this.servers.set(server.key, server);
    }
    if (partly.size === 0) return;
    const refused = new Set(failures.map(({ operation }) => operation));
    for (const operation of operations) {
      const { key } = operation.server;
      if (!partly.has(key) || refused.has(operation)) continue;
      const after = afterOperation(this.servers.get(key), operation);
      if (after === undefined) this.servers.delete(key);
      else this.servers.set(key, after);
    }
  }

  /** Learns whether somebody else has any of these, of which the mirror knows nothing. A few are asked for one by one. */
  lookFor(servers: readonly KernelServer[]): void {
    if (servers.length > FEW || servers.some((server) => this.#exists(server))) {
      this.#refreshForeign();
    } else for (const { key } of servers) this.foreign.delete(key);
  }

  #exists(server: KernelServer): boolean {
    try {
      getService(this.#ipvs, server);
      return true;
    } catch (error) {
      if (error instanceof NetlinkError && error.code === "ESRCH") return false;
      throw error;
    }
  }

  /** Looks for virtual servers of others, at the cost of one read if nothing changed. */
  #refreshForeign(): void {
    if (this.#digest !== undefined && this.#proc.read() === this.#digest) return;
    if (this.#digest === undefined) this.#proc.read();
    this.#readForeign(this.#proc.parse());
  }

  #readForeign(shown: readonly ProcService[]): void {
    this.foreign = new Map();
    for (const one of shown) {
      const key = procKey(one);
      if (key === undefined || !this.servers.has(key)) {
        this.foreign.set(key ?? `${one.protocol} ${one.port}`, one);
      }
    }
  }

  /**
   * Whether the kernel still has what the mirror says: one read, compared in one pass.
   *
   * @returns a sentence saying what is different, undefined if nothing is.
   */
  drift(): string | undefined {
    const digest = this.#proc.read();
    if (digest === this.#digest) return undefined;
    const all = this.#proc.parse();
    const shown = new Map<string, ProcService>();
    for (const one of all) {
      const key = procKey(one);
      if (key !== undefined) shown.set(key, one);
    }
    for (const [key, server] of this.servers) {
      const one = shown.get(key);
      if (one === undefined) return `virtual server ${key} is gone`;
      if (!this.#isRight(server, one)) return `virtual server ${key} was changed`;
    }
    this.#readForeign(all);
    this.#digest = digest;
    return undefined;
  }

  /** What the kernel shows now, connections included. */
  shown(): ProcService[] {
    this.#proc.read();
    return this.#proc.parse();
  }
}

/** A virtual server that was `before` after one message that the kernel took; undefined if there is none. */
function afterOperation(
  before: KernelServer | undefined,
  operation: ServiceOperation,
): KernelServer | undefined {
  const { kind, verb, server } = operation;
  if (kind === "server") {
    return verb === "delete" ? undefined : { ...server, dests: before?.dests ?? new Map() };
  }
  // To a virtual server that could not be made, nothing was added.
  if (before === undefined) return undefined;
  const dests = new Map(before.dests);
  const key = realServerKey(operation.dest);
  if (verb === "delete") dests.delete(key);
  else dests.set(key, operation.dest);
  return { ...before, dests };
}
