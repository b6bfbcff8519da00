#!/bin/sh
# Installs knet from this folder, or takes it away again:
#
#   ./install.sh              program, unit, manual; again for an upgrade, which starts a running agent anew
#   ./install.sh --uninstall  all but the configuration and what the agent wrote
#
# DESTDIR names another root than /, for images. Nothing is enabled or started: the agent has to be told first,
# in /etc/default/knet, where the cluster's state is.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}

fail() {
  echo "install.sh: $1" >&2
  exit "$2"
}

# Whether there is a systemd to be told.
systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

install_files() {
  while read -r mode kind path; do
    # What the administrator wrote stays.
    if [ "$kind" = config ] && [ -e "$root$path" ]; then continue; fi
    mkdir -p "$root${path%/*}"
    # A program that runs cannot be written to, but another can take its name.
    install -m "$mode" "$here/root$path" "$root$path.new"
    mv -f "$root$path.new" "$root$path"
  done < "$here/files"
}

remove_files() {
  while read -r _ kind path; do
    if [ "$kind" = file ]; then rm -f "$root$path"; fi
  done < "$here/files"
  for folder in lib/knet share/doc/knet; do
    if [ -d "$root/usr/local/$folder" ]; then find "$root/usr/local/$folder" -type d -empty -delete; fi
  done
}

case "$*" in
  "" | --uninstall) ;;
  *) fail "there is no option \"$*\": say nothing, or --uninstall" 2 ;;
esac
if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then fail "only root can install knet" 1; fi

if [ "$*" = --uninstall ]; then
  if [ -z "$root" ] && [ -e /run/knet/subnet.env ]; then
    fail "this host's network stands: take it down first, by systemctl disable --now knet and knet leave" 4
  fi
  if systemd; then systemctl disable --now knet.service > /dev/null 2>&1 || true; fi
  remove_files
  if systemd; then systemctl daemon-reload; fi
  echo "Left: /etc/default/knet /etc/knet /var/lib/knet"
  exit 0
fi

fresh=yes
if [ -e "$root/usr/local/bin/knet" ]; then fresh=no; fi
install_files
if systemd; then
  systemctl daemon-reload
  if [ "$fresh" = yes ]; then
    # Those that would otherwise take knet's devices for theirs read what keeps them off.
    udevadm control --reload > /dev/null 2>&1 || true
    systemctl try-restart systemd-networkd.service > /dev/null 2>&1 || true
    systemctl try-reload-or-restart NetworkManager.service > /dev/null 2>&1 || true
  else
    # An agent that never reached its store waits for it as long as it takes; an upgrade does not.
    timeout 60 systemctl try-restart knet.service ||
      echo "The agent is started anew, but not ready yet; journalctl -u knet tells why" >&2
  fi
fi
if [ "$fresh" = yes ]; then
  echo "knet: to begin a cluster: knet up; to join one: knet up TOKEN, which the first host printed"
fi
