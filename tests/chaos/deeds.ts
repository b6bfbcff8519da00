/**
 * What chaos does: each deed picks whom it befalls, and says what it did.
 *
 * @module
 */
import { lockDatabase } from "../support/database_lock.ts";
import { ROUTER } from "../support/lab.ts";
import { sleep } from "../support/wait.ts";
import type { Dice } from "./dice.ts";
import { spoilLink, TROUBLES } from "./links.ts";
import type { Standing, World } from "./world.ts";

/** One of them. */
export interface Deed {
  readonly name: string;
  readonly weight: number;
  /** Whether it can be done now. */
  readonly fits?: (world: World) => boolean;
  /** Does it; what is returned is said. */
  readonly run: (world: World, dice: Dice) => Promise<string>;
}

/** What somebody may do to the kernel's tables by hand. */
const KERNEL: readonly string[] = [
  "ip route flush proto 107",
  "ip nexthop flush proto 107",
  "ip neigh flush dev knet.1 nud permanent",
  "for m in $(bridge fdb show dev knet.1 | grep self | cut -d' ' -f1); do bridge fdb del $m dev knet.1; done",
  "ip link set knet.1 down",
  "ip link del knet.1",
  "ip addr flush dev knet0",
  "ip link set knet0 down",
  "ip link del knet0",
  "ip link set knet.1 address 02:00:00:00:00:77",
  "ip link set knet.1 mtu 1280",
  "nft flush ruleset",
  "sysctl -qw net.ipv4.ip_forward=0",
  "sysctl -qw net.ipv4.conf.knet0.forwarding=0",
];

const some = (world: World, ...standings: readonly Standing[]) =>
  world.standing(...standings).length > 0;
/** So that there is somebody left to be right. */
const several = (world: World) => world.standing("in").length > 1;

/** All of them. */
export const DEEDS: readonly Deed[] = [
  {
    name: "join",
    weight: 3,
    // Without a majority nobody is let in.
    fits: (world) =>
      some(world, "out") &&
      (!world.ownStore || world.leavers.length === world.standing("in").length),
    async run(world, dice) {
      const member = dice.pick(world.standing("out"));
      await world.join(member);
      return `${member.host.name} joins`;
    },
  },
  {
    name: "leave",
    weight: 2,
    // A host that leaves and does not reach the store cannot give its lease back, and says so.
    fits: (world) => world.standing("in").length > 2 && world.leavers.length > 0,
    async run(world, dice) {
      const member = dice.pick(world.leavers);
      const left = await world.leave(member);
      return `${member.host.name} ${left ? "leaves" : "cannot give its lease back"}`;
    },
  },
  {
    name: "kill",
    weight: 4,
    fits: several,
    async run(world, dice) {
      const member = dice.pick(world.standing("in"));
      const signal = dice.pick(["SIGKILL", "SIGTERM"] as const);
      await world.kill(member, signal);
      return `${member.host.name}: ${signal}`;
    },
  },
  {
    name: "start",
    weight: 5,
    fits: (world) => some(world, "down"),
    async run(world, dice) {
      const member = dice.pick(world.standing("down"));
      await world.join(member);
      return `${member.host.name} starts`;
    },
  },
  {
    name: "freeze",
    weight: 2,
    fits: several,
    // deno-lint-ignore require-await
    async run(world, dice) {
      const member = dice.pick(world.standing("in"));
      world.freeze(member, true);
      return `${member.host.name} freezes`;
    },
  },
  {
    name: "thaw",
    weight: 3,
    fits: (world) => some(world, "frozen"),
    // deno-lint-ignore require-await
    async run(world, dice) {
      const member = dice.pick(world.standing("frozen"));
      world.freeze(member, false);
      return `${member.host.name} thaws`;
    },
  },
  {
    name: "kernel",
    weight: 6,
    fits: (world) => some(world, "in", "frozen", "down"),
    async run(world, dice) {
      const { host } = dice.pick(world.standing("in", "frozen", "down"));
      const harm = dice.pick(KERNEL);
      await host.sh(harm, { check: false });
      return `${host.name}: ${harm}`;
    },
  },
  {
    name: "address",
    weight: 2,
    fits: (world) => some(world, "in", "down"),
    async run(world, dice) {
      const member = dice.pick(world.standing("in", "down"));
      return `${member.host.name} moves to ${await world.move(member)}`;
    },
  },
  {
    name: "swap",
    weight: 1,
    fits: (world) => world.standing("in", "down").length > 1,
    async run(world, dice) {
      const one = dice.pick(world.standing("in", "down"));
      const other = dice.pick(world.standing("in", "down").filter((member) => member !== one));
      await world.swap(one, other);
      return `${one.host.name} and ${other.host.name} swap addresses`;
    },
  },
  {
    name: "flap",
    weight: 3,
    fits: (world) => some(world, "in"),
    async run(world, dice) {
      const { host } = dice.pick(world.standing("in"));
      const pause = dice.whole(50, 1500);
      await host.run("ip link set eth0 down");
      await sleep(pause);
      await host.sh(`ip link set eth0 up; ip route replace default via ${ROUTER}`);
      return `${host.name}: link down for ${pause} ms`;
    },
  },
  {
    name: "loss",
    weight: 2,
    fits: (world) => some(world, "in"),
    async run(world, dice) {
      const { host } = dice.pick(world.standing("in"));
      const percent = dice.whole(10, 60);
      const table = "chaos";
      await host.sh(
        `nft 'table inet ${table} { chain in { type filter hook input priority -300; iif eth0 numgen random mod 100 < ${percent} drop; }; chain out { type filter hook output priority 300; oif eth0 numgen random mod 100 < ${percent} drop; }; }'`,
        { check: false },
      );
      world.pending.set(
        `loss on ${host.name}`,
        () => host.run(`nft delete table inet ${table}`, { check: false }),
      );
      return `${host.name} loses ${percent} %`;
    },
  },
  {
    name: "bad link",
    weight: 3,
    fits: (world) => some(world, "in"),
    async run(world, dice) {
      const { host } = dice.pick(world.standing("in"));
      const store = world.lab.postgres?.address;
      const address = store !== undefined && dice.next() < 0.5 ? store : undefined;
      const { said, takeBack } = await spoilLink(host, dice.pick(TROUBLES), address, dice);
      const what = `bad link of ${host.name}`;
      if (takeBack === undefined) world.pending.delete(what);
      else world.pending.set(what, takeBack);
      return said;
    },
  },
  {
    name: "store away",
    weight: 2,
    // What the hosts hold themselves is away when they are.
    fits: (world) => !world.ownStore && !world.pending.has("store"),
    async run(world) {
      const { lab } = world;
      if (lab.postgres !== undefined) {
        await lab.postgres.stop();
        world.pending.set("store", () => lab.postgres!.start());
        return "Postgres stops";
      }
      const lock = lockDatabase(lab.databaseFile);
      world.pending.set("store", () => Promise.resolve(lock[Symbol.dispose]()));
      return "the file is locked";
    },
  },
  {
    name: "store back",
    weight: 4,
    fits: (world) => world.pending.has("store"),
    async run(world) {
      const takeBack = world.pending.get("store")!;
      world.pending.delete("store");
      await takeBack();
      return "the store is back";
    },
  },
  {
    name: "fail-over",
    weight: 2,
    fits: ({ lab, pending }) =>
      lab.standby !== undefined && !pending.has("store") && !pending.has("standby"),
    async run(world, dice) {
      const { lab } = world;
      const how = dice.pick(["kill", "cut", "switch"] as const);
      await lab.failOver(how);
      world.failedOver = true;
      // Cut off it may come back as it is, and take writes; the administrator sees to it in the end.
      world.pending.set("standby", () => lab.followAgain());
      return `the standby is promoted: ${how}`;
    },
  },
  {
    name: "former primary",
    weight: 2,
    fits: ({ lab, pending }) => pending.has("standby") && lab.standby!.isCut,
    async run(world) {
      await world.lab.standby!.cut(false);
      return "the former primary is there again, and takes writes";
    },
  },
  {
    name: "clock",
    weight: 2,
    fits: (world) => some(world, "in", "frozen", "down"),
    async run(world, dice) {
      const { host } = dice.pick(world.standing("in", "frozen", "down"));
      const seconds = dice.pick([-3600, -20, -2, 2, 5, 20]);
      await world.setClock(host, seconds);
      world.pending.set(`clock of ${host.name}`, () => world.setClock(host, 0));
      return `${host.name}: clock ${seconds} s off`;
    },
  },
  {
    name: "backup",
    weight: 1,
    fits: (world) => some(world, "in") && !world.pending.has("store"),
    async run(world, dice) {
      const { host } = dice.pick(world.standing("in"));
      const { code, stderr } = await host.knet("store backup /run/shared/chaos.backup --force", {
        check: false,
      });
      if (code === 0) world.backups++;
      return `${host.name} makes a backup: ${code} ${stderr}`.trim();
    },
  },
  {
    name: "restore",
    weight: 1,
    fits: (world) => world.backups > 0 && some(world, "in") && !world.pending.has("store"),
    async run(world, dice) {
      const { host } = dice.pick(world.standing("in"));
      const { code, stderr } = await host.knet("store restore /run/shared/chaos.backup --force", {
        check: false,
      });
      // One that failed may not know whether the store took it.
      world.restored = true;
      return `${host.name} restores the last backup: ${code} ${stderr}`.trim();
    },
  },
];
