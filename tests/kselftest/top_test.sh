#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What people see of a run: itmectl top and report, and the metrics of itmed; by
# itmed, and without it.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

echo 1..21

sed -i '1i plans = false' "$config" # it only looks on
start wait
ok $? "itmed is up"
chmod 755 "$run"
mv "$store/hidden" "$store/late"
wait_for test -e "$mnt/late"
ok $? "with three regions"

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
seen() { grep -q '"seen": true' <<<"$("$itmectl" report stalls --socket "$sock" --json 2>/dev/null)"; }
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
holds "any(p['command'].startswith('python3') and p['shares']['miss'] > 0 and p['cgroup'] == '/kselftest'
	for p in j['processes']) and any(t['shares']['miss'] > 0 for t in j['threads'])" \
	"and names the process that waited, its cgroup and its threads" report stalls --socket "$sock"
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

wait_for holds_region
ok $? "itmed follows the region that has a schedule"
python3 - "$mnt/one" "$granule" <<'PY' &
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
		p['positions'] == 12 and p['step'] == 'step%d' % p['position'] and p['pass_ns']] and
		len([t for t in j['trail'] if t['region'] == 'one' and t['pid'] == $walker]) > 5"
}
wait_for walks
ok $? "top knows the position of a reader, its pass and how long that takes, and where it has been"
holds "any(r['miss_ns'] > 0 for l in j['layers'] for r in l['positions'])" \
	"report stalls tells the stalls of each step" report stalls --socket "$sock"
kill "$walker"
wait "$walker" 2>/dev/null
draws() { # KIND
	"$itmectl" report "$1" --png "$work/$1.png" --socket "$sock" >"$work/out" 2>"$work/err" &&
		[ "$(head -c 4 "$work/$1.png" | tail -c 3)" = PNG ]
}
draws stalls && draws prefetch && draws heat
ok $? "the reports draw pictures"

# ---- its price
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$pid/stat"; }
before=$(ticks)
began=$(date +%s%N)
for _ in 1 2 3 4 5 6 7 8; do
	"$itmectl" drop "$mnt/one" >/dev/null
	cat "$mnt/one" >/dev/null
	read -r -t 1 -u "$never"
done
awk -v ticks=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" -v ns=$(($(date +%s%N) - began)) \
	'BEGIN { printf "# share of one core while observing: %.4f\n", ticks / hz / (ns / 1e9) }'
end TERM
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err"
ok $? "the end"
[ "$n" = 21 ] && [ "$failed" = 0 ]
