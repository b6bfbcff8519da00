import assert from "node:assert/strict";
import { KnetError } from "../../base/error.ts";
import type { StoredContainer } from "../../cluster/cluster_container.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import type { ContainerRecord } from "../../container/addresses.ts";
import { containerOf, destinationOf, isName, type Known, notHere } from "./ends.ts";

const STATE = { nodeId: "n1", nodeName: "one" } as NodeState;

const record = (n: number, more: Partial<ContainerRecord> = {}): ContainerRecord => ({
  ...{ netns: `ns${n}`, netnsId: `cookie:${n}`, ifname: "eth0", hostIfname: `kv${n}` },
  ...{ address: `10.244.1.${n}`, prefixLength: 24, ...more },
});

const stored = (nodeName: string, name: string, address: string, ifname = "eth0") =>
  ({
    ...{ nodeId: nodeName === "one" ? "n1" : "n2", nodeName, name, address, ifname, key: address },
    ...{ netns: "", runtime: "", containerId: "", labels: {}, ports: [] },
  }) satisfies StoredContainer;

const lease = (nodeId: string, nodeName: string, subnet: string) =>
  ({ nodeId, nodeName, subnet, publicIp: "192.168.2.9" }) as Lease;

const BOOK = [
  record(2, { name: "web" }),
  record(3),
  record(4, { name: "pod" }),
  record(5, { name: "pod" }),
];
const KNOWN: Known = {
  leases: [lease("n1", "one", "10.244.1.0/24"), lease("n2", "two", "10.244.2.0/24")],
  services: [],
  now: 0,
  containers: [
    // What the store says of this host's own is older than its book.
    stored("one", "gone", "10.244.1.77"),
    stored("one", "docker", "10.244.1.9", ""),
    stored("two", "web", "10.244.2.2"),
    stored("two", "db", "10.244.2.3"),
    stored("two", "ns3", "10.244.2.4"),
  ],
  note: undefined,
};

function refusal(work: () => unknown): string {
  try {
    const made = work();
    if (made instanceof KnetError) return `${made.exitCode} ${made.message}`;
  } catch (error) {
    assert.ok(error instanceof KnetError);
    return `${error.exitCode} ${error.message}; ${error.remedy}`;
  }
  throw new Error("it passed");
}

Deno.test("destinationOf() takes a namespace of this host, an address, and the name of any host's container", () => {
  const to = (word: string) => {
    const { address, record, name } = destinationOf(BOOK, word, KNOWN, STATE);
    return [address, record?.hostIfname, name];
  };
  assert.deepEqual(to("ns2"), ["10.244.1.2", "kv2", undefined]);
  assert.deepEqual(to("ns3"), ["10.244.1.3", "kv3", undefined], "this host's own namespace first");
  assert.deepEqual(to("10.244.1.2"), ["10.244.1.2", "kv2", undefined]);
  assert.deepEqual(to("192.0.2.1"), ["192.0.2.1", undefined, undefined]);
  assert.deepEqual(to("db"), ["10.244.2.3", undefined, "db"]);
  assert.deepEqual(to("two/ns3"), ["10.244.2.4", undefined, "ns3"]);
  assert.deepEqual(to("one/web"), ["10.244.1.2", "kv2", "web"]);
  assert.deepEqual(to("docker"), ["10.244.1.9", undefined, "docker"]);
});

Deno.test("destinationOf() names all that a name may mean, and says where names are not known", () => {
  const to = (word: string, known = KNOWN) =>
    refusal(() => destinationOf(BOOK, word, known, STATE));
  assert.match(
    to("web"),
    /^4 .*2 containers may be meant: one\/web .*, two\/web \(10\.244\.2\.2\)/,
  );
  assert.match(to("gone"), /^2 .*no container of this host, and no address, nor is it the name/);
  const away = { ...KNOWN, containers: [], note: "away" };
  assert.match(to("db", away), /^2 .*no address; Give an address.* the store does not answer/);
});

Deno.test("containerOf() knows a container of this host by its name too", () => {
  const from = (word: string) => containerOf(BOOK, word, STATE)?.hostIfname;
  assert.deepEqual(["web", "one/web", "ns3", "10.244.1.3"].map(from), ["kv2", "kv2", "kv3", "kv3"]);
  assert.deepEqual(["db", "10.244.2.3", "docker"].map(from), [undefined, undefined, undefined]);
  assert.match(refusal(() => from("pod")), /^4 .*2 containers may be meant: one\/pod/);
  assert.deepEqual(["web", "ns3", "10.244.1.3", "db"].map((word) => isName(BOOK, word)), [
    ...[true, false, false, true],
  ]);
});

Deno.test("notHere() says on which host a container is, by its name too", () => {
  const why = (word: string) => refusal(() => notHere(BOOK, word, KNOWN, STATE));
  assert.match(why("db"), /from "db" \(10\.244\.2\.3\): it belongs to "two" \(192\.168\.2\.9\)/);
  assert.match(why("10.244.2.9"), /from 10\.244\.2\.9: it belongs to "two"/);
  assert.match(why("docker"), /no container of this host that knet attached/);
  assert.match(why("nobody"), /"nobody": it is no container of this host$/);
});
