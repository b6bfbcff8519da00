/**
 * Makes a package for Debian and its descendants, by dpkg-deb: a control archive, the files, nothing else.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { contentsOf, MAINTAINER, type PackageFile, type Product, REVISION } from "./contents.ts";
import { runPackager, stage } from "./stage.ts";

const SCRIPTS = new URL("./deb/", import.meta.url).pathname;

/**
 * What has to be there. libnl is in the program, too, but the distribution's gets the distribution's security updates, and
 * comes first. The glibc is that of the runtime.
 */
const DEPENDS = [
  "libc6 (>= 2.27)",
  "libgcc-s1",
  "libnftables1",
  "libnl-3-200",
  "libnl-genl-3-200",
  "libnl-route-3-200",
];

/** The name of the file. */
export function debName({ version, arch }: Product): string {
  return `knet_${version}-${REVISION}_${arch}.deb`;
}

/**
 * Makes the package in a folder.
 *
 * @param work an empty folder, for what comes in between.
 * @returns its path.
 * @throws {Error} if dpkg-deb is missing or refuses.
 */
export async function makeDeb(product: Product, output: string, work: string): Promise<string> {
  const files = [...await contentsOf("deb", product), lintianOverrides()];
  const folder = `${work}/deb`;
  stage(folder, files, product.date);
  stage(`${folder}/DEBIAN`, controlFiles(product, files, folder), product.date);
  const path = `${output}/${debName(product)}`;
  runPackager([
    "dpkg-deb",
    "--root-owner-group",
    // Half of what the slowest level takes off, in a tenth of the time.
    "-Zxz",
    "-z1",
    "--build",
    folder,
    path,
  ], { cwd: work, env: { SOURCE_DATE_EPOCH: `${product.date}` }, from: "dpkg" });
  return path;
}

function controlFiles(
  product: Product,
  files: readonly PackageFile[],
  folder: string,
): PackageFile[] {
  const text = (path: string, content: string, mode = 0o644) => ({ path, content, mode });
  const sums = files.filter(({ config }) => !config).map(({ path }) => {
    const hash = createHash("md5").update(Deno.readFileSync(folder + path)).digest("hex");
    return `${hash}  ${path.slice(1)}\n`;
  });
  const size = files.reduce((sum, { path }) => sum + Deno.statSync(folder + path).size, 0);
  return [
    text("/control", control(product, Math.ceil(size / 1024))),
    text(
      "/conffiles",
      files.filter(({ config }) => config).map(({ path }) => `${path}\n`).join(""),
    ),
    text("/md5sums", sums.join("")),
    ...["postinst", "prerm", "postrm"].map((name) =>
      text(`/${name}`, Deno.readTextFileSync(SCRIPTS + name), 0o755)
    ),
  ];
}

/**
 * The control file.
 *
 * @param size of what is installed, in KiB.
 */
export function control({ version, arch }: Product, size: number): string {
  return `Package: knet
Version: ${version}-${REVISION}
Architecture: ${arch}
Maintainer: ${MAINTAINER}
Installed-Size: ${size}
Depends: ${DEPENDS.join(", ")}
Recommends: libdqlite0
Section: net
Priority: optional
Description: container network and service addresses for a handful of hosts
 Every host leases a subnet of one cluster network from a table in SQL (a SQLite
 file, or Postgres) and is connected to all others by VXLAN, by plain routes, or
 by UDP. A container on one host reaches a container on any other by its own
 address. A service is a virtual IP in front of real servers, balanced by the
 IPVS of the kernel on every host.
 .
 The agent is neither enabled nor started by the installation: it has to be told
 where the state of the cluster is, in /etc/default/knet.
`;
}

function lintianOverrides(): PackageFile {
  return {
    path: "/usr/share/lintian/overrides/knet",
    mode: 0o644,
    content: Deno.readTextFileSync(`${SCRIPTS}lintian-overrides`),
  };
}
