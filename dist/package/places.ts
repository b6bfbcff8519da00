/**
 * Where a package of each kind puts what it holds. Packages have /usr, what is installed from a tarball has /usr/local and,
 * of what others read, /etc: not all of those look into /usr/local.
 *
 * @module
 */

/** What can be made. */
export type PackageKind = "deb" | "rpm" | "tar";

/** Folders, from the root. */
export interface Places {
  readonly prefix: string;
  readonly units: string;
  readonly network: string;
  readonly networkd: string;
  readonly networkManager: string;
  readonly bash: string;
  readonly zsh: string;
  readonly fish: string;
  readonly man: string;
  readonly doc: string;
  /** Of licences that are not with the documentation. */
  readonly licences: string;
}

/** The folders of a kind. */
export function placesOf(kind: PackageKind): Places {
  const prefix = kind === "tar" ? "/usr/local" : "/usr";
  const others = kind === "tar" ? "/etc" : "/usr/lib";
  const share = `${prefix}/share`;
  return {
    prefix,
    units: `${others}/systemd/system`,
    network: `${others}/systemd/network`,
    networkd: `${others}/systemd/networkd.conf.d`,
    networkManager: `${others}/NetworkManager/conf.d`,
    bash: `${share}/bash-completion/completions`,
    zsh: kind === "deb" ? `${share}/zsh/vendor-completions` : `${share}/zsh/site-functions`,
    fish: `${share}/fish/vendor_completions.d`,
    man: `${share}/man/man1`,
    doc: `${share}/doc/knet`,
    licences: kind === "rpm" ? `${share}/licenses/knet` : `${share}/doc/knet`,
  };
}

/**
 * Rewrites what names the places of an installation by hand (/etc for what others read, /usr/local for the program) to those
 * of a kind.
 */
export function replacePlaces(text: string, places: Places): string {
  return text
    .replaceAll("/etc/systemd/system/knet.service", `${places.units}/knet.service`)
    .replaceAll("/etc/systemd/networkd.conf.d/", `${places.networkd}/`)
    .replaceAll("/etc/systemd/network/", `${places.network}/`)
    .replaceAll("/etc/NetworkManager/conf.d/", `${places.networkManager}/`)
    .replaceAll("/usr/local/bin/knet", `${places.prefix}/bin/knet`)
    .replaceAll("/usr/share/doc/knet", places.doc);
}
