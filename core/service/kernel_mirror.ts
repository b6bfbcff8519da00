/**
 * The kernel's virtual servers as knet knows them: what is knet's, what is somebody else's, and whether that is still so.
 *
 * @module
 */
import type { IpvsSocket } from "../../ffi/genl/ipvs.ts";
import { listDests } from "../../ffi/genl/ipvs_dest.ts";
import type { IpvsProc, ProcService } from "../../ffi/genl/ipvs_proc.ts";
import { getService } from "../../ffi/genl/ipvs_service.ts";
import { NetlinkError } from "../../ffi/netlink/error.ts";
import type { ServiceFailure } from "./apply.ts";
import {
  dumpedServer,
  hiddenPart,
  type KernelServer,
  procKey,
  procServer,
  sameVisible,
} from "./kernel_server.ts";
import type { ServiceOperation } from "./plan.ts";

/** Virtual servers for which as many questions are cheaper than reading all that there are. */
const FEW = 16;

/** Mirror of the kernel's tables. */
export class KernelMirror {
  readonly #ipvs: IpvsSocket;
  readonly #proc: IpvsProc;
  /** Digest of the file when all was as the mirror says. */
  #digest: number | undefined;
  /** Knet's virtual servers, by key. */
  servers: Map<string, KernelServer> = new Map();
  /** Keys of those that the kernel refused to make so; what it has of them is not known. */
  refused: ReadonlySet<string> = new Set();
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
    this.refused = new Set();
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
        : !deep && hidden === hiddenPart(server) && sameVisible(server, shown)
        ? server
        : this.#dump(key, server);
      if (actual !== undefined) this.servers.set(key, actual);
    }
  }

  #dump(key: string, server: KernelServer): KernelServer | undefined {
    const service = getService(this.#ipvs, server);
    return dumpedServer(key, service, listDests(this.#ipvs, server));
  }

  /** Brings the mirror up to date with what was sent. */
  advance(operations: readonly ServiceOperation[], failures: readonly ServiceFailure[]): void {
    this.#digest = undefined;
    this.refused = new Set(failures.map(({ operation }) => operation.server.key));
    for (const { kind, verb, server } of operations) {
      if (this.refused.has(server.key)) continue;
      if (kind === "server" && verb === "delete") this.servers.delete(server.key);
      else this.servers.set(server.key, server);
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
      if (key === undefined || !this.servers.has(key) && !this.refused.has(key)) {
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
      if (this.refused.has(key)) continue;
      const one = shown.get(key);
      if (one === undefined) return `virtual server ${key} is gone`;
      if (!sameVisible(server, one)) return `virtual server ${key} was changed`;
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
