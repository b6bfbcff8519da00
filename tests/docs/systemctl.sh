#!/bin/bash
# Stands in for systemctl where systemd is not process 1: does with knet.service, as it is installed, what the
# pages ask for, and returns when the agent is ready, as with Type=notify. Other units do not run.
set -eu

unit=/etc/systemd/system/knet.service
[ -e "$unit" ] || unit=/usr/lib/systemd/system/knet.service
link=/etc/systemd/system/multi-user.target.wants/knet.service
pid=/run/knet-unit.pid
log=/tmp/agent.log

answers() { curl -sf --unix-socket /run/knet/knet.sock "http://knet/$1" > /dev/null; }

start() {
  [ -f "$unit" ] || { echo "Failed to start knet.service: Unit knet.service not found." >&2; exit 5; }
  settings=$(sed -n 's/^EnvironmentFile=-\?//p' "$unit")
  install -d /run/knet
  install -d -m 0700 /var/lib/knet
  # A service has nothing of the caller's environment; what runs the sources needs HOME.
  env -i PATH="$PATH" HOME="$HOME" setsid bash -c "set -a; [ ! -f $settings ] || . $settings; set +a
    exec $(sed -n 's/^ExecStart=//p' "$unit")" > "$log" 2>&1 < /dev/null &
  echo $! > "$pid"
  for _ in $(seq 150); do
    if answers readyz || ! kill -0 "$(cat "$pid")" 2> /dev/null; then break; fi
    sleep 0.1
  done
  answers readyz || { cat "$log" >&2; exit 1; }
}

stop() {
  [ -f "$pid" ] || return 0
  kill "$(cat "$pid")" 2> /dev/null || true
  while kill -0 "$(cat "$pid")" 2> /dev/null; do sleep 0.1; done
  rm "$pid"
}

enable() {
  install -d "${link%/*}"
  ln -sf "$unit" "$link"
}

asked=
for word in "$@"; do
  case "$word" in
    --quiet | --system) ;;
    *) asked="$asked ${word%.service}" ;;
  esac
done
case "${asked# }" in
  daemon-reload) ;;
  "start knet") start ;;
  "stop knet") stop ;;
  "restart knet") stop; start ;;
  "try-restart knet") [ ! -f "$pid" ] || { stop; start; } ;;
  "enable --now knet") enable; start ;;
  "disable --now knet") stop; rm -f "$link" ;;
  "try-restart systemd-networkd" | "try-reload-or-restart NetworkManager") ;;
  *) echo "systemctl $*: the tests' stand-in does not know it" >&2; exit 1 ;;
esac
