/**
 * What podman 5 gets by netavark's plugin: the real programs, of Debian 13, on two hosts.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import { type Host, knetProgram } from "../support/host.ts";
import { IMAGE, makeImage, RuntimeRoom, runtimesBook } from "../support/runtime_room.ts";
import { skip } from "../support/skip.ts";
import { labSuite } from "../support/suite.ts";
import { enterTrixie, trixieProblem, trixieRoot } from "../support/trixie.ts";
import { until } from "../support/wait.ts";

let image = "";
const suite = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: async (lab) => {
    await startCluster(lab, { containers: 1 });
    image = await makeImage(lab.directory);
  },
});

const bookOf = (host: Host) => runtimesBook(host).filter(({ runtime }) => runtime === "podman");

const SETTINGS = `mkdir -p /etc/containers
cat > /etc/containers/containers.conf << end
[network]
network_backend = "netavark"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
[containers]
log_driver = "k8s-file"
pids_limit = 0
end
echo '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
printf '[storage]\\ndriver = "vfs"\\ngraphroot = "/run/host/podman"\\nrunroot = "/run/host/podman-run"\\n' > /etc/containers/storage.conf`;

/** Podman on a host, with knet's network. */
async function podmanOn(host: Host, root: string) {
  const room = await RuntimeRoom.create(host);
  const run = await enterTrixie(room, root);
  await run(["sh", "-ec", SETTINGS]);
  const podman = async (...args: string[]) =>
    (await run(["podman", ...args], { timeout: 120_000 })).stdout.trim();
  const refused = async (...args: string[]) => {
    const { code, stderr } = await run(["podman", ...args], { check: false });
    assert.notEqual(code, 0, args.join(" "));
    return stderr;
  };
  const install = () =>
    run([...knetProgram(), "install", "podman", "--data-dir", "/run/host/data"]);
  await install();
  await Deno.copyFile(image, host.path("/run/image.tar"));
  await podman("import", "/run/image.tar", IMAGE);
  const start = (name: string, ...options: string[]) =>
    podman(
      ...["run", "-d", "--cap-add", "NET_RAW", "--stop-signal", "KILL", "--name", name],
      ...options,
      ...[IMAGE, "httpd", "-f", "-p", "80", "-h", "/www"],
    );
  const addressOf = async (name: string, device = "eth0") => {
    const shown = await podman("exec", name, "ip", "-4", "addr", "show", device);
    return /inet ([\d.]+)\//.exec(shown)?.[1] ?? assert.fail(shown);
  };
  return { room, podman, refused, install, start, addressOf };
}

suite(
  "podman 5 runs containers on knet's network by netavark: between hosts, with ports, restarts, several networks, and prune",
  async (lab) => {
    const name = "podman by netavark";
    const problem = trixieProblem();
    if (problem !== undefined) return skip(name, problem);
    const root = await trixieRoot();
    const [host, other] = [lab.host(1), lab.host(2)];
    const here = await podmanOn(host, root);
    await using _here = here.room;
    const there = await podmanOn(other, root);
    await using _there = there.room;
    assert.match(await here.podman("network", "ls"), /knet +knet/);

    await here.start("web", "--network", "knet", "-p", "8080:80");
    await there.start("far", "--network", "knet");
    const web = await here.addressOf("web");
    const far = await there.addressOf("far");
    const reaches = (address: string) =>
      here.podman("exec", "web", "ping", "-c", "1", "-W", "2", address);
    await reaches(far);
    await there.podman("exec", "far", "ping", "-c", "1", "-W", "2", web);
    const fetched = await there.podman("exec", "far", "wget", "-qO-", `http://${web}/`);
    assert.equal(fetched, "hello");
    const published = () => other.run(["busybox", "wget", "-qO-", `http://${host.address}:8080/`]);
    assert.equal((await published()).stdout, "hello\n");
    assert.match(
      await here.refused("run", "--network", "knet", "-p", "8080:80", IMAGE, "true"),
      /address already in use/, // podman's own words: it keeps the port itself
    );
    assert.deepEqual(bookOf(host).map(({ name, address }) => [name, address]), [["web", web]]);

    await here.podman("restart", "web");
    await reaches(far);
    await until("the port is published again", async () => {
      return (await published()).stdout === "hello\n";
    });
    assert.equal(bookOf(host).length, 1);

    // Two networks: two interfaces, and one default route.
    await here.podman("network", "create", "-d", "knet", "-o", "ingressRate=80M", "two");
    await here.start("both", "--network", "knet", "--network", "two", "-p", "8081:80");
    const addresses = [await here.addressOf("both"), await here.addressOf("both", "eth1")];
    assert.equal(new Set(addresses).size, 2);
    for (const address of addresses) await there.podman("exec", "far", "ping", "-c1", address);
    assert.match((await host.run("tc qdisc show")).stdout, / tbf .* rate 80Mbit /);
    await here.podman("network", "disconnect", "two", "both");
    assert.deepEqual(bookOf(host).filter(({ name }) => name === "both").length, 1);
    await here.podman("network", "connect", "two", "both");
    assert.deepEqual(bookOf(host).filter(({ name }) => name === "both").length, 2);

    const fixed = (await host.subnet()).replace(/\d+\/.*/, "77");
    await here.start("fixed", "--network", `knet:ip=${fixed},mac=02:00:00:00:00:77`);
    assert.equal(await here.addressOf("fixed"), fixed);
    await reaches(fixed);
    await here.podman("restart", "fixed");
    assert.equal(await here.addressOf("fixed"), fixed);
    assert.match(
      await here.refused("run", "--network", `knet:ip=${fixed}`, IMAGE, "true"),
      /taken by another container/,
    );
    assert.match(
      await here.refused("network", "create", "-d", "knet", "--ipv6", "six"),
      /this cluster has no IPv6 \(Leave --ipv6 away\)/,
    );
    await here.refused("run", "--network", "knet:ip=fd00::7", IMAGE, "true");
    assert.match(
      await here.refused("network", "create", "-d", "knet", "--subnet", "10.9.0.0/24", "nine"),
      /this host's subnet is/,
    );
    assert.match(
      await here.refused("network", "create", "-d", "knet", "-o", "ingressRate=fast", "nine"),
      /"fast" is no number of bits/,
    );

    await here.podman("rm", "-f", "-t", "0", "-a");
    assert.deepEqual(bookOf(host), []);
    // Podman takes all networks away that no container is in; knet's own comes back by what placed it.
    await here.podman("network", "prune", "-f");
    assert.doesNotMatch(await here.podman("network", "ls"), /\b(two|knet)\b/);
    await here.install();
    await here.start("late", "--network", "knet");
    assert.notEqual(await here.addressOf("late"), "");
    // Containers go without an agent, too.
    await host.stop();
    await here.podman("rm", "-f", "-t", "0", "late");
    assert.deepEqual(bookOf(host), []);
    await host.join();
    await there.podman("rm", "-f", "-t", "0", "far");
  },
);
