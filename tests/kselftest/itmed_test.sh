#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed: what it restores, what it lets go of, whom it answers, and that nothing
# which is done to it or around it does harm.
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
	for p in $pid "${pids[@]}"; do
		kill -9 "$p" 2>/dev/null
	done
	wait
	! mountpoint -q "$mnt" || umount "$mnt"
	[ -d /sys/module/itme ] || insmod "$ko"
	rm -rf "$work" "$store"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

n=0 failed=0
ok() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		failed=$((failed + 1))
		echo "not ok $n $2"
		tail -n 8 "$work/out" "$work/err" "$work/log" 2>/dev/null | sed 's/^/# /'
	fi
}
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
holds() { # EXPRESSION NAME ARGUMENT...: true of the JSON that itmectl prints
	local expression=$1 name=$2
	shift 2
	"$itmectl" "$@" --json >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; j = json.loads(open(sys.argv[1]).read()); sys.exit(not ($expression))" \
			"$work/out" 2>>"$work/err"
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
end() { # SIGNAL: of itmed, whose status is left in $status
	kill "-$1" "$pid"
	wait "$pid" 2>/dev/null
	status=$?
	pid=''
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
           "programs": [{"name": "walk", "steps": [{"name": f"step{i}", "read": [f"o{i}"]} for i in steps]}],
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

echo 1..51

# ---- configuration
"$itmed" --config "$config" --check-config >"$work/out" 2>"$work/err"
ok $? "a good configuration is good"
printf 'probe = true\n\nsample = 1\n' >"$work/bad.toml"
! "$itmed" --config "$work/bad.toml" --check-config >"$work/out" 2>"$work/err" &&
	grep -q "bad.toml:3: 'sample' is not known" "$work/err"
ok $? "a bad one is refused, with its line"
"$itmed" --config "$work/bad.toml" --socket "$sock" >"$work/out" 2>"$work/err"
[ $? = 1 ] && [ ! -e "$sock" ]
ok $? "and itmed does not start with it"
"$itmed" --nonsense >"$work/out" 2>"$work/err"
[ $? = 2 ]
ok $? "wrong usage is status 2"

# ---- start and restore
start wait
ok $? "READY=1 is told"
mountpoint -q "$mnt" && [ "$(stat -c '%a %s %g' "$mnt/one")" = "640 $bytes $gid" ] &&
	[ "$(stat -c '%a %s' "$mnt/second")" = "600 $bytes" ]
ok $? "the mount and its regions were there by then, with mode and group"
[ "$(stat -c '%a %g' "$sock")" = "660 $gid" ]
ok $? "the socket is the group's, 0660"
answers status "[a['state'] for a in j['restore'][0]['attachments']] == ['there', 'there', 'waiting'] and
	'does not exist' in j['restore'][0]['attachments'][2]['reason']"
ok $? "a store that is missing is told, and the others do not suffer"
wait_for told WATCHDOG=1
ok $? "the watchdog is fed"
cmp -s "$store/one" "$mnt/one"
ok $? "what is restored can be read"
mv "$store/hidden" "$store/late"
wait_for test -e "$mnt/late"
ok $? "a store that comes back is attached"
"$itmed" --config "$config" --socket "$sock" >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -q "another itmed" "$work/err"
ok $? "a second itmed is refused"

# ---- who may
as_member() { setpriv --reuid 65534 --regid 65534 --groups "$gid" "$@"; }
as_other() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
chmod 755 "$run"
as_member "$itmectl" top -n 1 --socket "$sock" --json >"$work/out" 2>"$work/err" &&
	true_of "j['source'] == 'itmed' and j['instances'][0]['instance'] == 'kept'"
ok $? "a member of the group may look"
cat >"$work/release.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"version": 1, "request": "release", "mount": "%s"}\n' % sys.argv[2].encode())
print(s.recv(65536).decode(), end="")
PY
as_member python3 "$work/release.py" "$sock" "$mnt" >"$work/out" 2>"$work/err" &&
	true_of "not j['ok'] and 'as root' in j['error']" && mountpoint -q "$mnt"
ok $? "but may not change anything"
! as_other python3 "$work/release.py" "$sock" "$mnt" >"$work/out" 2>"$work/err" &&
	grep -q PermissionError "$work/err"
ok $? "others may not even connect"

# ---- what hostile peers send
before=$(count_files)
python3 - "$sock" >"$work/out" 2>"$work/err" <<'PY'
import os, random, socket, struct, sys, time
random.seed(7)
good = b'{"version": 1, "request": "status"}\n'
def peer():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(20)
    return s
cases = [b"\n", b"\0" * 5000 + b"\n", b"[" * 8000 + b"\n", b"{" * 9000, b"x" * (1 << 20),
         b'{"version": 1e999, "request": "status"}\n', b'{"version": 1, "request": "\xff\xfe"}\n',
         b'{"version": 1, "request": "release", "mount": "../../etc"}\n',
         b'{"version": 1, "request": "heat", "region": "' + b"a" * 8100, good * 300]
for _ in range(200):
    noise = bytearray(good * 2)
    for _ in range(random.randint(1, 8)):
        noise[random.randrange(len(noise))] = random.randrange(256)
    cases.append(bytes(noise))
for case in cases:
    s = peer()
    try:
        s.sendall(case)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    except (ConnectionError, BrokenPipeError):
        pass
    s.close()
for _ in range(100):  # that go away at once, in the middle of a line, or by a reset
    s = peer()
    s.send(good[:random.randrange(len(good))])
    s.close()
idle = []
refused = 0
for _ in range(80):  # that say nothing, and more than itmed takes
    s = peer()
    idle.append(s)
for s in idle:
    s.setblocking(False)
time.sleep(0.5)
for s in idle:
    try:
        refused += b"too many" in s.recv(65536)
    except BlockingIOError:
        pass
assert refused >= 40, refused
PY
ok $? "garbage, resets, and too many peers are borne"
still_there() {
	kill -0 "$pid" && answers status "j['ok']"
}
wait_for still_there
ok $? "and itmed answers as before"
few_files() { [ "$(count_files)" -le $((before + 1)) ]; }
wait_for few_files
ok $? "and keeps no descriptor of theirs"

# ---- observing
python3 - "$mnt/one" <<'PY'
import mmap, sys
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
sum(m[i] for i in range(0, len(m), 4096))
PY
metrics() {
	ask status &&
		python3 - "$work/out" >"$work/metrics" 2>>"$work/err" <<'PY'
import json, sys, urllib.request
port = json.loads(open(sys.argv[1]).readline())["metrics_port"]
print(urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=20).read().decode())
PY
}
metric() { # NAME REGION: its value
	sed -n "s/^$1{instance=\"kept\",region=\"$2\"} //p" "$work/metrics"
}
agrees() {
	metrics && [ "$(metric itme_faults_total one)" = "$(cat /sys/fs/itme/kept/regions/one/fault_count)" ] &&
		[ "$(metric itme_faults_total one)" -ge 12 ]
}
wait_for agrees
ok $? "Prometheus is told the faults that sysfs counts"
names() { sed -n 's/^\(itme_[a-z_]*\).*/\1/p' "$work/metrics" | sed 's/_\(bucket\|sum\|count\)$//' | sort -u; }
names >"$work/names"
[ -s "$work/names" ] && while read -r name; do
	grep -q "^| \`$name\`" "$project/Documentation/metrics.md" || echo "$name is not documented"
done <"$work/names" >"$work/out" && [ ! -s "$work/out" ]
ok $? "every metric that is exposed is documented"
! grep -q "$store\|0x\|pid=" "$work/metrics"
ok $? "no label has a path, an address or a process"
seen() { "$itmectl" report stalls --socket "$sock" --json 2>/dev/null | grep -q '"seen": true'; }
wait_for seen
ok $? "the BPF programs are attached"
[ "$(metric itme_probe_attached '' )" != 0 ] && grep -q '^itme_probe_attached 1' "$work/metrics"
ok $? "and the metrics say so"
python3 - "$mnt/second" <<'PY'
import mmap, sys
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
sum(m[i] for i in range(0, len(m), 4096))
PY
holds "[r for r in j['regions'] if r['region'] == 'second'][0]['stalls']['miss']['count'] >= 12" \
	"report stalls counts the misses of a region" report stalls --socket "$sock"
holds "any(p['command'].startswith('python3') and p['shares']['miss'] > 0 for p in j['processes'])" \
	"and names the process that waited" report stalls --socket "$sock"
holds "j['regions'] and all(r['fetched_bytes'] == 0 for r in j['regions'])" \
	"report prefetch finds none" report prefetch --socket "$sock"
"$itmectl" hint prefetch "$mnt/late" --length 4M >"$work/out" 2>"$work/err"
holds "[r for r in j['regions'] if r['region'] == 'late'][0]['fetched_bytes'] == 2 * $granule" \
	"and what was hinted since" report prefetch --socket "$sock"
holds "sum(map(sum, [r for r in j['regions'] if r['region'] == 'second'][0]['accesses'])) >= 12" \
	"report heat counts by granule" report heat second --socket "$sock"
holds "j['source'] == 'itmectl' and j['seen']" "report without itmed looks by itself" \
	report stalls --seconds 1
"$itmectl" top -n 2 -d 0.2 --socket "$sock" >"$work/out" 2>"$work/err" &&
	[ "$(grep -c '^itmectl top: ' "$work/out")" = 2 ] && ! grep -q $'\x1b' "$work/out" &&
	[ "$(awk 'length > 80' "$work/out" | wc -l)" = 0 ] && grep -q 'store->dram' "$work/out"
ok $? "top prints plain frames into a pipe, 80 columns wide"
"$itmectl" top -n 1 -d 0.2 --own --json >"$work/out" 2>"$work/err" &&
	true_of "j['source'] == 'itmectl' and j['seen']"
ok $? "top looks by itself too"
setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$itmectl" top -n 1 -d 0.2 --socket "$work/none" >"$work/out" 2>"$work/err" &&
	grep -q 'run as root' "$work/out" && grep -q 'store->memory' "$work/out"
ok $? "without privilege it shows what sysfs has, and says what is missing"

holds_region() {
	[ -n "$(find "/proc/$pid/fd" -lname "$mnt/one" 2>/dev/null)" ]
}
wait_for holds_region
ok $? "itmed follows the region that has a schedule"
python3 - "$mnt/one" $granule <<'PY' &
import mmap, sys, time
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
while True:
    for i in range(0, len(m), int(sys.argv[2])):
        m[i]
        time.sleep(0.05)
PY
walker=$!
pids+=("$walker")
walks() {
	"$itmectl" top -n 2 -d 1 --json --socket "$sock" 2>"$work/err" | tail -n 1 >"$work/out"
	true_of "[p for p in j['places'] if p['region'] == 'one' and p['pid'] == $walker and p['pass'] >= 2 and
		p['positions'] == 12 and p['step'] == 'step%d' % p['position'] and p['pass_ns']]"
}
wait_for walks
ok $? "top knows the position of a reader, its pass and how long that takes"
holds "any(r['miss_ns'] > 0 for l in j['layers'] for r in l['positions'])" \
	"report stalls tells the stalls of each step" report stalls --socket "$sock"
kill "$walker"
wait "$walker" 2>/dev/null

# ---- crashes
inode=$(stat -c %i "$mnt/one")
end KILL
start wait && [ "$(stat -c %i "$mnt/one")" = "$inode" ] &&
	answers status "[a['state'] for a in j['restore'][0]['attachments']] == ['there'] * 3"
ok $? "after kill -9 it takes over, and changes nothing"
wait_for holds_region
exec {user}<"$mnt/one"
! "$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err" && wait_for holds_region
ok $? "an umount that fails leaves all as it was"
exec {user}<&-
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err" && ! mountpoint -q "$mnt"
ok $? "itmectl umount: itmed lets go"
end KILL
start wait && ! mountpoint -q "$mnt"
ok $? "what was released stays so after a crash"
end TERM
[ "$status" = 0 ] && told STOPPING=1
ok $? "SIGTERM: STOPPING=1, status 0"
for i in 1 2 3 4 5 6 7 8 9 10; do # in the middle of restoring
	start
	read -r -t "0.0$i" -u "$never"
	read -r -t "0.$((i - 1))" -u "$never"
	end KILL
done
start wait && wait_for test -e "$mnt/late" && cmp -s "$store/two" "$mnt/second"
ok $? "kill -9 ten times while it restores: all is there in the end"
end TERM
mountpoint -q "$mnt" && [ -e "$mnt/one" ]
ok $? "at its end everything stays mounted"
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err" && ! mountpoint -q "$mnt"
ok $? "itmectl umount works without itmed"

# ---- behind its back
start wait
rm "$mnt/second"
gone() { answers status "j['restore'][0]['attachments'][1]['state'] == 'released'"; }
wait_for gone && [ ! -e "$mnt/second" ]
ok $? "a region that is detached behind its back stays away"
wait_for umount -q "$mnt"
released() { answers status "j['restore'][0]['state'] == 'released' and j['mounted'] == []"; }
wait_for released
ok $? "so does a mount"
unloads() { rmmod itme 2>/dev/null; }
wait_for unloads
ok $? "the module can be unloaded while itmed runs"
kill -HUP "$pid"
wait_for told RELOADING=1 && wait_for grep -q "not restored yet" "$work/log"
ok $? "a reload without the module is no harm"
insmod "$ko"
wait_for test -e "$mnt/second"
ok $? "with the module everything comes back"
printf 'x = 1\n' >"$config"
: >"$work/told"
kill -HUP "$pid"
wait_for told READY=1 && grep -q "not reloaded: .*'x' is not known" "$work/log" && still_there &&
	true_of "len(j['restore']) == 1"
ok $? "a bad configuration is told at a reload, and the old one stays"

# ---- its price
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$pid/stat"; }
before=$(ticks)
began=$(date +%s%N)
for i in 1 2 3 4 5 6 7 8; do
	"$itmectl" drop "$mnt/one" >/dev/null
	cat "$mnt/one" >/dev/null
	read -r -t 1 -u "$never"
done
awk -v ticks=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" -v ns=$(($(date +%s%N) - began)) \
	'BEGIN { printf "# share of one core while observing: %.4f\n", ticks / hz / (ns / 1e9) }'
end TERM
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err"
ok $? "the end"
[ $n = 51 ] && [ $failed = 0 ]
