/**
 * Makes a package for Fedora, SUSE and their relatives, by rpmbuild.
 *
 * @module
 */
import { dirname } from "node:path";
import { ARCHITECTURES } from "../architectures.ts";
import { contentsOf, type PackageFile, type Product, REVISION } from "./contents.ts";
import { runPackager, stage } from "./stage.ts";

const SCRIPTS = new URL("./rpm/", import.meta.url).pathname;

/** The libraries by their SONAMEs: distributions name the packages differently. */
const REQUIRES = [
  "libnftables.so.1()(64bit)",
  "libnl-3.so.200()(64bit)",
  "libnl-genl-3.so.200()(64bit)",
  "libnl-route-3.so.200()(64bit)",
];

/** The name of the file. */
export function rpmName({ version, arch }: Product): string {
  return `knet-${version}-${REVISION}.${ARCHITECTURES[arch].rpm}.rpm`;
}

/**
 * Makes the package in a folder.
 *
 * @param work an empty folder, for what comes in between.
 * @returns its path.
 * @throws {Error} if rpmbuild is missing or refuses.
 */
export async function makeRpm(product: Product, output: string, work: string): Promise<string> {
  const files = await contentsOf("rpm", product);
  const folder = `${work}/rpm`;
  stage(`${folder}/root`, files, product.date);
  Deno.writeTextFileSync(`${folder}/knet.spec`, spec(product, files));
  const path = `${output}/${rpmName(product)}`;
  runPackager([
    "rpmbuild",
    "-bb",
    "--quiet",
    "--target",
    `${ARCHITECTURES[product.arch].rpm}-linux`,
    "--define",
    `_topdir ${folder}/top`,
    "--define",
    `_rpmdir ${folder}/out`,
    "--define",
    `_rpmfilename knet.rpm`,
    "--define",
    `staged ${folder}/root`,
    `${folder}/knet.spec`,
  ], { cwd: folder, env: { SOURCE_DATE_EPOCH: `${product.date}`, HOME: folder }, from: "rpm" });
  Deno.copyFileSync(`${folder}/out/knet.rpm`, path);
  return path;
}

/** The spec file. */
export function spec({ version }: Product, files: readonly PackageFile[]): string {
  const script = (name: string) => Deno.readTextFileSync(SCRIPTS + name);
  return `Name: knet
Version: ${version}
Release: ${REVISION}
Summary: Container network and service addresses for a handful of hosts
License: Apache-2.0 AND MIT AND LGPL-2.1-only AND LGPL-3.0-only AND BSD-2-Clause AND blessing
${REQUIRES.map((name) => `Requires: ${name}\n`).join("")}Recommends: libdqlite.so.0()(64bit)
AutoReqProv: no

# The program carries its code behind its ELF image: what strips or rewrites it destroys it.
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
# Two builds of one commit are the same.
%global _buildhost localhost
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
%global _binary_payload w10.zstdio

%description
Every host leases a subnet of one cluster network from a table in SQL (a SQLite file, or Postgres) and is
connected to all others by VXLAN, by plain routes, or by UDP. A container on one host reaches a container on any
other by its own address. A service is a virtual IP in front of real servers, balanced by the kernel's IPVS.

The agent is neither enabled nor started by the installation: it has to be told where the state of the cluster
is, in /etc/default/knet.

%install
mkdir -p %{buildroot}
cp -a %{staged}/. %{buildroot}/

%post
${script("post")}
%preun
${script("preun")}
%postun
${script("postun")}
%files
%defattr(-,root,root,-)
${ownFolders(files).map((path) => `%dir %attr(0755,root,root) ${path}`).join("\n")}
${files.map(fileLine).join("\n")}
`;
}

/** Folders that are nobody else's, and go with the package: those named "knet", and what is below. */
function ownFolders(files: readonly PackageFile[]): string[] {
  const folders = new Set<string>();
  for (const { path } of files) {
    for (let at = dirname(path); at.includes("/knet"); at = dirname(at)) folders.add(at);
  }
  return [...folders].sort();
}

function fileLine({ path, mode, config }: PackageFile): string {
  const attributes = `%attr(${mode.toString(8).padStart(4, "0")},root,root)`;
  if (config) return `%config(noreplace) ${attributes} ${path}`;
  if (/^\/usr\/share\/(doc|man)\//.test(path)) return `%doc ${attributes} ${path}`;
  if (path.startsWith("/usr/share/licenses/")) return `%license ${attributes} ${path}`;
  return `${attributes} ${path}`;
}
