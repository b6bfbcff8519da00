/**
 * The library's node while it has room to write: stopped where it has none, started again where it has.
 *
 * @module
 */
import { roomAt } from "../../../ffi/file_system.ts";
import { DqliteNode, type DqliteOptions } from "../../../ffi/dqlite.ts";
import { StoreAwayError } from "../../base/error.ts";
import { type RoomFor, whyNoRoom } from "./room.ts";

const REMEDY =
  "Make room there; it goes on by itself. The other hosts go on meanwhile, if they are a majority";

/** A node that is wanted to run. */
export class RunningNode {
  readonly #options: DqliteOptions;
  #node: DqliteNode | undefined;

  /** @param options For the library. */
  constructor(options: DqliteOptions) {
    this.#options = options;
  }

  /**
   * Starts it.
   *
   * @param fresh It has no data yet.
   * @throws {StoreAwayError} if there is no room; {@linkcode DqliteNode.start}.
   */
  async start(fresh: boolean): Promise<void> {
    this.#checkRoom(fresh ? "first" : "run");
    this.#node = await DqliteNode.start(this.#options);
  }

  /**
   * Where this process reaches it.
   *
   * @throws {StoreAwayError} if it does not run.
   */
  get socket(): string {
    if (this.#node === undefined) {
      this.#checkRoom("return");
      throw new StoreAwayError("Cannot reach this host's replica: it does not run");
    }
    return this.#node.socket;
  }

  /** See {@linkcode DqliteNode.applied}; undefined if it does not run. */
  get applied(): bigint | undefined {
    return this.#node?.applied;
  }

  /**
   * Stops it if it has no room, starts it if it has again.
   *
   * @param before What is done before it is stopped.
   * @throws {StoreAwayError} if there is no room.
   */
  async look(before: () => Promise<void>): Promise<void> {
    if (this.#node === undefined) {
      this.#checkRoom("return");
      this.#node = await DqliteNode.start(this.#options);
      return;
    }
    try {
      this.#checkRoom("run");
    } catch (error) {
      await before().catch(() => {});
      await this.stop();
      throw error;
    }
  }

  /** Stops it. */
  async stop(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    await node?.stop();
  }

  #checkRoom(what: RoomFor): void {
    const { directory } = this.#options;
    const why = whyNoRoom(roomAt(directory), what);
    if (why === undefined) return;
    throw new StoreAwayError(`Cannot run the replica in ${directory}: ${why}`, { remedy: REMEDY });
  }
}
