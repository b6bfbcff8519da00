/**
 * What `knet svc` shows where an agent answers. The agent's server and monitor are the real ones; what the kernel would say is
 * given.
 *
 * @module
 */
import assert from "node:assert/strict";
import { serveAgent } from "../../core/agent/server.ts";
import { ServiceMonitor } from "../../core/health/monitor.ts";
import { reportServices, type ServicesReport } from "../../core/inspect/service_report.ts";
import { openStore } from "../../core/store/open.ts";
import { knetProgram } from "../support/host.ts";
import { scratch } from "./run_knet.ts";

const rates = { connections: 1200, inPackets: 0, outPackets: 0, inBytes: 5_400_000, outBytes: 812 };
const traffic = { connections: 1, inPackets: 1, outPackets: 1, inBytes: 1, outBytes: 1, rates };

/** Runs an agent's socket over the services of the store. */
async function withAgent(
  prepare: (knet: (line: string) => Promise<unknown>) => Promise<void>,
  run: (at: Awaited<ReturnType<typeof scratch>>) => Promise<void>,
): Promise<void> {
  await using at = await scratch();
  await at.json("init");
  await prepare((line) => at.json(line));
  await Deno.mkdir(`${at.path}/run`);
  using monitor = new ServiceMonitor({ stateDir: `${at.path}/run`, onChange: () => {} });
  await using store = await openStore(`sqlite:${at.path}/knet.db`);
  const { services, timeouts, now } = await store.listServices();
  monitor.setServices(services, timeouts, now);
  const report = (): ServicesReport => ({
    services: reportServices(monitor, (name) =>
      name !== "web" ? undefined : {
        traffic,
        realServers: new Map([["10.244.0.5:8080", {
          weight: 1,
          active: 12_345,
          inactive: 7,
          persistent: 0,
          traffic,
        }]]),
      }),
    foreign: [{ address: "192.0.2.1", port: 25, protocol: "tcp" }, {
      address: "",
      port: 0,
      protocol: "fwmark",
      fwmark: 7,
    }],
    sysctls: [{
      name: "net.ipv4.vs.conntrack",
      value: "0",
      wanted: "1",
      before: "0",
      why: "masquerading sees no connection of IPVS otherwise",
    }],
  });
  await using _server = serveAgent(`${at.path}/run`, {
    status: () => {
      throw new Error("nobody asks");
    },
    services: report,
    notReady: () => undefined,
    metrics: () => Promise.resolve(""),
    stop: () => {},
  });
  await run(at);
}

const prepare = async (knet: (line: string) => Promise<unknown>) => {
  await knet(
    "svc add web --vip 10.96.0.10 --port 80 --to 10.244.0.5:8080 --to 10.244.1.7:8080 --to 10.244.2.9:8080",
  );
  await knet("svc drain web 10.244.2.9:8080");
  await knet("svc add tls --vip 10.96.0.10 --port 443");
};

Deno.test("knet svc ls shows connections and rates where an agent runs", async () => {
  await withAgent(prepare, async (at) => {
    const { stdout } = await at.knet("svc ls");
    const [heading, tls, web] = stdout.split("\n").map((line) => line.split(/ {2,}/));
    assert.deepEqual(heading!.slice(5), ["STATE", "ACTIVE", "CONN/S", "BYTES/S IN/OUT"]);
    assert.deepEqual(tls!.slice(4), ["0", "missing", "0", "-", "-"]);
    assert.deepEqual(web!.slice(4), ["2 (1 draining)", "ok", "12k", "1.2k", "5.4M/812"]);
    const { services } = await at.json<{ services: { name: string; local: unknown }[] }>("svc ls");
    assert.ok(services.every(({ local }) => local !== null));
  });
});

Deno.test("knet svc show and status tell what is missing, draining and foreign", async () => {
  await withAgent(prepare, async (at) => {
    const shown = (await at.knet("svc show web")).stdout;
    assert.match(shown, /on this host +ok/);
    assert.match(shown, /10\.244\.0\.5:8080 +1 +1 +- +12k +7 +1\.2k +-\n/);
    assert.match(shown, /10\.244\.1\.7:8080 .*missing in the kernel/);
    assert.match(shown, /10\.244\.2\.9:8080 +1 +0 .*draining, /);
    const status = (await at.knet("svc status")).stdout;
    assert.match(status, /tls +- +missing/);
    assert.match(status, /10\.244\.0\.5:8080 +ok +1 /);
    assert.match(status, /192\.0\.2\.1:25 +tcp\nmark 7 +fwmark/);
    const sysctls = (await at.knet("svc status --sysctls")).stdout;
    assert.match(sysctls, /net\.ipv4\.vs\.conntrack +0 +1 +0 +masquerading sees/);
    const document = await at.json<ServicesReport>("svc status");
    assert.equal(document.foreign.length, 2);
  });
});

Deno.test("knet svc ls --watch looks again and again", async () => {
  await withAgent(prepare, async (at) => {
    const command = new Deno.Command("timeout", {
      args: [
        "-s",
        "KILL",
        "6",
        ...knetProgram(),
        ..."svc ls --watch --json".split(" "),
      ],
      env: { KNET_STORE: `sqlite:${at.path}/knet.db`, KNET_STATE_DIR: `${at.path}/run` },
      stdout: "piped",
      stderr: "null",
    });
    const { stdout } = await command.output();
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    assert.ok(lines.length >= 2, `${lines.length} lines`);
    for (const line of lines) assert.equal(JSON.parse(line).services.length, 2);
  });
});
