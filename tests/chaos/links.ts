/**
 * Links that are worse than they should be, in kernels without netem as well: packets wait, overtake each other, come twice or stand
 * still, between a host and all others or the store alone.
 *
 * @module
 */
import type { Host } from "../support/host.ts";
import { sleep } from "../support/wait.ts";
import type { Dice } from "./dice.ts";

/** In what a link is bad. */
export type Trouble = "slow" | "overtaken" | "twice" | "stalled";

/** All of them. */
export const TROUBLES: readonly Trouble[] = ["slow", "overtaken", "twice", "stalled"];

const TABLE = "chaos_link";

/** A rule over what a host sends by its underlay, and where to. */
const rules = (to: string, statement: string) =>
  `nft 'table ip ${TABLE} { chain out { type filter hook postrouting priority 300; oif eth0 ${to} ${statement}; }; }'`;

/**
 * Makes a link bad.
 *
 * @param address Of what is at its other end; undefined: of all others.
 * @returns what was done, and how it is taken back; nothing is left to do where it stood still for a while.
 */
export async function spoilLink(
  host: Host,
  trouble: Trouble,
  address: string | undefined,
  dice: Dice,
): Promise<{ readonly said: string; readonly takeBack?: () => Promise<unknown> }> {
  const to = address === undefined ? "" : `ip daddr ${address}`;
  const where = `${host.name} to ${address ?? "all"}`;
  await mendLink(host);
  if (trouble === "stalled") {
    const milliseconds = dice.whole(500, 4000);
    await host.sh(rules(to, "drop"));
    await sleep(milliseconds);
    await mendLink(host);
    return { said: `${where}: nothing passes for ${milliseconds} ms` };
  }
  const percent = trouble === "slow" ? 100 : dice.whole(10, 50);
  const chance = percent === 100 ? "" : `numgen random mod 100 < ${percent}`;
  if (trouble === "twice") {
    await host.sh(rules(to, `${chance} dup to ip daddr device "eth0"`));
    return { said: `${where}: ${percent} % come twice`, takeBack: () => mendLink(host) };
  }
  // Whatever is put into the second class waits for what was before it, and all else overtakes it.
  const kilobits = dice.whole(60, 250);
  await host.sh(`
    tc qdisc add dev eth0 root handle 1: htb default 10
    tc class add dev eth0 parent 1: classid 1:10 htb rate 1gbit
    tc class add dev eth0 parent 1: classid 1:20 htb rate ${kilobits}kbit burst 1600 cburst 1600
    tc qdisc add dev eth0 parent 1:20 pfifo limit 50`);
  await host.sh(rules(to, `${chance} meta priority set "1:20"`));
  return {
    said: `${where}: ${percent} % wait for a line of ${kilobits} kbit/s`,
    takeBack: () => mendLink(host),
  };
}

/** Takes all of it back. */
async function mendLink(host: Host): Promise<void> {
  await host.sh(
    `nft delete table ip ${TABLE} 2>/dev/null || true; tc qdisc del dev eth0 root 2>/dev/null || true`,
    { check: false },
  );
}
