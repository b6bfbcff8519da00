/**
 * The agent's end of the packet loop: opens device and sockets, starts the thread, tells it of peers.
 *
 * @module
 */
import { check, closeFile, libc, prepareErrno } from "../../ffi/libc.ts";
import { openTun, type Tun } from "../../ffi/tun.ts";
import { type DatagramSocket, openIcmp, openUdp } from "../../ffi/udp_socket.ts";
import { addressToNumber } from "../address.ts";
import { type CounterName, makeCounters, readCounters } from "./counters.ts";
import { buildPeerTable, rangeOf, type UdpPeer } from "./routes.ts";
import type { LoopReport, LoopRequest } from "./setup.ts";

/** What this host is. */
export interface DataPlaneSetup {
  /** Name of the TUN device. */
  readonly device: string;
  /** This host's subnet. */
  readonly subnet: string;
  /** Address of the underlay interface, which datagrams come from and go to. */
  readonly local: string;
  readonly port: number;
  /** Bytes of the longest packet. */
  readonly mtu: number;
  /** False: one packet a call. */
  readonly offloads: boolean;
}

/** sys/eventfd.h */
const EFD_SEMAPHORE = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
/** Some 80 bundles each way: what two hosts exchange in a few milliseconds. */
const SOCKET_BUFFER = 8 << 20;
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** The packet loop as the agent sees it. */
export class DataPlane implements AsyncDisposable {
  readonly #counters = makeCounters();
  readonly #wake: number;
  readonly #worker: Worker;
  readonly #onBroken: (why: string) => void;
  readonly #stopped = Promise.withResolvers<void>();
  #setup: DataPlaneSetup | undefined;
  #tun: Tun | undefined;
  #udp: DatagramSocket | undefined;
  #icmp: DatagramSocket | undefined;
  #ended = false;

  /** @param onBroken Called when the device was deleted or the loop died; {@linkcode open} makes it anew. */
  constructor(onBroken: (why: string) => void) {
    this.#onBroken = onBroken;
    prepareErrno();
    this.#wake = check(
      libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE),
      "create an eventfd",
    );
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<LoopReport>) => {
      if (data.kind === "stopped") this.#stopped.resolve();
      else this.#onBroken("its device was deleted");
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#ended = true;
      this.#stopped.resolve();
      this.#onBroken(event.message);
    };
    const start: LoopRequest = { kind: "start", wake: this.#wake, counters: this.#counters };
    this.#worker.postMessage(start);
  }

  /**
   * Opens the device, making it if need be, and the sockets.
   *
   * @throws {SystemError} if the kernel refuses one of them.
   */
  open(setup: DataPlaneSetup): void {
    const { device, local, port, offloads, subnet, mtu } = setup;
    const before = this.#setup;
    const old: (Disposable | undefined)[] = [];
    if (this.#tun === undefined || before?.device !== device || before.offloads !== offloads) {
      old.push(this.#tun);
      this.#tun = undefined;
      this.#tun = openTun(device, { offloads });
    }
    if (
      this.#udp === undefined || before?.local !== local || before.port !== port ||
      before.offloads !== offloads
    ) {
      old.push(this.#udp);
      this.#udp = openUdp(Number(addressToNumber(local)), port, {
        buffer: SOCKET_BUFFER,
        bundles: offloads,
      });
    }
    const { first, last } = rangeOf(subnet);
    if (this.#icmp === undefined || before?.subnet !== subnet) {
      old.push(this.#icmp);
      this.#icmp = openIcmp(first);
    }
    this.#setup = setup;
    const { fd, udpOffload } = this.#tun;
    const { fd: udp, segments, bundles } = this.#udp;
    this.#tell({
      kind: "setup",
      setup: {
        tun: { fd, offloads, udpOffload },
        udp: { fd: udp, segments, bundles },
        icmp: this.#icmp.fd,
        mtu,
        first,
        last,
        singly: !offloads,
      },
    });
    for (const one of old) one?.[Symbol.dispose]();
  }

  /** Replaces all peers. */
  setPeers(peers: readonly UdpPeer[]): void {
    const table = buildPeerTable(peers, this.#setup!.port);
    this.#tell({ kind: "peers", table });
  }

  /** What the loop has counted. */
  get counters(): Record<CounterName, number> {
    return readCounters(this.#counters);
  }

  #tell(request: LoopRequest): void {
    if (this.#ended) return;
    this.#worker.postMessage(request);
    libc().write(this.#wake, ONE, 8n);
  }

  /** Stops the loop. The device stays, with its addresses and routes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#tell({ kind: "stop" });
    this.#ended = true;
    await this.#stopped.promise;
    this.#worker.terminate();
    for (const one of [this.#tun, this.#udp, this.#icmp]) one?.[Symbol.dispose]();
    closeFile(this.#wake);
  }
}
