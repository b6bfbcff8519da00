/**
 * What is asked of a node, as messages. Pure.
 *
 * @module
 */
import type { SqlValue } from "../engine.ts";
import { HEADER, MOST_PARAMETERS, padded, REQUEST, type Role, ROLES, TYPE, WORD } from "./wire.ts";

const encoder = new TextEncoder();

/** Writes a body. */
class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = HEADER;

  #take(count: number): number {
    const at = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#at, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }

  /** A whole number that is not negative. */
  word(value: number): this {
    const at = this.#take(WORD);
    this.#view.setBigUint64(at, BigInt(value), true);
    return this;
  }

  text(value: string): this {
    if (value.includes("\0")) {
      throw new TypeError("Cannot send text to dqlite: it holds a NUL character");
    }
    const bytes = encoder.encode(value);
    const at = this.#take(padded(bytes.length + 1));
    this.#bytes.set(bytes, at);
    return this;
  }

  parameters(values: readonly SqlValue[]): this {
    if (values.length > MOST_PARAMETERS) {
      throw new RangeError(`Cannot send ${values.length} parameters: ${MOST_PARAMETERS} at most`);
    }
    // None at all: the library takes an empty tuple for one of the wrong format.
    if (values.length === 0) return this;
    const head = this.#take(padded(1 + values.length));
    this.#bytes[head] = values.length;
    values.forEach((value, n) => {
      const type = value === null
        ? TYPE.null
        : typeof value === "string"
        ? TYPE.text
        : Number.isSafeInteger(value)
        ? TYPE.integer
        : TYPE.float;
      this.#bytes[head + 1 + n] = type;
      if (typeof value === "string") this.text(value);
      else {
        const at = this.#take(WORD);
        if (type === TYPE.integer) this.#view.setBigInt64(at, BigInt(value!), true);
        if (type === TYPE.float) this.#view.setFloat64(at, value!, true);
      }
    });
    return this;
  }

  message(type: number): Uint8Array<ArrayBuffer> {
    this.#view.setUint32(0, (this.#at - HEADER) / WORD, true);
    this.#bytes[4] = type;
    return this.#bytes.subarray(0, this.#at);
  }
}

/** Requests as messages. */
export const requests = {
  /** Who leads. */
  leader: () => new Writer().word(0).message(REQUEST.leader),
  /** Opens a database, which is made if there is none. */
  open: (name: string) => new Writer().text(name).word(0).text("").message(REQUEST.open),
  /** Runs one statement without rows. */
  exec: (sql: string, parameters: readonly SqlValue[]) =>
    new Writer().word(0).text(sql).parameters(parameters).message(REQUEST.execSql),
  /** Runs one statement with rows. */
  query: (sql: string, parameters: readonly SqlValue[]) =>
    new Writer().word(0).text(sql).parameters(parameters).message(REQUEST.querySql),
  /** Makes a node a member, a spare one. */
  add: (id: number, address: string) => new Writer().word(id).text(address).message(REQUEST.add),
  /** Gives a member a role. */
  assign: (id: number, role: Role) =>
    new Writer().word(id).word(ROLES.indexOf(role)).message(REQUEST.assign),
  /** Makes a member none. */
  remove: (id: number) => new Writer().word(id).message(REQUEST.remove),
  /** The files of a database. */
  dump: (name: string) => new Writer().text(name).message(REQUEST.dump),
  /** All members. */
  cluster: () => new Writer().word(1).message(REQUEST.cluster),
  /** Lets another voter lead. */
  transfer: (id: number) => new Writer().word(id).message(REQUEST.transfer),
};
