/**
 * Captures on the underlay: tcpdump writes them, this file reads them (pcap, Ethernet, IPv4, UDP).
 *
 * @module
 */
import { Background } from "./exec.ts";
import { until } from "./wait.ts";

/** A UDP datagram over IPv4 as it was on the wire. */
export interface Datagram {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

/** A running tcpdump. */
export class Capture implements AsyncDisposable {
  readonly #process: Background;
  readonly #file: string;

  private constructor(process: Background, file: string) {
    this.#process = process;
    this.#file = file;
  }

  /** Starts a capture; `enter` is the command line that leads into the namespace. */
  static async start(
    enter: readonly string[],
    device: string,
    filter: string,
  ): Promise<Capture> {
    const file = await Deno.makeTempFile({ prefix: "knet-lab-", suffix: ".pcap" });
    const tcpdump = ["tcpdump", "-i", device, "-w", file, "-U", "--immediate-mode", "-Z", "root"];
    const process = new Background([...enter, ...tcpdump, "-s", "256", "-n", ...filter.split(" ")]);
    const capture = new Capture(process, file);
    try {
      await until("tcpdump listens", () => {
        if (process.ended !== undefined) throw new Error(process.stderr);
        return process.stderr.includes("listening on");
      });
    } catch (error) {
      await capture[Symbol.asyncDispose]();
      throw error;
    }
    return capture;
  }

  /**
   * Ends the capture and returns the frames.
   *
   * @param least So many are waited for: tcpdump may not have come to the last ones, and forgets them when it ends.
   */
  async frames(least = 0): Promise<Uint8Array[]> {
    await until(`${least} frames are captured`, async () => {
      return pcapFrames(await Deno.readFile(this.#file)).length >= least;
    });
    await this.#process.stop("SIGINT");
    return pcapFrames(await Deno.readFile(this.#file));
  }

  /** Ends the capture and returns the UDP datagrams in it. */
  async datagrams(): Promise<Datagram[]> {
    return (await this.frames()).map(udpOf).filter((datagram) => datagram !== undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await Deno.remove(this.#file).catch(() => {});
  }
}

/** Frames of a pcap file in this machine's byte order. */
export function pcapFrames(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const frames: Uint8Array[] = [];
  let at = 24;
  while (at + 16 <= file.length) {
    const captured = view.getUint32(at + 8, true);
    if (at + 16 + captured > file.length) break;
    frames.push(file.subarray(at + 16, at + 16 + captured));
    at += 16 + captured;
  }
  return frames;
}

/** The UDP datagram of an Ethernet frame, if it holds one. */
export function udpOf(frame: Uint8Array): Datagram | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 42 || view.getUint16(12) !== 0x0800 || frame[23] !== 17) return undefined;
  const udp = 14 + ((frame[14] ?? 0) & 15) * 4;
  return {
    source: frame.subarray(26, 30).join("."),
    destination: frame.subarray(30, 34).join("."),
    sourcePort: view.getUint16(udp),
    destinationPort: view.getUint16(udp + 2),
    payload: frame.subarray(udp + 8),
  };
}

/** VNI of a VXLAN datagram (RFC 7348), undefined if its header is none. */
export function vniOf(datagram: Datagram): number | undefined {
  const [flags, , , , a, b, c] = datagram.payload;
  if (flags !== 0x08 || a === undefined || b === undefined || c === undefined) return undefined;
  return (a << 16) | (b << 8) | c;
}
