/**
 * `knet attach`: connects a container's network namespace to this host's subnet.
 *
 * @module
 */
import { defineCommand } from "./command.ts";
import { hostOptions } from "./shared_options.ts";
import { address, containerName, interfaceName, published, text } from "./value_checks.ts";
import { print, printJson } from "./output.ts";
import { list, value } from "./option_table.ts";

/** The command. */
export const attach = defineCommand({
  name: "attach",
  summary: "Connect a container's network namespace",
  about: [
    "Makes a veth pair from the namespace to the bridge, gives it an address of this host's subnet, a default route and the overlay's MTU. " +
    "Works while the store is away. Prints the address.",
  ],
  words: [{
    name: "NETNS",
    help: "A name under /run/netns, a path, or a process id",
    complete: "netns",
  }],
  options: {
    ifname: value("NAME", "Name of the interface in the namespace", interfaceName, {
      fallback: "eth0",
    }),
    ip: value("ADDRESS", "A certain address of this host's subnet", address, {
      fallback: "the next free one",
    }),
    name: value("NAME", "What the container is called; no other may have the name", containerName, {
      fallback: "none",
    }),
    publish: list(
      "[IP:]PORT:PORT[/PROTOCOL]",
      "Port of this host, or a range, that leads to one of the container",
      published,
    ),
    "ingress-rate": value("BITS", "What it may receive a second: 500k, 10M, 1G; 0: all", text, {
      fallback: "no limit",
    }),
    "ingress-burst": value("BITS", "What it may receive at once", text, {
      fallback: "a tenth of a second's",
    }),
    "egress-rate": value("BITS", "What it may send a second", text, { fallback: "no limit" }),
    "egress-burst": value("BITS", "What it may send at once", text, {
      fallback: "a tenth of a second's",
    }),
    bridge: hostOptions.bridge,
  },
  examples: [
    { line: "ip netns add web && knet attach web", about: "a namespace by its name" },
    { line: "knet attach 4711 --ip 10.244.3.20", about: "the namespace of process 4711" },
    {
      line: "knet attach web --publish 8080:80 --publish 127.0.0.1:5300:53/udp",
      about: "ports of this host lead to it",
    },
    { line: "knet attach web --ingress-rate 10M --egress-rate 2M", about: "limits its bandwidth" },
  ],
  run: async ({ options, words, settings }) => {
    const { attach } = await import("../core/container/container.ts");
    const { readBandwidth } = await import("../core/container/bandwidth_words.ts");
    const bandwidth = readBandwidth({
      ingressRate: options["ingress-rate"],
      ingressBurst: options["ingress-burst"],
      egressRate: options["egress-rate"],
      egressBurst: options["egress-burst"],
    });
    const result = await attach({
      netns: words[0]!,
      ifname: options.ifname ?? "eth0",
      ...(options.ip === undefined ? {} : { ip: options.ip }),
      ...(options.name === undefined ? {} : { names: { name: options.name } }),
      ...(options.publish === undefined ? {} : { ports: options.publish.flat() }),
      ...(bandwidth === undefined ? {} : { bandwidth }),
      ...(options.bridge === undefined ? {} : { bridge: options.bridge }),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
    });
    if (settings.json) printJson(result);
    else print(result.address);
  },
});
