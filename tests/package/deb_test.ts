/**
 * The package for Debian: installed, upgraded, removed and purged on a machine that forgets.
 *
 * @module
 */
import assert from "node:assert/strict";
import { compiledProduct } from "../../dist/package.ts";
import { VERSION } from "../../cli/version.ts";
import { exec } from "../support/exec.ts";
import { skip } from "../support/skip.ts";
import { rootTest } from "../support/suite.ts";
import { whyNoOverlay } from "../docs/lab.ts";
import { isInstalled, Packages, standIn } from "./product.ts";
import { ForgetfulRoot } from "./root.ts";

/**
 * Whether a package that has a unit only supports other inits, lintian asks in Debian 12 and not any more in 13, where to answer it by
 * an override is itself a fault. The agent tells systemd when it is ready and that it lives; no other init listens.
 */
const NO_INIT = ["--suppress-tags", "package-supports-alternative-init-but-no-init.d-script"];

function debTest(name: string, fn: (packages: Packages) => Promise<void>): void {
  rootTest(name, async () => {
    if (!isInstalled("dpkg-deb")) return skip(name, "needs dpkg");
    const reason = await whyNoOverlay();
    if (reason !== undefined) return skip(name, reason);
    using packages = new Packages();
    await fn(packages);
  });
}

debTest(
  "the .deb installs the compiled program, and nothing is enabled or started",
  async (packages) => {
    const name = "the .deb with the compiled program";
    let product;
    try {
      product = compiledProduct();
    } catch (error) {
      return skip(name, error instanceof Error ? error.message.split("\n")[0]! : `${error}`);
    }
    const path = await packages.make("deb", product);
    // Without its look for typing errors in the runtime, which takes half of the time; each is overridden.
    const complaints = isInstalled("lintian")
      ? exec(
        [
          "lintian",
          "--allow-root",
          "-X",
          "binaries/spelling",
          ...NO_INIT,
          "-I",
          "-E",
          "--pedantic",
          path,
        ],
        {
          check: false,
          timeout: 170_000,
        },
      )
      : skip("lintian is content with the .deb", "needs lintian");
    await using machine = await ForgetfulRoot.create();
    const { stdout } = await machine.sh(`dpkg --install ${path}`);
    assert.match(stdout, /knet up TOKEN/);
    assert.deepEqual(await machine.asked(), [
      "--system daemon-reload",
      "try-restart systemd-networkd.service",
      "try-reload-or-restart NetworkManager.service",
    ]);
    assert.equal(
      await machine.read("command -v knet; knet --version"),
      `/usr/bin/knet\nknet ${VERSION}`,
    );
    assert.equal(
      await machine.read("stat -c %a:%U /etc/default/knet /etc/knet/knet.yaml"),
      "600:root\n644:root",
    );
    assert.equal(await machine.read("find /etc/systemd -name 'knet*'"), "");
    // What it ships is no setting yet, and read as such.
    assert.match(await machine.read("knet lease ls 2>&1 || true"), /store/);
    const unit = await machine.read("cat /usr/lib/systemd/system/knet.service");
    for (const [, place] of unit.matchAll(/file:\/\/(\S+)/g)) await machine.sh(`[ -f ${place} ]`);
    for (const [, section] of unit.matchAll(/man:knet\((\d)\)/g)) {
      await machine.sh(`[ -f /usr/share/man/man${section}/knet.${section}.gz ]`);
    }
    assert.match(unit, /^ExecStart=\/usr\/bin\/knet join$/m);
    assert.doesNotMatch(unit, /\/etc\/systemd\/system|\/usr\/local/);
    await machine.sh("dpkg --verify knet | grep . && exit 1 || true");
    assert.match(
      await machine.read(
        "bash -c '. /usr/share/bash-completion/completions/knet; complete -p knet'",
      ),
      /knet/,
    );
    const said = await complaints;
    if (said !== undefined) assert.equal(said.stdout + said.stderr, "");
  },
);

debTest(
  "an upgrade of the .deb keeps settings and starts a running agent anew",
  async (packages) => {
    await using machine = await ForgetfulRoot.create();
    await machine.sh(`dpkg --install ${await packages.make("deb", standIn("0.0.9"))}`);
    await machine.sh(
      `echo KNET_STORE=sqlite:/mnt/knet.db > /etc/default/knet; touch /run/knet/subnet.env 2>/dev/null ||
    { mkdir -p /run/knet /var/lib/knet; touch /run/knet/subnet.env /var/lib/knet/node; }`,
    );
    await machine.asked();
    await machine.sh(`dpkg --install ${await packages.make("deb", standIn("0.1.0"))}`);
    assert.equal(await machine.read("knet --version"), "knet 0.1.0");
    assert.deepEqual(await machine.asked(), [
      "--system daemon-reload", // Of the old package's postrm.
      "--system daemon-reload",
      "try-restart knet.service",
    ]);
    assert.equal(await machine.read("cat /etc/default/knet"), "KNET_STORE=sqlite:/mnt/knet.db");
    assert.equal(await machine.read("stat -c %a /etc/default/knet"), "600");
    assert.equal(
      await machine.read("ls /run/knet /var/lib/knet; [ ! -e /run/program ]"),
      "/run/knet:\nsubnet.env\n\n/var/lib/knet:\nnode",
    );
  },
);

debTest("the .deb says what an installation by hand left in its way", async (packages) => {
  await using machine = await ForgetfulRoot.create();
  await machine.sh("touch /usr/local/bin/knet /etc/systemd/system/knet.service");
  const { stderr } = await machine.sh(
    `dpkg --install ${await packages.make("deb", standIn("0.1.0"))}`,
  );
  assert.match(stderr, /\/usr\/local\/bin\/knet, installed by hand/);
  assert.match(stderr, /\/etc\/systemd\/system\/knet.service, installed by hand/);
});

debTest("a removal of the .deb leaves the network, and a purge nothing", async (packages) => {
  await using machine = await ForgetfulRoot.create();
  const before = await machine.files();
  const path = await packages.make("deb", standIn("0.1.0"));
  await machine.sh(`dpkg --install ${path}`);
  await machine.sh(`mkdir -p /run/knet /var/lib/knet /etc/systemd/system/multi-user.target.wants
    touch /run/knet/subnet.env /var/lib/knet/node /etc/knet/ca.pem
    ln -s /usr/lib/systemd/system/knet.service /etc/systemd/system/multi-user.target.wants/`);
  await machine.asked();
  const { stderr } = await machine.sh(`dpkg --remove knet`);
  assert.match(stderr, /network of this host stands.*\n.*knet leave/);
  assert.deepEqual(await machine.asked(), ["stop knet.service", "--system daemon-reload"]);
  const removed = await machine.files();
  assert.ok(!removed.has("/usr/bin/knet") && !removed.has("/usr/lib/systemd/system/knet.service"));
  assert.ok(removed.has("/etc/default/knet") && removed.has("/var/lib/knet/node"));
  assert.equal(await machine.read("[ ! -e /run/program ]; ls /run/knet"), "subnet.env");

  // A second thought takes what was kept away again.
  await machine.sh(`dpkg --install ${path}`);
  assert.ok(!(await machine.files()).has("/var/lib/knet/removed"));

  await machine.sh(`dpkg --purge knet`);
  assert.equal(await machine.read("cat /run/program"), "/var/lib/knet/removed/bin/knet leave");
  const left = [...await machine.files()].filter((file) => !before.has(file));
  assert.deepEqual(left, []);
  await machine.sh("[ ! -e /run/knet ]");
});

debTest(
  "a purge of the .deb goes through where leaving fails, and says what stays",
  async (packages) => {
    await using machine = await ForgetfulRoot.create();
    const product = standIn("0.1.0");
    const failing = { path: "bin/knet", mode: 0o755, content: "#!/bin/sh\nexit 1\n" };
    const path = await packages.make("deb", { ...product, program: [failing] });
    await machine.sh(`dpkg --install ${path}; mkdir -p /run/knet; touch /run/knet/subnet.env`);
    const { stderr } = await machine.sh(`dpkg --purge knet`);
    assert.match(stderr, /lease of this host stays.*\n.*knet lease release/);
    await machine.sh("[ ! -e /var/lib/knet ] && [ ! -e /etc/knet ] && [ ! -e /run/knet ]");
  },
);

debTest(
  "a purge of a .deb whose agent never joined asks nothing of the program",
  async (packages) => {
    await using machine = await ForgetfulRoot.create();
    const path = await packages.make("deb", standIn("0.1.0"));
    const { stderr } = await machine.sh(`dpkg --install ${path}; dpkg --purge knet`);
    assert.doesNotMatch(stderr, /network of this host/);
    await machine.sh("[ ! -e /run/program ] && [ ! -e /var/lib/knet ]");
  },
);
