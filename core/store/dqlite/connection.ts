/**
 * A connection to one node: a question at a time.
 *
 * @module
 */
import { after } from "../../base/clock.ts";
import type { Row, SqlValue } from "../engine.ts";
import {
  type DumpedFile,
  readFailure,
  readFiles,
  readLeader,
  readMembers,
  readRows,
} from "./answers.ts";
import { DqliteFailure, GoneError } from "./failure.ts";
import { requests } from "./requests.ts";
import { makeStatement } from "./statement.ts";
import { type ByteStream, closeQuietly, readFull, writeAddress, writeAll } from "./stream.ts";
import { HEADER, type Member, PROTOCOL, readHead, RESPONSE, type Role, WireError } from "./wire.ts";

/** The one database. */
const DATABASE = "knet";

/** A connection. After an answer that did not come it is of no use. */
export class DqliteConnection implements Disposable {
  readonly #stream: ByteStream;
  #dead = false;
  #busy = false;

  private constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /**
   * Begins to talk to a node.
   *
   * @param stream To the node's host. It is the connection's from now on.
   * @param address Which node is meant; empty for the one of the host; undefined where the stream is the node's own socket.
   * @param patience Milliseconds.
   */
  static async begin(
    stream: ByteStream,
    address: string | undefined,
    patience: number,
  ): Promise<DqliteConnection> {
    const made = new DqliteConnection(stream);
    await made.within(patience, async () => {
      if (address !== undefined) await writeAddress(stream, address);
      await writeAll(stream, PROTOCOL);
    });
    return made;
  }

  /** Whether it is of no use any more. */
  get dead(): boolean {
    return this.#dead;
  }

  /** Hangs up; an open transaction is undone by the node. */
  [Symbol.dispose](): void {
    if (!this.#dead) closeQuietly(this.#stream);
    this.#dead = true;
  }

  /**
   * Does something with a time limit, after which the connection is closed.
   *
   * @throws {GoneError} if the time is over.
   */
  async within<T>(milliseconds: number, work: () => Promise<T>): Promise<T> {
    let late = false;
    const timer = after(Math.max(milliseconds, 1), () => {
      late = true;
      this[Symbol.dispose]();
    });
    try {
      return await work();
    } catch (error) {
      // What was asked and not answered leaves the connection where nobody can go on.
      if (this.#busy) this[Symbol.dispose]();
      throw late ? new GoneError("no answer in time", { cause: error }) : error;
    } finally {
      timer.cancel();
    }
  }

  /** Who leads; undefined if this node does not know. */
  async leader(): Promise<{ id: number; address: string } | undefined> {
    return readLeader(await this.#ask(requests.leader(), RESPONSE.server));
  }

  /** All members, as far as this node knows. */
  async members(): Promise<Member[]> {
    return readMembers(await this.#ask(requests.cluster(), RESPONSE.servers));
  }

  /** Opens the database, once, before statements. */
  async open(): Promise<void> {
    await this.#ask(requests.open(DATABASE), RESPONSE.db);
  }

  /**
   * Runs a statement. Those that change something and have rows (`returning`) are replicated at the end of a transaction only.
   *
   * @throws {DqliteFailure} if the node refuses.
   */
  async run(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    const statement = makeStatement(sql, parameters);
    if (!statement.hasRows) {
      await this.#ask(requests.exec(statement.sql, statement.parameters), RESPONSE.result);
      return [];
    }
    await this.#send(requests.query(statement.sql, statement.parameters));
    const all: Row[] = [];
    for (;;) {
      const { rows, more } = readRows(await this.#receive(RESPONSE.rows));
      for (const row of rows) all.push(row);
      if (more) continue;
      this.#busy = false;
      return all;
    }
  }

  /** What this node has of the database, whether anybody leads or not: the file, and its write-ahead log. */
  async dump(): Promise<DumpedFile[]> {
    return readFiles(await this.#ask(requests.dump(DATABASE), RESPONSE.files));
  }

  /** Makes a node a member without a vote. The leader alone can. */
  async add(id: number, address: string): Promise<void> {
    await this.#ask(requests.add(id, address), RESPONSE.empty);
  }

  /** Gives a member a role, when it has caught up. The leader alone can. */
  async assign(id: number, role: Role): Promise<void> {
    await this.#ask(requests.assign(id, role), RESPONSE.empty);
  }

  /** Makes a member none. The leader alone can. */
  async remove(id: number): Promise<void> {
    await this.#ask(requests.remove(id), RESPONSE.empty);
  }

  /** Lets another voter lead. The leader alone can. */
  async transfer(id: number): Promise<void> {
    await this.#ask(requests.transfer(id), RESPONSE.empty);
  }

  async #ask(message: Uint8Array, type: number): Promise<Uint8Array> {
    await this.#send(message);
    const body = await this.#receive(type);
    this.#busy = false;
    return body;
  }

  async #send(message: Uint8Array): Promise<void> {
    if (this.#dead) throw new GoneError("the connection was closed");
    // The library ends the whole process of whoever leads if a second question comes before the answer to the first.
    if (this.#busy) throw new Error("Cannot ask dqlite: another question is under way");
    this.#busy = true;
    await writeAll(this.#stream, message);
  }

  async #receive(type: number): Promise<Uint8Array> {
    const ended = () => new GoneError("the node closed the connection");
    const head = new Uint8Array(HEADER);
    if (!await readFull(this.#stream, head)) throw ended();
    const { length, type: found } = readHead(head);
    const body = new Uint8Array(length);
    if (!await readFull(this.#stream, body)) throw ended();
    if (found === RESPONSE.failure) {
      this.#busy = false;
      const { code, message } = readFailure(body);
      throw new DqliteFailure(code, message);
    }
    if (found !== type) throw new WireError(`type ${found} instead of ${type}`);
    return body;
  }
}
