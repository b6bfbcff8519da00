/**
 * A real server of a keepalived.conf, with its checkers.
 *
 * @module
 */
import type { CheckRequest } from "../check_kinds.ts";
import type { DestinationRequest } from "../destination.ts";
import type { Forward } from "../service.ts";
import { BlockError, type Statement } from "./keepalived_blocks.ts";
import { checkOfChecker } from "./keepalived_checks.ts";
import { addressOf, forwardOf, only, portOf, whole } from "./keepalived_values.ts";
import { LeftOut } from "./left_out.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What is read of one. */
export interface ReadServer {
  readonly line: number;
  readonly request: DestinationRequest;
  /** Undefined: as its virtual server. */
  readonly forward: Forward | undefined;
  /** Undefined: none that knet has. */
  readonly check: CheckRequest | undefined;
}

function checkOf(
  checkers: readonly Statement[],
  host: string | undefined,
  server: string,
  leftOut: LeftOut,
): CheckRequest | undefined {
  let check: CheckRequest | undefined;
  for (const checker of checkers) {
    const own = new LeftOut();
    const found = checkOfChecker(checker, host, server, (one, why) => own.add(one, why));
    if (found === undefined) {
      const elsewhere = /^(?:TCP|UDP|DNS)_CHECK$|_GET$/.test(checker.word);
      leftOut.add(
        checker,
        elsewhere ? "knet asks the real server itself, not another" : "knet has no such check",
      );
    } else if (check !== undefined) leftOut.add(checker, "knet checks in one way");
    else {
      check = found;
      leftOut.take(own);
    }
  }
  return check;
}

/**
 * Reads a real server.
 *
 * @param common What its virtual server says for all.
 */
export function readRealServer(
  at: Statement,
  common: { readonly port: number; readonly weight: number; readonly host: string | undefined },
  leftOut: LeftOut,
): ReadServer {
  const [address = "", port] = at.values;
  const server = addressOf(address, at.line);
  const request: Mutable<DestinationRequest> = {
    address: server,
    // A port of 0 is the service's as well.
    port: port === undefined || port === "0" ? common.port : portOf(port, at.line),
    weight: common.weight,
  };
  let { host } = common;
  let forward: Forward | undefined;
  const checkers: Statement[] = [];
  for (const statement of at.block ?? []) {
    switch (statement.word) {
      case "weight":
        request.weight = whole(statement);
        break;
      case "uthreshold":
        request.upper = whole(statement);
        break;
      case "lthreshold":
        request.lower = whole(statement);
        break;
      case "lvs_method":
        forward = forwardOf(statement);
        break;
      case "virtualhost":
        host = only(statement);
        break;
      case "include":
        throw new BlockError(statement.line, "it goes on in another file: write its lines out");
      case "inhibit_on_failure":
      case "delay_before_retry":
        break;
      default:
        if (/_(?:CHECK|GET)$/.test(statement.word)) checkers.push(statement);
        else leftOut.add(statement);
    }
  }
  return { line: at.line, request, forward, check: checkOf(checkers, host, server, leftOut) };
}
