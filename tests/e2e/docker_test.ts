/**
 * Docker's real daemon on two hosts, with the network that `knet install docker` makes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import { Docker } from "../support/docker.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { IMAGE, lacking, makeImage } from "../support/runtime_room.ts";
import { skip } from "../support/skip.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";

let problem = lacking("dockerd", "docker", "containerd", "busybox");
let dockers: Docker[] = [];

const suite = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: async (lab) => {
    // Small, so that it can be full.
    await startCluster(lab, { init: "--network 10.244.0.0/24 --subnet-len 28" });
    if (problem !== undefined) return;
    try {
      const image = await makeImage(lab.directory);
      dockers = await Promise.all(lab.hosts.map((host) => Docker.start(host, image)));
    } catch (error) {
      problem = `Docker does not start here: ${error instanceof Error ? error.message : error}`;
    }
  },
});

function test(name: string, fn: (lab: Lab, one: Docker, two: Docker) => Promise<void>): void {
  suite(name, async (lab) => {
    if (problem !== undefined) return skip(name, problem);
    await fn(lab, dockers[0]!, dockers[1]!);
  });
}

function heldBy(host: Host): string[] {
  const path = host.path("/run/host/data/held.json");
  const { held } = JSON.parse(Deno.readTextFileSync(path)) as { held: { address: string }[] };
  return held.map(({ address }) => address);
}

/** An address that no other container of its subnet has, which are given from the lowest. */
function high(address: string): string {
  return address.replace(/\d+$/, (low) => `${Number(low) + 9}`);
}

/** Whether a container reaches another host's container. */
async function reaches(docker: Docker, from: string, address: string): Promise<void> {
  await until(`${from} reaches ${address}`, async () => {
    await docker.exec(from, `ping -c 1 -W 1 ${address}`);
    return true;
  });
}

test(
  "docker run --network knet reaches other hosts' containers, -p and Docker's names are as ever",
  async (lab, one, two) => {
    for (const docker of [one, two]) {
      assert.match((await docker.install()).stdout, /^Made Docker's network knet/);
      assert.match((await docker.install()).stdout, /has its network knet already/);
    }
    await one.container("web", "-p", "8080:80");
    await two.container("cli");
    await one.exec("web", "dd if=/dev/zero of=/www/big bs=1M count=20");
    await one.exec("web", "httpd -p 80 -h /www");
    const web = await one.address("web");
    await reaches(two, "cli", web);
    const fetched = await two.exec("cli", ["sh", "-c", `wget -qO- http://${web}/big | wc -c`]);
    assert.equal(fetched.stdout.trim(), `${20 << 20}`);
    // What Docker calls it, all hosts know, with the port that Docker publishes.
    await until("the other host knows the name", async () => {
      type Shown = { containers: { name: string; address: string; ports: unknown[] }[] };
      const { containers } = await lab.host(2).knetJson<Shown>("container ls");
      const named = containers.find(({ name }) => name === "web");
      return named?.address === web && named.ports.length === 1;
    });
    assert.match(
      (await lab.host(1).knet("status")).stdout,
      /web \(docker [0-9a-f]{12}\) .*8080->80/,
    );
    // Published: from a container of another host, from the host itself, and from beside.
    const page = `http://${one.host.address}:8080/`;
    assert.equal((await two.exec("cli", `wget -qO- ${page}`)).stdout, "hello\n");
    assert.equal((await lab.host(1).run(`busybox wget -qO- ${page}`)).stdout, "hello\n");
    await one.container("beside");
    for (const url of [page, "http://web/"]) {
      assert.equal((await one.exec("beside", `wget -qO- ${url}`)).stdout, "hello\n");
    }
    // Between hosts nothing is masqueraded.
    const { stdout } = await lab.host(1).run("iptables -t nat -S POSTROUTING");
    assert.doesNotMatch(stdout, /-s 10\.244\.0\.\d+\/28 .*MASQUERADE/);
    await one.run("rm -f beside");
    assert.deepEqual(heldBy(lab.host(1)), [web], "what is removed has given its address back");
  },
);

test(
  "Docker's containers come back over restarts of the daemon, the agent, and both",
  async (lab, one, two) => {
    const host = lab.host(1);
    const again = ["--restart", "always"];
    await one.container("fixed", ...again, "--ip", high(await one.address("web")));
    await one.container("free", ...again);
    const fixed = await one.address("fixed");
    const check = async (what: string) => {
      await until(what, async () => (await one.address("free")) !== "");
      assert.equal(await one.address("fixed"), fixed, what);
      await reaches(two, "cli", fixed);
      await reaches(two, "cli", await one.address("free"));
      const held = heldBy(host).toSorted();
      assert.equal(new Set(held).size, held.length);
    };
    await one.run("restart fixed free");
    await check("after docker restart");
    await host.stop();
    await reaches(two, "cli", fixed);
    await host.join();
    await check("after a restart of the agent");
    await one.stop();
    await one.start();
    await check("after a restart of the daemon");
    await Promise.all([one.stop("SIGKILL"), host.stop("SIGKILL")]);
    await host.join();
    await one.start();
    await check("after both were killed");
    assert.deepEqual(heldBy(host).toSorted(), [fixed, await one.address("free")].toSorted());
    await one.stop("SIGKILL");
    await host.reboot();
    await one.reboot();
    await host.join();
    await one.start();
    await check("after a reboot");
    await one.run("rm -f web fixed free");
    assert.deepEqual(heldBy(host), []);
  },
);

test(
  "Docker says what stands in the way: a full subnet, a name or an address in use, and, by its own words, an agent that is away",
  async (lab, one) => {
    const refused = async (...args: string[]) => {
      const line = ["run", "--rm", "--network", "knet", ...args, IMAGE, "/bin/true"];
      const { code, stderr } = await one.run(line, { check: false });
      assert.notEqual(code, 0);
      return stderr;
    };
    const names = Array.from({ length: 13 }, (_, n) => `full${n}`);
    for (const name of names) await one.container(name);
    const given = await Promise.all(names.map((name) => one.address(name)));
    assert.equal(new Set(given).size, 13);
    assert.match(await refused(), /all 13 addresses of .* are taken \(Detach a container/);
    assert.match(await refused("--ip", given[5]!), /it is taken by another container \(Leave --ip/);
    assert.match(await refused("--name", "full3"), /name.*in use/);
    await one.run(["rm", "-f", ...names]);
    assert.deepEqual(heldBy(lab.host(1)), []);
    // Docker asks for 15 s before it says so.
    if (!Deno.env.has("KNET_TEST_LONG")) return;
    await lab.host(1).stop();
    assert.match(
      await refused(),
      /\/run\/knet\/docker\.sock: connect: (no such file|connection ref)/,
    );
    await lab.host(1).join();
  },
);
