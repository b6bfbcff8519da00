/**
 * An underlay interface that is deleted and made again, as drivers and administrators do: followed by the kernel's word, by all backends.
 *
 * @module
 */
import assert from "node:assert/strict";
import { BACKENDS } from "../support/backend.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";

const ADDRESS = "192.168.77.1";

const make = (name: string, mtu: number) =>
  `ip link add ${name} mtu ${mtu} type veth peer name u1 mtu ${mtu}
   ip link set ${name} up; ip link set u1 up
   ip addr add ${ADDRESS}/24 dev ${name}`;

/** Milliseconds until the overlay's MTU is so much less than the underlay's. */
async function followed(host: Host, mtu: number): Promise<number> {
  const start = performance.now();
  await until(
    `the overlay's MTU is ${mtu}`,
    async () => (await host.subnetEnv())["KNET_MTU"] === `${mtu}`,
  );
  return performance.now() - start;
}

for (const backend of BACKENDS) {
  const test = labSuite({ hosts: 1, store: "sqlite", backend });

  test(`an underlay that is deleted and made again is followed within two seconds (${backend.name})`, async (lab) => {
    const host = lab.host(1);
    await host.sh(make("u0", 1500));
    await host.join({ args: ["--iface", "u0"] });
    await host.sh(`ip link delete u0; sleep 0.5; ${make("u0", 1400)}`);
    const slow = await followed(host, 1400 - backend.overhead);
    // At once: the agent may never have seen that it was gone.
    await host.sh(`ip link delete u0; ${make("u0", 1300)}`);
    const quick = await followed(host, 1300 - backend.overhead);
    await host.stop();
    await host.join({ args: ["--iface", ADDRESS] });
    await host.sh(`ip link delete u0; sleep 0.5; ${make("w0", 1400)}`);
    const renamed = await followed(host, 1400 - backend.overhead);
    report(
      `${backend.name}: an underlay made again is followed after ${
        [slow, quick, renamed].map(ms).join(", ")
      }`,
    );
    for (const time of [slow, quick, renamed]) assert.ok(time < 2000, ms(time));
  });
}
