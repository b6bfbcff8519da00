/**
 * A machine's end of the serial line, see line.ts.
 *
 * @module
 */

/**
 * Listens on the serial line: a word, and a script; says the word, its status and both outputs. All but the word in base64. It waits for
 * the line itself: systemd gives a device up that udev has not told of in time, and on a busy computer that is what happens.
 */
export const LISTENER = `#!/bin/bash
modprobe virtio_console || true
until [ -e /dev/virtio-ports/knet.line ]; do
  for port in /sys/class/virtio-ports/*; do
    [ "$(cat $port/name 2> /dev/null)" = knet.line ] && mkdir -p /dev/virtio-ports &&
      ln -sf /dev/\${port##*/} /dev/virtio-ports/knet.line
  done
  sleep 1
done
exec 3<>/dev/virtio-ports/knet.line
say() { { flock 9; printf '%s\\n' "$1" >&3; } 9>/run/line.lock; }
say "up $(cat /proc/sys/kernel/random/boot_id)"
while read -r -u 3 word script; do
  (
    place=$(mktemp -d /run/line.XXXXXX)
    base64 -d <<< "$script" > $place/script
    bash -eu -o pipefail $place/script > $place/out 2> $place/err < /dev/null 3>&- && code=0 || code=$?
    say "$word $code o$(base64 -w 0 $place/out) e$(base64 -w 0 $place/err)"
    rm -r $place
  ) &
done
`;

/** The unit of it. */
export const LISTENER_UNIT = `[Unit]
Description=line of the tests
DefaultDependencies=no
After=systemd-remount-fs.service
[Service]
ExecStart=/usr/local/lib/line
Environment=HOME=/root LC_ALL=C.UTF-8
KillMode=process
Restart=always
OOMScoreAdjust=-900
`;
