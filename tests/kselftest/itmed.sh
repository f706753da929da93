# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash source=/dev/null disable=SC2034,SC2154 # what the tests of itmed share: a configuration, and an itmed as systemd
# starts it. To be sourced.
set -uo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
project=$here/../..
itmectl=$project/build/itmectl
itmed=$project/build/itmed
ko=${KO:-$project/build/kmod/$(uname -r)/itme.ko}
work=$(mktemp -d)
chmod 755 "$work"
store=$ITME_STORE_DIR/itmed
mnt=$work/mnt
run=$work/run
sock=$run/itmed.sock
config=$work/itmed.toml
granule=$((2 << 20))
bytes=$((12 * granule))
slow=${ITME_SLOWNESS:-1}
group=itme-test

pid='' pids=()
cleanup() {
	local p
	for p in $pid "${pids[@]}" $(jobs -p); do
		kill -9 "$p" 2>/dev/null
	done
	wait
	! mountpoint -q "$mnt" || umount "$mnt"
	[ -d /sys/module/itme ] || insmod "$ko"
	rm -rf "$work" "$store"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

. "$here/tap.sh"
tell_more() { tail -n 8 "$work/out" "$work/err" "$work/log"; }
exec {never}<> <(:)
wait_for() { # COMMAND...: within 30 s
	local deadline=$((SECONDS + 30 * slow))
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		read -r -t 0.05 -u "$never"
	done
	return 0
}

# ask REQUEST [MEMBERS]: the answer, in $work/out
ask() {
	python3 - "$sock" "$1" "${2:-}" >"$work/out" 2>"$work/err" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
s.connect(sys.argv[1])
s.sendall(('{"version": 1, "request": "%s"%s}\n' % (sys.argv[2], sys.argv[3])).encode())
data = b""
while not data.endswith(b"\n"):
    part = s.recv(65536)
    if not part:
        break
    data += part
print(data.decode(), end="")
PY
}
# true_of EXPRESSION: of the JSON in $work/out, called j
true_of() {
	python3 -c "import json, sys; j = json.loads(open(sys.argv[1]).readline()); sys.exit(not ($1))" \
		"$work/out" 2>>"$work/err"
}
answers() { # REQUEST EXPRESSION
	ask "$1" && true_of "$2"
}
# A report is as old as itmed's last sample: what has just been done comes in time.
holds_now() { # EXPRESSION ARGUMENT...
	local expression=$1
	shift
	"$itmectl" "$@" --json >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; j = json.loads(open(sys.argv[1]).read()); sys.exit(not ($expression))" \
			"$work/out" 2>>"$work/err"
}
holds() { # EXPRESSION NAME ARGUMENT...: true of the JSON that itmectl prints, in the end
	local expression=$1 name=$2
	shift 2
	wait_for holds_now "$expression" "$@"
	ok $? "$name"
}

told() { # TEXT: systemd was told so, since the last start
	grep -qx -- "$1" "$work/told"
}
# Starts itmed as systemd does; with WAIT empty it is not waited for.
start() { # [WAIT]
	: >"$work/told"
	NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=2000000 \
		"$itmed" --config "$config" --socket "$sock" >>"$work/log" 2>&1 &
	pid=$!
	[ -z "${1:-}" ] || wait_for told READY=1
}
start_bare() { # With nothing mounted, and no metrics: one assertion.
	printf 'socket_group = "root"\nmetrics = ""\n' >"$config"
	start wait
	ok $? "itmed is up, with nothing mounted"
}
end() { # SIGNAL: of itmed, whose status is left in $status
	kill "-$1" "$pid"
	wait "$pid" 2>/dev/null
	status=$?
	pid=''
}
holds_region() {
	[ -n "$(find "/proc/$pid/fd" -lname "$mnt/one" 2>/dev/null)" ]
}
count_files() {
	find "/proc/$pid/fd" -type l | wc -l
}

# What systemd would hear, line by line.
cat >"$work/listen.py" <<'PY'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    text = s.recv(65536).decode()
    with open(sys.argv[2], "a") as f:
        f.write(text + "\n")
PY
python3 "$work/listen.py" "$work/notify" "$work/told" &
pids+=($!)
wait_for [ -S "$work/notify" ]

mkdir -p "$store" "$mnt" "$run"
for name in one two late; do
	head -c $bytes /dev/urandom >"$store/$name"
done
mv "$store/late" "$store/hidden"
# A program that reads the granules of one in their order.
python3 - "$store/one.itme.json" "$bytes" $granule <<'PY'
import json, sys
size, granule = int(sys.argv[2]), int(sys.argv[3])
steps = range(size // granule)
json.dump({"itme_schedule": 1, "name": "one", "regions": [{"name": "one", "bytes": size}],
           "objects": [{"name": f"o{i}", "extents": [[0, i * granule, granule]]} for i in steps],
           "groups": [], "programs": [{"name": "walk", "cyclic": True, "steps": [{"name": f"step{i}", "read": [f"o{i}"]} for i in steps]}],
           "streams": [{"name": "walk", "program": "walk"}]}, open(sys.argv[1], "w"))
PY
groupadd -f "$group" 2>/dev/null || echo "$group:x:4242:" >>/etc/group
gid=$(getent group "$group" | cut -d: -f3)
cat >"$config" <<EOT
socket_group = "$group"
metrics = "127.0.0.1:0"
sample_seconds = 1
[[mount]]
path = "$mnt"
dram = "16M"
name = "kept"
[[mount.attach]]
store = "$store/one"
mode = "0640"
group = "$gid"
schedule = "$store/one.itme.json"
[[mount.attach]]
store = "$store/two"
name = "second"
[[mount.attach]]
store = "$store/late"
EOT
