/**
 * IPVS over generic netlink (linux/ip_vs.h): a socket that counts what it sends, version, timeouts, sync daemon.
 *
 * Each network namespace has tables of its own; a socket belongs to the one it was opened in.
 *
 * @module
 */
import { NETLINK_GENERIC, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import { Batch } from "../netlink/batch.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import { type BatchFailure, NetlinkSocket } from "../netlink/socket.ts";
import { GENL_HDRLEN, genlHeader, resolveFamily } from "./genl.ts";

const IPVS_GENL_NAME = "IPVS";
const IPVS_GENL_VERSION = 1;

/** IPVS_CMD_ numbers. */
export const IPVS_CMD = {
  NEW_SERVICE: 1,
  SET_SERVICE: 2,
  DEL_SERVICE: 3,
  GET_SERVICE: 4,
  NEW_DEST: 5,
  SET_DEST: 6,
  DEL_DEST: 7,
  GET_DEST: 8,
  GET_DAEMON: 11,
  SET_CONFIG: 12,
  GET_CONFIG: 13,
  GET_INFO: 15,
} as const;

/** IPVS_CMD_ATTR_ numbers. */
export const IPVS_CMD_ATTR = {
  SERVICE: 1,
  DEST: 2,
  DAEMON: 3,
  TIMEOUT_TCP: 4,
  TIMEOUT_TCP_FIN: 5,
  TIMEOUT_UDP: 6,
} as const;

const IPVS_INFO_ATTR_VERSION = 1;
const IPVS_INFO_ATTR_CONN_TAB_SIZE = 2;
const IPVS_DAEMON_ATTR_STATE = 1;
const IPVS_DAEMON_ATTR_MCAST_IFN = 2;
const IPVS_DAEMON_ATTR_SYNC_ID = 3;

/** A socket for IPVS. */
export class IpvsSocket implements Disposable {
  readonly #socket: NetlinkSocket;
  /** Message type of the family. */
  readonly family: number;
  #messages = 0;

  private constructor(socket: NetlinkSocket, family: number) {
    this.#socket = socket;
    this.family = family;
  }

  /**
   * Opens a socket in the network namespace that the thread is in; the kernel loads ip_vs if it is a module.
   *
   * @throws {MissingFamilyError} if the kernel has no IPVS.
   * @throws {MissingLibraryError} without libnl.
   */
  static open(): IpvsSocket {
    const family = resolveFamily(IPVS_GENL_NAME);
    return new IpvsSocket(NetlinkSocket.open(NETLINK_GENERIC), family);
  }

  /** Messages sent so far, requests for dumps among them. */
  get messages(): number {
    return this.#messages;
  }

  /** Starts a message of the family. */
  begin(batch: Batch, command: number, flags: number, describe: () => string): void {
    batch.begin(this.family, flags, describe);
    genlHeader(batch, command, IPVS_GENL_VERSION);
  }

  /**
   * Sends all messages of a batch in a few sends.
   *
   * @returns The messages that failed, in their order.
   */
  send(batch: Batch): BatchFailure[] {
    this.#messages += batch.count;
    return this.#socket.send(batch);
  }

  /**
   * Sends a batch and throws the first failure.
   *
   * @throws {NetlinkError}
   */
  request(batch: Batch): void {
    const failure = this.send(batch)[0];
    if (failure !== undefined) throw failure.error;
  }

  /**
   * Asks for objects and gives the attributes of each answer, valid during the call.
   *
   * @param kind "all" dumps; "one" asks for the one object that the request names.
   * @param build Writes the attributes of the request.
   * @throws {NetlinkError}
   */
  ask(
    command: number,
    kind: "all" | "one",
    what: string,
    build: (batch: Batch) => void,
    onAnswer: (attributes: Attributes) => void,
    restart?: () => void,
  ): void {
    const flags = NLM_F_REQUEST | (kind === "all" ? NLM_F_DUMP : NLM_F_ACK);
    const attributes = new Attributes();
    this.#socket.dump(
      (batch) => {
        this.#messages++;
        this.begin(batch, command, flags, () => what);
        build(batch);
        batch.end();
      },
      (message: MessageView) => {
        if (message.type !== this.family) return;
        const { data, view, offset, end } = message;
        onAnswer(attributes.parse(data, view, offset + GENL_HDRLEN, end));
      },
      restart === undefined ? {} : { restart },
    );
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** What the kernel's IPVS is. */
export interface IpvsInfo {
  /** `1.2.1` */
  readonly version: string;
  /** Buckets of the hash table of connections. */
  readonly tableSize: number;
}

/**
 * Reads the version and the size of the connection table.
 *
 * @throws {NetlinkError}
 */
export function getInfo(socket: IpvsSocket): IpvsInfo {
  let info: IpvsInfo = { version: "", tableSize: 0 };
  socket.ask(IPVS_CMD.GET_INFO, "one", "read the version of IPVS", () => {}, (a) => {
    const code = a.u32(IPVS_INFO_ATTR_VERSION) ?? 0;
    info = {
      version: `${code >> 16}.${code >> 8 & 0xff}.${code & 0xff}`,
      tableSize: a.u32(IPVS_INFO_ATTR_CONN_TAB_SIZE) ?? 0,
    };
  });
  return info;
}

/** Timeouts of connections, seconds. */
export interface IpvsTimeouts {
  /** Of an established TCP connection. */
  readonly tcp: number;
  /** After a FIN. */
  readonly tcpfin: number;
  /** Of a UDP "connection". */
  readonly udp: number;
}

/**
 * Reads the timeouts.
 *
 * @throws {NetlinkError}
 */
export function getTimeouts(socket: IpvsSocket): IpvsTimeouts {
  let timeouts: IpvsTimeouts = { tcp: 0, tcpfin: 0, udp: 0 };
  socket.ask(IPVS_CMD.GET_CONFIG, "one", "read the timeouts of IPVS", () => {}, (a) => {
    timeouts = {
      tcp: a.u32(IPVS_CMD_ATTR.TIMEOUT_TCP) ?? 0,
      tcpfin: a.u32(IPVS_CMD_ATTR.TIMEOUT_TCP_FIN) ?? 0,
      udp: a.u32(IPVS_CMD_ATTR.TIMEOUT_UDP) ?? 0,
    };
  });
  return timeouts;
}

/**
 * Sets the timeouts; 0 leaves one as it is.
 *
 * @throws {NetlinkError}
 */
export function setTimeouts(socket: IpvsSocket, { tcp, tcpfin, udp }: IpvsTimeouts): void {
  const batch = new Batch(128);
  socket.begin(
    batch,
    IPVS_CMD.SET_CONFIG,
    NLM_F_REQUEST,
    () => `set the timeouts of IPVS to ${tcp}, ${tcpfin} and ${udp} s`,
  );
  batch.attrU32(IPVS_CMD_ATTR.TIMEOUT_TCP, tcp);
  batch.attrU32(IPVS_CMD_ATTR.TIMEOUT_TCP_FIN, tcpfin);
  batch.attrU32(IPVS_CMD_ATTR.TIMEOUT_UDP, udp);
  batch.end();
  socket.request(batch);
}

/** One of the two daemons that copy connections between directors. */
export interface SyncDaemon {
  /** Whether it sends or receives. */
  readonly state: "master" | "backup";
  /** Interface of the multicast. */
  readonly interface: string;
  /** Number that master and backup have in common. */
  readonly syncId: number;
}

/**
 * Reads which sync daemons run. knet starts and stops none.
 *
 * @throws {NetlinkError}
 */
export function listSyncDaemons(socket: IpvsSocket): SyncDaemon[] {
  const daemons: SyncDaemon[] = [];
  socket.ask(IPVS_CMD.GET_DAEMON, "all", "read the sync daemons of IPVS", () => {}, (a) => {
    const daemon = a.nested(IPVS_CMD_ATTR.DAEMON);
    if (daemon === undefined) return;
    daemons.push({
      state: daemon.u32(IPVS_DAEMON_ATTR_STATE) === 1 ? "master" : "backup",
      interface: daemon.string(IPVS_DAEMON_ATTR_MCAST_IFN) ?? "",
      syncId: daemon.u32(IPVS_DAEMON_ATTR_SYNC_ID) ?? 0,
    });
  }, () => daemons.length = 0);
  return daemons;
}
