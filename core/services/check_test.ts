import assert from "node:assert/strict";
import { service } from "../../tests/support/services.ts";
import { activeCheck, checkFault, formatCheck, isCheck, storedCheck } from "./check.ts";
import type { ActiveCheck } from "./check_kinds.ts";
import { checkActive } from "./check_rules.ts";
import { isStatusList, isWanted } from "./check_status.ts";
import { formatActive, parseCheck } from "./check_text.ts";
import { makeService } from "./request.ts";
import { type Check, CHECK_DEFAULTS } from "./service.ts";

const whole = (text: string) => ({ ...parseCheck(text), ...CHECK_DEFAULTS }) as ActiveCheck;

Deno.test("parseCheck() reads what formatActive() writes", () => {
  for (
    const text of [
      "tcp",
      "tcp port=8081",
      "tcp tls sni=db.example.org",
      "tcp tls verify=no",
      "tcp send=PING\\r\\n expect=+PONG",
      'tcp send="\\x00\\xff\\\\ \\"" expect="a, b=c"',
      "http:/",
      "http:/a,host=b?c=1,2,tls",
      "http:/healthz port=8081 host=example.org status=200-299,401 body=ok",
      "https:/healthz host=example.org status=204 sni=a.example ca=/etc/knet/ca.pem",
      'https:/a,b body=" all is well " verify=no',
      "udp",
      "udp port=5060 send=OPTIONS expect=SIP/2.0",
      "dns",
      "dns:example.org. query=AAAA",
    ]
  ) {
    checkActive(whole(text));
    assert.equal(formatActive(whole(text)), text);
    const stored = storedCheck(whole(text));
    assert.deepEqual(activeCheck(stored), whole(text));
    assert.equal(formatCheck(stored), text);
  }
  assert.deepEqual(parseCheck("tcp  send=\\x00\\r\\\\\\ x expect=ü "), {
    ...{ type: "tcp", send: "\0\r\\ x", expect: "\xc3\xbc" },
  });
  assert.deepEqual(parseCheck("https verify=yes"), { type: "https", path: "/" });
});

Deno.test("parseCheck() takes a path for what it always was, commas and all", () => {
  const path = "/a,host=b,port=1,tls,status=200\\";
  assert.deepEqual(parseCheck(`http:${path}`), { type: "http", path });
});

Deno.test("parseCheck() says what is wrong with what is no check", () => {
  for (
    const [text, message] of [
      ["", /give tcp, http:PATH, https:PATH, udp, dns:NAME or none/],
      ["icmp", /give tcp, http:PATH, https:PATH, udp, dns:NAME or none/],
      ["https://example.org/x", /give the path alone: https:\/x/],
      ["http:/x port=no", /port "no" is no number/],
      ["tcp host=a", /tcp has no "host"; it has port, tls/],
      ["none port=1", /none has no "port"/],
      ["tcp port=1 port=2", /"port" twice/],
      ["tcp,port=1,tls", /spaces part what it says, and not commas: "tcp port=1 tls"/],
      ["https:/x,host=a", /spaces part what it says, and not commas: "https:\/x host=a"/],
      ["dns:a.example,query=MX", /not commas: "dns:a.example query=MX"/],
      ["udp expect=", /"expect=" is not NAME=VALUE/],
      ['udp expect=""', /"expect" needs a value/],
      ['udp expect="a', /is not NAME=VALUE/],
      ["udp expect=a b", /udp has no "b"/],
      ["udp expect=\\d", /"\\d" stands for nothing/],
      ["https:/ verify=maybe", /verify is yes or no/],
      ["tcp tls=yes", /"tls" stands alone/],
      ["tcp:80", /nothing stands behind "tcp:"/],
      ["dns:", /it has no name/],
      ["TCP", /is not a check/],
    ] as const
  ) assert.throws(() => parseCheck(text), message, text);
});

Deno.test("checkActive() refuses what would go into a request as something else, and files of others", () => {
  for (
    const text of [
      'http:/ host="a b"',
      'http:/ host="a\\r\\nX: y"',
      "http:/ status=600",
      "http:/ status=299-200",
      "https:/ sni=-x",
      "https:/ sni=a..b",
      "https:/ ca=relative.pem",
      "https:/ ca=/root/key.pem",
      "https:/ ca=/etc/../dev/zero",
      "https:/ ca=/etc/x.pem verify=no",
      "dns:a..b",
      `dns:${"a".repeat(64)}.example`,
      "dns:x query=ANY",
      "tcp port=0",
      "udp port=65536",
      "tcp sni=a",
      "tcp send=x",
      `tcp expect=${"x".repeat(257)}`,
      `https:/${"x".repeat(1900)} body=${"\\x00".repeat(256)}`,
    ]
  ) assert.throws(() => checkActive(whole(text)), /Cannot use/, text);
});

Deno.test("storedCheck() gives an older knet no check, and its own in its own form", () => {
  assert.deepEqual(storedCheck(whole("tcp")), { type: "tcp", ...CHECK_DEFAULTS });
  assert.deepEqual(storedCheck(whole("http:/x")), { type: "http", path: "/x", ...CHECK_DEFAULTS });
  const text = "https:/ host=a.example";
  assert.deepEqual(storedCheck(whole(text)), { type: "none", text, ...CHECK_DEFAULTS });
});

Deno.test("makeService() keeps a check that only a newer knet understands, and changes its pace", () => {
  const newer: Check = { type: "none", text: "quic:h3", ...CHECK_DEFAULTS };
  assert.equal(activeCheck(newer), undefined);
  assert.match(checkFault(newer) ?? "", /"quic:h3" is not a check/);
  const base = { ...service("web"), check: newer };
  assert.deepEqual(makeService("web", { port: 81 }, base).check, newer);
  assert.deepEqual(makeService("web", { check: { interval: 500 } }, base).check, {
    ...newer,
    interval: 500,
  });
  assert.deepEqual(makeService("web", { check: { type: "none" } }, base).check, { type: "none" });
});

Deno.test("makeService() changes a check's pace and leaves the rest; a check that is named is new altogether", () => {
  const text = "https:/a host=a.example";
  const base = service("web", { check: { ...parseCheck(text), fall: 5 } });
  assert.ok(isCheck(base.check));
  const other = makeService("web", { check: { interval: 500 } }, base);
  assert.equal(formatCheck(other.check), text);
  assert.deepEqual([other.check, base.check].map((one) => isCheck(one) && one.fall), [5, 5]);
  const named = makeService("web", { check: parseCheck("https:/b") }, base);
  assert.deepEqual(activeCheck(named.check), {
    ...{ type: "https", path: "/b" },
    ...{ ...CHECK_DEFAULTS, fall: 5 },
  });
});

Deno.test("isWanted() takes lists of statuses and ranges; without one, 200 to 399", () => {
  assert.deepEqual([199, 200, 399, 400].map((one) => isWanted(one)), [false, true, true, false]);
  assert.deepEqual([204, 401, 404].map((one) => isWanted(one, "200-299,401")), [true, true, false]);
  assert.deepEqual(["200", "200-", "", "20", "200,,201"].map(isStatusList), [
    ...[true, false, false, false, false],
  ]);
});

Deno.test("parseCheck() reads the checks of the manual", () => {
  const manual = Deno.readTextFileSync(new URL("../../docs/services.md", import.meta.url));
  const found = [...manual.matchAll(/--check (?:"([^"]*)"|'([^']*)'|([^\s`]+))/g)];
  assert.ok(found.length >= 7);
  for (const [, double, single, bare] of found) checkActive(whole((double ?? single ?? bare)!));
});
