# What the pages after the installation begin with: the state that docs/install.md leads to. Each host
# reads it by itself; the first one to join describes the cluster.

ln -s "$PWD/dist/knet" /usr/local/bin/knet
install -m 0644 dist/knet.service /etc/systemd/system/knet.service
echo 'KNET_STORE=postgres://knet:PASSWORD@db.internal/knet' > /etc/default/knet
systemctl start knet
