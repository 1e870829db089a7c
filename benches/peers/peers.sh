#!/bin/bash
# The stores that Dateline is compared with, one durable node of each, on 127.0.0.1.
#
#   peers.sh install         installs what is missing (Debian, as root)
#   peers.sh start [NAME…]   etcd, pg, redis, nats; all without a name
#   peers.sh stop [NAME…]    ends what `start` started, by its process id
#   peers.sh targets         what runs, as targets of the benchmark
#
# Each syncs before it acknowledges a write: etcd by default; PostgreSQL with fsync and synchronous_commit; Redis with
# appendfsync always; NATS JetStream with sync_interval always, which needs 2.10 or later, so a server from Debian 13 is
# unpacked next to the data.
set -euo pipefail

data=${PEERS_DIR:-/var/tmp/peers}
pg=/usr/lib/postgresql/15/bin
declare -A ports=([etcd]=12379 [pg]=15432 [redis]=16379 [nats]=14222)
mkdir -p "$data"
chmod 755 "$data"

install() {
  local policy=/usr/sbin/policy-rc.d made=
  # Keeps apt from starting the servers.
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    etcd-server postgresql-15 redis-server protobuf-compiler libprotobuf-dev
  [ -z "$made" ] || rm -f $policy
  newer nats-server
  newer etcd-server
}

# Unpacks a package of Debian 13 without installing it.
newer() {
  [ -d "$data/newer/$1" ] && return
  local apt=$data/apt mirror
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$data/newer"
  : >"$apt/status"
  mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/ 2>/dev/null | head -1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror% } trixie main" >"$apt/sources.list"
  cat >"$apt/apt.conf" <<C
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::State::status "$apt/status";
APT::Sandbox::User "root";
C
  (cd "$apt" && APT_CONFIG=$apt/apt.conf apt-get update -qq && APT_CONFIG=$apt/apt.conf apt-get download -qq "$1")
  dpkg -x "$apt/$1"_*.deb "$data/newer/$1"
}

start() {
  local port=${ports[$1]}
  case $1 in
  etcd)
    "$data/newer/etcd-server/usr/bin/etcd" --name peer --data-dir "$data/etcd" \
      --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
      --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 \
      --initial-cluster peer=http://127.0.0.1:12380 --quota-backend-bytes 8589934592 \
      --auto-compaction-mode revision --auto-compaction-retention 1000 >"$data/etcd.log" 2>&1 &
    ;;
  pg)
    if [ ! -e "$data/pg/PG_VERSION" ]; then
      mkdir -p "$data/pg"
      chown postgres "$data/pg"
      as_postgres "$pg/initdb" -D "$data/pg" -A trust -k -E UTF8 --locale=C >"$data/initdb.log" 2>&1
      cat >>"$data/pg/postgresql.conf" <<C
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 200
shared_buffers = 512MB
fsync = on
synchronous_commit = on
max_wal_size = 4GB
C
    fi
    as_postgres "$pg/postgres" -D "$data/pg" >"$data/pg.log" 2>&1 &
    ;;
  redis)
    mkdir -p "$data/redis"
    redis-server --port "$port" --bind 127.0.0.1 --dir "$data/redis" --save "" --appendonly yes --appendfsync always \
      >"$data/redis.log" 2>&1 &
    ;;
  nats)
    cat >"$data/nats.conf" <<C
listen: "127.0.0.1:$port"
max_payload: 8MB
jetstream { store_dir: "$data/nats", max_file: 50G, max_mem: 256M, sync_interval: always }
C
    "$data/newer/nats-server/usr/sbin/nats-server" -c "$data/nats.conf" >"$data/nats.log" 2>&1 &
    ;;
  esac
  echo $! >"$data/$1.pid"
  for _ in $(seq 150); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    sleep 0.1
  done
  echo "$1 did not start; see $data/$1.log" >&2
  return 1
}

as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

is_running() { [ -s "$data/$1.pid" ] && kill -0 "$(cat "$data/$1.pid")" 2>/dev/null; }

stop() {
  is_running "$1" || return 0
  # PostgreSQL takes SIGINT for a fast shutdown.
  kill -"$([ "$1" = pg ] && echo INT || echo TERM)" "$(cat "$data/$1.pid")"
  while is_running "$1"; do sleep 0.1; done
  rm -f "$data/$1.pid"
}

command=${1:-}
shift || true
names=("$@")
[ $# -gt 0 ] || names=(etcd pg redis nats)
case $command in
install) install ;;
start) for name in "${names[@]}"; do is_running "$name" || start "$name"; done ;;
stop) for name in "${names[@]}"; do stop "$name"; done ;;
targets)
  for name in "${names[@]}"; do
    is_running "$name" && echo "$name=127.0.0.1:${ports[$name]}@$(cat "$data/$name.pid")"
  done
  ;;
*) sed -n '2,12p' "$0"; exit 2 ;;
esac
