// Services from one command: agents program their kernels, keep them so, and leave nothing behind.
import assert from "node:assert/strict";
import type { ServicesReport } from "../../core/inspect/service_report.ts";
import type { Host } from "../support/host.ts";
import { ipvsTest } from "../support/ipvs.ts";
import { Lab } from "../support/lab.ts";
import { median, ms, report, sleep, until } from "../support/wait.ts";
import { ask, hold, serve, serveEcho, tally } from "./talk.ts";

const VIP = "10.96.0.10";

async function services(host: Host): Promise<ServicesReport> {
  return JSON.parse((await host.get("/services")).body);
}

/**
 * Changes the store by a command. On an emulated processor an agent that has just started may keep the file's lock for longer than a
 * command waits: so often, and for nothing else, it is repeated.
 */
async function change(host: Host, line: readonly string[]): Promise<void> {
  for (let tries = 1;; tries++) {
    const { code, stderr } = await host.knet(line, { check: false });
    if (code === 0) return;
    assert.match(stderr, /another process holds its lock/);
    assert.ok(tries < 5, stderr);
  }
}

const table = async (host: Host) =>
  (await host.run("ipvsadm -Sn")).stdout.split("\n").sort().join("\n");

/** Breaks something on a host and waits for what was there. */
async function heal(host: Host, injury: string): Promise<void> {
  const state = async () =>
    (await host.sh("ipvsadm -Sn; ip -o -4 addr show; nft list ruleset | grep 10.96")).stdout
      .split("\n").map((line) => line.replace(/^\d+: /, "")).sort().join("\n");
  const before = await state();
  await host.sh(injury);
  const { ms: took } = await until(`"${injury}" is healed`, async () => {
    assert.equal(await state(), before);
    return true;
  });
  report(`services: "${injury}" healed after ${ms(took)}`);
}

ipvsTest("agents program a service, heal it, survive a restart and remove it", async () => {
  await using lab = await Lab.create({ hosts: 2 });
  try {
    await lab.host(1).knet("init --network 10.244.0.0/16");
    await Promise.all(lab.hosts.map((host) => host.join({ args: ["--ip-masq"] })));
    const [one, two] = [lab.host(1), lab.host(2)];
    const [web1, web2] = await Promise.all([one.attach("web1"), two.attach("web2")]);
    const client = await one.attach("client");
    for (const [host, web] of [[one, web1], [two, web2]] as const) {
      host.keep(await serve(web!.enter, web!.name, 8080, ["0.0.0.0"]));
    }
    const to = [web1, web2].flatMap((web) => ["--to", `${web!.address}:8080`]);
    await one.run("ipvsadm -A -t 10.96.0.77:80 -s wlc");
    await change(one, ["svc", "add", "web", "--vip", VIP, "--port", "80", ...to]);
    const { ms: took } = await until("both hosts have the service", async () => {
      for (const host of lab.hosts) assert.match(await table(host), /-A -t 10\.96\.0\.10:80 -s rr/);
      return true;
    });
    report(`services: on both hosts ${ms(took)} after the command ended`);
    for (const place of [client.enter, web2!.enter, one.enter, two.enter]) {
      const answers = await ask(place, "tcp", VIP, 80, 4);
      assert.deepEqual(tally(answers), { web1: 2, web2: 2 }, JSON.stringify(answers));
    }

    for (
      const injury of [
        "ipvsadm -C; ipvsadm -A -t 10.96.0.77:80 -s wlc",
        "ip link delete knet-ipvs0",
        "nft delete table ip knet",
        `ipvsadm -d -t ${VIP}:80 -r ${web2!.address}:8080`,
      ]
    ) await heal(one, injury);
    const { services: rows, foreign, sysctls } = await services(one);
    assert.deepEqual(rows.map((row) => [row.name, row.programmed, row.realServers.length]), [
      ["web", true, 2],
    ]);
    assert.deepEqual(foreign, [{ address: "10.96.0.77", port: 80, protocol: "tcp" }]);
    assert.ok(sysctls.some(({ name, value }) => name === "net.ipv4.vs.conntrack" && value === "1"));

    // Removed while one of the agents is down: it goes there with the next start.
    await one.stop();
    await change(two, ["svc", "rm", "web"]);
    await until("host 2 has no service", async () => !/10\.96/.test(await table(two)));
    assert.match(await table(one), /10\.96\.0\.10/);
    await one.join({ args: ["--ip-masq"] });
    await until("host 1 has only what is not knet's", async () => {
      assert.equal((await table(one)).trim(), "-A -t 10.96.0.77:80 -s wlc");
      return true;
    });
    assert.doesNotMatch((await one.run("ip addr")).stdout, /knet-ipvs0/);
  } catch (error) {
    console.log(lab.logs());
    throw error;
  }
});

/** What a metric of an agent is. */
async function metric(host: Host, name: string): Promise<number> {
  const { body } = await host.get("/metrics");
  return Number(new RegExp(`^${name} (.*)$`, "m").exec(body)?.[1]);
}

/** A real server as the kernel shows it, read at once: a command takes a good part of a second here. */
function connectionsOf(host: Host, address: string) {
  const text = Deno.readTextFileSync(`/proc/${host.agent!.pid}/net/ip_vs`);
  const hex = address.split(".").map((one) => Number(one).toString(16).padStart(2, "0")).join("");
  const line = new RegExp(`${hex}:\\w+ +Masq +(\\d+) +(\\d+) +(\\d+)`, "i").exec(text);
  if (line === null) return undefined;
  const [weight = 0, active = 0, inactive = 0] = line.slice(1).map(Number);
  return { weight, active, all: active + inactive };
}

ipvsTest("a restart and a drain under load lose no connection", async () => {
  await using lab = await Lab.create({ hosts: 1 });
  try {
    const host = lab.host(1);
    await host.knet("init --network 10.244.0.0/16");
    await host.join({ args: ["--ip-masq"] });
    const [web1, web2, client] = await Promise.all(
      ["web1", "web2", "client"].map((name) => host.attach(name)),
    );
    for (const web of [web1, web2]) host.keep(await serveEcho(web!.enter, 8080));
    const to = [web1, web2].flatMap((web) => ["--to", `${web!.address}:8080`]);
    const check = ["--check", "tcp", "--check-interval", "1s"];
    await change(host, ["svc", "add", "web", "--vip", VIP, "--port", "80", ...check, ...to]);
    await until("the service is there", async () => /10\.96\.0\.10/.test(await table(host)));
    assert.ok(await metric(host, "knet_ipvs_messages_total") >= 3);
    const right = await table(host);
    const ruleset = async () => (await host.run("nft list ruleset")).stdout.match(/10\.96\.\S+/g);
    const sets = await ruleset();

    const connections = 12;
    const { process, held } = await hold(client!.enter, VIP, 80, connections);
    host.keep(process);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const { rounds } = held();
      await host.stop(signal);
      assert.equal(await table(host), right, signal);
      await host.join({ args: ["--ip-masq"] });
      const before = held().rounds;
      await until("it has looked a few times", () => held().rounds > before + 8);
      await sleep(3000);
      assert.equal(await metric(host, "knet_ipvs_messages_total"), 0, signal);
      assert.equal(await metric(host, "knet_services"), 1);
      assert.equal(await table(host), right);
      assert.deepEqual(await ruleset(), sets);
      const { open, failed } = held();
      assert.deepEqual({ open, failed }, { open: connections, failed: 0 }, signal);
      report(
        `services: restart after ${signal} with ${connections} connections open and new ones made ` +
          `(${held().rounds - rounds} rounds): none lost, no message to IPVS`,
      );
    }

    const gone = `${web2!.address}:8080`;
    // One of the new ones may be under way.
    await until(
      "half of those that are held are its",
      () => connectionsOf(host, web2!.address)?.active === connections / 2,
    );
    await change(host, ["svc", "drain", "web", gone]);
    await until("it drains", () => connectionsOf(host, web2!.address)?.weight === 0);
    for (const restart of [false, true]) {
      if (restart) {
        await host.stop("SIGKILL");
        await host.join({ args: ["--ip-masq"] });
      }
      let { all } = connectionsOf(host, web2!.address)!;
      for (let look = 0; look < 4; look++) {
        const { rounds } = held();
        await until("more is sent", () => held().rounds > rounds);
        const now = connectionsOf(host, web2!.address)!;
        assert.deepEqual([now.weight, now.active], [0, connections / 2]);
        assert.ok(now.all <= all, `${now.all} connections after ${all}`);
        all = now.all;
      }
      const { open, failed } = held();
      assert.deepEqual({ open, failed }, { open: connections, failed: 0 });
    }
    await process.stop("SIGTERM");
    await until("it is gone", () => connectionsOf(host, web2!.address) === undefined);
    const [row] = (await services(host)).services;
    assert.deepEqual(row!.realServers.map(({ drain }) => drain).sort(), ["drained", "no"]);
  } catch (error) {
    console.log(lab.logs());
    throw error;
  }
});

ipvsTest("a real server that dies gets nothing new within the check's time", async () => {
  await using lab = await Lab.create({ hosts: 1 });
  try {
    const host = lab.host(1);
    await host.knet("init --network 10.244.0.0/16");
    await host.join({ args: ["--ip-masq"] });
    const [web1, web2] = await Promise.all(["web1", "web2"].map((name) => host.attach(name)));
    host.keep(await serve(web1!.enter, "web1", 8080, ["0.0.0.0"]));
    const start = async () => host.keep(await serve(web2!.enter, "web2", 8080, ["0.0.0.0"]));
    let dies = await start();
    const to = [web1, web2].flatMap((web) => ["--to", `${web!.address}:8080`]);
    const check = ["--check", "tcp", "--check-interval", "1s"];
    await change(host, ["svc", "add", "web", "--vip", VIP, "--port", "80", ...check, ...to]);
    // The kernel's own view, read at once: a command takes a good part of a second here.
    const weights = () =>
      [...Deno.readTextFileSync(`/proc/${host.agent!.pid}/net/ip_vs`).matchAll(/Masq +(\d+)/g)]
        .map(([, weight]) => Number(weight)).sort().join(" ");
    await until("both are in", () => weights() === "1 1");
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      // Checks come at any time within their interval.
      await sleep(1300 + 210 * round);
      await dies.stop("SIGKILL");
      const { ms: took } = await until("nothing new goes there", () => weights() === "0 1");
      times.push(took);
      assert.deepEqual(tally(await ask(host.enter, "tcp", VIP, 80, 4)), { web1: 4 });
      dies = await start();
      await until("it is back", () => weights() === "1 1");
    }
    report(
      `services: a killed real server (check every second) gets nothing new after ` +
        `${ms(median(times))} (${times.map((time) => ms(time)).join(", ")})`,
    );
  } catch (error) {
    console.log(lab.logs());
    throw error;
  }
});
