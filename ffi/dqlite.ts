/**
 * A node of dqlite: a replica of databases, run by libdqlite in threads of its own.
 *
 * It listens on a socket in its directory, where the library accepts nobody but its own process (SO_PEERCRED): no other user of the
 * host, not even root's other programs, and nobody on the network reaches it. The library itself binds abstract sockets only, which
 * Deno before 2.5 does not connect to: another one is put in its place. To other nodes it gets by a socket of the file system that this
 * process listens on.
 *
 * @module
 */
import { type DqliteLibrary, openDqlite } from "./deep_library.ts";
import { cString } from "./libc.ts";
import { type Raft, raftOf } from "./raft.ts";
import { abstractSocket, bindInstead, connectUnix } from "./unix_socket.ts";

const node = { parameters: ["pointer"], result: "i32" } as const;
/** For what waits for the library's threads, which in their turn wait for this one. */
const nodeAside = { ...node, nonblocking: true } as const;

/** int (*f)(void *arg, const char *address, int *fd) */
const CONNECT = { parameters: ["pointer", "pointer", "pointer"], result: "i32" } as const;

function bindFunctions({ symbol }: DqliteLibrary) {
  return {
    // int dqlite_node_create(dqlite_node_id id, const char *address, const char *data_dir, dqlite_node **n)
    create: symbol("dqlite_node_create", {
      parameters: ["u64", "buffer", "buffer", "buffer"],
      result: "i32",
    }),
    // int dqlite_node_set_bind_address(dqlite_node *n, const char *address)
    setBindAddress: symbol("dqlite_node_set_bind_address", {
      parameters: ["pointer", "buffer"],
      result: "i32",
    }),
    // const char *dqlite_node_get_bind_address(dqlite_node *n)
    getBindAddress: symbol("dqlite_node_get_bind_address", {
      parameters: ["pointer"],
      result: "pointer",
    }),
    // int dqlite_node_set_connect_func(dqlite_node *n, int (*f)(void *, const char *, int *), void *arg)
    setConnectFunction: symbol("dqlite_node_set_connect_func", {
      parameters: ["pointer", "function", "pointer"],
      result: "i32",
    }),
    // int dqlite_node_set_network_latency_ms(dqlite_node *t, unsigned milliseconds)
    setLatency: symbol("dqlite_node_set_network_latency_ms", {
      parameters: ["pointer", "u32"],
      result: "i32",
    }),
    // int dqlite_node_set_snapshot_params(dqlite_node *n, unsigned snapshot_threshold, unsigned snapshot_trailing)
    setSnapshots: symbol("dqlite_node_set_snapshot_params", {
      parameters: ["pointer", "u32", "u32"],
      result: "i32",
    }),
    // int dqlite_node_start(dqlite_node *n)
    start: symbol("dqlite_node_start", nodeAside),
    // int dqlite_node_stop(dqlite_node *n)
    stop: symbol("dqlite_node_stop", nodeAside),
    // void dqlite_node_destroy(dqlite_node *n)
    destroy: symbol("dqlite_node_destroy", { parameters: ["pointer"], result: "void" }),
    // int dqlite_node_recover_ext(dqlite_node *n, dqlite_node_info_ext infos[], int n_info)
    recover: symbol("dqlite_node_recover_ext", {
      parameters: ["pointer", "buffer", "i32"],
      result: "i32",
    }),
    // const char *dqlite_node_errmsg(dqlite_node *n)
    errmsg: symbol("dqlite_node_errmsg", { parameters: ["pointer"], result: "pointer" }),
    // int dqlite_version_number(void)
    version: symbol("dqlite_version_number", { parameters: [], result: "i32" }),
  };
}

let functions: ReturnType<typeof bindFunctions> | undefined;
const dqlite = () => functions ??= bindFunctions(openDqlite());

/** What libdqlite refused. */
export class DqliteError extends Error {
  /** Always "DqliteError". */
  override readonly name = "DqliteError";

  /**
   * @param operation What was being done: `start the node`.
   * @param code DQLITE_ERROR, DQLITE_MISUSE or DQLITE_NOMEM (dqlite.h), or an error of libraft's.
   * @param said What dqlite_node_errmsg() says of it; it is often empty.
   */
  constructor(operation: string, readonly code: number, said: string) {
    const reason = said !== ""
      ? said
      : { 1: "libdqlite gives no reason", 2: "wrong use of libdqlite", 3: "no memory" }[code] ??
        `error ${code}`;
    super(`Cannot ${operation} of dqlite: ${reason}`);
  }
}

/** Which node, and where it keeps its copy. */
export interface DqliteIdentity {
  /** Never used again by a node that lost its data. The node with id 1 begins a cluster if its directory is empty. */
  readonly id: number;
  /** What other nodes call it by; the same for the life of the node. Not an address of the network. */
  readonly address: string;
  /** A directory that nobody else uses meanwhile: the library does not look. */
  readonly directory: string;
}

/** How a node runs. */
export interface DqliteOptions extends DqliteIdentity {
  /** Milliseconds on the way to another node: a leader is missed after 15 to 30 times that. */
  readonly latency: number;
  /**
   * Path of a socket that this process listens on, in a directory of its own. The node connects there to reach another, and says the
   * other's address in the first line.
   */
  readonly door: string;
  /** Whether it is worth while to try an address now; the library asks again after a second. */
  readonly mayTry: (address: string) => boolean;
}

/** Of the latency: what the library makes of it, and what lies between two heartbeats where that can be told to it. */
const [ELECTION, HEARTBEAT, RARE_HEARTBEAT] = [15, 1.5, 4.5];

/** Milliseconds after which a node that is to get a vote and went away is given up; the library's own are 50,000. */
const CATCHING_UP = 5000;

/** Changes after which a copy of the database is written, and the log before it forgotten. */
const SNAPSHOT_AFTER = 512;
/** Changes that are kept, in memory too, for nodes that were away for a while. */
const SNAPSHOT_KEEPS = 1024;

/** Bytes that a file takes by which it is seen that the directory can be written. */
const TRIAL = 65_536;

/** The socket by which this process reaches its node, in the node's directory. */
const SOCKET = "socket";

let broken = false;

/**
 * The library's 1.11 frees a node that it cannot make and leaves it in SQLite's list of file systems: the next call reads memory that is
 * no more. So what can be wrong with a directory is looked for before, and if it fails nevertheless, this process makes no other node.
 */
function create({ id, address, directory }: DqliteIdentity): Deno.PointerObject {
  if (broken) throw new DqliteError("make the node", 1, "it failed before; restart the program");
  const trial = `${directory}/trial`;
  try {
    Deno.writeFileSync(trial, new Uint8Array(TRIAL), { mode: 0o600 });
    Deno.removeSync(trial);
  } catch (error) {
    throw new DqliteError("make the node", 1, error instanceof Error ? error.message : `${error}`);
  }
  const out = new BigUint64Array(1);
  const code = dqlite().create.call(BigInt(id), cString(address), cString(directory), out);
  const made = Deno.UnsafePointer.create(out[0]!);
  if (code !== 0 || made === null) {
    broken = true;
    throw new DqliteError("make the node", code, "");
  }
  return made;
}

function text(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

function check(made: Deno.PointerObject, code: number, operation: string): void {
  if (code !== 0) throw new DqliteError(operation, code, text(dqlite().errmsg.call(made)));
}

/** The library's version: 11100 is 1.11.0 by its own account, which Debian's 1.11.1 gives as 1.10.0. */
export function dqliteVersion(): number {
  return dqlite().version.call();
}

/** A node that runs. */
export class DqliteNode implements AsyncDisposable {
  #made: Deno.PointerObject | undefined;
  readonly #raft: Raft | undefined;
  readonly #callback: Deno.UnsafeCallback<typeof CONNECT>;
  /** Where this process, and no other, reaches it: a path for Deno.connect. */
  readonly socket: string;

  private constructor(
    made: Deno.PointerObject,
    raft: Raft | undefined,
    callback: Deno.UnsafeCallback<typeof CONNECT>,
    socket: string,
  ) {
    this.#made = made;
    this.#raft = raft;
    this.#callback = callback;
    this.socket = socket;
  }

  /**
   * Starts a node. It is ready when the promise resolves.
   *
   * @throws {MissingLibraryError} if there is no libdqlite.
   * @throws {DqliteError} if it does not start: what lies in the directory is damaged, or not to be written.
   */
  static async start(options: DqliteOptions): Promise<DqliteNode> {
    const d = dqlite();
    const made = create(options);
    const socket = `${options.directory}/${SOCKET}`;
    const callback = Deno.UnsafeCallback.threadSafe(CONNECT, (_, address, fd) => {
      const to = text(address);
      try {
        if (!options.mayTry(to)) return 1;
        const connected = connectUnix(options.door, new TextEncoder().encode(`${to}\n`));
        new Int32Array(Deno.UnsafePointerView.getArrayBuffer(fd!, 4))[0] = connected;
        return 0;
      } catch {
        // The library tells nobody why; the door is ours, and whether the other side is there shows later.
        return 1;
      }
    });
    // The process may end while nobody dials.
    callback.unref();
    let raft: Raft | undefined;
    try {
      check(made, d.setBindAddress.call(made, cString("@")), "bind the node");
      const bound = abstractSocket(text(d.getBindAddress.call(made)).slice(1));
      if (bound === undefined) throw new DqliteError("bind the node", 1, "its socket is not found");
      bindInstead(bound, socket);
      check(made, d.setConnectFunction.call(made, callback.pointer, null), "connect the node");
      check(made, d.setLatency.call(made, options.latency), "set the latency");
      raft = raftOf(openDqlite(), made, {
        ...options,
        electionTimeout: options.latency * ELECTION,
        heartbeat: Math.floor(options.latency * HEARTBEAT),
      });
      // Three or four until a leader is missed are enough: each of them has to be carried from host to host, and so has its answer.
      raft?.setHeartbeat(Math.floor(options.latency * RARE_HEARTBEAT));
      raft?.setPatience(CATCHING_UP);
      check(made, d.setSnapshots.call(made, SNAPSHOT_AFTER, SNAPSHOT_KEEPS), "set the snapshots");
      check(made, await d.start.call(made), "start the node");
    } catch (error) {
      // 1.11 cannot free a node that was bound and did not start: it asserts that its loop is empty. Its memory is lost.
      callback.close();
      throw error;
    }
    return new DqliteNode(made, raft, callback, socket);
  }

  /** The last change that this copy has applied; undefined where the library does not say. */
  get applied(): bigint | undefined {
    return this.#made === undefined ? undefined : this.#raft?.lastApplied();
  }

  /** Stops it and frees it: clients are cut off, what is being written is finished. Doing it twice does no harm. */
  async stop(): Promise<void> {
    const made = this.#made;
    if (made === undefined) return;
    this.#made = undefined;
    // Beside this thread, which a connection that is being made may wait for.
    await dqlite().stop.call(made);
    dqlite().destroy.call(made);
    this.#callback.close();
  }

  /** See {@linkcode DqliteNode.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** sizeof(struct dqlite_node_info_ext) (dqlite.h): size, id, address, role, each 64 bits. */
const INFO = 32;

/**
 * Makes a cluster of one out of the copy of a node that does not run: all other members are forgotten. What they had acknowledged and
 * this copy lacks is lost.
 *
 * @throws {DqliteError} if it cannot be done.
 */
export function recoverDqlite(identity: DqliteIdentity): void {
  const made = create(identity);
  const address = cString(identity.address);
  const info = new BigUint64Array([
    BigInt(INFO),
    BigInt(identity.id),
    BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(address))),
    0n,
  ]);
  check(made, dqlite().recover.call(made, info, 1), "recover the node");
  // 1.11 cannot free a node that never ran; a process that recovers one ends soon.
}
