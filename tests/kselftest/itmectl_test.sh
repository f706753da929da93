#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmectl against the loaded module: what it shows is true, what it is told
# happens, and what goes wrong is said with the right status.
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
cleanup() {
	local pid
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait
	! mountpoint -q "$mnt" || umount "$mnt"
	# The tests after this one want the module as it was.
	rmmod itme 2>/dev/null
	insmod "$ko" 2>/dev/null
	rm -rf "$work" "$store"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

echo 1..36
n=0 failed=0
ok() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		failed=$((failed + 1))
		echo "not ok $n $2"
		sed 's/^/# /' "$work/out" "$work/err"
	fi
}
# says STATUS TEXT NAME ARGUMENT...: itmectl ends with STATUS and prints TEXT
says() {
	local status=$1 text=$2 name=$3 got
	shift 3
	"$itmectl" "$@" >"$work/out" 2>"$work/err"
	got=$?
	[ $got = "$status" ] && cat "$work/out" "$work/err" | grep -q -- "$text"
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
	j['mounts'][0]['dram_bytes'] == 16 << 20 and 'prefetch' in j['mounts'][0]['hint_ops']" \
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

says 0 "no room" "drop" drop "$mnt/model"
json "j['tiers']['store']['bytes'] == $bytes" "nothing is in memory after a drop" residency "$mnt/model"
json "j['accepted_bytes'] == 2 * $granule and j['clipped_bytes'] == 0" "prefetch a range" \
	hint prefetch "$mnt/model" --offset 4M --length 4M
json "j['tiers']['dram']['bytes'] == 2 * $granule and j['runs'][1]['first_granule'] == 2" \
	"and that range is in memory" residency "$mnt/model"
json "j['resident_bytes'] == 2 * $granule and j['accepted_bytes'] == 0" "a prefetch again finds it there" \
	hint prefetch "$mnt/model" --offset 4M --length 4M
json "j['clipped_bytes'] > 0" "a prefetch of more than fits says so" hint prefetch "$mnt/model"
says 1 "past the region's end" "a range that is not in the region" hint prefetch "$mnt/model" --length 1G
says 0 "already so" "release a range" hint release "$mnt/model" --length 2M
"$itmectl" drop "$mnt/model" >/dev/null

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
sys.exit(not (j['tracepoint'] == '$1' and j['fault_count'] == j['miss_count'] == 21 and
	j['dropped_count'] == 0 and j['latency_sum_ns'] > 0 and sum(j['latency_log2_count']) == 21))" \
		"$work/out" 2>>"$work/err"
	ok $? "$2"
}
counts typed "BPF counts the faults, by the typed tracepoint"

exec {user}<"$mnt/model"
says 1 "in use by .*($$)" "umount names who is in the way" umount "$mnt"
exec {user}<&-
says 1 "no region" "the mount itself cannot be detached" detach "$mnt"
says 3 "not on an itme mount" "an ordinary file cannot be detached" detach "$store/other"
"$itmectl" detach "$mnt/model" && [ ! -e "$mnt/model" ] && [ -e "$store/model" ]
ok $? "detach takes the region away, not the file"
"$itmectl" umount "$mnt" && ! mountpoint -q "$mnt"
ok $? "umount"

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
[ $n = 36 ] && [ $failed = 0 ]
