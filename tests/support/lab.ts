/**
 * The lab: hosts as network namespaces on a bridge in a namespace of its own, so that nothing touches
 * the machine's. Their database is a shared directory, or a Postgres on the underlay.
 *
 * @module
 */
import { type BackendCase, vxlanCase } from "./backend.ts";
import { type CommandLine, exec, type ExecOptions, type Outcome, words } from "./exec.ts";
import type { HostOptions } from "./host_script.ts";
import { Host } from "./host.ts";
import { labPrefix, sweep } from "./names.ts";
import { type LabPostgres, startLabPostgres } from "./lab_postgres.ts";
import { roomForNeighbours } from "./neighbours.ts";

/** Store engines that a lab can be built on. */
export const STORE_KINDS = ["sqlite", "postgres", "dqlite"] as const;
export type StoreKind = (typeof STORE_KINDS)[number];

/** Those that stand somewhere else than in the agents. With KNET_TEST_STORE=dqlite, the cluster's own takes the place of all. */
export const STORES: readonly StoreKind[] = Deno.env.get("KNET_TEST_STORE") === "dqlite"
  ? ["dqlite"]
  : ["sqlite", "postgres"];

/** What a lab is made of. */
export interface LabOptions {
  readonly hosts: number;
  readonly store?: StoreKind;
  /** Whether a second Postgres follows the first. */
  readonly standby?: boolean;
  readonly backend?: BackendCase;
  /** Number of the link that each host is on, 1 or 2, with a router between them; absent: all on link 1. */
  readonly links?: readonly number[];
}

/** The router's address on a link, `192.168.2.1` on link 1. */
export function routerOn(link: number): string {
  return `192.168.${1 + link}.1`;
}

/** Address of the underlay's router on link 1, which also plays the world outside. */
export const ROUTER = routerOn(1);
/** An address outside underlay and cluster, owned by the router (RFC 5737). */
export const OUTSIDE = "203.0.113.1";
/** More hosts than this need room for their neighbours. */
const FEW = 20;
const POSTGRES = "192.168.2.200";
const STANDBY = "192.168.2.201";
const POSTGRES_PORT = 5432;

/** A URL of one server, of both. */
function bothIn(url: string): string {
  const port = `:${POSTGRES_PORT}`;
  return url.replace(/@[^/]*/, `@${POSTGRES}${port},${STANDBY}${port}`);
}

/** Several hosts and what joins them. */
export class Lab implements AsyncDisposable {
  readonly prefix = labPrefix();
  /** Directory on the machine that goes away with the lab. */
  readonly directory: string;
  readonly store: StoreKind;
  readonly backend: BackendCase;
  readonly hosts: Host[] = [];
  /** Directory on the machine that all hosts see at /run/shared. */
  readonly shared: string;
  /** The Postgres of the lab, if that is its store. */
  postgres: LabPostgres | undefined;
  /** What follows it, or did, where the lab has two. */
  standby: LabPostgres | undefined;
  /** The host whose agent made the store that the agents hold. */
  #founder: string | undefined;
  readonly #namespaces: string[] = [];
  readonly #links: readonly number[];
  #neighbours: Disposable | undefined;

  private constructor(options: LabOptions, directory: string) {
    const asked = options.store ?? "sqlite";
    this.store = (STORES as readonly string[]).includes(asked) ? asked : STORES[0]!;
    if (asked === "dqlite") this.store = asked;
    this.backend = options.backend ?? vxlanCase;
    this.#links = options.links ?? [];
    this.directory = directory;
    this.shared = `${directory}/shared`;
  }

  /** Builds the lab; everything is taken down again if that fails. */
  static async create(options: LabOptions): Promise<Lab> {
    await sweep();
    const lab = new Lab(options, await Deno.makeTempDir({ prefix: "knet-lab-" }));
    try {
      await Deno.mkdir(lab.shared, { mode: 0o700 });
      await lab.#buildUnderlay();
      if (lab.store === "postgres") {
        const netns = await lab.#plug("pg", POSTGRES);
        lab.postgres = await startLabPostgres(netns, POSTGRES, POSTGRES_PORT);
        if (options.standby) {
          const second = await lab.#plug("pg2", STANDBY);
          lab.standby = await startLabPostgres(second, STANDBY, POSTGRES_PORT, lab.postgres);
        }
      }
      for (let n = 1; n <= options.hosts; n++) await lab.addHost();
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Store URL as the hosts say it. */
  get storeUrl(): string {
    if (this.store === "dqlite") return "dqlite:/run/host/data/dqlite";
    if (this.standby !== undefined) return bothIn(this.postgres!.url);
    return this.postgres?.url ?? "sqlite:/run/shared/knet.db";
  }

  /**
   * Makes the standby the primary; they change places.
   *
   * @param how What becomes of the primary: killed, cut off from everybody in the middle of what it does, or stopped on purpose.
   */
  async failOver(how: "kill" | "cut" | "switch"): Promise<void> {
    const [former, next] = [this.postgres!, this.standby!];
    if (how === "cut") await former.cut(true);
    else await former.stop(how === "switch" ? "fast" : "immediate");
    await next.promote();
    [this.postgres, this.standby] = [next, former];
  }

  /** Makes what was the primary follow the one that is. */
  async followAgain(): Promise<void> {
    await this.standby!.cut(false);
    await this.standby!.stop().catch(() => {});
    await this.standby!.follow(this.postgres!);
  }

  /** The SQLite file as this process sees it. */
  get databaseFile(): string {
    return `${this.shared}/knet.db`;
  }

  /** Host number `n`, the first being 1. */
  host(n: number): Host {
    const host = this.hosts[n - 1];
    if (host === undefined) throw new RangeError(`The lab has no host ${n}`);
    return host;
  }

  /** Name of the underlay's namespace. */
  get underlay(): string {
    return `${this.prefix}-u`;
  }

  /** Command line that leads into the underlay's namespace. */
  get enterUnderlay(): string[] {
    return ["ip", "netns", "exec", this.underlay];
  }

  /** Runs a command in the underlay's namespace. */
  runUnderlay(line: string | readonly string[], options: ExecOptions = {}): Promise<Outcome> {
    return exec([...this.enterUnderlay, ...words(line)], options);
  }

  /** Adds one more host, `h<n>` with the address 192.168.2.10<n> (192.168.3.10<n> on link 2). */
  async addHost(options: Partial<HostOptions> = {}): Promise<Host> {
    const n = this.hosts.length + 1;
    if (n > FEW) this.#neighbours ??= roomForNeighbours();
    const name = options.name ?? `h${n}`;
    const link = this.#links[n - 1] ?? 1;
    const address = options.address ?? `192.168.${1 + link}.${100 + n}`;
    const netns = await this.#addPlugged(name, link);
    const host = await Host.create({
      name,
      netns,
      address,
      router: routerOn(link),
      shared: this.shared,
      storeUrl: this.storeUrl,
      backend: this.backend,
      ...(this.store === "dqlite" && { seeds: () => this.#seedsOf(name) }),
      ...options,
    });
    this.hosts.push(host);
    return host;
  }

  /** Adds a namespace on the underlay that is no host of the cluster; returns its name. */
  addStranger(name: string, address: string): Promise<string> {
    return this.#plug(name, address);
  }

  /** Addresses of the other hosts, for those that join the one that made the cluster; there is none before it has. */
  #seedsOf(name: string): string[] {
    if (name === (this.#founder ?? "h1")) return [];
    return this.hosts.filter((host) => host.name !== name).map((host) => host.address);
  }

  /**
   * Makes the cluster, by `knet init` with these arguments. Where the agents hold the store themselves, the first host's agent makes it
   * when it joins: it has joined then, and its next `join` does nothing.
   */
  async init(args: CommandLine = "", first = this.host(1)): Promise<void> {
    if (this.store !== "dqlite") return void await first.knet(["init", ...words(args)]);
    this.#founder = first.name;
    await first.begin(words(args));
  }

  /** Gives a host one more interface on a link, up and without an address. */
  async addInterface(host: Host, name: string, link: number): Promise<void> {
    const port = `${host.name}${name}`;
    const { netns } = host.options;
    await this.runUnderlay(`ip link add ${port} type veth peer name ${name} netns ${netns}`);
    await this.runUnderlay(`ip link set ${port} master br${link - 1} up`);
    await host.run(`ip link set ${name} up`);
  }

  /** Last lines of every agent's log, for the message of a failed test. */
  logs(lines = 25): string {
    return this.hosts.map(({ name, agent }) => {
      const text = agent?.stderr.trimEnd().split("\n").slice(-lines).join("\n  ") ?? "no agent";
      return `--- agent of ${name}\n  ${text}`;
    }).join("\n");
  }

  async #buildUnderlay(): Promise<void> {
    await this.#addNamespace(this.underlay);
    await this.runUnderlay("ip link set lo up");
    await this.runUnderlay(`ip addr add ${OUTSIDE}/32 dev lo`);
    for (let link = 1; link <= Math.max(1, ...this.#links); link++) {
      const bridge = `br${link - 1}`;
      // With an address of its own: a bridge has that of one of its ports otherwise, and a port that is added may change it, behind
      // the back of hosts that know the router.
      const mac = `02:00:00:00:01:0${link}`;
      await this.runUnderlay(
        `ip link add ${bridge} address ${mac} type bridge mcast_snooping 0`,
      );
      await this.runUnderlay(`ip addr add ${routerOn(link)}/24 dev ${bridge}`);
      await this.runUnderlay(`ip link set ${bridge} up`);
      if (link > 1) await this.runUnderlay("sysctl -q -w net.ipv4.ip_forward=1");
    }
  }

  async #addNamespace(name: string): Promise<void> {
    await exec(["ip", "netns", "add", name]);
    this.#namespaces.push(name);
  }

  /** Joins a new namespace to a link of the underlay by a veth pair: eth0 there, `name` here. */
  async #addPlugged(name: string, link: number): Promise<string> {
    const netns = `${this.prefix}-${name}`;
    await this.#addNamespace(netns);
    await this.runUnderlay(`ip link add ${name} type veth peer name eth0 netns ${netns}`);
    await this.runUnderlay(`ip link set ${name} master br${link - 1} up`);
    return netns;
  }

  /** Adds a namespace on link 1 that has its address already. */
  async #plug(name: string, address: string): Promise<string> {
    const netns = await this.#addPlugged(name, 1);
    await exec(`ip -n ${netns} link set lo up`);
    await exec(`ip -n ${netns} addr add ${address}/24 dev eth0`);
    await exec(`ip -n ${netns} link set eth0 up`);
    await exec(`ip -n ${netns} route add default via ${ROUTER}`);
    return netns;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) await host[Symbol.asyncDispose]();
    await this.postgres?.[Symbol.asyncDispose]();
    await this.standby?.[Symbol.asyncDispose]();
    for (const name of this.#namespaces.toReversed()) {
      await exec(["ip", "netns", "delete", name], { check: false });
    }
    await Deno.remove(this.directory, { recursive: true }).catch(() => {});
    this.#neighbours?.[Symbol.dispose]();
  }
}
