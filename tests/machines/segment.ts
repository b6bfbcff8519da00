/**
 * What machines hang on: one Ethernet segment in a network namespace of its own, with nothing else of this computer's on it. The
 * namespace itself has an address there, for a database and for looking at the wire.
 *
 * @module
 */
import { afterwards } from "../support/afterwards.ts";
import { exec, type Outcome } from "../support/exec.ts";

let count = 0;

/** An Ethernet segment. */
export class Segment implements AsyncDisposable {
  readonly netns: string;
  /** The namespace's own address. */
  readonly address = "192.168.77.1";
  readonly prefixLength = 24;
  readonly #end: AsyncDisposable;
  #taps = 0;

  private constructor(netns: string) {
    this.netns = netns;
    // By now all machines on it are gone.
    this.#end = afterwards(`ip netns delete ${netns}`);
  }

  /** Makes it. */
  static async create(): Promise<Segment> {
    const segment = new Segment(`knet-machines-${Deno.pid}-${++count}`);
    await exec(["ip", "netns", "add", segment.netns]);
    await segment.sh(`
      ip link set lo up
      ip link add wire type bridge
      echo 0 > /sys/class/net/wire/bridge/multicast_snooping
      ip addr add ${segment.address}/${segment.prefixLength} dev wire
      ip link set wire up`);
    return segment;
  }

  /** Runs a script of the shell in its namespace. */
  async sh(script: string): Promise<Outcome> {
    return await exec(["ip", "netns", "exec", this.netns, "sh", "-euc", script]);
  }

  /** The name of a new socket on the segment, for QEMU. */
  async plug(): Promise<string> {
    const name = `tap${++this.#taps}`;
    await this.sh(`ip tuntap add ${name} mode tap; ip link set ${name} master wire up`);
    return name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end[Symbol.asyncDispose]();
  }
}
