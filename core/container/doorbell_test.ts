import assert from "node:assert/strict";
import { readErrand } from "./doorbell.ts";

const question = (...lines: string[]) => lines.join("\n") + "\n.\n";

Deno.test("readErrand() makes of a question what the program would ask over the socket", () => {
  const config = '{\n "name": "knet"\n}\n';
  const cni = readErrand(
    question("cni", "ADD", "one", "/run/netns/one", "eth0", "", config),
    "/run/knet",
  );
  assert.equal(cni?.path, "/cni");
  assert.deepEqual(JSON.parse(cni.body), {
    environment: {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: "one",
      CNI_NETNS: "/run/netns/one",
      CNI_IFNAME: "eth0",
    },
    config,
  });
  const netavark = readErrand(question("netavark", "setup", "/run/netns/one", "{}"), "/elsewhere");
  assert.equal(netavark?.path, "/netavark");
  assert.deepEqual(JSON.parse(netavark.body), {
    command: "setup",
    netns: "/run/netns/one",
    input: "{}",
  });
});

Deno.test("readErrand() leaves to the program what is half-written, unknown or another agent's", () => {
  const five = ["STATUS", "", "", "", ""];
  const whole = question("cni", ...five, "{}");
  assert.notEqual(readErrand(whole, "/run/knet"), undefined);
  for (
    const text of [
      "",
      ".\n",
      "\n.\n",
      whole.slice(0, -1),
      whole.slice(0, -3),
      question("cni"),
      question("cni", ...five),
      question("docker", ...five, "{}"),
      question("netavark", "info", "", "{}"),
      question("netavark", "setup", "/run/netns/one"),
      question("cni", ...five, '{"stateDir": "/run/other"}'),
    ]
  ) assert.equal(readErrand(text, "/run/knet"), undefined, text);
  assert.equal(readErrand(whole, "/run/other"), undefined);
  const other = question("cni", ...five, '{"stateDir": "/run/other"}');
  assert.notEqual(readErrand(other, "/run/other"), undefined);
  // What cannot be read is for who is asked by default, as it is by the program.
  for (const broken of ["{", "", "null", "[]", '{"stateDir": 7}']) {
    assert.notEqual(readErrand(question("cni", ...five, broken), "/run/knet"), undefined, broken);
  }
});
