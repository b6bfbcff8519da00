import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import {
  containersCalled,
  fittingContainer,
  MOST_JSON,
  type StoredContainer,
  theContainer,
  whyNoContainer,
} from "./cluster_container.ts";

const one = (more: Partial<StoredContainer> = {}): StoredContainer => ({
  ...{ nodeId: "n1", nodeName: "one", key: "kv2", name: "web", address: "10.244.1.2" },
  ...{ ifname: "eth0", netns: "ns-web", runtime: "", containerId: "", labels: {}, ports: [] },
  ...more,
});

const ALL = [
  one(),
  one({
    key: "kv3",
    name: "db",
    address: "10.244.1.3",
    containerId: "3fa9c0ffee11",
    netns: "",
  }),
  one({ key: "kv4", name: "", netns: "cache", address: "10.244.1.4" }),
  one({ nodeId: "n2", nodeName: "two", address: "10.244.2.2", netns: "/run/netns/x" }),
  one({ nodeId: "n2", nodeName: "two", key: "kv9", name: "", netns: "", address: "10.244.2.9" }),
  one({ nodeId: "n3", nodeName: "two", key: "kv5", name: "db", netns: "", address: "10.244.3.5" }),
];

Deno.test("containersCalled() knows a container by name, host and name, namespace, address and id", () => {
  const found = (word: string) => containersCalled(ALL, word).map(({ address }) => address);
  assert.deepEqual(found("web"), ["10.244.1.2", "10.244.2.2"]);
  assert.deepEqual(found("two/web"), ["10.244.2.2"]);
  assert.deepEqual(found("n3/db"), ["10.244.3.5"]);
  assert.deepEqual(found("cache"), ["10.244.1.4"]);
  assert.deepEqual(found("one/cache"), ["10.244.1.4"]);
  assert.deepEqual(found("ns-web"), ["10.244.1.2"], "its namespace, though it has a name");
  assert.deepEqual(found("/run/netns/x"), ["10.244.2.2"]);
  assert.deepEqual(found("10.244.2.9"), ["10.244.2.9"]);
  assert.deepEqual(found("3fa9c0"), ["10.244.1.3"]);
  for (const word of ["3fa9", "", "we", "two/", "two", "WEB"]) assert.deepEqual(found(word), []);
});

Deno.test("theContainer() names all that may be meant, and says how to name one", () => {
  const refused = (word: string, all = ALL) => {
    try {
      theContainer(`Cannot show "${word}"`, all, word);
    } catch (error) {
      assert.ok(error instanceof KnetError);
      assert.equal(error.exitCode, 4);
      return `${error.message}; ${error.remedy}`;
    }
    throw new Error("it passed");
  };
  assert.equal(theContainer("", ALL, "two/web").address, "10.244.2.2");
  assert.equal(
    refused("web"),
    'Cannot show "web": 2 containers may be meant: one/web (10.244.1.2), two/web (10.244.2.2); Name it as NODE/NAME, or by its address',
  );
  assert.match(refused("nobody"), /no such container; Run "knet container ls"/);
  const many = Array.from({ length: 40 }, (_, n) => one({ address: `10.244.1.${n + 2}` }));
  assert.match(
    refused("web", many),
    /^Cannot show "web": 40 containers .*, 30 more;/,
  );
});

Deno.test("whyNoContainer() lets a host speak for addresses of its own subnet alone, of its family", () => {
  const why = (more: Partial<StoredContainer>, ...subnets: string[]) =>
    whyNoContainer(one(more), subnets);
  assert.equal(why({}, "10.244.1.0/24"), undefined);
  assert.equal(why({}, "fd00::/64", "10.244.1.0/24"), undefined);
  assert.match(why({}, "10.244.2.0/24")!, /outside its host's subnet 10\.244\.2\.0\/24/);
  assert.match(why({ address: "fd00::2" }, "10.244.1.0/24")!, /outside/);
  assert.match(why({ name: "a\x1b[31m" }, "10.244.1.0/24")!, /name/);
  assert.match(why({ key: "" }, "10.244.1.0/24")!, /key/);
});

Deno.test("fittingContainer() cuts texts, and keeps of labels and ports what there is room for", () => {
  const ports = Array.from({ length: 300 }, (_, n) => ({
    ...{ hostPort: 8000 + n, containerPort: 80, protocol: "tcp" as const },
  }));
  const fits = fittingContainer(one({
    ...{ ports, netns: "/".repeat(999), name: "no name" },
    labels: { big: "x".repeat(5000), small: "y" },
  }));
  assert.deepEqual(fits.labels, { small: "y" });
  assert.equal(fits.netns.length, 256);
  assert.equal(fits.name, "");
  assert.ok(fits.ports.length > 20 && JSON.stringify(fits.ports).length <= MOST_JSON);
  assert.deepEqual(fits.ports, ports.slice(0, fits.ports.length));
  assert.deepEqual(fittingContainer(one()), one());
});
