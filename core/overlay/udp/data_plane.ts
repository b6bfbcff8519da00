/**
 * The agent's end of the packet loop: opens device and sockets, starts the thread, tells it of peers.
 *
 * @module
 */
import { closeFile } from "../../../ffi/file.ts";
import { check, libc, prepareErrno } from "../../../ffi/libc.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from "../../../ffi/linux/fcntl.ts";
import { openTun, type Tun } from "../../../ffi/tun.ts";
import { type DatagramSocket, openIcmp, openUdp } from "../../../ffi/udp_socket.ts";
import { addressToNumber } from "../../base/address.ts";
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
  /** UDP port, of this host and of the peers. */
  readonly port: number;
  /** Bytes of the longest packet. */
  readonly mtu: number;
  /** False: one packet a call, as a simple loop does. */
  readonly offloads: boolean;
}

/** The packet loop in `knet status`. */
export interface TunnelStatus {
  /** Large packets cross the border of kernel and program instead of single ones. */
  readonly offloads: boolean;
  readonly counters: Readonly<Record<CounterName, number>>;
}

/** Some 80 bundles each way: what two hosts exchange in a few milliseconds. */
const SOCKET_BUFFER = 8 << 20;
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** One thread with its loop. */
interface Thread {
  readonly worker: Worker;
  /** An eventfd that counts down by one a read. */
  readonly wake: number;
  /** Settles when the loop has ended, in whatever way. */
  readonly ended: Promise<void>;
  /** Waits for the loop to have read what it was told; for each message one. */
  readonly heard: (() => void)[];
}

/** The packet loop as the agent sees it. */
export class DataPlane implements AsyncDisposable {
  readonly #counters = makeCounters();
  readonly #onBroken: (why: string) => void;
  /** Index of the device that is open, for the caller to know it again; undefined before. */
  deviceIndex: number | undefined;
  #thread: Thread | undefined;
  #turnedAway = false;
  #setup: DataPlaneSetup | undefined;
  #peers: readonly UdpPeer[] = [];
  #tun: Tun | undefined;
  #udp: DatagramSocket | undefined;
  #icmp: DatagramSocket | undefined;

  /** @param onBroken Called when the device was deleted or the loop died; {@linkcode open} makes it anew. */
  constructor(onBroken: (why: string) => void) {
    this.#onBroken = onBroken;
  }

  /** What the loop has counted. */
  get counters(): Record<CounterName, number> {
    return readCounters(this.#counters);
  }

  /** For `knet status`; undefined while there is no loop. */
  get status(): TunnelStatus | undefined {
    if (this.#setup === undefined || this.#thread === undefined) return undefined;
    return { offloads: this.#setup.offloads, counters: this.counters };
  }

  /**
   * Makes device, sockets and loop be as they should. What is right already is left alone.
   *
   * @param deviceGone The device was deleted, and has to be made again.
   * @throws {SystemError} if the kernel refuses one of them.
   */
  open(setup: DataPlaneSetup, deviceGone = false): void {
    const before = this.#setup;
    const same = (...keys: (keyof DataPlaneSetup)[]) =>
      before !== undefined && keys.every((key) => before[key] === setup[key]);
    const running = this.#thread !== undefined;
    const { device, local, port, offloads } = setup;
    const { first } = rangeOf(setup.subnet);
    const old: Disposable[] = [];
    const renew = <T extends Disposable>(present: T | undefined, keep: boolean, make: () => T) => {
      if (present !== undefined && keep) return present;
      const made = make();
      if (present !== undefined) old.push(present);
      return made;
    };
    this.#tun = renew(
      this.#tun,
      !deviceGone && same("device", "offloads"),
      () => openTun(device, { offloads }),
    );
    this.#udp = renew(
      this.#udp,
      same("local", "port", "offloads"),
      () =>
        openUdp(Number(addressToNumber(local)), port, { buffer: SOCKET_BUFFER, bundles: offloads }),
    );
    this.#icmp = renew(this.#icmp, same("subnet"), () => openIcmp(first));
    this.#setup = setup;
    if (running && !this.#turnedAway && old.length === 0 && same("mtu", "subnet")) return;
    this.#turnedAway = false;
    if (!running) this.#thread = this.#start();
    this.#tellSetup(old);
    if (!running || !same("port")) this.setPeers(this.#peers);
  }

  /** Replaces all peers. */
  setPeers(peers: readonly UdpPeer[]): void {
    this.#peers = peers;
    if (this.#setup === undefined) return;
    this.#tell({ kind: "peers", table: buildPeerTable(peers, this.#setup.port) });
  }

  #tellSetup(old: readonly Disposable[]): void {
    const { mtu, subnet, offloads } = this.#setup!;
    const { first, last } = rangeOf(subnet);
    const { fd, udpOffload } = this.#tun!;
    const { fd: udp, segments, bundles } = this.#udp!;
    this.#tell(
      {
        kind: "setup",
        setup: {
          tun: { fd, offloads, udpOffload },
          udp: { fd: udp, segments, bundles },
          icmp: this.#icmp!.fd,
          mtu,
          first,
          last,
          singly: !offloads,
        },
      },
      // Closed earlier, its number could come to mean another file while the loop still reads from it.
      () => old.forEach((one) => one[Symbol.dispose]()),
    );
  }

  #start(): Thread {
    prepareErrno();
    const flags = EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE;
    const wake = check(libc().eventfd(0, flags), "create an eventfd");
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const thread: Thread = { worker, wake, ended, heard: [] };
    const end = () => {
      resolve();
      worker.terminate();
      for (const heard of thread.heard.splice(0)) heard();
      closeFile(wake);
      if (this.#thread === thread) this.#thread = undefined;
    };
    worker.onmessage = ({ data }: MessageEvent<LoopReport>) => {
      if (data.kind === "heard") thread.heard.shift()?.();
      else if (data.kind === "stopped") end();
      else {
        // The loop has turned away from the device until it is told again.
        this.#turnedAway = true;
        this.#onBroken(`the device fails with errno ${data.errno}`);
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      end();
      this.#onBroken(event.message);
    };
    const start: LoopRequest = { kind: "start", wake, counters: this.#counters };
    worker.postMessage(start);
    return thread;
  }

  #tell(request: LoopRequest, heard = () => {}): void {
    const thread = this.#thread;
    if (thread === undefined) return heard();
    thread.heard.push(heard);
    thread.worker.postMessage(request);
    libc().write(thread.wake, ONE, 8n);
  }

  /** Stops the loop. The device stays, with its addresses and routes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#tell({ kind: "stop" });
    await this.#thread?.ended;
    for (const one of [this.#tun, this.#udp, this.#icmp]) one?.[Symbol.dispose]();
    this.#tun =
      this.#udp =
      this.#icmp =
      this.#setup =
        undefined;
  }
}
