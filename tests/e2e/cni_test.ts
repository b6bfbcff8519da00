/**
 * What container runtimes get by CNI: the plugin is called exactly as the specification says, without any runtime.
 *
 * Longer than others: one host is made once for all of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import { type Host, knetProgram } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";

interface Book {
  bootId: string;
  containers: { netns: string; netnsId: string; ifname: string; address: string }[];
}

const test = labSuite({ hosts: 1, store: "sqlite", setUp: (lab) => startCluster(lab) });

function bookOf(host: Host): Book {
  return JSON.parse(Deno.readTextFileSync(host.path("/run/host/data/containers.json"))) as Book;
}

function writeBook(host: Host, book: Book): void {
  Deno.writeTextFileSync(host.path("/run/host/data/containers.json"), JSON.stringify(book));
}

/** How many containers have an end of a wire on the host. */
async function wires(host: Host): Promise<number> {
  const { stdout } = await host.run("ip -br link show type veth");
  return stdout.split("\n").filter((line) => line.startsWith("kv")).length;
}

interface CniCall {
  readonly command: string;
  readonly id?: string;
  readonly netns?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly config?: Record<string, unknown>;
}

interface CniOutcome {
  readonly code: number;
  // deno-lint-ignore no-explicit-any
  readonly document: any;
}

/** Calls the plugin as a runtime does. */
async function cni(host: Host, call: CniCall): Promise<CniOutcome> {
  const { command, id = "", netns, ifname = "eth0", args = "", config = {} } = call;
  const path = netns === undefined ? "" : `/run/netns/${netns}`;
  const text = JSON.stringify({
    cniVersion: "1.1.0",
    name: "knet",
    type: "knet-cni",
    dataDir: "/run/host/data",
    ...config,
  });
  const { code, stdout, stderr } = await host.run(
    ["sh", "-c", `printf %s "$0" | exec "$@"`, text, ...knetProgram()],
    {
      check: false,
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: path,
        CNI_IFNAME: ifname,
        CNI_ARGS: args,
        CNI_PATH: "/opt/cni/bin",
      },
    },
  );
  assert.equal(stderr, "", "an error belongs on standard output");
  return { code, document: stdout.trim() === "" ? undefined : JSON.parse(stdout) };
}

test("the CNI plugin does ADD, CHECK, DEL and GC as the specification has them", async (lab) => {
  const host = lab.host(1);
  const call = { id: "aaa", netns: "cni1", args: "K8S_POD_NAME=web;K8S_POD_NAMESPACE=shop" };
  await host.run("ip netns add cni1");
  assert.deepEqual(await cni(host, { command: "STATUS" }), { code: 0, document: undefined });
  const added = await cni(host, { command: "ADD", ...call });
  assert.equal(added.code, 0, JSON.stringify(added.document));
  const [{ address, interface: index }] = added.document.ips;
  const inside = await host.json<{ address: string; addr_info: { local: string }[] }[]>(
    "ip -n cni1 -j addr show dev eth0",
  );
  assert.equal(address, `${inside[0]!.addr_info[0]!.local}/24`);
  assert.equal(added.document.interfaces[index].mac, inside[0]!.address);
  assert.equal(added.document.interfaces[index].sandbox, "/run/netns/cni1");
  assert.deepEqual(added.document.routes, [{ dst: "0.0.0.0/0", gw: "10.244.0.1" }]);
  await host.run("ip netns exec cni1 ping -n -c 1 -W 2 10.244.0.1");
  const { containers } = await host.knetJson<{ containers: Record<string, unknown>[] }>("status");
  assert.deepEqual(containers.map(({ name, runtime }) => [name, runtime]), [["web", "cni"]]);

  const twice = await cni(host, { command: "ADD", ...call });
  assert.deepEqual([twice.code, twice.document.code], [1, 104]);
  const check = { command: "CHECK", ...call, config: { prevResult: added.document } };
  assert.equal((await cni(host, check)).code, 0);
  await host.run("ip -n cni1 addr flush dev eth0");
  assert.equal((await cni(host, check)).document.code, 101);

  await host.run("ip netns delete cni1");
  for (let n = 0; n < 2; n++) {
    assert.deepEqual(await cni(host, { command: "DEL", id: "aaa" }), {
      code: 0,
      document: undefined,
    });
  }
  assert.deepEqual(bookOf(host).containers, []);
  assert.deepEqual(await cni(host, { command: "DEL", id: "never" }), {
    code: 0,
    document: undefined,
  });
  assert.equal((await cni(host, check)).document.code, 3);

  for (const id of ["stays", "goes"]) {
    await host.run(["ip", "netns", "add", id]);
    assert.equal((await cni(host, { command: "ADD", id, netns: id })).code, 0);
  }
  const valid = [{ containerID: "stays", ifname: "eth0" }];
  const other = { name: "other", "cni.dev/valid-attachments": [] };
  assert.equal((await cni(host, { command: "GC", config: other })).code, 0);
  assert.equal(bookOf(host).containers.length, 2, "those of other networks are not its own");
  const config = { "cni.dev/valid-attachments": valid };
  assert.equal((await cni(host, { command: "GC", config })).code, 0);
  assert.deepEqual(bookOf(host).containers.map(({ netns }) => netns), ["/run/netns/stays"]);
  await cni(host, { command: "DEL", id: "stays" });
  await host.sh("ip netns delete stays; ip netns delete goes");
});

test("the CNI plugin limits a container's bandwidth, both ways, and the agent keeps it so", async (lab) => {
  const host = lab.host(1);
  await host.run("ip netns add slow");
  const call = { id: "slow", netns: "slow" };
  const bandwidth = {
    ...{ ingressRate: 8_000_000, ingressBurst: 800_000 },
    ...{ egressRate: 4_000_000, egressBurst: 400_000 },
  };
  const half = { runtimeConfig: { bandwidth: { ...bandwidth, egressBurst: 0 } } };
  const refused = await cni(host, { command: "ADD", ...call, config: half });
  assert.equal(refused.document.code, 7);
  assert.match(refused.document.msg, /egressRate needs egressBurst/);
  const config = { runtimeConfig: { bandwidth } };
  const added = await cni(host, { command: "ADD", ...call, config });
  assert.equal(added.code, 0, JSON.stringify(added.document));
  const wire = added.document.interfaces[1].name as string;
  const shaper = `${wire.slice(0, 14)}i`;
  interface Queue {
    kind: string;
    packets: number;
    options: { rate?: number };
  }
  const queueOf = async (device: string) =>
    (await host.json<Queue[]>(`tc -s -j qdisc show dev ${device}`)).find(({ kind }) =>
      kind === "tbf"
    );
  const rates = async () => [
    (await queueOf(wire))?.options.rate,
    (await queueOf(shaper))?.options.rate,
  ];
  // Bytes a second.
  assert.deepEqual(await rates(), [1_000_000, 500_000]);
  await host.run("ip netns exec slow ping -n -c 3 -i 0.1 -W 2 10.244.0.1");
  for (const device of [wire, shaper]) assert.ok((await queueOf(device))!.packets >= 3, device);
  const check = { command: "CHECK", ...call, config: { prevResult: added.document } };
  assert.equal((await cni(host, check)).code, 0);
  await host.sh(`tc qdisc del dev ${wire} root; tc qdisc change dev ${shaper} root \\
    tbf rate 8mbit burst 50kb limit 60kb`);
  await until("the limits are as they were", async () => {
    return (await rates()).join() === "1000000,500000";
  });
  await host.stop("SIGKILL");
  await host.run(`ip link del ${shaper}`);
  const unlimited = await cni(host, check);
  assert.equal(unlimited.document.code, 11, "nobody is there who could look");
  await host.join();
  await until("they are so once the agent is back", async () => {
    return (await cni(host, check)).code === 0;
  });
  // The namespace goes first, and takes but one of the two devices with it.
  await host.run("ip netns delete slow");
  assert.equal((await cni(host, { command: "DEL", id: "slow" })).code, 0);
  const { stdout } = await host.run("ip -br link show type ifb");
  assert.equal(stdout, "");
});

test("a runtime with processes and mounts of its own gets the namespace that it means, or is told why not", async (lab) => {
  const host = lab.host(1);
  const program = knetProgram().map((word) => `'${word}'`).join(" ");
  const config = `{"cniVersion":"1.1.0","name":"knet","dataDir":"/run/host/data"}`;
  // There, the container is process 2 or 3, and what is seen of the mount is there alone.
  const inRoom = (script: string) =>
    host.run([
      ...["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"],
      ...["sh", "-c"],
      `plugin() { CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=$3 CNI_IFNAME=eth0 ${program} << end
${config}
end
}
${script}`,
    ], { check: false });
  const inside = await inRoom(`unshare --net sleep 60 &
sleep 0.3
plugin ADD within /proc/$!/ns/net && nsenter -t $! -n ip -4 -br addr show eth0 &&
  plugin CHECK within /proc/$!/ns/net && plugin DEL within ""`);
  assert.equal(inside.code, 0, inside.stdout + inside.stderr);
  const [, result = "{}", shown] = /^(\{.*\})\n(eth0[^\n]*)\n$/s.exec(inside.stdout) ?? [];
  assert.ok(shown?.includes(JSON.parse(result).ips[0].address), inside.stdout);
  assert.deepEqual(bookOf(host).containers, []);
  // The same by netavark's plugin.
  const question = {
    container_id: "within",
    network: { name: "knet" },
    network_options: { interface_name: "eth0" },
  };
  const podman = await inRoom(`unshare --net sleep 60 &
sleep 0.3
for what in "setup /proc/$!/ns/net" teardown; do
  echo '${JSON.stringify(question)}' | ${program} __netavark /run/knet /run/host/data $what || exit
  nsenter -t $! -n ip -4 -br addr show eth0
done`);
  assert.match(podman.stdout, /^\{.*"ipnet":"([\d.]+\/\d+)".*\}\neth0.* \1 /, podman.stderr);
  assert.deepEqual(bookOf(host).containers, []);
  // No process is in it, and nobody else sees the mount.
  for (const mount of ["/run/netns/hidden", "/run/host/hidden"]) {
    const away = await inRoom(`touch ${mount}; unshare --net=${mount} true
plugin ADD away ${mount}; umount ${mount}; rm ${mount}`);
    const { code, msg, details } = JSON.parse(away.stdout);
    assert.equal(code, 101, away.stdout);
    assert.match(
      msg,
      /"\/run\/(netns|host)\/hidden": the runtime sees a namespace there, and knet's agent/,
    );
    assert.match(details, /--pid=host, and \/run\/netns of the host shared/);
  }
  const apart = await inRoom("mount -t tmpfs apart /run/knet; plugin ADD apart /proc/self/ns/net");
  const { code, details } = JSON.parse(apart.stdout);
  assert.equal(code, 11, apart.stdout);
  assert.match(details, /^Start it: .*; a runtime .* has to see the host's \/run\/knet$/);
  assert.deepEqual(bookOf(host).containers, []);
});

test("the CNI plugin tells errors by the specification's codes and with a remedy", async (lab) => {
  const host = lab.host(1);
  await host.run("ip netns add bad");
  const add = { command: "ADD", id: "bad", netns: "bad" };
  const codeOf = async (call: CniCall) => {
    const { code, document } = await cni(host, call);
    assert.equal(code, 1);
    assert.equal(typeof document.msg, "string");
    return document.code as number;
  };
  assert.equal(await codeOf({ ...add, config: { cniVersion: "2.0.0" } }), 1);
  assert.equal(await codeOf({ ...add, netns: "nowhere" }), 101);
  assert.equal(await codeOf({ ...add, config: { runtimeConfig: { ips: ["10.9.9.9"] } } }), 102);
  assert.equal(await codeOf({ ...add, config: { runtimeConfig: { ips: ["10.244.0.1"] } } }), 104);
  const old = await cni(host, { ...add, netns: "nowhere", config: { cniVersion: "0.4.0" } });
  assert.equal(old.document.cniVersion, "0.4.0");
  const named = { ...add, args: "K8S_POD_NAME=twin" };
  assert.equal((await cni(host, named)).code, 0);
  await host.run("ip netns add twin");
  assert.equal(await codeOf({ ...named, id: "twin", netns: "twin" }), 104);

  const version = await cni(host, { command: "VERSION" });
  assert.ok(version.document.supportedVersions.includes("1.1.0"));

  await host.stop();
  const away = await cni(host, { command: "STATUS" });
  assert.equal(away.document.code, 50);
  assert.match(away.document.details, /systemctl start knet/);
  assert.equal(await codeOf({ ...add, id: "late" }), 11);
  assert.equal((await cni(host, { command: "DEL", id: "bad" })).code, 0, "without an agent, too");
  assert.deepEqual(bookOf(host).containers, []);
  await host.sh("ip netns delete bad; ip netns delete twin");
  await host.join();
});

test("a container of a runtime has its address again after agent and host were started anew", async (lab) => {
  const host = lab.host(1);
  await host.run("ip netns add before");
  const config = { runtimeConfig: { ips: ["10.244.0.99"] } };
  await cni(host, { command: "ADD", id: "stable", netns: "before", config });
  await host.stop("SIGKILL");
  await host.join();
  assert.equal(bookOf(host).containers.length, 1);
  // A reboot: the namespaces are gone, and the book is of another boot.
  await host.run("ip netns delete before");
  writeBook(host, { ...bookOf(host), bootId: "earlier" });
  await host.run("ip netns add after");
  const again = await cni(host, { command: "ADD", id: "stable", netns: "after" });
  assert.equal(again.document.ips[0].address, "10.244.0.99/24");
  // So it has when it ended without a word; the agent sees that, and frees the address meanwhile.
  await host.run("ip netns delete after");
  await until("the agent has freed its address", () => bookOf(host).containers.length === 0);
  await host.run("ip netns add later");
  const later = await cni(host, { command: "ADD", id: "stable", netns: "later" });
  assert.equal(later.document.ips[0].address, "10.244.0.99/24");
  await cni(host, { command: "DEL", id: "stable" });
  await host.run("ip netns delete later");
});

test("many runtimes at once, killed at random, get no address twice and leak none", async (lab) => {
  const host = lab.host(1);
  const ids = Array.from({ length: 36 }, (_, n) => `race${n}`);
  await host.sh(ids.map((id) => `ip netns add ${id}`).join("\n"));
  const program = knetProgram().map((word) => `'${word}'`).join(" ");
  const config = `{"cniVersion":"1.0.0","name":"knet","dataDir":"/run/host/data"}`;
  // A third is attached by hand; of the plugins, one in three is killed somewhere on its way.
  await host.sh(
    ids.map((id, n) =>
      n % 3 === 0
        ? `${program} attach ${id} --data-dir /run/host/data > /dev/null & `
        : `(export CNI_COMMAND=ADD CNI_CONTAINERID=${id} CNI_NETNS=/run/netns/${id} CNI_IFNAME=eth0
echo '${config}' | ${
          n % 3 === 2 ? `timeout -s KILL 0.${2 + n % 7}` : ""
        } ${program} > /dev/null || true) 2> /dev/null &`
    ).join("\n") + "\nwait",
  );
  await until("the agent has done what it was asked", async () => {
    return (await wires(host)) === bookOf(host).containers.length;
  });
  const given = bookOf(host).containers.map(({ address }) => address);
  assert.equal(new Set(given).size, given.length);
  assert.ok(given.length >= 24, `${given.length}`);
  // As the runtime does with all that it asked for, whatever came of it.
  await Promise.all(
    ids.map((id, n) => n % 3 === 0 ? host.knet(["detach", id]) : cni(host, { command: "DEL", id })),
  );
  assert.deepEqual(bookOf(host).containers, []);
  assert.equal(await wires(host), 0);
  await host.sh(ids.map((id) => `ip netns delete ${id}`).join("\n"));
});

/** Calls a plugin's file as its runtime does; returns status and output. */
async function callPlugin(
  host: Host,
  line: readonly string[],
  input: unknown,
  env: Record<string, string> = {},
): Promise<CniOutcome> {
  const piped = ["sh", "-c", `printf %s "$0" | exec "$@"`, JSON.stringify(input), ...line];
  const { code, stdout, stderr } = await host.run(piped, { check: false, env });
  assert.equal(stderr, "");
  return { code, document: stdout === "" ? undefined : JSON.parse(stdout) };
}

/** A copy of a plugin that ends with status 99 where it would start the program. */
async function withoutProgram(host: Host, plugin: string): Promise<string> {
  await host.sh(`sed 's/^  exec .*__.*/  exit 99/' '${plugin}' > '${plugin}.alone'
chmod 755 '${plugin}.alone'`);
  return `${plugin}.alone`;
}

test("what knet install cni and podman place asks the agent without the program, and has it where there is no agent", async (lab) => {
  const host = lab.host(1);
  await host.sh("ip netns add alone; ip netns add vark");
  const folders = "--bin-dir /run/host/fast/bin --conf-dir /run/host/fast/net.d";
  const cniPlugin = (await host.knetJson<{ plugin: string }>(`install cni ${folders}`)).plugin;
  const podman = "--plugin-dir /run/host/fast/podman --network-dir /run/host/fast/networks";
  const podmanPlugin = (await host.knetJson<{ plugin: string }>(`install podman ${podman}`)).plugin;
  const network = { cniVersion: "1.0.0", name: "knet", dataDir: "/run/host/data" };
  const byCni = (command: string, plugin: string) =>
    callPlugin(host, [plugin], network, {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "alone",
      CNI_NETNS: "/run/netns/alone",
      CNI_IFNAME: "eth0",
    });
  const question = {
    container_id: "vark",
    container_name: "vark",
    port_mappings: null,
    network: { name: "knet", options: { ingressRate: "8M" } },
    network_options: { interface_name: "eth0" },
  };
  const byPodman = (command: string, plugin: string) =>
    callPlugin(host, [plugin, command, "/run/netns/vark"], question);
  const cniAlone = await withoutProgram(host, cniPlugin);
  const podmanAlone = await withoutProgram(host, podmanPlugin);

  const added = await byCni("ADD", cniAlone);
  assert.match(added.document.ips[0].address, /^10\.244\.0\.\d+\/24$/);
  const set = await byPodman("setup", podmanAlone);
  assert.match(set.document.interfaces.eth0.subnets[0].ipnet, /^10\.244\.0\.\d+\/24$/);
  const { stdout: queues } = await host.run("tc qdisc show");
  assert.match(queues, / tbf .* rate 8Mbit /, "podman's option limits the bandwidth");
  // Who is asked by the script and who by the program answer the same.
  for (const plugin of [cniAlone, cniPlugin]) {
    const twice = await byCni("ADD", plugin);
    assert.deepEqual([twice.code, twice.document.code], [1, 104]);
  }
  assert.deepEqual(await cni(host, { command: "ADD", id: "alone", netns: "alone" }), {
    code: 1,
    document: { ...(await byCni("ADD", cniAlone)).document, cniVersion: "1.1.0" },
  });
  assert.deepEqual(await byPodman("setup", podmanAlone), set);
  assert.equal((await byCni("VERSION", cniAlone)).code, 99);

  await host.stop("SIGKILL");
  assert.equal((await byCni("CHECK", cniPlugin)).document.code, 11);
  assert.equal((await byCni("ADD", cniAlone)).code, 99);
  assert.equal((await byPodman("setup", podmanAlone)).code, 99);
  assert.equal((await byCni("DEL", cniPlugin)).code, 0);
  await host.join();
  assert.deepEqual(await byCni("DEL", cniAlone), { code: 0, document: undefined });
  assert.deepEqual(bookOf(host).containers.map(({ netns }) => netns), ["/run/netns/vark"]);
  assert.deepEqual(await byPodman("teardown", podmanAlone), { code: 0, document: undefined });
  assert.deepEqual(bookOf(host).containers, []);
  await host.sh("ip netns delete alone; ip netns delete vark; rm -r /run/host/fast");
});

test("knet install cni places plugin and configuration, and leave takes them away", async (lab) => {
  const host = lab.host(1);
  const folders = "--bin-dir /run/host/cni/bin --conf-dir /run/host/cni/net.d";
  const { plugin, config } = await host.knetJson<{ plugin: string; config: string }>(
    `install cni ${folders}`,
  );
  const text = JSON.parse(Deno.readTextFileSync(host.path(config)));
  await host.run("ip netns add placed");
  const network = { cniVersion: "1.0.0", name: text.name, ...text.plugins[0] };
  const { stdout } = await host.run(
    ["sh", "-c", `printf %s "$0" | exec "$@"`, JSON.stringify(network), plugin],
    {
      env: {
        CNI_COMMAND: "ADD",
        CNI_CONTAINERID: "placed",
        CNI_NETNS: "/run/netns/placed",
        CNI_IFNAME: "eth0",
      },
    },
  );
  assert.equal(JSON.parse(stdout).cniVersion, "1.0.0");
  await host.leave();
  const { stdout: left } = await host.run("find /run/host/cni -not -type d");
  assert.equal(left, "");
  assert.deepEqual(bookOf(host).containers, []);
});
