/**
 * The hosts that the manual's commands run on: those of the test lab, each with an init process of its own, whose end takes with
 * it whatever a page started, and a root file system on which everything may be written and nothing reaches the machine.
 *
 * A host sees the checkout at `TREE`, where its commands run, with `dist/knet` in it: the compiled binary (`KNET_BIN` or the
 * checkout's), else a script that runs the sources. `dist/packages` has a package that runs that one. `systemctl` is `systemctl.sh`, beside this file, and `udevadm` does nothing: systemd
 * is not process 1 there. The repository's address, which only its readers know, is the checkout's. Postgres is `db.internal`, the shared directory `/mnt/shared`.
 *
 * @module
 */
import { VERSION } from "../../cli/version.ts";
import { Packages, standIn } from "../package/product.ts";
import { Background, exec, type Outcome } from "../support/exec.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { until } from "../support/wait.ts";
import type { Block } from "./blocks.ts";

const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** Where a host sees the checkout. */
const TREE = "/run/host/tree";

/** Password of the role `knet`, as the pages write it. */
const PASSWORD = "PASSWORD";

/** A package is made and unpacked in no time, if the program in it is but a word that leads to the other one. */
const PRODUCT = {
  ...standIn(VERSION),
  program: [{ path: "bin/knet", mode: 0o755, content: `#!/bin/sh\nexec ${TREE}/dist/knet "$@"\n` }],
};

/** Directories of the machine that a host may write to without the machine's noticing. */
const WRITABLE = ["/etc", "/usr", "/var", "/root", "/home", "/srv", "/opt"];

/** Why this machine cannot lay one file system over another, or undefined when it can. */
export async function whyNoOverlay(): Promise<string | undefined> {
  const script = `mount -t tmpfs knet-docs /mnt && mkdir /mnt/up /mnt/work &&
    mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work knet-docs /etc`;
  const { code } = await exec(["unshare", "-m", "sh", "-c", script], { check: false });
  return code === 0 ? undefined : "needs a kernel with overlayfs";
}

/** A lab of two hosts with Postgres for one page. */
export class DocsLab implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #inits: Background[] = [];

  private constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Builds it; with `emptyServer`, Postgres has neither role nor database for knet. */
  static async create(emptyServer: boolean): Promise<DocsLab> {
    const lab = await Lab.create({ hosts: 2, store: "postgres" });
    const docs = new DocsLab(lab);
    try {
      if (emptyServer) {
        await lab.postgres!.sql("drop database knet", "postgres");
        await lab.postgres!.sql("drop role knet", "postgres");
      } else await lab.postgres!.sql(`alter role knet password '${PASSWORD}'`);
      const program = await programFile();
      using packages = new Packages();
      const deb = await packages.make("deb", PRODUCT);
      for (const host of lab.hosts) {
        await Deno.copyFile(deb, host.path("/run/host/knet.deb"));
        await host.sh(rootScript(program, lab.postgres!.address, host.machineId));
        docs.#inits.push(await startInit(host));
      }
      return docs;
    } catch (error) {
      await docs[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Runs a block where it says.
   *
   * @throws {Error} with the command that failed, its line in the page, and the output.
   */
  async run(page: string, block: Block): Promise<void> {
    const { place } = block;
    if (place === "database") {
      for (const statement of block.script.split(/;\s*(?:\n|$)/).filter((text) => text !== "")) {
        await this.#lab.postgres!.sql(statement, "postgres");
      }
    } else if (place === "tree") {
      check(page, block, await exec(["bash", "-c", trapped(block)], { check: false, ...LIMIT }));
    } else {
      const all = this.#lab.hosts.map((_, i) => i + 1);
      for (const n of place === "every host" ? all : [place]) {
        check(page, block, await this.#runOn(n, trapped(block)));
      }
    }
  }

  /**
   * Environment and working directory go on from block to block, as in one session of a shell. The output goes to a file: what a
   * block leaves running in the background would keep a pipe open.
   */
  async #runOn(n: number, script: string): Promise<Outcome> {
    const host = this.#lab.host(n);
    const init = this.#inits[n - 1]!;
    const output = "/run/host/output";
    const session =
      `exec > ${output} 2>&1; cd ${TREE}; [ ! -e /run/host/session ] || . /run/host/session
      trap '{ export -p; echo "cd $PWD"; } > /run/host/session' EXIT
      ${script}`;
    const enter = [...host.enter.slice(0, -1), `--pid=/proc/${init.pid}/ns/pid_for_children`];
    const environment = [`PATH=${Deno.env.get("PATH")}`, `HOME=${Deno.env.get("HOME")}`];
    const { code } = await exec(
      [...enter, "--", "env", "-i", ...environment, "NO_COLOR=1", "bash", "-c", session],
      { check: false, ...LIMIT },
    );
    return { code, stdout: await Deno.readTextFile(host.path(output)), stderr: "" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const init of this.#inits) await init[Symbol.asyncDispose]();
    await this.#lab[Symbol.asyncDispose]();
  }
}

/** `knet leave` and a demo take seconds; a page that hangs must not hang the tests. */
const LIMIT = { timeout: 180_000 };

/** The script, which ends at the first command that fails and says which one it was. */
function trapped({ script, line }: Block): string {
  // The empty line that ends the prelude makes $LINENO of the script's first line BASE + 1.
  return `set -eE -o pipefail
    BASE=$((LINENO + 1)); trap 'echo "line $((LINENO - BASE + ${line - 1})): $BASH_COMMAND" >&2' ERR
${script}\n`;
}

function check(page: string, { line }: Block, { code, stdout, stderr }: Outcome): void {
  if (code === 0) return;
  throw new Error(`${page}:${line}: the block ends with ${code}\n${stdout}${stderr}`);
}

/** The compiled binary, if there is one. */
async function programFile(): Promise<string | undefined> {
  const file = Deno.env.get("KNET_BIN") ?? `${root}/dist/knet`;
  return await Deno.stat(file).then(() => file, () => undefined);
}

/** Lays a file system that forgets over each directory that is written to. */
function rootScript(program: string | undefined, database: string, machineId: string): string {
  return `cover() { # DIRECTORY [WHERE]
    [ -d "$1" ] || return 0
    layers=/run/host/layers$1; mkdir -p "$layers/up" "$layers/work" "\${2-$1}"
    mount -t overlay -o "lowerdir=$1,upperdir=$layers/up,workdir=$layers/work" knet-docs "\${2-$1}"
  }
  cover ${root} ${TREE}
  for directory in ${WRITABLE.join(" ")}; do cover "$directory"; done
  ${
    program === undefined
      ? `printf '#!/bin/sh\\nexec ${Deno.execPath()} run -q -A ${TREE}/cli/main.ts "$@"\\n' > ${TREE}/dist/knet
  chmod 755 ${TREE}/dist/knet`
      : `touch ${TREE}/dist/knet; mount --bind ${program} ${TREE}/dist/knet`
  }
  rm -rf ${TREE}/dist/packages; mkdir ${TREE}/dist/packages
  mv /run/host/knet.deb ${TREE}/dist/packages/knet_${PRODUCT.version}-1_${PRODUCT.arch}.deb
  install -m 755 ${root}/tests/docs/systemctl.sh /usr/bin/systemctl
  mkdir -p /run/systemd/system
  # Nobody here waits for the disk, or reads the index of the manual pages.
  rm -f /var/lib/man-db/auto-update; echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/knet-docs
  rm -f /usr/sbin/policy-rc.d
  mount -t tmpfs -o mode=1777 knet-docs /tmp
  mount -t tmpfs -o mode=755 knet-docs /mnt
  mkdir /mnt/shared
  mount --bind /run/shared /mnt/shared
  ln -sf /bin/true /usr/bin/udevadm
  [ -e ${TREE}/.git ] || git init -q ${TREE} # an export
  git config --system url.file://${TREE}.insteadOf https://ADDRESS-OF-THIS-REPOSITORY
  git config --system safe.directory '*'
  echo ${machineId} > /etc/machine-id
  rm -rf /etc/knet /etc/default/knet /var/lib/knet
  printf '${database} db.internal\\n' >> /etc/hosts`;
}

/** Starts the first process of a namespace of processes: when it ends, all others in there do. */
async function startInit(host: Host): Promise<Background> {
  const init = host.spawn([
    ...["unshare", "--pid", "--fork", "--kill-child", "bash", "-ec"],
    // The host's own /proc, boot id and all. Bash, since it also collects the dead that are not its children.
    `mount -t proc proc /proc; mount --bind /run/host/boot-id /proc/sys/kernel/random/boot_id
     echo ready; read -r end || true`,
  ]);
  await until(`${host.name} has an init`, () => {
    if (init.ended !== undefined) throw new Error(init.stderr);
    return init.stdout.includes("ready");
  });
  return init;
}
