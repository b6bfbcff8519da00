/**
 * Texts that people and other programs write: each is read, or refused by an error that says why.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { hidePasswords } from "../../core/base/secrets.ts";
import { KnetError } from "../../core/base/error.ts";
import { configFromFlannel } from "../../core/cluster/config.ts";
import { parseRuleset } from "../../core/kernel/firewall/ruleset.ts";
import { activeCheck, storedCheck } from "../../core/services/check.ts";
import type { ActiveCheck } from "../../core/services/check_kinds.ts";
import { checkActive } from "../../core/services/check_rules.ts";
import { parseCheck } from "../../core/services/check_text.ts";
import { readIpvsadm } from "../../core/services/format/ipvsadm_read.ts";
import { readKeepalived } from "../../core/services/format/keepalived_read.ts";
import { parseHosts, parseServices } from "../../core/services/format/names.ts";
import { readServicesYaml } from "../../core/services/format/yaml.ts";
import { CHECK_DEFAULTS } from "../../core/services/service.ts";
import { ServiceError } from "../../core/services/service_error.ts";
import { findPassword } from "../../core/store/pgpass.ts";
import { parsePostgresUrl } from "../../core/store/postgres_url.ts";
import { hurtText, plainTarget, refusesOnlyBy } from "./target.ts";

const SERVICES_YAML = `services:
  - name: web
    vip: 10.96.0.10
    port: 80
    scheduler: wrr
    check: { type: http, path: /healthz, interval: 2s, timeout: 1s, rise: 2, fall: 3 }
    to:
      - 10.244.0.2:8080
      - { address: 10.244.1.2, port: 8080, weight: 3 }
  - name: dns
    vip: 10.96.0.11
    port: 53
    protocol: udp
timeouts: { tcp: 900, tcpfin: 120, udp: 300 }
`;

/** `knet svc apply -f`. */
export const yaml = plainTarget(
  "yaml",
  "services in YAML",
  400,
  fc.asyncProperty(
    hurtText([SERVICES_YAML, "services: []\n"]),
    (text) => refusesOnlyBy([KnetError], () => readServicesYaml(text, "fuzz")),
  ),
);

const RULES = `-A -t 10.96.0.10:80 -s rr -p 360 -M 255.255.255.0
-a -t 10.96.0.10:80 -r 10.244.0.2:8080 -m -w 1 -x 100 -y 10
-A -u [fd00::10]:53 -s sh -b sh-port,sh-fallback
-a -u [fd00::10]:53 -r [fd00:1::2]:53 -i -w 3 --tun-type gue --tun-port 6080
-A -f 1 -s wlc
--set 900 120 300
`;

/** Names that resolve, and names that do not. */
const RESOLVER = {
  host: (name: string) => Promise.resolve(name === "web" ? "10.0.0.9" : undefined),
  port: (name: string) => name === "http" ? 80 : undefined,
};

/** `knet svc import --format ipvsadm`. */
export const ipvsadm = plainTarget(
  "ipvsadm",
  "rules as ipvsadm -S prints them",
  1000,
  fc.asyncProperty(
    hurtText([RULES]),
    (text) => refusesOnlyBy([KnetError], () => readIpvsadm(text, "fuzz", RESOLVER)),
  ),
);

const KEEPALIVED = `$VIP=10.96.0.10
virtual_server_group g {
  10.96.0.11-13 80
}
virtual_server $VIP 80 { # comment
  lb_algo wrr
  lb_kind NAT
  delay_loop 6
  real_server 10.244.0.2 8080 {
    weight 3
    SSL_GET {
      url { path /x
        status_code 200-299 401 }
      retry 3
    }
  }
}
virtual_server group g { real_server 10.244.0.2 { UDP_CHECK { payload 00ff } } }
`;

/** `knet svc import --format keepalived`. */
export const keepalived = plainTarget(
  "keepalived",
  "keepalived's virtual servers",
  1000,
  fc.asyncProperty(
    hurtText([KEEPALIVED]),
    (text) => refusesOnlyBy([KnetError], () => readKeepalived(text, "fuzz")),
  ),
);

const CHECKS = [
  'tcp port=1 tls sni=a.example send=\\x00 expect="a b"',
  "https:/a?b host=c.example status=200-299,401 body=ok ca=/etc/x verify=no",
  "dns:a.example. query=AAAA",
];

/** `--check`: what is read is written so that it is read again as the same. */
export const checkText = plainTarget(
  "check",
  "checks as they are written",
  2000,
  fc.asyncProperty(hurtText(CHECKS), (text) =>
    refusesOnlyBy([SyntaxError, ServiceError], () => {
      const { type = "none", ...said } = parseCheck(text);
      if (type === "none") return;
      const active = { type, ...said, ...CHECK_DEFAULTS } as ActiveCheck;
      checkActive(active);
      assert.deepEqual(activeCheck(storedCheck(active)), active);
    })),
);

const NET_CONF = JSON.stringify({
  Network: "10.244.0.0/16",
  SubnetLen: 24,
  SubnetMin: "10.244.1.0",
  SubnetMax: "10.244.250.0",
  EnableIPv6: false,
  Backend: { Type: "vxlan", VNI: 1, Port: 8472, DirectRouting: true },
});

/** `knet init --from-flannel`. */
export const netConf = plainTarget(
  "net-conf",
  "flannel's net-conf.json",
  2000,
  fc.asyncProperty(
    hurtText([NET_CONF]),
    (text) => refusesOnlyBy([KnetError], () => configFromFlannel(text)),
  ),
);

const URLS = [
  "postgres://knet:s3cret@db1:5432,db2/knet?sslmode=verify-full&schema=k&target_session_attrs=read-write",
  "postgresql:///knet?host=/run/postgresql&user=knet",
  "postgres://u:abc/def@h/d",
  "sqlite:/var/lib/knet/knet.db",
];

/** A store's URL, and what hides the password in it. */
export const storeUrl = plainTarget(
  "store-url",
  "the store's URL, .pgpass, and hiding passwords in any text",
  2000,
  fc.asyncProperty(hurtText(URLS), async (text) => {
    await refusesOnlyBy([KnetError], () => parsePostgresUrl(text));
    hidePasswords(text);
    findPassword(text, { host: "db", port: "5432", database: "knet", user: "knet" });
  }),
);

const LISTING = JSON.stringify({
  nftables: [
    { metainfo: { json_schema_version: 1 } },
    { chain: { family: "ip", table: "filter", name: "FORWARD", hook: "forward", policy: "drop" } },
    {
      rule: {
        family: "ip",
        table: "filter",
        chain: "FORWARD",
        handle: 7,
        comment: "knet",
        expr: [{ jump: { target: "DOCKER-USER" } }, { accept: null }],
      },
    },
  ],
});

/** What nftables lists, and /etc/hosts and /etc/services. */
export const listings = plainTarget(
  "listings",
  "nftables' JSON, /etc/hosts, /etc/services",
  2000,
  fc.asyncProperty(hurtText([LISTING, "10.0.0.1 web # x\n", "http 80/tcp www\n"]), async (text) => {
    await refusesOnlyBy([SyntaxError], () => parseRuleset(text));
    assert.ok(parseHosts(text) instanceof Map);
    for (const port of parseServices(text).values()) assert.ok(Number.isInteger(port));
  }),
);
