/**
 * Services where the kernel has no IPVS: a clear sentence, and the overlay goes on. (With IPVS: tests/vm.)
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { ServicesReport } from "../../core/inspect/service_report.ts";
import type { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { skip } from "../support/skip.ts";
import { ipvsHere } from "../support/vm_initrd.ts";
import { until } from "../support/wait.ts";

/** Checks need no IPVS: of a TLS server on another host, and of ports where nobody is. */
async function checksGoOn(host: Host, container: Container): Promise<void> {
  const made = await container.run(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=web.example " +
      "-addext subjectAltName=DNS:web.example -days 2 -keyout -",
  );
  const folder = await Deno.makeTempDir();
  const pem = join(folder, "both.pem");
  await Deno.writeTextFile(pem, made.stdout);
  await using _server = container.spawn(
    `openssl s_server -accept 8443 -www -cert ${pem} -key ${pem}`,
  );
  try {
    const checks = [
      ["any", 8443, "https:/ host=web.example verify=no body=TLSv1"],
      ["proven", 8443, "https:/ sni=web.example"],
      ["words", 8443, "tcp tls verify=no"],
      ["refused", 8444, "udp"],
    ] as const;
    const services = checks.map(([name, port, check], at) => ({
      ...{ name, vip: `10.96.0.${20 + at}`, port, check, "check-interval": "500ms", fall: 1 },
      to: [container.address],
    }));
    const file = join(folder, "services.yaml");
    await Deno.writeTextFile(file, JSON.stringify({ services }));
    await host.knet(["svc", "apply", "-f", file]);
    await until("each check has its verdict", async () => {
      const { services } = JSON.parse((await host.get("/services")).body) as ServicesReport;
      const seen = services.filter(({ name }) => name !== "web").map(({ name, realServers }) => [
        name,
        // What is wrong with a certificate, rustls says.
        `${realServers[0]?.health} ${realServers[0]?.detail}`.trim().replace(
          /(certificate):.*/,
          "$1",
        ),
      ]);
      assert.deepEqual(Object.fromEntries(seen), {
        any: "up",
        proven: "down invalid peer certificate",
        words: "up",
        refused: "down connection refused",
      });
      return true;
    });
    await until("each host says what both see", async () => {
      const { stdout } = await host.knet("svc status --hosts --json");
      const { realServers, silent } = JSON.parse(stdout);
      const seen = realServers.map((one: { service: string; down: { node: string }[] }) =>
        `${one.service} ${one.down.map(({ node }) => node).sort().join(" ")}`
      );
      assert.deepEqual([seen, silent], [["proven h1 h2", "refused h1 h2"], []]);
      return true;
    });
    const { body } = await host.get("/metrics");
    const labels = `service="any",real_server="${container.address}:8443"`;
    assert.ok(body.includes(`knet_real_server_up{${labels}} 1\n`), body);
    assert.ok(body.includes('knet_service_real_servers_down{service="refused"} 1\n'));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const test = labSuite({ hosts: 2 });

test("a kernel without IPVS is named, and the overlay goes on", async (lab) => {
  if (ipvsHere()) return skip("a kernel without IPVS", "this kernel has IPVS");
  await lab.init("--network 10.244.0.0/16");
  await Promise.all(lab.hosts.map((host) => host.join()));
  const [one, two] = await Promise.all(lab.hosts.map((host) => host.attach("c1")));
  await lab.host(1).knet(
    `svc add web --vip 10.96.0.10 --port 80 --to ${one!.address}:8080`,
  );
  for (const host of lab.hosts) {
    await until("the agent says so", async () => {
      const { problem } = JSON.parse((await host.get("/services")).body) as ServicesReport;
      assert.match(problem ?? "", /no IPVS.*ip_vs/);
      return true;
    });
    assert.equal((await host.get("/readyz")).status, 200);
    assert.match((await host.knet("status")).stdout, /no IPVS/);
  }
  await until("containers reach each other", () => one!.ping(two!.address));
  await checksGoOn(lab.host(1), two!);
  for (const host of lab.hosts) await host.leave();
});
