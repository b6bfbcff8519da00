import assert from "node:assert/strict";
import { KnetError } from "../../base/error.ts";
import { formatCheck } from "../check.ts";
import { importedName } from "./imported.ts";
import { readKeepalived } from "./keepalived_read.ts";

const read = (text: string) => {
  const { services, warnings } = readKeepalived(text, "a");
  return { services: services.map((one) => one.make(importedName(one))), warnings };
};

Deno.test("readKeepalived() takes a virtual server as users have it, and names what knet has not", () => {
  const { services, warnings } = read(`
! Configuration File for keepalived
global_defs {
   notification_email {
     root@localhost
   }
   router_id LVS_DEVEL   # this host
}

vrrp_instance VI_1 {
    state MASTER
    interface eth0
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        10.96.0.10
    }
}

virtual_server 10.96.0.10 80 {
    delay_loop 6
    lb_algo wrr
    lb_kind DR
    persistence_timeout 50
    persistence_granularity 255.255.255.0
    protocol TCP
    virtualhost www.example.com
    sorry_server 10.244.9.9 80
    quorum 2

    real_server 10.244.0.5 80 {
        weight 3
        uthreshold 100
        lthreshold 80
        inhibit_on_failure
        notify_down "/usr/local/bin/down.sh 5"
        HTTP_GET {
            url {
              path /healthz
              digest 640205b7b0fc66c1ea91c463fac6334d
              status_code 200-299 401
            }
            connect_timeout 3
            retry 3
            delay_before_retry 3
        }
    }
    real_server 10.244.1.7 80 {
        weight 1
        notify_down "/usr/local/bin/down.sh 7"
        HTTP_GET {
            url {
              path /healthz
              digest 640205b7b0fc66c1ea91c463fac6334d
              status_code 200-299 401
            }
            connect_timeout 3
            nb_get_retry 3
            delay_before_retry 3
        }
    }
}
`);
  const [web] = services;
  assert.equal(services.length, 1);
  assert.deepEqual([web!.name, web!.scheduler, web!.forward], [
    "vs-10.96.0.10-80-tcp",
    "wrr",
    "dr",
  ]);
  assert.deepEqual([web!.persistent, web!.persistenceNetmask, web!.onEmpty], [50, 24, "reject"]);
  assert.deepEqual(web!.destinations, [
    { address: "10.244.0.5", port: 80, weight: 3, upper: 100, lower: 80 },
    { address: "10.244.1.7", port: 80, weight: 1, upper: 0, lower: 0 },
  ]);
  assert.equal(formatCheck(web!.check), "http:/healthz host=www.example.com status=200-299,401");
  const { interval, timeout, fall } = web!.check as unknown as Record<string, number>;
  assert.deepEqual({ interval, timeout, fall }, { interval: 6000, timeout: 3000, fall: 4 });
  assert.deepEqual(warnings, [
    "Left out global_defs in line 3: it is about no virtual server",
    "Left out vrrp_instance VI_1 in line 10: it is about no virtual server",
    "Left out sorry_server in line 30: knet has none: where all real servers fail, it refuses",
    "Left out quorum in line 31: knet has nothing like it",
    "Left out notify_down in lines 38, 52: knet has nothing like it",
    "Left out digest in lines 42, 56: knet has nothing like it",
  ]);
});

const one = (check: string, more = "") =>
  `virtual_server 10.96.0.1 443 {\n${more}\nreal_server 10.244.0.5 8443 {\n${check}\n}\n}`;

Deno.test("readKeepalived() makes checks of checkers", () => {
  for (
    const [checker, check] of [
      ["TCP_CHECK {\nconnect_timeout 3\n}", "tcp"],
      ["TCP_CHECK {\n}", "tcp"],
      ["TCP_CHECK\n{\nconnect_port 81\nconnect_ip 10.244.0.5\n}", "tcp port=81"],
      ["HTTP_GET {\nurl {\npath /\n}\n}", "http:/ status=200-299"],
      [
        'SSL_GET {\nenable_sni\nurl {\npath /x\nstatus_code 200\nvirtualhost "b.example"\n}\n}',
        "https:/x host=b.example status=200 verify=no",
      ],
      ["DNS_CHECK {\n}", "dns query=SOA"],
      ["DNS_CHECK {\ntype a\nname www.example\n}", "dns:www.example query=A"],
      ["UDP_CHECK {\npayload 00ff41\nrequire_reply 42\n}", "udp send=\\x00\\xffA expect=B"],
      ["UDP_CHECK {\n}", "udp"],
    ]
  ) {
    const { services, warnings } = read(one(check === undefined ? "" : checker!));
    assert.equal(formatCheck(services[0]!.check), check);
    assert.deepEqual(warnings, []);
  }
});

Deno.test("readKeepalived() names checks that it cannot take, and takes none in their place", () => {
  for (
    const [checker, warning] of [
      [
        'MISC_CHECK {\nmisc_path "/usr/bin/check a"\n}',
        /^Left out MISC_CHECK in line 4: knet has no such check$/,
      ],
      ["SMTP_CHECK {\n}", /^Left out SMTP_CHECK in line 4: /],
      ["TCP_CHECK {\nconnect_ip 10.0.0.1\n}", /^Left out TCP_CHECK in line 4: .*not another$/],
    ] as const
  ) {
    const { services, warnings } = read(one(checker));
    assert.deepEqual(services[0]!.check, { type: "none" });
    assert.equal(services[0]!.onEmpty, "keep");
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, warning);
  }
  const two = read(
    one("MISC_CHECK {\nmisc_path x\n}\nTCP_CHECK {\n}\nHTTP_GET {\nurl {\npath /\n}\n}"),
  );
  assert.equal(formatCheck(two.services[0]!.check), "tcp");
  assert.deepEqual(two.warnings, [
    "Left out MISC_CHECK in line 4: knet has no such check",
    "Left out HTTP_GET in line 9: knet checks in one way",
  ]);
  const other = read(one("TCP_CHECK {\n}", "real_server 10.244.0.6 8443 {\n}"));
  assert.deepEqual(other.services[0]!.check, { type: "none" });
  assert.deepEqual(other.warnings, [
    "Left out the checks of virtual_server 10.96.0.1 443 in line 1: its real servers are not all checked alike",
  ]);
});

Deno.test("readKeepalived() takes groups, definitions, flags, IPv6 and what stands on one line", () => {
  const { services, warnings } = read(`
$VIP=10.96.0.20
$NET = 10.244
virtual_server_group many {
  $VIP 80
  10.96.0.21-22 81
  fwmark 3
}
virtual_server group many { lvs_sched mh
  mh-port
  lvs_method tun
  weight 5
  protocol udp
  ops
  real_server \${NET}.0.5 {}
}
virtual_server fwmark 1 { }
virtual_server fd00:96::1 53 {
  persistence_timeout
  real_server fd00::5 0 { weight 0 } real_server fd00::6 { }
}
include /etc/keepalived/other.conf
`);
  const places = services.map(({ vip, port, protocol, forward }) =>
    `${vip} ${port} ${protocol} ${forward}`
  );
  // Where a tunnel or direct routing maps no port, a real server's is the service's.
  assert.deepEqual(places, [
    "10.96.0.20 80 udp tunnel",
    "10.96.0.21 81 udp tunnel",
    "10.96.0.22 81 udp tunnel",
    "fd00:96::1 53 tcp nat",
  ]);
  assert.deepEqual(
    services.map(({ destinations }) => destinations.map(({ port, weight }) => [port, weight])),
    [
      ...[[[80, 5]], [[81, 5]], [[81, 5]]],
      [[53, 0], [53, 1]],
    ],
  );
  assert.deepEqual([services[0]!.schedulerFlags, services[0]!.onePacket], [["mh-port"], true]);
  assert.equal(services[3]!.persistent, 360);
  assert.deepEqual(warnings, [
    "Left out virtual_server fwmark 3 in line 7: knet has no firewall marks",
    "Left out virtual_server fwmark 1 in line 17: knet has no firewall marks",
    "Left out include /etc/keepalived/other.conf in line 22: give the file that it names as well",
  ]);
});

Deno.test("readKeepalived() takes nothing of a file that it cannot understand, and says in which line", () => {
  const head = "virtual_server 10.96.0.1 80 {\n";
  for (
    const [text, message] of [
      [`${head}lb_algo fastest\n}`, /line 1: .*scheduler "fastest"/],
      [`${head}lb_kind FULLNAT\n}`, /line 2: .*NAT, DR or TUN/],
      [`${head}lvs_method TUN type gue port 6080\n}`, /line 2: .*ipip only/],
      [`${head}protocol ICMP\n}`, /line 2: /],
      [`${head}delay_loop soon\n}`, /line 2: "soon" is no number for delay_loop/],
      [`${head}real_server 10.244.0.300 80 {\n}\n}`, /line 2: "10.244.0.300" is no address/],
      [`${head}real_server 10.244.0.3 http {\n}\n}`, /line 2: "http" is no port/],
      [`${head}real_server 10.244.0.3 80 {\nweight 70000\n}\n}`, /line 2: .*weight/],
      [
        `${head}real_server 10.244.0.3 80 {\nlvs_method DR\n}\nreal_server 10.244.0.4 80 {\n}\n}`,
        /line 1: .*dr and nat/,
      ],
      [`${head}lb_kind DR\nreal_server 10.244.0.3 8080 {\n}\n}`, /line 3: .*8080/],
      [
        `${head}real_server 10.244.0.3 80 {\n}\nreal_server 10.244.0.3 80 {\n}\n}`,
        /line 4: .*twice/,
      ],
      [`${head}include servers.conf\n}`, /line 2: .*another file/],
      [`${head}}\n${head}}`, /line 3: .*already, from line 1/],
      ["virtual_server 10.96.0.1 {\n}", /line 1: .*give the port/],
      ["virtual_server group none {\n}", /line 1: there is no virtual_server_group "none"/],
      [head, /line 1: the block does not end/],
      ["}\n", /line 1: "}" ends no block/],
      ["{\n}", /line 1: .*without a name/],
      [`${head}notify "x\n}`, /line 2: a quote does not end/],
      ["virtual_server $VIP 80 {\n}", /line 1: "\$VIP" is not defined/],
      ["@host1 virtual_server 10.96.0.1 80 {\n}", /line 1: .*some hosts only/],
      [one("HTTP_GET {\nurl {\npath x\n}\n}"), /line 1: .*path "x"/],
      [one("HTTP_GET {\nurl {\npath /\nstatus_code 2xx\n}\n}"), /line 1: .*status "2xx"/],
      [one("UDP_CHECK {\npayload xyz\n}"), /line 5: .*hexadecimal/],
      ["a {\n".repeat(30), /too deep/],
    ] as const
  ) {
    assert.throws(() => read(text), (error) => {
      assert.ok(error instanceof KnetError, String(error));
      assert.match(error.message, message);
      assert.equal(error.exitCode, 2);
      return true;
    }, text);
  }
});
