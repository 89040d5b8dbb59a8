#!/bin/sh
# Makes a router of Amazon Linux: passes on what the private subnets send, under its own address.
set -eu
dnf install -y nftables
echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/90-nat.conf
sysctl --system
mkdir -p /etc/nftables
cat > /etc/nftables/nat.nft <<'RULES'
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 } masquerade
  }
}
RULES
echo 'include "/etc/nftables/nat.nft"' > /etc/sysconfig/nftables.conf
systemctl enable --now nftables
