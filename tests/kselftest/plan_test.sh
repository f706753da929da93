#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed carries out a plan: hints come before the reads, whatever happens to itmed
# changes no data and leaves nothing behind, and a schedule that is wrong does little harm.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

replay=$project/build/replay
granules=32
model=$store/model
"$replay" make "$model" --bytes $((granules * granule)) --sums "$work/sums" >/dev/null
cp "$model" "$store/other"

# schedule FILE ORDER [GRANULES]: granules in that order, two a step
schedule() {
	python3 - "$1" $((${3:-granules} * granule)) "$granule" "$2" <<'PY'
import json, sys
size, granule, order = int(sys.argv[2]), int(sys.argv[3]), [int(g) for g in sys.argv[4].split()]
steps = [order[i:i + 2] for i in range(0, len(order), 2)]
json.dump({"itme_schedule": 1, "name": "model", "regions": [{"name": "model", "bytes": size}],
           "objects": [{"name": f"o{g}", "extents": [[0, g * granule, granule]]} for g in order],
           "groups": [], "programs": [{"name": "pass", "cyclic": True, "steps": [
               {"name": f"step{i}", "read": [f"o{g}" for g in step]} for i, step in enumerate(steps)]}],
           "streams": [{"name": "pass", "program": "pass"}]}, open(sys.argv[1], "w"))
PY
}
schedule "$store/right.json" "$(seq -s ' ' 0 $((granules - 1)))"
schedule "$store/wrong.json" "$(seq -s ' ' $((granules - 1)) -1 0)"
schedule "$store/part.json" "$(seq -s ' ' 0 3 $((granules - 1))) 31"
schedule "$store/longer.json" "$(seq -s ' ' 0 $granules)" $((granules + 1))

# configure STORE=SCHEDULE...: 16 frames, of which 4 are closed to pins
configure() {
	cat >"$config" <<-EOT
		socket_group = "$group"
		metrics = ""
		sample_seconds = 1
		[[mount]]
		path = "$mnt"
		dram = "32M"
		window = "4M"
		name = "planned"
	EOT
	local entry
	for entry; do
		cat >>"$config" <<-EOT
			[[mount.attach]]
			store = "${entry%%=*}"
			schedule = "${entry#*=}"
		EOT
	done
}
# play NAME PASSES [OPTION...]: reads a region, every byte against its sums; JSON in $work/NAME.json
play() {
	local name=$1 passes=$2
	shift 2
	"$replay" run "$mnt/$name" --look verify --sums "$work/sums" --passes "$passes" --sleep-ms $((20 * slow)) \
		--json "$@" >"$work/$name.json" 2>"$work/$name.err" || return
	# For who has to find out why it took so long.
	python3 -c "import json, sys
for key in 'misses', 'late', 'store_bytes':
	print('#', sys.argv[1], key, [one[key] for one in json.load(open(sys.argv[2]))['passes']])" \
		"$name" "$work/$name.json"
}
figure() { # NAME EXPRESSION: of the median pass, called m, and the last four, called last
	python3 -c "import json, sys; j = json.load(open(sys.argv[1])); m = j['median']; last = j['passes'][-4:]
sys.exit(not ($2))" \
		"$work/$1.json" 2>>"$work/err"
}
attribute() { cat "/sys/fs/itme/planned/$1"; }
stat_of() { cat "/sys/fs/itme/planned/regions/$1/$2"; }
pinned_is() { [ "$(attribute pinned_bytes)" = $(($1 * granule)) ]; }
plan_says() { # EXPRESSION: of the plans, called p
	"$itmectl" report plan --json --socket "$sock" >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; p = json.load(open(sys.argv[1]))['plans']; sys.exit(not ($1))" \
			"$work/out" 2>>"$work/err"
}
gone() { ! mountpoint -q "$mnt"; }
leave() {
	"$itmectl" umount --socket "$sock" "$mnt" >"$work/out" 2>"$work/err" || return 1
	end TERM
	gone
}

echo 1..22

# ---- a plan is carried out
configure "$model=$store/right.json"
start wait
wait_for pinned_is 12
ok $? "what is to stay is pinned before anybody reads"
play model 10
ok $? "a run reads right data"
figure model "m['misses'] <= 1 and m['late'] <= 4"
ok $? "and misses nothing once it is followed"
plan_says "p[0]['fetched'] >= 5 * 20 and p[0]['strays'] <= 10 and p[0]['lost'] == 0"
ok $? "each granule that is streamed was fetched by a hint"
fills=$(stat_of model fill_count)
# At most three quarters of it, once the first pass is over; not 32 a pass, as a page cache would.
[ "$fills" -le $((32 + 10 * 26)) ]
ok $? "far less is read than all of it in each pass"
wasted=$(stat_of model wasted_bytes)
[ "$wasted" -le $((8 * granule)) ]
ok $? "little is fetched in vain"
wait_for plan_says "p[0]['state'] == 'idle' and 0 < p[0]['dram_bytes'] <= 12 * $granule and
	p[0]['dram_bytes'] + p[0]['streamed_bytes'] == $granules * $granule"
ok $? "itmectl report plan says what is kept and what is streamed"
"$itmectl" report plan --socket "$sock" >"$work/out" 2>"$work/err" && grep -q '^planned:model .* MiB ' "$work/out"
ok $? "also as a table"

# ---- a budget that changes
(
	read -r -t 1 -u "$never"
	mount -o remount,dram=48M "$mnt"
) &
play model 12
ok $? "with another budget the data is right"
wait $!
wait_for plan_says "p[0]['dram_bytes'] + p[0]['slots'] * $granule == 48 << 20"
ok $? "and there is another plan"
leave
ok $? "it lets go of what is unmounted"

# ---- without plans
configure "$model=$store/right.json"
sed -i '1i plans = false' "$config"
start wait
play model 4
figure model "m['misses'] >= 10"
ok $? "plans = false only observes"
plan_says "p == []" && grep -q 'plans = false' "$work/out"
ok $? "and says so"
demand=$(stat_of model miss_count)
leave

# ---- a schedule that is wrong
for kind in wrong part; do
	configure "$model=$store/$kind.json"
	start wait
	play model 4
	ok $? "$kind order: the data is right"
	[ "$(stat_of model miss_count)" -le $((demand * 11 / 10 + 8)) ]
	ok $? "$kind order: it costs little more than demand alone"
	leave
done
grep -q "planned/model: the run waits for what its schedule does not read, [0-9]* times so far" "$work/log"
ok $? "part order: the log says so"
configure "$model=$store/longer.json"
start wait
play model 4
ok $? "another model's: the data is right"
grep -q "model: has $((granules * granule)) bytes, which is not what the schedule is about" "$work/log"
ok $? "another model's: the log says so"
leave

# ---- two at once
configure "$model=$store/right.json" "$store/other=$store/right.json"
start wait
play model 10 &
player=$!
play other 10
first=$?
wait $player && [ $first = 0 ]
ok $? "two at once: the data is right"
figure model "m['misses'] <= 8" && figure other "m['misses'] <= 8"
ok $? "two at once: neither misses much"
[ "$n" = 22 ] && [ "$failed" = 0 ]
