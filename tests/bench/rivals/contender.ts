/**
 * Who is compared: knet over each of its stores, and flannel over etcd, behind one interface.
 *
 * @module
 */
import type { Lease } from "../../../core/cluster/lease.ts";
import type { Background } from "../../support/exec.ts";
import type { Host } from "../../support/host.ts";
import type { Lab } from "../../support/lab.ts";
import { CONFIG } from "../peers.ts";
import type { Etcd } from "./etcd.ts";
import { StoreWriter } from "./store_writer.ts";

/** What carries packets between hosts. */
export type Backend = "vxlan" | "host-gw" | "udp";

/** A cluster of one contender's. */
export interface Cluster {
  /** Starts the agent of a host and does not wait for it. */
  start(host: Host): Promise<Background>;
  /** Writes leases of hosts that are not there into the store. */
  readonly writer: StoreWriter;
  /** Number of leases in the store. */
  leases(): Promise<number>;
}

/** One who is compared. */
export interface Contender {
  readonly name: string;
  /** Its VXLAN device. */
  readonly device: string;
  /** File on a host that tells runtimes the host's subnet: there once the network is. */
  readonly envFile: string;
  /** Whether `knet attach` connects containers; others' are connected by hand. */
  readonly attaches: boolean;
  /** Makes a store of its own for a cluster. `label` names it: letters and digits. */
  cluster(label: string, backend?: Backend): Promise<Cluster>;
  /** Takes everything of an agent that was stopped off a host, as a reboot does. */
  clean(host: Host): Promise<void>;
}

/** What all contenders need. */
export interface Field {
  readonly lab: Lab;
  /** Host that runs no agent: stores are made and written from there. */
  readonly desk: Host;
}

/** knet over a store of the lab. */
export function knetOver(engine: "SQLite" | "Postgres", { lab, desk }: Field): Contender {
  return {
    name: `knet, ${engine}`,
    device: "knet.1",
    envFile: "/run/knet/subnet.env",
    attaches: true,
    async cluster(label, backend = "vxlan") {
      const folder = `/run/shared/${label}`;
      const url = engine === "SQLite"
        ? `sqlite:${folder}/knet.db`
        : `${lab.postgres!.url}?schema=${label}`;
      const env = { KNET_STORE: url };
      if (engine === "SQLite") await desk.run(["mkdir", "-m", "700", folder]);
      else await lab.postgres!.sql(`create schema ${label} authorization knet`);
      const addresses = ["--network", CONFIG.network, "--service-network", CONFIG.serviceNetwork];
      await desk.knet(["init", ...addresses, "--backend", backend], { env });
      return {
        start: (host) => {
          host.joinArgs = ["--backend", backend];
          return host.join({ env, wait: false });
        },
        writer: await StoreWriter.start(desk, url),
        leases: async () => {
          const { stdout } = await desk.knet(["lease", "ls", "--json"], { env });
          return (JSON.parse(stdout) as { leases: Lease[] }).leases.length;
        },
      };
    },
    async clean(host) {
      await host.reboot();
      await host.sh("rm -rf /run/host/data/*");
    },
  };
}

/** flannel over etcd. */
export function flannelOver(etcd: Etcd, flanneld: string, { desk }: Field): Contender {
  return {
    name: "flannel, etcd",
    device: "flannel.1",
    envFile: "/run/flannel/subnet.env",
    attaches: false,
    async cluster(label, backend = "vxlan") {
      const prefix = `/coreos.com/${label}`;
      const document = { Network: CONFIG.network, SubnetLen: 24, Backend: { Type: backend } };
      await etcd.ctl(["put", `${prefix}/config`, JSON.stringify(document)]);
      const store = ["-etcd-endpoints", etcd.url, "-etcd-prefix", prefix];
      return {
        start: (host) => Promise.resolve(host.spawn([flanneld, ...store, "-iface", "eth0"])),
        writer: await StoreWriter.start(desk, `etcd:${etcd.url}`, prefix),
        leases: async () => {
          const keys = await etcd.ctl(["get", "--prefix", "--keys-only", `${prefix}/subnets`]);
          return keys!.split("\n").filter((line) => line !== "").length;
        },
      };
    },
    async clean(host) {
      await host.sh(
        `rm -rf /run/flannel; nft flush ruleset
         for d in $(ls /sys/class/net | grep '^flannel'); do ip link delete "$d"; done
         ip route show | grep -E '^10[.]' | while read -r route; do ip route delete $route; done`,
      );
    },
  };
}
