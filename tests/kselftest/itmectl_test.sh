#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmectl against the loaded module: what it shows is true, what it is told
# happens, and what goes wrong is said with the right status.
# shellcheck source=/dev/null disable=SC2154 # of tap.sh
set -uo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
itmectl=$here/../../build/itmectl
ko=${KO:-$here/../../build/kmod/$(uname -r)/itme.ko}
work=$(mktemp -d)
store=$ITME_STORE_DIR/itmectl
mnt=$work/mnt
granule=$((2 << 20))
bytes=$((20 * granule + 5000))
cxl=''
[ -z "${ITME_CXL_NODE:-}" ] || cxl=,cxl=16M@$ITME_CXL_NODE

pids=()
loop=''
cleanup() {
	local pid
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait
	[ ! -e /dev/mapper/itmectl ] || dmsetup resume itmectl
	! mountpoint -q "$mnt" || umount "$mnt"
	[ ! -e /dev/mapper/itmectl ] || dmsetup remove itmectl
	[ -z "$loop" ] || losetup -d "$loop"
	# The tests after this one want the module as it was.
	rmmod itme 2>/dev/null
	insmod "$ko" 2>/dev/null
	rm -rf "$work" "$store"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

echo 1..93
. "$here/tap.sh"
tell_more() { cat "$work/out" "$work/err"; }
# A pipe into grep -q fails by pipefail where grep ends before what it reads does.
# says STATUS TEXT NAME ARGUMENT...: itmectl ends with STATUS and prints TEXT
says() {
	local status=$1 text=$2 name=$3 got
	shift 3
	"$itmectl" "$@" >"$work/out" 2>"$work/err"
	got=$?
	[ $got = "$status" ] && grep -q -- "$text" "$work/out" "$work/err"
	ok $? "$name"
}
# json EXPRESSION NAME ARGUMENT...: true of the JSON that itmectl prints, called j
json() {
	local expression=$1 name=$2
	shift 2
	"$itmectl" "$@" --json >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; j = json.load(open(sys.argv[1])); sys.exit(not ($expression))" \
			"$work/out" 2>>"$work/err"
	ok $? "$name"
}
touch_all() { # read a byte of each granule through a mapping
	python3 -c '
import mmap, sys
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
print(sum(m[i] for i in range(0, len(m), 2 << 20)))' "$1"
}
touch_some() { # FILE GRANULE...: read a byte of each through a mapping
	python3 -c '
import mmap, sys
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
print(sum(m[int(i) << 21] for i in sys.argv[2:]))' "$@"
}
# start ARGUMENT...: itmectl in the background, as $pid, into $work/bg.out and .err
start() {
	"$itmectl" "$@" >"$work/bg.out" 2>"$work/bg.err" &
	pid=$!
	pids+=("$pid")
}
# ends STATUS TEXT NAME: $pid does, and has printed TEXT
ends() {
	local got
	wait "$pid"
	got=$?
	pids=()
	cp "$work/bg.out" "$work/out"
	cp "$work/bg.err" "$work/err"
	[ $got = "$1" ] && grep -q -- "$2" "$work/out" "$work/err"
	ok $? "$3"
}
# true_of FILE EXPRESSION NAME: of the JSON in it
true_of() {
	python3 -c "import json, sys; j = json.load(open(sys.argv[1])); sys.exit(not ($2))" "$1" \
		2>>"$work/err"
	ok $? "$3"
}
# value FILE: of the region's folder in sysfs
value() {
	cat "/sys/fs/itme/shown/regions/${2:-model}/$1"
}
value_is() { # FILE VALUE [REGION]
	[ "$(value "$1" "${3:-model}")" = "$2" ]
}
value_above() { # FILE VALUE [REGION]
	[ "$(value "$1" "${3:-model}")" -gt "$2" ]
}
is_busy() { # REGION GRANULE: it alone
	grep -q "^busy  *$2\$" <<<"$("$itmectl" residency "$1")"
}
wait_for() { # COMMAND...: within 30 s
	local deadline=$((SECONDS + 30 * ${ITME_SLOWNESS:-1})) never
	exec {never}<> <(:)
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		read -r -t 0.1 -u "$never"
	done
	return 0
}

mkdir -p "$store/folder" "$mnt"
head -c $bytes /dev/urandom >"$store/model"
: >"$store/empty"

json 'j == {"instances": []}' "nothing is mounted: list" list
says 3 "not on an itme mount" "attach to what is no mount" attach "$mnt" "$store/model"

mount -t itme -o "dram=16M$cxl,name=shown" none "$mnt"
json "j['mounts'][0]['instance'] == 'shown' and j['mounts'][0]['granule_bytes'] == $granule and
	j['mounts'][0]['dram_bytes'] == 16 << 20 and
	j['mounts'][0]['hint_ops'] == ['prefetch', 'release', 'pin', 'unpin', 'watch', 'cancel'] and
	j['mounts'][0]['hint_classes'] == ['exact', 'likely', 'maybe'] and
	0 < j['mounts'][0]['inflight_bytes'] <= j['mounts'][0]['window_bytes'] and
	0 < j['mounts'][0]['pin_limit_bytes'] and j['mounts'][0]['queue_max'] > 0" \
	"info shows the mount" info "$mnt"
says 0 "shown" "info without a mount finds it" info

says 1 "is empty" "attach an empty file" attach "$mnt" "$store/empty"
says 1 "is a directory" "attach a directory" attach "$mnt" "$store/folder"
says 1 "does not exist" "attach what is not there" attach "$mnt" "$store/none"
exec {writer}>>"$store/model"
says 1 "open for writing by .*($$)" "attach a file that is being written names the writer" \
	attach "$mnt" "$store/model"
exec {writer}>&-
says 0 "$mnt/model" "attach" attach "$mnt" "$store/model" --mode 0640
[ "$(stat -c '%a %s' "$mnt/model")" = "640 $bytes" ]
ok $? "the region has the mode and the size"
says 1 "attached already" "attach it twice" attach "$mnt" "$store/model" --name second
cp "$store/model" "$store/other"
says 1 "give another name" "attach under a name that is taken" attach "$mnt" "$store/other" --name model
says 1 "in use" "attach a drive that is mounted" attach "$mnt" "$ITME_NVME"
json "j['instances'][0]['mounts'] == ['$mnt'] and j['instances'][0]['regions'][0]['store'] == '$store/model' and
	j['instances'][0]['regions'][0]['size_bytes'] == $bytes" "list shows mount, region and store" list

# Regions that can be written to.
says 0 "$mnt/new" "create" create "$mnt" --size 4M --store "$store/new"
says 1 "is there already" "create what is there" create "$mnt" --size 4M --store "$store/new"
says 2 "multiple of 4096" "create of a size that is none" create "$mnt" --size 5000 --store "$store/odd"
says 1 "no room" "create what is too large" create "$mnt" --size 1T --store "$store/large"
[ ! -e "$store/large" ] && [ ! -e "$store/odd" ] && echo written >"$work/text" &&
	dd if="$work/text" of="$mnt/new" conv=notrunc,fsync status=none &&
	[ "$(head -c 7 "$store/new")" = written ]
ok $? "what is written and synced is in the file"
json "[r['mode'] for r in j['instances'][0]['regions']] == ['read-only', 'tiered']" "list shows it" list
says 1 "no multiple of 4096" "attach a file of odd size for writing" attach "$mnt" "$store/other" --write
"$itmectl" detach "$mnt/new" && "$itmectl" attach "$mnt" "$store/new" --write >/dev/null &&
	"$itmectl" detach "$mnt/new"
ok $? "attach for writing"
says 0 "$mnt/new" "attach for DMA that lasts" attach "$mnt" "$store/new" --write --pinnable
json "[r['mode'] for r in j['instances'][0]['regions']] == ['read-only', 'pinnable']" "list shows it, too" list
"$itmectl" detach "$mnt/new"
says 2 "requires --write" "attach for DMA without writing" attach "$mnt" "$store/new" --pinnable
rm -f "$store/new"
says 1 "have no room" "create for DMA what memory cannot hold" \
	create "$mnt" --size 64M --store "$store/new" --pinnable
[ ! -e "$store/new" ]
ok $? "and nothing is left of it"

touch_all "$mnt/model" >/dev/null
json "sum(t['bytes'] for t in j['tiers'].values()) == $bytes == j['size_bytes'] and
	sum(r['granule_count'] for r in j['runs']) == 21 and j['tiers']['dram']['granule_count'] == 8" \
	"residency adds up to the region" residency "$mnt/model"
json "j['stats'][0]['fault_count'] == 21 and j['stats'][0]['fill_bytes'] == $bytes" \
	"stat of a region counts the faults" stat "$mnt/model"
cp "$work/out" "$work/region"
json "[s['region'] for s in j['stats']] == [None, 'model'] and
	all(j['stats'][1][k] == v for k, v in json.load(open('$work/region'))['stats'][0].items()
	if k != 'metadata_bytes')" "stat of the instance agrees with that of the region" stat shown
json "len(j['stats']) == 2" "stat of a mount is stat of its instance" stat "$mnt"
says 1 "no instance or region is named" "stat of what is not there" stat nobody

says 0 "^DEMAND" "stat for people groups the counters" stat model
says 0 "^ *0 B  [DdCc.~]\{21\}\$" "residency for people has a map" residency "$mnt/model"

# Every file that is there is described, and every file that is described is there.
(cd /sys/fs/itme && find shown -type f | sed 's|^shown|<instance>|; s|/regions/model/|/regions/<name>/|') |
	LC_ALL=C sort -u >"$work/out"
sed -n 's|^What:[[:space:]]*/sys/fs/itme/||p' "$here/../../Documentation/ABI/testing/sysfs-fs-itme" |
	grep -vxF -e '<instance>' -e '<instance>/regions/' | LC_ALL=C sort >"$work/described"
diff "$work/out" "$work/described" >"$work/err" && [ -s "$work/out" ]
ok $? "sysfs has the files that its description has, once each"

# ----------------------------------------------------------------------
# Prefetch, release, drop

says 0 "dropped from memory" "drop" drop "$mnt/model"
json "j['tiers']['store']['bytes'] == $bytes" "nothing is in memory after a drop" residency "$mnt/model"
json "j['accepted_bytes'] == j['ready_bytes'] == 2 * $granule == j['tiers']['dram']['bytes'] and
	j['clipped_bytes'] == j['failed_bytes'] == j['expired_bytes'] == j['lost_bytes'] == 0" \
	"prefetch waits until the range is ready" hint prefetch "$mnt/model" --offset 4M --length 4M
json "j['tiers']['dram']['bytes'] == 2 * $granule and j['runs'][1]['first_granule'] == 2" \
	"and that range is in memory" residency "$mnt/model"
json "j['resident_bytes'] == j['ready_bytes'] == 2 * $granule and j['accepted_bytes'] == 0" \
	"a prefetch again finds it there" hint prefetch "$mnt/model" --offset 4M --length 4M
json "j['clipped_bytes'] > 0 and j['ready_bytes'] + j['clipped_bytes'] + j['lost_bytes'] == $bytes" \
	"a prefetch of more than fits says so" hint prefetch "$mnt/model"
says 0 "class maybe may take" "one of class maybe takes nobody's frame" \
	hint prefetch "$mnt/model" --class maybe
"$itmectl" drop "$mnt/model" >/dev/null
json "j['expired_bytes'] == 2 * $granule and j['ready_bytes'] == 0 and j['deadline_ns'] > 0" \
	"one whose deadline has passed expires" \
	hint prefetch "$mnt/model" --offset 30M --length 4M --deadline 0s
says 0 "expired  *4 MiB" "and people are told" \
	hint prefetch "$mnt/model" --offset 30M --length 4M --deadline 0s
says 0 "belong to the open file" "a prefetch that is not waited for says what that means" \
	hint prefetch "$mnt/model" --offset 30M --length 2M --no-wait
"$itmectl" hint prefetch "$mnt/model" --offset 4M --length 2M >/dev/null
says 1 "past the region's end" "a range that is not in the region" hint prefetch "$mnt/model" --length 1G
says 0 "accepted  *2 MiB" "release a range" hint release "$mnt/model" --offset 4M --length 2M
says 0 "resident  *2 MiB" "release it again" hint release "$mnt/model" --offset 4M --length 2M
if [ -n "$cxl" ]; then
	json "j['tiers']['cxl']['bytes'] == $granule and j['tier'] == 'cxl'" "prefetch to CXL memory" \
		hint prefetch "$mnt/model" --offset 4M --length 2M --tier cxl
	json "j['tiers']['dram']['bytes'] == $granule == j['ready_bytes'] and j['tiers']['cxl']['bytes'] == 0" \
		"and from there to DRAM" hint prefetch "$mnt/model" --offset 4M --length 2M --tier dram
else
	ok 0 "prefetch to CXL memory # SKIP no CXL node"
	ok 0 "and from there to DRAM # SKIP no CXL node"
fi
"$itmectl" drop "$mnt/model" >/dev/null
if [ -x "$here/../../build/tests/usage-example" ]; then
	"$here/../../build/tests/usage-example" "$mnt/model" >"$work/out" 2>"$work/err"
	grep -qx "$granule bytes ready, 0 without room" "$work/out"
	ok $? "the documentation's example works"
else
	ok 1 "the documentation's example works (make unit builds it)"
fi

# ----------------------------------------------------------------------
# Pins: while the process runs that has made them

start hint pin "$mnt/model" --length 4M --json
wait_for value_is pinned_bytes $((2 * granule)) && wait_for grep -q "pinned while this runs" "$work/bg.err"
ok $? "pin"
true_of "$work/bg.out" "j['op'] == 'pin' and j['ready_bytes'] == 2 * $granule and
	sum(t['pinned_count'] for t in j['tiers'].values()) == 2" "and its result is printed at once"
json "j['runs'][0]['pinned'] and j['runs'][0]['granule_count'] == 2 and
	j['tiers']['dram']['pinned_count'] == 2" "residency shows it" residency "$mnt/model"
says 0 "^pinned  *0-1\$" "for people too" residency "$mnt/model"
says 1 "refused: 2 granules are pinned (itmectl drop" "release leaves it alone and names the cause" \
	hint release "$mnt/model" --length 8M
says 3 "nothing of yours to unpin.*itmectl ($pid)" "unpin says whose the pin is" hint unpin "$mnt/model"
says 3 "nothing of yours to cancel" "so does cancel" hint cancel "$mnt/model"
chmod 0644 "$mnt/model"
chmod 0711 "$work"
setpriv --reuid 65534 --clear-groups "$itmectl" drop "$mnt/model" >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -q "CAP_SYS_ADMIN" "$work/err" && value_is pinned_bytes $((2 * granule))
ok $? "a user may not drop"
setpriv --reuid 65534 --clear-groups "$itmectl" hint prefetch "$mnt/model" --offset 8M --length 2M \
	>"$work/out" 2>"$work/err"
ok $? "but prefetch"
json "j['refused_bytes'] == 0 and j['tiers']['store']['bytes'] == $bytes" "root's drop takes what is pinned" \
	drop "$mnt/model"
kill -TERM "$pid"
ends 0 "pinned while this runs" "a signal ends the pin, and that is no failure"
value_is pinned_bytes 0
ok $? "nothing is pinned any more"
says 0 "pinned while this runs: for 50 ms" "pin --for ends by itself" \
	hint pin "$mnt/model" --length 2M --for 50ms
echo 0 >/sys/fs/itme/shown/pin_limit_bytes
says 1 "nothing was pinned.*pin_limit_bytes in /sys/fs/itme/shown" "a pin beyond the limit says so" \
	hint pin "$mnt/model" --length 2M
echo 18446744073709551615 >/sys/fs/itme/shown/pin_limit_bytes

# ----------------------------------------------------------------------
# Held: a pipe has references to pages of the mapping

exec {gate}<> <(:)
python3 -c '
import ctypes, mmap, os, sys
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
address = ctypes.addressof(ctypes.c_char.from_buffer(m))
r, w = os.pipe()
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]
libc = ctypes.CDLL(None, use_errno=True)
libc.vmsplice.restype = ctypes.c_ssize_t
m[0]
n = libc.vmsplice(w, ctypes.byref(Vector(address, 4096)), ctypes.c_ulong(1), 0)
print("held" if n == 4096 else "vmsplice: %s" % os.strerror(ctypes.get_errno()), flush=True)
sys.stdin.read(1)' "$mnt/model" <&"$gate" >"$work/holder" 2>&1 &
pid=$!
pids=("$pid")
wait_for grep -q . "$work/holder"
grep -qx held "$work/holder" || cp "$work/holder" "$work/err"
says 1 "refused: 1 granules are held by page references" "what is held is refused, with the cause" \
	drop "$mnt/model"
says 0 "^held  *0\$" "residency shows what is held" residency "$mnt/model"
if [ -n "$cxl" ]; then
	says 1 "1 granules of .* stay in the other tier: .*held" "nor is it moved to the other tier" \
		hint prefetch "$mnt/model" --length 2M --tier cxl
else
	ok 0 "nor is it moved to the other tier # SKIP no CXL node"
fi
echo >&"$gate"
wait "$pid"
pids=()
exec {gate}>&-

# ----------------------------------------------------------------------
# Watches

"$itmectl" drop "$mnt/model" >/dev/null
start hint watch "$mnt/model" --json
wait_for grep -q "watching" "$work/bg.err"
touch_some "$mnt/model" 0 5 6 >/dev/null
kill -TERM "$pid" # SIGINT is ignored in a script's background, and stays so
ends 0 '"op": "watch"' "watch goes on until a signal"
true_of "$work/out" "j['touched_count'] == 3 and j['watched_count'] == 18 and
	[(t['first_granule'], t['granule_count']) for t in j['touched']] == [(0, 1), (5, 2)]" \
	"and tells what was touched"
value_is touch_count 3
ok $? "so does the counter"
"$itmectl" drop "$mnt/model" >/dev/null

# ----------------------------------------------------------------------
# A drive that stands still, and one that fails

truncate -s 16M "$store/disk"
loop=$(losetup -f --show "$store/disk")
dmsetup create itmectl --table "0 32768 linear $loop 0"
"$itmectl" attach "$mnt" /dev/mapper/itmectl --name disk >"$work/out" 2>"$work/err"
ok $? "attach a device-mapper device"
echo $granule >/sys/fs/itme/shown/inflight_bytes
dmsetup suspend --noflush itmectl
start hint prefetch "$mnt/disk" --length 8M --json
wait_for value_is queued_bytes $((3 * granule)) disk
ok $? "a prefetch waits for the drive"
kill -TERM "$pid"
wait_for value_is cancelled_bytes $((3 * granule)) disk
ok $? "a signal cancels what has not begun"
dmsetup resume itmectl
ends 1 "interrupted" "and what has begun ends first"
true_of "$work/out" "j['cancelled'] and j['ready_bytes'] == $granule and j['lost_bytes'] == 3 * $granule" \
	"its report says how far it came"
dmsetup suspend --noflush itmectl
dmsetup load itmectl --table "0 32768 error"
dmsetup resume itmectl
says 1 "4 MiB of .*could not be read from the store" "a drive that fails is a failure" \
	hint prefetch "$mnt/disk" --offset 8M --length 4M
dmsetup suspend --noflush itmectl
dmsetup load itmectl --table "0 32768 linear $loop 0"
dmsetup resume itmectl
json "j['ready_bytes'] == 2 * $granule" "and works again when the drive does" \
	hint prefetch "$mnt/disk" --offset 8M --length 4M

# ----------------------------------------------------------------------
# BPF

# The end of a load: the program is attached.
attached() { # PID
	[ -n "$(find "/proc/$1/fd" -lname 'anon_inode:*bpf*link*' 2>/dev/null)" ]
}
# counts TRACEPOINT NAME: count the faults of one reading by BPF
counts() {
	local pid
	"$itmectl" drop "$mnt/model" >/dev/null
	"$itmectl" stat --bpf 600 --json >"$work/out" 2>"$work/err" &
	pid=$!
	pids=("$pid")
	wait_for attached "$pid" && touch_all "$mnt/model" >/dev/null
	kill -TERM "$pid"
	wait "$pid"
	pids=()
	python3 -c "
import json, sys
j = json.load(open(sys.argv[1]))
sys.exit(not (j['tracepoint'] == '$1' and j['read_count'] == 0 and j['fault_count'] == j['miss_count'] == 21 and
	j['late_count'] == j['ahead_count'] == j['dropped_count'] == 0 and j['latency_sum_ns'] > 0 and sum(j['latency_log2_count']) == 21))" \
		"$work/out" 2>>"$work/err"
	ok $? "$2"
}
counts typed "BPF counts the faults, by the typed tracepoint"

# Fetched ahead, and too late.
"$itmectl" drop "$mnt/disk" >/dev/null
start stat --bpf 600 --json
wait_for attached "$pid"
"$itmectl" hint prefetch "$mnt/disk" --length 4M >/dev/null
touch_some "$mnt/disk" 0 1 >/dev/null
dmsetup suspend --noflush itmectl
"$itmectl" hint prefetch "$mnt/disk" --offset 8M --length 2M >/dev/null &
prefetch=$!
wait_for is_busy "$mnt/disk" 4
touch_some "$mnt/disk" 4 >/dev/null &
reader=$!
pids+=("$prefetch" "$reader")
wait_for value_is late_count 1 disk
ok $? "a reader comes while it is fetched: late"
dmsetup resume itmectl
wait "$prefetch" "$reader"
dd if="$mnt/disk" of=/dev/null bs=2M skip=6 count=1 status=none
"$itmectl" hint prefetch "$mnt/disk" --offset 14M --length 2M >/dev/null
dd if="$mnt/disk" of=/dev/null bs=2M skip=7 count=1 status=none # waits for nothing
kill -TERM "$pid"
ends 0 '"tracepoint": "typed"' "BPF has counted that"
true_of "$work/out" "j['miss_count'] == 1 == j['read_count'] and j['late_count'] == 1 and j['ahead_count'] >= 2 and
	sum(j['lead_log2_count']) == j['ahead_count'] and j['lead_sum_ns'] > 0" \
	"late, ahead and lead, and a read that waited"
json "j['stats'][0]['late_count'] == 1 and j['stats'][0]['useful_bytes'] == 4 * $granule and
	j['stats'][0]['error_count'] > 0 and j['stats'][0]['wasted_bytes'] > 0" \
	"the module's own counters say the same" stat "$mnt/disk"
"$itmectl" detach "$mnt/disk"
dmsetup remove itmectl && losetup -d "$loop" && loop=''
ok $? "the devices are free again"

exec {user}<"$mnt/model"
says 1 "in use by .*($$)" "umount names who is in the way" umount "$mnt"
exec {user}<&-
says 1 "no region" "the mount itself cannot be detached" detach "$mnt"
says 3 "not on an itme mount" "an ordinary file cannot be detached" detach "$store/other"
"$itmectl" detach "$mnt/model" && [ ! -e "$mnt/model" ] && [ -e "$store/model" ]
ok $? "detach takes the region away, not the file"
# No process holds it: a mount on a region does, and goes soon.
"$itmectl" attach "$mnt" "$store/model" >/dev/null
mount --bind "$store/other" "$mnt/model"
says 1 "in use" "umount does not wait for ever for what nobody is seen to hold" umount "$mnt"
"$itmectl" umount "$mnt" >"$work/out" 2>"$work/err" &
asks=$! call='' deadline=$((SECONDS + 30 * ${ITME_SLOWNESS:-1}))
# It sleeps (clock_nanosleep) once it was refused: 20 ms, so it is looked at without a pause.
until [ "$call" = 230 ] || [ $SECONDS -ge $deadline ]; do
	read -r call _ <"/proc/$asks/syscall" || break
done 2>/dev/null
umount "$mnt/model"
wait "$asks" && [ "$call" = 230 ] && ! mountpoint -q "$mnt"
ok $? "umount, of what was busy a moment ago"

# A module whose type information is not there.
rmmod itme
objcopy --remove-section=.BTF "$ko" "$work/itme.ko"
insmod "$work/itme.ko"
mount -t itme -o "dram=16M" none "$mnt"
"$itmectl" attach "$mnt" "$store/model" >/dev/null
counts classic "BPF counts the faults, by the classic event when there is no BTF"
grep -q "classic trace event" "$work/err"
ok $? "and says that it does"
umount "$mnt"
rmmod itme
says 3 "modprobe itme" "without the module: list" list
[ "$n" = 93 ] && [ "$failed" = 0 ]
