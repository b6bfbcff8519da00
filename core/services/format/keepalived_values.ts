/**
 * Values of a keepalived.conf. Each function throws a BlockError for what it cannot read.
 *
 * @module
 */
import { canonicalAddress } from "../../base/address.ts";
import { visibleName } from "../../base/visible.ts";
import type { Forward } from "../service.ts";
import { BlockError, type Statement } from "./keepalived_blocks.ts";

const FORWARDS: Readonly<Record<string, Forward>> = { NAT: "nat", DR: "dr", TUN: "tunnel" };
/** Addresses of one range. */
const MOST_IN_RANGE = 256;

/** Whole numbers, or decimal ones. */
function numberOf(statement: Statement): number {
  const [text = ""] = statement.values;
  if (!/^[0-9]{1,9}(?:\.[0-9]{1,6})?$/.test(text)) {
    throw new BlockError(statement.line, `"${text}" is no number for ${statement.word}`);
  }
  return Number(text);
}

/** Milliseconds of a number of seconds. */
export function milliseconds(statement: Statement): number {
  return Math.round(numberOf(statement) * 1000);
}

/** A whole number. */
export function whole(statement: Statement): number {
  const value = numberOf(statement);
  if (Number.isInteger(value)) return value;
  throw new BlockError(statement.line, `${statement.word} is a whole number`);
}

/** What is behind a word. */
export function only(statement: Statement): string {
  const [value] = statement.values;
  if (value !== undefined) return value;
  throw new BlockError(statement.line, `${statement.word} needs a value`);
}

/** An address in its canonical text. */
export function addressOf(text: string, line: number): string {
  try {
    return canonicalAddress(text);
  } catch {
    throw new BlockError(line, `"${visibleName(text)}" is no address`);
  }
}

/** A port from 1 on. */
export function portOf(text: string | undefined, line: number): number {
  const port = Number(text);
  if (/^[0-9]{1,5}$/.test(text ?? "") && port > 0) return port;
  if (text === undefined || port === 0) {
    throw new BlockError(line, "knet has no services for all ports: give the port");
  }
  throw new BlockError(line, `"${visibleName(text)}" is no port`);
}

/** `10.0.0.1-3` is three addresses, `fd00::1-3` as well. */
export function addressesOf(text: string, line: number): string[] {
  const range = /^(.*[.:])([0-9a-f]{1,4})-([0-9a-f]{1,4})$/i.exec(text);
  if (range === null) return [addressOf(text, line)];
  const [, network, first, last] = range;
  const base = text.includes(":") ? 16 : 10;
  const [from, to] = [parseInt(first!, base), parseInt(last!, base)];
  if (!(from <= to && to - from < MOST_IN_RANGE)) {
    throw new BlockError(line, `"${visibleName(text)}" is no range of addresses`);
  }
  return Array.from(
    { length: to - from + 1 },
    (_, n) => addressOf(`${network}${(from + n).toString(base)}`, line),
  );
}

/** A way of forwarding. */
export function forwardOf(statement: Statement): Forward {
  const forward = FORWARDS[only(statement).toUpperCase()];
  if (forward === undefined) {
    throw new BlockError(
      statement.line,
      `knet forwards by NAT, DR or TUN, not by ${only(statement)}`,
    );
  }
  const [, key, type] = statement.values;
  if (key !== undefined && !(key === "type" && type === "ipip")) {
    throw new BlockError(statement.line, "knet has tunnels of type ipip only");
  }
  return forward;
}
