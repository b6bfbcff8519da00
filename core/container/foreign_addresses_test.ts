import assert from "node:assert/strict";
import { NUD_FAILED, NUD_REACHABLE, NUD_STALE } from "../../ffi/linux/neighbour.ts";
import { foreignNeighbours, hostLocalAddresses } from "./foreign_addresses.ts";
import { containerMac } from "./wire_names.ts";

Deno.test("hostLocalAddresses() reads the leases of all networks that are in the subnet, and nothing else there", () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${folder}/cbr0`);
    Deno.mkdirSync(`${folder}/other`);
    const files = ["cbr0/10.244.1.7", "cbr0/10.244.2.9", "cbr0/last_reserved_ip.0", "cbr0/lock"];
    for (const file of [...files, "other/10.244.1.8", "other/1.2.3"]) {
      Deno.writeTextFileSync(`${folder}/${file}`, "container\neth0");
    }
    assert.deepEqual(
      hostLocalAddresses("10.244.1.0/24", folder),
      new Map([["10.244.1.7", "cbr0"], ["10.244.1.8", "other"]]),
    );
    assert.deepEqual(hostLocalAddresses("10.244.1.0/24", `${folder}/none`), new Map());
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("foreignNeighbours() tells those who answer from those who did once, and knet's own from both", () => {
  const one = (dst: string, state: number, mac?: string) => ({
    family: 4 as const,
    ifindex: 3,
    dst,
    state,
    flags: 0,
    ...(mac !== undefined && { mac }),
  });
  const foreign = "02:42:0a:f4:01:09";
  assert.deepEqual(
    foreignNeighbours(
      [
        one("10.244.1.2", NUD_REACHABLE, foreign),
        one("10.244.1.3", NUD_STALE, foreign),
        one("10.244.1.4", NUD_FAILED),
        one("10.244.1.5", NUD_STALE, containerMac("10.244.1.5")),
        one("10.244.1.6", NUD_REACHABLE, "02:00:00:00:00:01"),
        one("192.168.0.9", NUD_REACHABLE, foreign),
      ],
      "10.244.1.0/24",
      [{ address: "10.244.1.6" }],
    ),
    { answering: ["10.244.1.2"], stale: ["10.244.1.3"] },
  );
});
