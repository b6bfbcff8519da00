# Starts the agent as the unit does, as far as that goes without systemd: in the background, with the
# environment of /etc/default/knet, and comes back when it is ready.

(set -a; . /etc/default/knet; set +a; exec knet join) > /tmp/agent.log 2>&1 &
echo $! > /tmp/agent.pid
for i in $(seq 150); do
  if curl -sf --unix-socket /run/knet/knet.sock http://knet/readyz > /dev/null; then break; fi
  if ! kill -0 $! 2> /dev/null; then break; fi
  sleep 0.1
done
curl -sSf --unix-socket /run/knet/knet.sock http://knet/readyz > /dev/null || { cat /tmp/agent.log; false; }
