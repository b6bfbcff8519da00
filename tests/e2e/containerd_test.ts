/**
 * containerd's real daemon with the network that `knet install cni` places: by its own client, and by nerdctl on two hosts.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import { Containerd, CONTAINERD_IMAGE, makeArchive } from "../support/containerd.ts";
import type { Host } from "../support/host.ts";
import { nerdctlProgram } from "../support/nerdctl.ts";
import { IMAGE, lacking, runtimesBook } from "../support/runtime_room.ts";
import { skip } from "../support/skip.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";

const long = Deno.env.has("KNET_TEST_LONG");
const problem = lacking("containerd", "ctr", "runc", "busybox");

let archive = "";
const suite = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: async (lab) => {
    // Small, so that it can be full.
    await startCluster(lab, { containers: 1, init: "--network 10.244.0.0/24 --subnet-len 28" });
    archive = await makeArchive(lab.directory);
  },
});

const addresses = (host: Host) => runtimesBook(host).map(({ address }) => address);

suite(
  "ctr run --cni gives containers addresses, and those that end give theirs back",
  async (lab) => {
    if (problem !== undefined) return skip("ctr", problem);
    const [host, other] = [lab.host(1), lab.host(2)];
    await using containerd = await Containerd.start(host, archive);
    await containerd.install();
    // The lab's control groups have no processor shares to give.
    const run = (...words: string[]) =>
      containerd.ctr(["run", "--cni", "--cpu-shares", "0", ...words], { check: false });
    const shown = await run("--rm", CONTAINERD_IMAGE, "short", "ip", "-4", "addr", "show", "eth0");
    assert.match(shown.stdout, /inet 10\.244\.0\.\d+\/28 /, shown.stderr);
    assert.deepEqual(addresses(host), []);

    assert.equal((await run("-d", CONTAINERD_IMAGE, "web")).code, 0);
    const [web = ""] = addresses(host);
    assert.ok(await other.containers[0]!.ping(web, 2));
    await containerd.ctr(
      `task exec --exec-id ping web ping -c1 -W2 ${other.containers[0]!.address}`,
    );
    assert.match((await host.knet("status")).stdout, /cni default-web/);
    // Nobody says that it has ended.
    await containerd.ctr("task kill -s KILL web");
    await until("its address is free", () => addresses(host).length === 0);
    await containerd.ctr("task rm web", { check: false });
    await containerd.ctr("container rm web");

    await host.stop();
    const away = await run("--rm", CONTAINERD_IMAGE, "late");
    assert.notEqual(away.code, 0);
    assert.match(away.stderr, /knet's agent does not run; Start it: systemctl start knet/);
    await host.join();
  },
);

suite(
  "nerdctl run --network knet reaches other hosts, publishes, restarts, and is there again after a reboot",
  async (lab) => {
    if (!long) return;
    const name = "nerdctl";
    if (problem !== undefined) return skip(name, problem);
    let program: string;
    try {
      program = await nerdctlProgram();
    } catch (error) {
      return skip(name, `it cannot be built: ${error instanceof Error ? error.message : error}`);
    }
    const [host, other] = [lab.host(1), lab.host(2)];
    await using here = await Containerd.start(host, archive);
    await using there = await Containerd.start(other, archive);
    for (const one of [here, there]) {
      await one.install();
      await one.placeNerdctl(program);
    }
    const start = async (at: Containerd, container: string, ...options: string[]) => {
      const command = ["/bin/httpd", "-f", "-p", "80", "-h", "/www"];
      const own = ["-d", "--name", container, "--network", "knet", "--stop-signal", "KILL"];
      await at.nerdctl(["run", ...own, ...options, IMAGE, ...command]);
    };
    const refused = async (...options: string[]) => {
      const line = ["run", "--rm", "--network", "knet", ...options, IMAGE, "/bin/true"];
      const { code, stderr } = await here.nerdctl(line, { check: false });
      assert.notEqual(code, 0, options.join(" "));
      return stderr;
    };
    const addressOf = async (at: Containerd, container: string) => {
      const { stdout } = await at.nerdctl(`exec ${container} ip -4 addr show eth0`);
      return /inet ([\d.]+)\//.exec(stdout)?.[1] ?? assert.fail(stdout);
    };
    const reaches = (address: string) =>
      until(`the other host's container reaches ${address}`, async () => {
        return (await there.nerdctl(`exec far ping -c1 -W1 ${address}`)).code === 0;
      });
    const published = async () => {
      const url = `http://${host.address}:8080/`;
      for (const from of [host, other]) {
        assert.equal((await from.run(`busybox wget -qO- ${url}`)).stdout, "hello\n");
      }
      for (const [at, container] of [[here, "web"], [there, "far"]] as const) {
        const { stdout } = await at.nerdctl(`exec ${container} wget -qO- ${url}`);
        assert.equal(stdout, "hello\n", `from ${container}`);
      }
    };

    await start(here, "web", "-p", "8080:80");
    await start(there, "far");
    const web = await addressOf(here, "web");
    await reaches(web);
    await published();
    await here.nerdctl("exec web dd if=/dev/zero of=/www/big bs=1M count=20");
    const fetched = await there.nerdctl([
      "exec",
      "far",
      "sh",
      "-c",
      `wget -qO- ${web}/big | wc -c`,
    ]);
    assert.equal(fetched.stdout.trim(), `${20 << 20}`);

    await here.nerdctl("restart web");
    assert.equal(await addressOf(here, "web"), web);
    await reaches(web);
    await published();

    // What stands in the way. nerdctl itself refuses --ip and --mac-address with networks that are not of its own kinds.
    assert.match(await refused("-p", "8080:80"), /default-[0-9a-f]+.* has published it; Free it/);
    await start(here, "other", "-p", "8081:80");
    const free = 13 - 1 - addresses(host).length;
    for (let n = 0; n < free; n++) await start(here, `full${n}`);
    assert.equal(new Set(addresses(host)).size, free + 2);
    assert.match(await refused(), /all 13 addresses of .* are taken; Detach a container/);
    for (let n = 0; n < free; n++) await here.nerdctl(`rm -f full${n}`);
    assert.deepEqual(addresses(host), [web, await addressOf(here, "other")]);

    // Neither the agent nor the daemon has to be there for what runs, or for what goes.
    await host.stop();
    assert.match(await refused(), /knet's agent does not run; Start it/);
    await here.nerdctl("rm -f other");
    assert.deepEqual(addresses(host), [web]);
    await reaches(web);
    await here.stop("SIGKILL");
    await reaches(web);
    await host.join();
    await here.start();
    await published();

    await here.stop("SIGKILL");
    await host.reboot();
    await here.reboot();
    await host.join();
    await here.start();
    await here.nerdctl("start web");
    assert.equal(await addressOf(here, "web"), web);
    await reaches(web);
    await published();

    await here.nerdctl("rm -f web");
    await there.nerdctl("rm -f far");
    assert.deepEqual([...addresses(host), ...addresses(other)], []);
  },
);
