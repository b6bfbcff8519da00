/**
 * Reads the virtual servers of a keepalived.conf. What knet has not is named, with its lines; what would make a service another one
 * than it was is refused, and then nothing is taken.
 *
 * @module
 */
import { addressBits, familyOf } from "../../base/address.ts";
import { KnetError } from "../../base/error.ts";
import type { CheckRequest } from "../check_kinds.ts";
import type { ServiceRequest } from "../request.ts";
import {
  type Forward,
  type Protocol,
  PROTOCOLS,
  type Scheduler,
  SCHEDULER_FLAGS,
  type SchedulerFlag,
} from "../service.ts";
import { type Imported, importedService, type ServiceDraft } from "./imported.ts";
import { prefixLengthOf } from "./ipvsadm_read.ts";
import { BlockError, readBlocks, type Statement } from "./keepalived_blocks.ts";
import { readRealServer } from "./keepalived_server.ts";
import {
  addressesOf,
  addressOf,
  forwardOf,
  milliseconds,
  only,
  portOf,
  whole,
} from "./keepalived_values.ts";
import { LeftOut } from "./left_out.ts";

/** Seconds; what keepalived takes for `persistence_timeout` alone. */
const PERSISTENT = 360;

interface Place {
  readonly vip: string;
  readonly port: number;
  readonly line: number;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** A service without its address. */
interface Body {
  readonly protocol: Protocol;
  readonly request: ServiceRequest;
  readonly servers: ServiceDraft["servers"];
  readonly forward: Forward;
}

class Reader {
  readonly leftOut = new LeftOut();
  readonly drafts = new Map<string, ServiceDraft>();
  readonly #groups = new Map<string, Statement>();

  read(statements: readonly Statement[]): void {
    for (const one of statements) {
      if (one.word === "virtual_server_group") this.#groups.set(only(one), one);
    }
    for (const one of statements) {
      if (one.word === "virtual_server") this.#virtualServer(one);
      else if (one.word === "include") {
        this.leftOut.add(one, "give the file that it names as well", one.values.join(" "));
      } else if (one.word !== "virtual_server_group") {
        this.leftOut.add(one, "it is about no virtual server", one.values.join(" "));
      }
    }
  }

  /** Where a virtual server is; nowhere, if it is by firewall marks. */
  #places(at: Statement): Place[] {
    const [first = "", second] = at.values;
    if (first === "fwmark") {
      this.leftOut.add(at, "knet has no firewall marks", at.values.join(" "));
      return [];
    }
    if (first !== "group") {
      return [{ vip: addressOf(first, at.line), port: portOf(second, at.line), line: at.line }];
    }
    const group = this.#groups.get(second ?? "");
    if (group === undefined) {
      throw new BlockError(at.line, `there is no virtual_server_group "${second ?? ""}"`);
    }
    return (group.block ?? []).flatMap(({ word, values, line }) => {
      if (word === "fwmark") {
        return this.#places({ line, word: at.word, values: [word, ...values] });
      }
      const port = portOf(values[0], line);
      return addressesOf(word, line).map((vip): Place => ({ vip, port, line }));
    });
  }

  #virtualServer(at: Statement): void {
    const places = this.#places(at);
    if (places.length === 0) return;
    const families = new Set(places.map(({ vip }) => familyOf(vip)));
    if (families.size > 1) throw new BlockError(at.line, "its addresses are of IPv4 and IPv6");
    for (const { vip, port, line } of places) {
      // Each anew: what is told of it is told once.
      const { protocol, request, servers, forward } = this.#body(at, port, [...families][0]!);
      const key = `${vip} ${port} ${protocol}`;
      const known = this.drafts.get(key);
      if (known !== undefined) {
        throw new BlockError(line, `the virtual server is there already, from line ${known.line}`);
      }
      this.drafts.set(key, { line, vip, port, protocol, request, servers, forward });
    }
  }

  #body(at: Statement, port: number, family: 4 | 6): Body {
    const request: Mutable<ServiceRequest> = {
      scheduler: "wlc",
      schedulerFlags: [],
      persistent: 0,
    };
    const flags: SchedulerFlag[] = [];
    let protocol: Protocol = "tcp";
    let forward: Forward = "nat";
    let weight = 1;
    let interval: number | undefined;
    let timeout: number | undefined;
    let fall: number | undefined;
    let host: string | undefined;
    const servers: Statement[] = [];
    request.persistenceNetmask = addressBits(family);
    for (const statement of at.block ?? []) {
      const { word, values, line } = statement;
      if (SCHEDULER_FLAGS.some((flag) => flag === word)) flags.push(word as SchedulerFlag);
      else {
        switch (word) {
          case "lb_algo":
          case "lvs_sched":
            request.scheduler = only(statement) as Scheduler;
            break;
          case "lb_kind":
          case "lvs_method":
            forward = forwardOf(statement);
            break;
          case "protocol": {
            const named = PROTOCOLS.find((one) => one === only(statement).toLowerCase());
            if (named === undefined) {
              throw new BlockError(line, `IPVS has no protocol ${values[0]}`);
            }
            protocol = named;
            break;
          }
          case "persistence_timeout":
            request.persistent = values.length === 0 ? PERSISTENT : whole(statement);
            break;
          case "persistence_granularity":
            try {
              request.persistenceNetmask = prefixLengthOf(only(statement), family);
            } catch (error) {
              if (!(error instanceof SyntaxError)) throw error;
              throw new BlockError(line, error.message);
            }
            break;
          case "ops":
            request.onePacket = true;
            break;
          case "delay_loop":
            interval = milliseconds(statement);
            break;
          case "connect_timeout":
            timeout = milliseconds(statement);
            break;
          case "retry":
            fall = whole(statement) + 1;
            break;
          case "virtualhost":
            host = only(statement);
            break;
          case "weight":
            weight = whole(statement);
            break;
          case "real_server":
            servers.push(statement);
            break;
          case "include":
            throw new BlockError(line, "it goes on in another file: write its lines out");
          case "sorry_server":
            this.leftOut.add(statement, "knet has none: where all real servers fail, it refuses");
            break;
          case "ip_family":
          case "inhibit_on_failure":
          case "delay_before_retry":
            break;
          default:
            this.leftOut.add(statement);
        }
      }
    }
    const pace = {
      ...(interval !== undefined && { interval }),
      ...(timeout !== undefined && { timeout }),
      ...(fall !== undefined && { fall }),
    };
    const read = servers.map((one) => readRealServer(one, { port, weight, host }, this.leftOut));
    const ways = new Set(read.map((one) => one.forward ?? forward));
    if (ways.size > 1) {
      throw new BlockError(
        at.line,
        `it forwards by ${[...ways].join(" and ")}: a service of knet has one way`,
      );
    }
    const check = this.#commonCheck(at, read.map((one) => one.check));
    return {
      protocol,
      forward: [...ways][0] ?? forward,
      servers: read.map(({ line, request }) => ({ line, request })),
      request: {
        ...request,
        schedulerFlags: flags,
        // Whom all fail, keepalived has no real server, and the kernel refuses.
        ...(check && { check: { ...pace, ...check }, onEmpty: "reject" as const }),
      },
    };
  }

  /** The check of all real servers, if it is the same for all. */
  #commonCheck(at: Statement, checks: readonly (CheckRequest | undefined)[]) {
    const [first] = checks;
    if (checks.every((one) => JSON.stringify(one) === JSON.stringify(first))) return first;
    this.leftOut.add(
      { ...at, word: "the checks" },
      "its real servers are not all checked alike",
      `of virtual_server ${at.values.join(" ")}`,
    );
    return undefined;
  }
}

/**
 * Reads virtual servers.
 *
 * @param source What to call the text in messages.
 * @throws {KnetError} exit code 2, naming the line.
 */
export function readKeepalived(text: string, source: string): Imported {
  const refuse = (line: number, state: string) =>
    new KnetError(
      `Cannot read keepalived's virtual servers from ${source}: line ${line}: ${state}`,
      {
        exitCode: 2,
        remedy: "Correct that line, or leave its block out of what you give",
      },
    );
  const reader = new Reader();
  try {
    reader.read(readBlocks(text));
  } catch (error) {
    if (error instanceof BlockError) throw refuse(error.line, error.message);
    throw error;
  }
  const services = [...reader.drafts.values()].map((draft) => importedService(draft, refuse));
  return { services, warnings: reader.leftOut.sentences() };
}
