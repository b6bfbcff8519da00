/**
 * What podman's containers get: podman itself by CNI, as Debian 12 has it, and netavark's plugin as newer ones call it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { IMAGE, lacking, makeImage, RuntimeRoom, runtimesBook } from "../support/runtime_room.ts";
import { skip } from "../support/skip.ts";
import { labSuite } from "../support/suite.ts";
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

/** Calls the plugin as netavark does. */
async function plugin(host: Host, path: string, args: string[], input: unknown) {
  const words = ["sh", "-c", `printf %s "$0" | exec "$@"`, JSON.stringify(input), path, ...args];
  const { code, stdout, stderr } = await host.run(words, { check: false });
  assert.equal(stderr, "");
  // deno-lint-ignore no-explicit-any
  return { code, document: (stdout.trim() === "" ? undefined : JSON.parse(stdout)) as any };
}

function container(id: string, name: string, more: Record<string, unknown> = {}) {
  return {
    container_id: id,
    container_name: name,
    port_mappings: null,
    network: { name: "knet", id: "00", driver: "knet", dns_enabled: false, internal: false },
    network_options: { interface_name: "eth0", ...more },
  };
}

suite(
  "netavark's plugin attaches and takes off containers, by the agent and without it",
  async (lab) => {
    const [host, other] = [lab.host(1), lab.host(2)];
    const folders = "--plugin-dir /run/host/netavark --network-dir /run/host/networks";
    const placed = await host.knetJson<{ plugin: string; network: string }>(
      `install podman ${folders}`,
    );
    const call = (args: string[], input: unknown = {}) => plugin(host, placed.plugin, args, input);
    assert.equal((await call(["info"])).document.api_version, "1.0.0");
    const network = JSON.parse(Deno.readTextFileSync(host.path(placed.network)));
    assert.deepEqual((await call(["create"], network)).document, network);
    const refused = await call(["create"], { ...network, subnets: [{ subnet: "10.9.0.0/24" }] });
    assert.equal(refused.code, 1);
    assert.match(refused.document.error, /this host's subnet is .*\(Leave --subnet/);

    await host.sh("ip netns add nv1; ip netns add nv2");
    const web = container("aaa", "web", { static_mac: "02:00:00:00:0a:0a" });
    const up = await call(["setup", "/run/netns/nv1"], web);
    assert.equal(up.code, 0, JSON.stringify(up.document));
    const { mac_address: mac, subnets: [{ ipnet, gateway }] } = up.document.interfaces.eth0;
    assert.equal(mac, "02:00:00:00:0a:0a");
    const { stdout } = await host.run("ip -n nv1 -4 addr show eth0");
    assert.ok(stdout.includes(`inet ${ipnet} `), stdout);
    assert.equal(gateway, (await host.subnetEnv())["KNET_SUBNET"]!.split("/")[0]);
    assert.ok(await other.containers[0]!.ping(ipnet.split("/")[0], 2));
    assert.deepEqual(runtimesBook(host).map(({ name, runtime }) => [name, runtime]), [[
      "web",
      "podman",
    ]]);

    const twin = await call(["setup", "/run/netns/nv2"], container("bbb", "web"));
    assert.equal(twin.code, 1);
    assert.match(twin.document.error, /aaa has this name.*\(Remove that container first/);
    const taken = { static_ips: [ipnet.split("/")[0]] };
    assert.match(
      (await call(["setup", "/run/netns/nv2"], container("bbb", "b", taken))).document.error,
      /it is taken by another container/,
    );
    assert.match(
      (await call(["setup", "/run/netns/none"], container("ccc", "c"))).document.error,
      /none/,
    );
    await host.run("ip netns delete nv1");
    for (let n = 0; n < 2; n++) {
      assert.deepEqual(await call(["teardown", "/run/netns/nv1"], web), {
        code: 0,
        document: undefined,
      });
    }
    await call(["setup", "/run/netns/nv2"], container("bbb", "late"));
    await host.stop();
    const away = await call(["setup", "/run/netns/nv2"], container("ddd", "d"));
    assert.match(away.document.error, /agent does not run \(Start it/);
    assert.equal((await call(["teardown", "/run/netns/nv2"], container("bbb", "late"))).code, 0);
    assert.deepEqual(runtimesBook(host), []);
    await host.join();
    await host.run("ip netns delete nv2");
  },
);

function podmanTest(name: string, fn: (lab: Lab) => Promise<void>): void {
  suite(name, async (lab) => {
    const problem = lacking("podman", "busybox") ?? await tooNew(lab.host(1));
    if (problem !== undefined) return skip(name, problem);
    await fn(lab);
  });
}

/** Podman leaves CNI out from 5 on. */
async function tooNew(host: Host): Promise<string | undefined> {
  const { stdout } = await host.run("podman --version");
  return / [5-9]\./.test(stdout) ? `needs podman 4: ${stdout.trim()}` : undefined;
}

podmanTest(
  "podman run --network knet by CNI reaches other hosts' containers, restarts, and gives its address back",
  async (lab) => {
    const [host, other] = [lab.host(1), lab.host(2)];
    await using room = await RuntimeRoom.create(host);
    await room.knet("install cni --bin-dir /run/host/cni/bin");
    await room.run([
      "sh",
      "-c",
      `mkdir -p /etc/containers
cat > /etc/containers/containers.conf << end
[network]
network_backend = "cni"
cni_plugin_dirs = ["/run/host/cni/bin", "/usr/lib/cni"]
network_config_dir = "/etc/cni/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
[containers]
log_driver = "k8s-file"
pids_limit = 0
end
echo '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
printf '[storage]\ndriver = "vfs"\ngraphroot = "/run/host/podman"\nrunroot = "/run/host/podman-run"\n' > /etc/containers/storage.conf`,
    ]);
    const podman = (...args: string[]) => room.run(["podman", ...args]);
    await podman("import", image, IMAGE);
    const run = (name: string) => {
      const options = [
        "-d",
        "--cap-add",
        "NET_RAW",
        "--name",
        name,
        "--network",
        "knet",
        "--stop-signal",
        "KILL",
        "-p",
        "8080:80",
      ];
      return podman("run", ...options, IMAGE, "/bin/httpd", "-f", "-p", "80", "-h", "/www");
    };
    await run("web");
    const addressOf = async (name: string) => {
      const { stdout } = await podman("exec", name, "/bin/ip", "-4", "addr", "show", "eth0");
      return /inet ([\d.]+)\//.exec(stdout)?.[1] ?? assert.fail(stdout);
    };
    const reached = async (address: string) => {
      await until("the other host's container has an answer", async () => {
        return await other.containers[0]!.ping(address, 1);
      });
    };
    const web = await addressOf("web");
    await reached(web);
    await podman("exec", "web", "ping", "-c", "1", "-W", "2", other.containers[0]!.address);
    assert.deepEqual(runtimesBook(host).map(({ name, address }) => [name, address]), [[
      "web",
      web,
    ]]);
    const published = () => other.run(["busybox", "wget", "-qO-", `http://${host.address}:8080/`]);
    assert.equal((await published()).stdout, "hello\n");
    await podman("restart", "web");
    await reached(await addressOf("web"));
    assert.equal((await published()).stdout, "hello\n");
    assert.equal(runtimesBook(host).length, 1);
    await podman("rm", "-f", "web");
    assert.deepEqual(runtimesBook(host), []);
  },
);
