/**
 * The package for rpm's distributions and the tarball, on a machine that forgets; and that two builds are the same.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { KINDS, makePackages } from "../../dist/package.ts";
import { whyNoOverlay } from "../docs/lab.ts";
import { skip } from "../support/skip.ts";
import { rootTest } from "../support/suite.ts";
import { isInstalled, Packages, standIn } from "./product.ts";
import { ForgetfulRoot } from "./root.ts";

/** A database of its own: this machine's is another packager's. */
const RPM = "rpm --dbpath /run/rpm --nodeps";

function packageTest(
  name: string,
  program: string | undefined,
  fn: (packages: Packages) => Promise<void>,
): void {
  rootTest(name, async () => {
    if (program !== undefined && !isInstalled(program)) return skip(name, `needs ${program}`);
    const reason = await whyNoOverlay();
    if (reason !== undefined) return skip(name, reason);
    using packages = new Packages();
    await fn(packages);
  });
}

packageTest(
  "makePackages() makes the same files twice, whatever umask and hour",
  undefined,
  async (first) => {
    const kinds = KINDS.filter((kind) =>
      kind === "tar" || isInstalled(kind === "deb" ? "dpkg-deb" : "rpmbuild")
    );
    const product = standIn("0.1.0");
    const paths = await makePackages(product, kinds, first.folder);
    using second = new Packages();
    const umask = Deno.umask(0o077);
    try {
      await new Promise((resolve) => setTimeout(resolve, 1100)); // Dates have whole seconds.
      await makePackages(product, kinds, second.folder);
    } finally {
      Deno.umask(umask);
    }
    for (const path of paths) {
      const again = Deno.readFileSync(path.replace(first.folder, second.folder));
      assert.ok(Buffer.compare(Deno.readFileSync(path), again) === 0, path);
    }
  },
);

packageTest(
  "the .rpm installs, upgrades and goes, and leaves the network",
  "rpmbuild",
  async (packages) => {
    await using machine = await ForgetfulRoot.create();
    const before = await machine.files();
    const { stdout } = await machine.sh(
      `${RPM} -i ${await packages.make("rpm", standIn("0.0.9"))}`,
    );
    assert.match(stdout, /knet up TOKEN/);
    assert.deepEqual(await machine.asked(), [
      "daemon-reload",
      "try-restart systemd-networkd.service",
      "try-reload-or-restart NetworkManager.service",
    ]);
    assert.equal(
      await machine.read(
        "knet --version; stat -c %a /etc/default/knet /usr/bin/knet; ls -d /usr/share/licenses/knet/*",
      ),
      "knet 0.0.9\n600\n755\n/usr/share/licenses/knet/LICENSE\n/usr/share/licenses/knet/LICENSES.gz",
    );

    await machine.sh("echo KNET_STORE=sqlite:/mnt/knet.db > /etc/default/knet");
    await machine.sh(`${RPM} -U ${await packages.make("rpm", standIn("0.1.0"))}`);
    assert.equal(
      await machine.read("knet --version; cat /etc/default/knet; stat -c %a /etc/default/knet"),
      "knet 0.1.0\nKNET_STORE=sqlite:/mnt/knet.db\n600",
    );
    assert.deepEqual(await machine.asked(), [
      "daemon-reload",
      "daemon-reload",
      "try-restart knet.service",
    ]);

    await machine.sh("mkdir -p /run/knet; touch /run/knet/subnet.env");
    const { stderr } = await machine.sh(`${RPM} -e knet`);
    assert.match(stderr, /network of this host stands[^]*knet leave/);
    assert.deepEqual(await machine.asked(), [
      "--no-reload disable --now knet.service",
      "daemon-reload",
    ]);
    const left = [...await machine.files()].filter((file) => !before.has(file));
    // What was set up by hand is kept.
    assert.deepEqual(left.filter((file) => /knet/.test(file)), ["/etc/default/knet.rpmsave"]);
  },
);

packageTest(
  "install.sh installs, upgrades and uninstalls, and keeps settings",
  undefined,
  async (packages) => {
    await using machine = await ForgetfulRoot.create();
    const before = await machine.files();
    const unpack = async (version: string) => {
      const path = await packages.make("tar", standIn(version));
      await machine.sh(`mkdir -p /run/t; tar -xf ${path} -C /run/t`);
      const [name] = path.split("/").at(-1)!.split(".tar");
      return `/run/t/${name}/install.sh`;
    };
    const old = await unpack("0.0.9");
    const { stdout } = await machine.sh(`umask 077; ${old}`);
    assert.match(stdout, /knet up TOKEN/);
    assert.deepEqual(await machine.asked(), [
      "daemon-reload",
      "try-restart systemd-networkd.service",
      "try-reload-or-restart NetworkManager.service",
    ]);
    assert.equal(
      await machine.read(
        "knet --version; stat -c %a /etc/default/knet /usr/local/bin/knet /etc/systemd/system/knet.service",
      ),
      "knet 0.0.9\n600\n755\n644",
    );
    assert.match(
      await machine.read("cat /etc/systemd/system/knet.service"),
      /^ExecStart=\/usr\/local\/bin\/knet join$/m,
    );
    assert.equal(
      await machine.read(
        "find /usr/local /etc -type d -newer /etc/knet/knet.yaml ! -perm -005 -path '*knet*'",
      ),
      "",
      "folders that others cannot enter",
    );

    await machine.sh("echo KNET_STORE=sqlite:/mnt/knet.db > /etc/default/knet");
    const now = await unpack("0.1.0");
    await machine.sh(now);
    assert.equal(
      await machine.read("knet --version; cat /etc/default/knet"),
      "knet 0.1.0\nKNET_STORE=sqlite:/mnt/knet.db",
    );
    assert.deepEqual(await machine.asked(), ["daemon-reload", "try-restart knet.service"]);

    // Not while the network stands, and not by a slip.
    await machine.sh("mkdir -p /run/knet; touch /run/knet/subnet.env");
    assert.equal(
      await machine.read(`${now} --uninstall 2>&1 || echo "status $?"`),
      "install.sh: this host's network stands: take it down first, by systemctl disable --now knet and knet leave\nstatus 4",
    );
    assert.match(
      await machine.read(`${now} --remove 2>&1 || echo "status $?"`),
      /--uninstall\nstatus 2$/,
    );
    await machine.sh("rm /run/knet/subnet.env");
    await machine.asked();
    assert.equal(
      await machine.read(`${now} --uninstall`),
      "Left: /etc/default/knet /etc/knet /var/lib/knet",
    );
    assert.deepEqual(await machine.asked(), ["disable --now knet.service", "daemon-reload"]);
    const left = [...await machine.files()].filter((file) =>
      !before.has(file) && /knet/.test(file)
    );
    assert.deepEqual(left.sort(), ["/etc/default/knet", "/etc/knet", "/etc/knet/knet.yaml"]);
  },
);

packageTest(
  "install.sh installs below DESTDIR, and touches nothing else",
  undefined,
  async (packages) => {
    await using machine = await ForgetfulRoot.create();
    const before = await machine.files();
    const path = await packages.make("tar", standIn("0.1.0"));
    await machine.sh(
      `mkdir /run/t /run/image; tar -xf ${path} -C /run/t; DESTDIR=/run/image /run/t/*/install.sh`,
    );
    assert.equal(await machine.read("/run/image/usr/local/bin/knet --version"), "knet 0.1.0");
    assert.deepEqual(await machine.asked(), []);
    assert.deepEqual(await machine.files(), before);
  },
);
