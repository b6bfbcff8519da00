/**
 * A computer with a Debian of its own, systemd as process 1, in QEMU, emulated. What it writes is forgotten when it is switched off;
 * a reboot forgets nothing. Scripts reach it by a virtual serial line that its network does not touch.
 *
 * @module
 */
import { exec, type Outcome } from "../support/exec.ts";
import { afterwards } from "../support/afterwards.ts";
import { sleep, until } from "../support/wait.ts";
import type { Host } from "./host.ts";
import { type Image, pack } from "./image.ts";
import { Line } from "./line.ts";
import { LISTENER, LISTENER_UNIT } from "./listener.ts";
import type { Segment } from "./segment.ts";

/** What a machine is. */
export interface MachineOptions {
  readonly image: Image;
  readonly segment: Segment;
  /** 1 to 9: host 3 is `host3`, 192.168.77.13. */
  readonly number: number;
  /** A folder of this computer that it sees, read-only, as `/packages`. */
  readonly packages: string;
  /** MiB of memory. The default is 768. */
  readonly memory?: number;
  /** What configures its network at the first start; the default is networkd. */
  readonly network?: "networkd" | "ifupdown" | "NetworkManager";
}

/** The name of the network card in every machine. */
export const CARD = "enp0s4";

/** How long an emulated machine may take to start or to stop, in milliseconds. */
const START = 1_200_000;

/**
 * For the kernel's command line: what an emulated computer is slow at is no fault of it. Whatever systemd and udev give up on, they do
 * later than the tests.
 */
const PATIENCE = "systemd.default_timeout_start_sec=1200 systemd.default_device_timeout_sec=1200 " +
  "udev.event_timeout=1200";

/** Enables what configures the network; other than networkd, that. */
const FIRST_START = {
  networkd: "",
  ifupdown: "systemctl disable systemd-networkd; systemctl enable networking\n",
  NetworkManager: "systemctl disable systemd-networkd; systemctl enable NetworkManager\n",
};

/** A computer. */
export class Machine implements Host {
  readonly name: string;
  readonly address: string;
  readonly #folder: string;
  readonly #end: AsyncDisposable;
  readonly #line: Line;

  private constructor(options: MachineOptions, folder: string, end: AsyncDisposable, line: Line) {
    this.name = `host${options.number}`;
    this.address = addressOf(options);
    this.#folder = folder;
    this.#end = end;
    this.#line = line;
  }

  /**
   * Switches one on, and waits until it listens.
   *
   * @throws {Error} with what its console says if it does not start.
   */
  static async start(options: MachineOptions): Promise<Machine> {
    const folder = await Deno.makeTempDir({ prefix: "knet-machine-" });
    const tap = await options.segment.plug();
    await makeFiles(`${folder}/files`, options);
    await pack(`${folder}/files`, `${folder}/own`);
    await exec(["sh", "-c", `cat '${options.image.initrd}' '${folder}/own' > '${folder}/initrd'`]);
    await exec(["rm", "-r", `${folder}/files`, `${folder}/own`]);
    const line = qemuLine(options, folder, tap);
    const child = new Deno.Command("ip", {
      args: ["netns", "exec", options.segment.netns, ...line],
      env: { TMPDIR: folder },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const end = afterwards(
      `kill -9 ${child.pid}; while kill -0 ${child.pid}; do sleep 0.1; done; rm -rf '${folder}'`,
    );
    const said = new Response(child.stderr).text();
    try {
      let ended: string | undefined;
      child.status.then(async () => ended = await said);
      await until("QEMU is there", () => {
        if (ended !== undefined) throw new Error(ended);
        return Deno.statSync(`${folder}/line`).isSocket;
      });
      const machine = new Machine(options, folder, end, await Line.open(`${folder}/line`));
      await machine.#untilUp(undefined);
      return machine;
    } catch (error) {
      const console = await Deno.readTextFile(`${folder}/console`).catch(() => "");
      await end[Symbol.asyncDispose]();
      throw new Error(`${(error as Error).message}\n${console.slice(-3000)}`);
    }
  }

  /**
   * Runs a script of bash as root.
   *
   * @throws {Error} with its output if it fails.
   */
  async sh(script: string, options: { check?: boolean; timeout?: number } = {}): Promise<Outcome> {
    const outcome = await this.#line.ask(script, options.timeout ?? 600_000);
    if (options.check !== false && outcome.code !== 0) {
      const { code, stdout, stderr } = outcome;
      throw new Error(`${this.name}: ${script}: exit status ${code}\n${stdout}${stderr}`);
    }
    return outcome;
  }

  /** What a script printed, trimmed. */
  async read(script: string, timeout?: number): Promise<string> {
    return (await this.sh(script, timeout === undefined ? {} : { timeout })).stdout.trim();
  }

  /** Restarts it as an administrator does. */
  async reboot(): Promise<void> {
    const before = this.#line.boots;
    await this.sh("systemctl reboot");
    await this.#untilUp(before);
  }

  /** Takes its current away for a moment. */
  async cutPower(): Promise<void> {
    const before = this.#line.boots;
    await this.tell("system_reset");
    await this.#untilUp(before);
  }

  /** Says something to QEMU's monitor, such as `stop`, `cont` or `set_link`. */
  async tell(command: string): Promise<void> {
    const monitor = await Deno.connect({ transport: "unix", path: `${this.#folder}/monitor` });
    try {
      await monitor.write(new TextEncoder().encode(`${command}\n`));
      await sleep(300);
    } finally {
      monitor.close();
    }
  }

  /** What its console showed. */
  console(): string {
    return Deno.readTextFileSync(`${this.#folder}/console`);
  }

  async #untilUp(before: number | undefined): Promise<void> {
    await until(`${this.name} is up`, () => this.#line.boots > (before ?? 0), {
      deadline: START,
      interval: 200,
    });
    // A unit that failed is what a test may be about.
    await this.sh("systemctl is-system-running --wait || true", { timeout: START });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#line.close();
    await this.#end[Symbol.asyncDispose]();
  }
}

function addressOf({ segment, number }: MachineOptions): string {
  return segment.address.replace(/\d+$/, String(10 + number));
}

function macOf({ number }: MachineOptions): string {
  return `52:54:00:77:00:1${number}`;
}

function qemuLine(options: MachineOptions, folder: string, tap: string): string[] {
  const { image, number } = options;
  return [
    // Whoever else works on this computer goes first.
    ...[
      "nice",
      "-n",
      "10",
      "qemu-system-x86_64",
      "-M",
      "q35",
      "-accel",
      "tcg,thread=multi",
      "-cpu",
      "max",
    ],
    ...["-smp", "1", "-m", `${options.memory ?? 768}`, "-nodefaults", "-display", "none"],
    ...["-serial", `file:${folder}/console`, "-monitor", `unix:${folder}/monitor,server,nowait`],
    ...["-kernel", image.kernel, "-initrd", `${folder}/initrd`],
    "-append",
    `console=ttyS0 quiet panic=-1 no_timer_check root=/dev/vda rw systemd.hostname=host${number} ` +
    `systemd.machine_id=${String(number).repeat(32)} systemd.show_status=no ${PATIENCE}`,
    ...["-drive", `file=${image.disk},format=raw,if=none,id=disk,snapshot=on,cache=unsafe`],
    ...["-device", "virtio-blk-pci,drive=disk,addr=0x5"],
    ...["-netdev", `tap,id=net,ifname=${tap},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,id=card,netdev=net,mac=${macOf(options)},addr=0x4`],
    ...["-device", "virtio-rng-pci"],
    ...["-chardev", `socket,id=line,path=${folder}/line,server=on,wait=off`],
    ...["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=line,name=knet.line"],
    ...[
      "-virtfs",
      `local,path=${options.packages},mount_tag=packages,security_model=none,` +
      "multidevs=remap,readonly=on",
    ],
  ];
}

/** What the machine has on its disk that the image has not. */
async function makeFiles(folder: string, options: MachineOptions): Promise<void> {
  const { segment, number } = options;
  const write = async (path: string, text: string, mode = 0o644) => {
    const full = `${folder}/files/${path}`;
    await Deno.mkdir(full.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(full, text, { mode });
  };
  const hosts = Array.from(
    { length: 9 },
    (_, i) => `${addressOf({ ...options, number: i + 1 })} host${i + 1}`,
  );
  await write("usr/local/lib/line", LISTENER, 0o755);
  await write("etc/systemd/system/line.service", LISTENER_UNIT);
  const wants = `${folder}/files/etc/systemd/system/basic.target.wants`;
  await Deno.mkdir(wants, { recursive: true });
  await Deno.symlink("../line.service", `${wants}/line.service`);
  await write("etc/hostname", `host${number}\n`);
  await write(
    "etc/hosts",
    ["127.0.0.1 localhost", `${segment.address} db.internal`, ...hosts].join("\n") + "\n",
  );
  await write("etc/fstab", "packages /packages 9p ro,trans=virtio,version=9p2000.L,nofail 0 0\n");
  await Deno.mkdir(`${folder}/files/packages`, { recursive: true });
  const address = `${addressOf(options)}/${segment.prefixLength}`;
  const network = options.network ?? "networkd";
  // Without these systemd makes its databases anew, minutes of work, as after an upgrade of all of /usr.
  await write("etc/first-start", `touch /etc/.updated /var/.updated\n${FIRST_START[network]}`);
  switch (network) {
    case "networkd":
      await write(
        "etc/systemd/network/20-wire.network",
        `[Match]\nName=${CARD}\n[Network]\nAddress=${address}\nGateway=${segment.address}\n`,
      );
      break;
    case "ifupdown":
      await write(
        "etc/network/interfaces",
        `auto lo\niface lo inet loopback\nauto ${CARD}\niface ${CARD} inet static\n` +
          `  address ${address}\n  gateway ${segment.address}\n`,
      );
      break;
    case "NetworkManager":
      await write(
        "etc/NetworkManager/system-connections/wire.nmconnection",
        `[connection]\nid=wire\ntype=ethernet\ninterface-name=${CARD}\n[ipv4]\nmethod=manual\n` +
          `addresses=${address}\ngateway=${segment.address}\n[ipv6]\nmethod=link-local\n`,
        0o600,
      );
      break;
  }
}
