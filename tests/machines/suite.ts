/**
 * Tests that share machines: switched on before the first test of a file, and off after its last. Tests of a file run in their order,
 * and each leaves all hosts in the cluster.
 *
 * @module
 */
import { afterwards } from "../support/afterwards.ts";
import { exec } from "../support/exec.ts";
import { type LabPostgres, startLabPostgres } from "../support/lab_postgres.ts";
import { machineProblem } from "../support/machine.ts";
import { skip, whyNoLab } from "../support/skip.ts";
import { until } from "../support/wait.ts";
import { Guest } from "./guest.ts";
import { mountBase } from "./guest_boot.ts";
import type { Host } from "./host.ts";
import { type Image, imageOf, type Release } from "./image.ts";
import { Machine, type MachineOptions } from "./machine.ts";
import { Segment } from "./segment.ts";

/** The release that the machines of this process run. */
export const RELEASE = (Deno.env.get("KNET_RELEASE") ?? "12") as Release;

/** Whether the hosts are guests, which are quick and have this computer's kernel, in place of machines. */
const GUESTS = Deno.env.get("KNET_HOSTS") === "guests";

/** Milliseconds that anything may take. */
const LONG = GUESTS ? 60_000 : 600_000;

/** The packages that are tried. */
export const FOLDER = new URL("../../dist/packages", import.meta.url).pathname;

/** The .deb that is tried, as the machines see it; undefined if there is none yet. */
export function packages(): string | undefined {
  try {
    const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name);
    const name = names.filter((name) => /^knet_.*_amd64\.deb$/.test(name)).sort().at(-1);
    return name === undefined ? undefined : `/packages/${name}`;
  } catch {
    return undefined;
  }
}

/**
 * A folder with that .deb unpacked and packed again without compression: an emulated processor takes minutes for what xz did to it.
 *
 * @returns what removes it.
 */
async function plainPackages(): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "knet-packages-" });
  const end = afterwards(`rm -rf '${folder}'`);
  const name = packages()!.replace("/packages/", "");
  await exec(["dpkg-deb", "-R", `${FOLDER}/${name}`, `${folder}/tree`]);
  await exec([
    ...["dpkg-deb", "--root-owner-group", "-Znone", "-b"],
    ...[`${folder}/tree`, `${folder}/${name}`],
  ]);
  await exec(["rm", "-r", `${folder}/tree`]);
  return { folder, [Symbol.asyncDispose]: () => end[Symbol.asyncDispose]() };
}

/** Why no machines can be had here. */
export function whyNoMachines(): string | undefined {
  if (Deno.build.arch !== "x86_64") return "needs a processor of the x86-64 kind";
  const problem = whyNoLab() ?? machineProblem();
  if (problem !== undefined) return problem;
  for (const program of ["qemu-system-x86_64", "debootstrap", "mkfs.ext4", "busybox"]) {
    try {
      new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
        .outputSync();
    } catch {
      return `needs ${program}`;
    }
  }
}

/** Hosts on a segment with a database. */
export class Machines implements AsyncDisposable {
  readonly segment: Segment;
  readonly postgres: LabPostgres;
  readonly hosts: readonly Host[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    segment: Segment,
    postgres: LabPostgres,
    hosts: Host[],
    stack: AsyncDisposableStack,
  ) {
    this.segment = segment;
    this.postgres = postgres;
    this.hosts = hosts;
    this.#stack = stack;
  }

  /** Switches them on. */
  static async start(
    count: number,
    options: Pick<MachineOptions, "network" | "memory"> = {},
  ): Promise<Machines> {
    const image = await imageOf(RELEASE, console.log);
    await using stack = new AsyncDisposableStack();
    const segment = stack.use(await Segment.create());
    const postgres = stack.use(await startLabPostgres(segment.netns, segment.address, 5432));
    const { folder } = stack.use(await plainPackages());
    const place = { segment, packages: folder };
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    const starting = GUESTS
      ? await startGuests(image, stack, place, numbers)
      : numbers.map((number) => Machine.start({ ...options, ...place, image, number }));
    const started = await Promise.allSettled(starting);
    const hosts: Host[] = [];
    for (const result of started) {
      if (result.status === "fulfilled") hosts.push(stack.use(result.value));
    }
    for (const result of started) if (result.status === "rejected") throw result.reason;
    return new Machines(segment, postgres, hosts, stack.move());
  }

  /** Installs the package on all hosts, lets them join, and gives each a container `web`. */
  async join(store = this.postgres.url): Promise<void> {
    await Promise.all(this.hosts.map(async (host) => {
      await install(host);
      await configure(host, store);
      await host.sh("systemctl enable --now knet");
      await attach(host, "web");
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function startGuests(
  { disk }: Image,
  stack: AsyncDisposableStack,
  place: Pick<MachineOptions, "segment" | "packages">,
  numbers: readonly number[],
): Promise<Promise<Guest>[]> {
  const { base } = stack.use(await mountBase(disk));
  return numbers.map((number) => Guest.start({ ...place, base, number }));
}

/** Installs the package as the manual says, without a network to fetch from. */
export async function install(host: Host): Promise<string> {
  return await host.read(`DEBIAN_FRONTEND=noninteractive apt-get install -y ${packages()} 2>&1`);
}

/** Says where the store is. */
export async function configure(host: Host, store: string): Promise<void> {
  await host.sh(`echo 'KNET_STORE=${store}' > /etc/default/knet`);
}

/** Makes a network namespace and attaches it; returns its address. */
export async function attach(host: Host, name: string): Promise<string> {
  return await host.read(`[ -e /run/netns/${name} ] || ip netns add ${name}; knet attach ${name}`);
}

/** Address of a container. */
export async function addressIn(host: Host, name = "web"): Promise<string> {
  return await host.read(
    `ip -n ${name} -4 -j addr show scope global | jq -r '.[].addr_info[].local' | head -n 1`,
  );
}

/** Adds a service, again where the database had no time for it: an emulated host takes longer than a command waits. */
export async function addService(host: Host, name: string, options: string): Promise<void> {
  await untilTrue(host, `knet svc ls | grep '^${name} ' || knet svc add ${name} ${options}`);
}

/** Removes a service, as patiently. */
export async function removeService(host: Host, name: string): Promise<void> {
  await untilTrue(
    host,
    `knet svc rm ${name} || { knet svc ls > /tmp/services; ! grep '^${name} ' /tmp/services; }`,
  );
}

/** Waits until each container `web` reaches each other one. */
export async function untilReached(hosts: readonly Host[]): Promise<void> {
  for (const to of hosts) {
    const address = await addressIn(to);
    for (const from of hosts) {
      if (from === to) continue;
      await until(`${to.name} is reached from ${from.name}`, async () => {
        await from.sh(`ip netns exec web ping -c 1 -W 2 ${address}`);
        return true;
      }, { deadline: LONG, interval: 1000 });
    }
  }
}

/** Waits until a script succeeds. */
export async function untilTrue(host: Host, script: string, deadline = LONG): Promise<void> {
  await until(`${host.name}: ${script}`, async () => {
    await host.sh(script);
    return true;
  }, { deadline, interval: 1000 });
}

/**
 * Defines the tests of a file, with machines that they share.
 *
 * @returns what defines a test; its last argument says what guests lack that it needs.
 */
export function machineSuite(
  count: number,
  options: Pick<MachineOptions, "network" | "memory"> & {
    readonly setUp?: (machines: Machines) => Promise<void>;
    /** What guests lack that all tests of the file need. */
    readonly needs?: string;
  } = {},
): (name: string, fn: (machines: Machines) => Promise<void>, needs?: string) => void {
  const problem = whyNoMachines() ??
    (packages() === undefined ? "needs dist/packages/*.deb" : undefined);
  let machines: Promise<Machines> | undefined;
  let broken = false;
  const start = async () => {
    const machines = await Machines.start(count, options);
    try {
      await options.setUp?.(machines);
      return machines;
    } catch (error) {
      for (const host of machines.hosts) console.log(await logOf(host));
      await machines[Symbol.asyncDispose]();
      throw error;
    }
  };
  Deno.test.afterAll(async () => {
    await (await machines?.catch(() => undefined))?.[Symbol.asyncDispose]();
  });
  return (name, fn, needs = options.needs) => {
    const lack = problem ?? (GUESTS && needs !== undefined ? `needs ${needs}` : undefined);
    Deno.test({
      name: lack === undefined ? name : `${name} [skipped: ${lack}]`,
      ignore: lack !== undefined,
      sanitizeOps: false,
      sanitizeResources: false,
      fn: async () => {
        if (broken) return skip(name, "its machines did not start, see the first test");
        machines ??= start();
        const there = await machines.catch((error) => {
          broken = true;
          throw error;
        });
        try {
          await fn(there);
        } catch (error) {
          // The end of the file, where Deno says it, may be an hour away.
          console.log(error);
          for (const host of there.hosts) console.log(await logOf(host));
          throw error;
        }
      },
    });
  };
}

async function logOf(host: Host): Promise<string> {
  const log = await host.read("journalctl -u knet -n 25 --no-pager -o short-precise", 30_000)
    .catch((error) => `${error}`);
  return `--- ${host.name}\n${log}`;
}
