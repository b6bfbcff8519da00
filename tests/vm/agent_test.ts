// Services from one command: agents program their kernels, keep them so, and leave nothing behind.
import assert from "node:assert/strict";
import type { ServicesReport } from "../../core/service/report.ts";
import type { Host } from "../support/host.ts";
import { ipvsTest } from "../support/ipvs.ts";
import { Lab } from "../support/lab.ts";
import { ms, report, until } from "../support/wait.ts";
import { ask, serve, tally } from "./talk.ts";

const VIP = "10.96.0.10";

async function services(host: Host): Promise<ServicesReport> {
  return JSON.parse((await host.get("/services")).body);
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
    await one.knet(["svc", "add", "web", "--vip", VIP, "--port", "80", ...to]);
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
    await two.knet("svc rm web");
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
