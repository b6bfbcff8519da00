/**
 * A real server is killed: how long new connections still go to it, with knet's checks and with keepalived's. A program of its own,
 * `fail_over.ts KEEPALIVED ROUNDS`, because it needs a kernel with IPVS: user-mode Linux where the running one has none.
 *
 * Both balance on the same host, over the same two real servers, each behind a virtual IP of its own, and check them every second by
 * TCP, one failure being enough: the same kill meets both. A client on the underlay connects to both all the time.
 *
 * @module
 */
import { Background, exec } from "../../support/exec.ts";
import type { Host } from "../../support/host.ts";
import { Lab } from "../../support/lab.ts";
import { runInUml, umlProblem } from "../../support/uml.ts";
import { ipvsHere } from "../../support/vm_initrd.ts";
import { sleep, until } from "../../support/wait.ts";
import { serve } from "../../vm/talk.ts";

/** By contender, milliseconds from each kill to the last connection that failed. */
export type FailOverFigures = Record<"knet" | "keepalived", number[]>;

/** What the line of JSON begins with that is the result. */
const MARK = "fail-over: ";
const PORT = 8080;
/** Outside the service network, of which knet refuses what no service has. */
const VIPS = { knet: "10.96.0.10", keepalived: "10.97.0.20" } as const;
/** Milliseconds that connections are watched after a kill; both look every second. */
const WATCHED = 6000;

// Connects again and again, and says when it began and who answered.
const CLIENT = `
use Socket; use Time::HiRes qw(time sleep); $| = 1; my ($address, $port) = @ARGV;
while (1) {
  my $began = time;
  my $line = eval {
    local $SIG{ALRM} = sub { die "timeout\\n" }; alarm 2;
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
    connect($s, sockaddr_in($port, inet_aton($address))) or die "$!\\n";
    sysread($s, my $line, 100) or die "nothing\\n"; alarm 0; $line;
  } // "error $@";
  printf "%.3f %s", $began * 1000, $line;
  sleep 0.02;
}`;

/** What keepalived does with two real servers. */
export function keepalivedConfig(vip: string, reals: readonly string[]): string {
  const server = (address: string) =>
    `  real_server ${address} ${PORT} {
    weight 1
    TCP_CHECK {
      connect_timeout 1
      retry 0
    }
  }`;
  return `global_defs {
  script_user root
}
virtual_server ${vip} 80 {
  delay_loop 1
  lb_algo rr
  lb_kind NAT
  protocol TCP
${reals.map(server).join("\n")}
}
`;
}

/** Milliseconds from a moment to the last connection begun after it that failed; 0 if none did. */
export function lastFailure(lines: readonly string[], since: number): number {
  let last = 0;
  for (const line of lines) {
    const [began, by] = line.split(" ");
    if (by === "error" && Number(began) >= since) last = Math.max(last, Number(began) - since);
  }
  return last;
}

async function startKeepalived(host: Host, program: string, reals: readonly string[]) {
  await Deno.writeTextFile(
    host.path("/run/host/keepalived.conf"),
    keepalivedConfig(VIPS.keepalived, reals),
  );
  await host.sh(
    `ip link add vips type dummy; ip addr add ${VIPS.keepalived}/32 dev vips; ip link set vips up
     sysctl -q -w net.ipv4.vs.conntrack=1`,
  );
  return host.spawn([program, "-n", "-l", "-C", "-f", "/run/host/keepalived.conf"]);
}

/** Measures; needs the compiled binary and IPVS. */
async function measure(keepalived: string, rounds: number): Promise<FailOverFigures> {
  await using lab = await Lab.create({ hosts: 1 });
  const host = lab.host(1);
  const figures: FailOverFigures = { knet: [], keepalived: [] };
  try {
    await host.knet("init --network 10.244.0.0/16");
    // User-mode Linux has no nftables for IPv4, and nobody forges packets here.
    await host.join({ args: ["--no-peers-only"] });
    const webs = [await host.attach("web1"), await host.attach("web2")];
    const start = (web: typeof webs[0]) => serve(web!.enter, web!.name, PORT, ["0.0.0.0"]);
    const servers: Background[] = [];
    for (const web of webs) servers.push(host.keep(await start(web)));
    const to = webs.flatMap(({ address }) => ["--to", `${address}:${PORT}`]);
    const check = ["--check", "tcp", "--check-interval", "1s", "--fall", "1", "--rise", "1"];
    const service = [
      "svc",
      "add",
      "web",
      "--vip",
      VIPS.knet,
      "--port",
      "80",
      "--masquerade",
      "never",
    ];
    await host.knet([...service, ...check, ...to]);
    const daemon = await startKeepalived(host, keepalived, webs.map(({ address }) => address));
    const client = await lab.addStranger("client", "192.168.2.220");
    const enter = ["ip", "netns", "exec", client];
    await exec([...enter, "ip", "route", "add", "10.96.0.0/15", "via", host.address]);
    const asks = Object.entries(VIPS).map(([name, vip]) => {
      const process = host.keep(new Background([...enter, "perl", "-e", CLIENT, vip, "80"]));
      return [name as keyof FailOverFigures, process] as const;
    });
    const balances = async () => {
      for (const [name, client] of asks) {
        const from = client.stdout.length;
        await until(`${name} balances`, () => {
          const said = client.stdout.slice(from);
          if (webs.every((web) => said.includes(` ${web.name} `))) return true;
          throw new Error(`${said.slice(-300)}${client.stderr}${daemon.stderr.slice(-1000)}`);
        }, { deadline: 60_000 });
      }
    };
    for (let round = 0; round < rounds; round++) {
      await balances();
      // At any moment between two checks.
      await sleep(2000 + Math.random() * 1000);
      const from = asks.map(([, { stdout }]) => stdout.lastIndexOf("\n") + 1);
      const victim = round % 2;
      const killed = Date.now();
      servers[victim]!.signal("SIGKILL");
      await sleep(WATCHED);
      for (const [n, [name, { stdout }]] of asks.entries()) {
        figures[name].push(lastFailure(stdout.slice(from[n]).split("\n"), killed));
      }
      servers[victim] = host.keep(await start(webs[victim]!));
    }
    return figures;
  } catch (error) {
    console.log(lab.logs());
    throw error;
  }
}

/**
 * Measures in this kernel or another one.
 *
 * @returns the figures, or why there are none.
 */
export async function measureFailOver(
  keepalived: string,
  rounds: number,
): Promise<FailOverFigures | string> {
  const program = new URL(import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-A", "--no-check"];
  const line = [...deno, program, keepalived, `${rounds}`];
  const timeout = 120_000 + rounds * 60_000;
  let said: string;
  if (ipvsHere()) said = (await exec(line, { timeout })).stdout;
  else {
    const problem = umlProblem();
    if (problem !== undefined) return `this kernel has no IPVS, and user-mode Linux ${problem}`;
    said = "";
    const onOutput = (text: string) => void (said += text);
    const { code, console: all } = await runInUml(line, { timeout, onOutput });
    if (code !== 0) throw new Error(all);
  }
  const result = said.split("\n").find((one) => one.startsWith(MARK));
  return JSON.parse(result!.slice(MARK.length));
}

if (import.meta.main) {
  const [keepalived = "", rounds = "5"] = Deno.args;
  console.log(MARK + JSON.stringify(await measure(keepalived, Number(rounds))));
}
