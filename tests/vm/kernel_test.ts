// What the other tests here take for granted of the kernel that they run on.
import assert from "node:assert/strict";
import { exec } from "../support/exec.ts";
import { ipvsNamespaceTest } from "../support/ipvs.ts";

ipvsNamespaceTest(
  "a network namespace has IPVS tables and a dummy device of its own",
  async (n) => {
    await n.run("ip link add knet-test type dummy");
    await n.run("ipvsadm -A -t 10.96.0.9:80 -s rr");
    assert.match(await n.run("ipvsadm -Ln"), /TCP {2}10\.96\.0\.9:80 rr/);
    assert.doesNotMatch((await exec("ipvsadm -Ln")).stdout, /10\.96\.0\.9/);
  },
);
