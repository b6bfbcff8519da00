/**
 * Published ports: who reaches a container by an address of its host, and what the container sees of him.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import type { Container } from "../support/container.ts";
import { exec } from "../support/exec.ts";
import { DOCKER_RULES } from "../support/foreigners.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";
import { who, whoLine } from "../support/who.ts";

const test = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: async (lab) => {
    await lab.host(1).sh(DOCKER_RULES);
    await lab.host(2).run("iptables -w -P FORWARD DROP");
    await startCluster(lab, { containers: 1 });
    const web = await lab.host(1).attach("web", [
      "--publish",
      "8080:80",
      "--publish",
      "5300:53/udp",
    ]);
    await serve(web, "web", 80, 53);
  },
});

async function serve(container: Container, name: string, ...ports: number[]): Promise<void> {
  const server = container.spawn(whoLine(name, ...ports));
  await until(`${name} serves`, () => server.stdout.includes("ready"));
}

const containerOf = (host: Host, name: string) => host.containers.find((one) => one.name === name)!;
const elements = async (host: Host) =>
  (await host.sh("nft list table ip knet")).stdout.match(/\S+ \. \d+ : \S+ \. \d+/g) ?? [];

test("a published port is reached from everywhere, and the container sees who asks", async (lab) => {
  const [host, other] = [lab.host(1), lab.host(2)];
  const [near, web] = [containerOf(host, "c1"), containerOf(host, "web")];
  const stranger = await lab.addStranger("p", "192.168.2.70");
  const bridge = (await host.subnetEnv())["KNET_SUBNET"]!.split("/")[0]!;
  const outside = {
    run: (line: readonly string[], options = {}) =>
      exec(["ip", "netns", "exec", stranger, ...line], options),
  };
  for (const [port, protocol] of [[8080, "tcp"], [5300, "udp"]] as const) {
    const ask = (from: Parameters<typeof who>[0], address: string) =>
      who(from, address, port, protocol);
    assert.equal(await ask(outside, host.address), "web 192.168.2.70", `a stranger, ${protocol}`);
    assert.equal(await ask(other, host.address), `web ${other.address}`, "another host");
    assert.equal(await ask(host, host.address), `web ${host.address}`, "the host itself");
    assert.equal(await ask(host, "127.0.0.1"), `web ${bridge}`, "the host by 127.0.0.1");
    assert.equal(await ask(host, "127.9.9.9"), `web ${bridge}`, "all of 127.0.0.0/8 is the host's");
    assert.equal(await ask(web, host.address), `web ${bridge}`, "the container itself");
    assert.equal(await ask(near, host.address), `web ${bridge}`, "another container on the bridge");
    assert.equal(await ask(near, bridge), `web ${bridge}`, "by the bridge's address");
    const far = containerOf(other, "c1");
    assert.equal(await ask(far, bridge), `web ${far.address}`, "a container of another host");
  }
  assert.equal(await who(host, host.address, 8081), undefined);
});

test("nobody gets to what listens at 127.0.0.1 because of a published port", async (lab) => {
  const host = lab.host(1);
  const near = containerOf(host, "c1");
  const own = host.spawn(whoLine("own", 7777));
  await until("it serves", () => own.stdout.includes("ready"));
  assert.equal(await who(host, "127.0.0.1", 7777), "own 127.0.0.1");
  const stranger = await lab.addStranger("q", "192.168.2.71");
  const inside = async (script: string) => {
    await near.run(["sh", "-c", script]);
    return await who(near, "127.0.0.1", 7777, "udp");
  };
  // To the bridge, and from an address that the host may answer to.
  const gateway = (await host.subnetEnv())["KNET_SUBNET"]!.split("/")[0]!;
  assert.equal(
    await inside(
      "sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip route del local 127.0.0.0/8 table local; ip route del local 127.0.0.1 table local; " +
        `ip route add 127.0.0.0/8 via ${gateway} src ${near.address}; true`,
    ),
    undefined,
    "a container",
  );
  await exec([
    "ip",
    "netns",
    "exec",
    stranger,
    "sh",
    "-c",
    "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip link set lo down; " +
    `ip route replace 127.0.0.1 via ${host.address} src 192.168.2.71`,
  ]);
  const outside = {
    run: (line: readonly string[], options = {}) =>
      exec(["ip", "netns", "exec", stranger, ...line], options),
  };
  assert.equal(await who(outside, "127.0.0.1", 8080), undefined, "a stranger");
  const dropped = (await host.sh("nft list chain ip knet port-guard")).stdout;
  assert.match(dropped, /ip daddr 127\.0\.0\.0\/8 counter packets [1-9]/);
  await own.stop();
});

test("a port in use is an error at once that names who has it, and nothing is left of the attach", async (lab) => {
  const host = lab.host(1);
  await host.run("ip netns add late");
  const refused = async (publish: string, message: RegExp, code = 4) => {
    const { code: got, stderr } = await host.knet(`attach late --publish ${publish}`, {
      check: false,
    });
    assert.match(stderr, message, publish);
    assert.equal(got, code, publish);
  };
  await refused("8080:80", /container "web" \(10\.244\.\d+\.\d+\) has published it/);
  await refused("127.0.0.1:8080:80", /container "web"/);
  await refused("8472:80/udp", /tunnel/);
  const server = host.spawn(whoLine("own", 7778));
  await until("it serves", () => server.stdout.includes("ready"));
  for (const protocol of ["tcp", "udp"]) {
    await refused(
      `7778:80/${protocol}`,
      /port 7778\/\w+ of "late": process \d+ \(.*deno.*\) listens there/,
    );
    await refused(`${host.address}:7778:80/${protocol}`, /listens there/);
  }
  await server.stop();
  await refused("192.0.2.7:8081:80", /192\.0\.2\.7 is no address of this host/, 2);
  await refused("8081", /the host's port is missing/, 2);
  const { containers } = await host.knetJson<{ containers: { netns: string }[] }>("status");
  assert.ok(!containers.some(({ netns }) => netns === "late"));
  assert.equal((await host.run("ip netns exec late ip -br link show type veth")).stdout, "");
});

test("published ports survive a flush and the agent, are changed by another attach, and go with the container", async (lab) => {
  const host = lab.host(2);
  const late = await host.attach("late", ["--publish", "127.0.0.1:9000-9001:80-81"]);
  await serve(late, "late", 80, 82);
  const gateway = (await host.subnetEnv())["KNET_SUBNET"]!.split("/")[0]!;
  const answers = (port: number) =>
    until(
      `port ${port} leads there`,
      async () => await who(host, "127.0.0.1", port) === `late ${gateway}`,
    );
  await answers(9000);
  await host.sh("nft flush ruleset");
  await answers(9000);
  await host.sh(
    "nft delete element ip knet port-at '{ 127.0.0.1 . tcp . 9000 }'; sysctl -qw net.ipv4.conf.knet0.route_localnet=0",
  );
  await answers(9000);
  await host.stop("SIGKILL");
  await host.knet("attach late --publish 9002:82");
  await answers(9002);
  assert.equal(await who(host, "127.0.0.1", 9000), undefined);
  await host.join();
  await host.ready();
  await answers(9002);
  assert.deepEqual(await elements(host), [`tcp . 9002 : ${late.address} . 82`]);
  await host.knet("detach late");
  await until("nothing is left", async () => {
    const { stdout } = await host.run("sysctl -n net.ipv4.conf.knet0.route_localnet");
    const table = (await host.sh("nft list table ip knet")).stdout;
    if (stdout.trim() !== "0" || table.includes("port-")) throw new Error(`${stdout}${table}`);
    return true;
  });
});

test("a port of a container that ended without a word is free at once, with an agent or without one", async (lab) => {
  const host = lab.host(1);
  const publish = ["--publish", "8123:80"];
  await host.run("ip netns add ended");
  await host.knet(["attach", "ended", ...publish]);
  await host.stop();
  await host.run("ip netns delete ended");
  await host.run("ip netns add next");
  const taken = await host.knet(["attach", "next", "--publish", "8080:80"], { check: false });
  assert.match(taken.stderr, /"web" .* has published it/, "one that is there keeps its own");
  await host.knet(["attach", "next", ...publish]);
  assert.equal((await elements(host)).filter((one) => one.includes(" 8123 ")).length, 1);
  // Nobody kept this one from listening there, and it hears nothing.
  const late = host.spawn(whoLine("late", 8123));
  await until("late serves", () => late.stdout.includes("ready"));
  const { stdout } = await host.knet("doctor", { check: false });
  assert.match(
    stdout,
    /published ports.*8123\/tcp of container "next" \(process \d+ \(.+\) listens/s,
  );
  await host.knet("detach next");
  await host.join();
  await host.run("ip netns delete next");
});

test("trace follows a published port into its container, here and on another host", async (lab) => {
  const host = lab.host(1);
  const web = await host.attach("led", ["--publish", "8090:80", "--publish", "5390:53/udp"]);
  interface Report {
    destination: { address: string; port: number; protocol: string; node: string };
    steps: { step: string; status: string; detail: string; entry?: string }[];
    passes: boolean;
  }
  const traced = async (at: Host, to: string) => {
    const { stdout } = await at.knet(["trace", "c1", to, "--json"], { check: false });
    return JSON.parse(stdout) as Report;
  };
  for (const word of ["h1:8090", `${host.address}:5390/udp`]) {
    const { destination, steps, passes } = await traced(host, word);
    assert.ok(passes, JSON.stringify(steps));
    assert.deepEqual([destination.address, destination.node], [host.address, "h1"]);
    assert.deepEqual(steps.map(({ step }) => step), [
      ...["container", "bridge", "port", "forwarding", "delivery"],
    ]);
    const inside = word.endsWith("udp") ? 53 : 80;
    assert.match(steps[2]!.detail, new RegExp(`"led", ${web.address} port ${inside}, as from`));
    assert.match(steps[2]!.entry!, new RegExp(`: ${web.address} \\. ${inside} \\}$`));
  }
  const none = await traced(host, "h1:18081");
  assert.deepEqual([none.passes, none.steps.at(-1)!.step], [false, "port"]);
  assert.match(none.steps.at(-1)!.detail, /nobody on this host listens there/);
  await until("the other host knows of it", async () => {
    const { steps } = await traced(lab.host(2), "h1:8090");
    return steps.at(-1)!.detail.includes(`it goes to "led", ${web.address} port 80`);
  });
  const text = (await host.knet("trace c1 h1:8090")).stdout;
  assert.match(text, new RegExp(`^c1 .* to ${host.address}:8090/tcp on h1`));
  const wrong = await host.knet("trace c1 led:80", { check: false });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /no host of the cluster/);
});
