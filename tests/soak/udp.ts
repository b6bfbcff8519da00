/**
 * The udp backend on a bad link and under attack for long: `deno task soak:udp [--seconds N]`, 600 without.
 *
 * @module
 */
import { setUp } from "../setup.ts";
import { udpCase } from "../support/backend.ts";
import { startCluster } from "../support/cluster.ts";
import { Lab } from "../support/lab.ts";
import { growth, soakUdp } from "../support/soak_udp.ts";

const at = Deno.args.indexOf("--seconds");
const seconds = at < 0 ? 600 : Number(Deno.args[at + 1]);
if (!(seconds >= 10)) {
  console.error("usage: deno task soak:udp [--seconds N], N at least 10");
  Deno.exit(2);
}
await setUp("test");
await using lab = await Lab.create({ hosts: 3, backend: udpCase, links: [1, 2, 1] });
for (const host of lab.hosts) host.joinArgs = [...host.joinArgs, "--no-peers-only"];
await startCluster(lab, { containers: 1 });
const { transfers, datagrams, hostile, resident, counters } = await soakUdp(lab, seconds);
const step = Math.ceil(resident.length / 60);
const mib = resident.filter((_, index) => index % step === 0).map((kib) => Math.round(kib / 1024));
console.log(`${seconds} s, 1 % lost and 5 % reordered on the underlay`);
console.log(`${transfers} transfers of 5 MB and ${datagrams} datagrams arrived intact`);
console.log(`${hostile} hostile datagrams were sent`);
console.log(`resident size of the attacked agent, MiB: ${mib.join(" ")}`);
console.log(`growth in the second half: ${Math.round(growth(resident))} KiB`);
console.log(JSON.stringify(counters, undefined, 2));
