//! The first process of a node.

/// Prepares the namespaces, then collects the processes that lost their parent. Arguments: state folder, host name.
///
/// - `/run` and `/var/log` are fresh, and what is written below `/var/lib` goes to memory: the host's stay untouched.
/// - The kubelet insists on some kernel settings that belong to the whole machine. It sees files of ours in their
///   place, so that it finds what it wants and changes nothing.
pub(crate) const SCRIPT: &str = r#"set -eu
state=$1 name=$2
mount --make-rprivate /
exec 3<"$state"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/node /run/netns /run/lock /run/kernel /run/lib/upper /run/lib/work
mount --bind "/proc/self/fd/3/" /run/node
exec 3<&-
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/lib/upper,workdir=/run/lib/work overlay /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/log
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  path=/proc/sys/${setting%=*}
  [ -e "$path" ] || continue
  file=/run/kernel/$(echo "${setting%=*}" | tr / .)
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "$path"
done
hostname "$name"
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
: >/run/node/conf/init.done
trap : TERM INT HUP
while :; do
  sleep 86400 &
  wait $! || :
done
"#;
