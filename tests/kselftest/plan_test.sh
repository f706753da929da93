#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed carries out a plan: hints come before the reads, whatever happens to itmed
# changes no data and leaves nothing behind, and a schedule that is wrong does little harm.
# shellcheck source=/dev/null disable=SC2154 # of plan.sh
. "$(dirname "$(readlink -f "$0")")/plan.sh"

granules=32
"$replay" make "$model" --bytes $((granules * granule)) --sums "$work/sums" >/dev/null
cp "$model" "$store/other"

schedule "$store/right.json" "$(seq -s ' ' 0 $((granules - 1)))" $granules
schedule "$store/wrong.json" "$(seq -s ' ' $((granules - 1)) -1 0)" $granules
schedule "$store/part.json" "$(seq -s ' ' 0 3 $((granules - 1))) 31" $granules
schedule "$store/longer.json" "$(seq -s ' ' 0 $granules)" $((granules + 1))

# 16 frames, of which 4 are closed to pins
configure_16() { # STORE=SCHEDULE...
	configure 32M 4M "$@"
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
stat_of() { cat "/sys/fs/itme/planned/regions/$1/$2"; }
pinned_is() { [ "$(attribute pinned_bytes)" = $(($1 * granule)) ]; }

echo 1..22

# ---- a plan is carried out
configure_16 "$model=$store/right.json"
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
configure_16 "$model=$store/right.json"
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
	configure_16 "$model=$store/$kind.json"
	start wait
	play model 4
	ok $? "$kind order: the data is right"
	[ "$(stat_of model miss_count)" -le $((demand * 11 / 10 + 8)) ]
	ok $? "$kind order: it costs little more than demand alone"
	leave
done
grep -q "planned/model: the run waits for what its schedule does not read, [0-9]* times so far" "$work/log"
ok $? "part order: the log says so"
configure_16 "$model=$store/longer.json"
start wait
play model 4
ok $? "another model's: the data is right"
grep -q "model: has $((granules * granule)) bytes, which is not what the schedule is about" "$work/log"
ok $? "another model's: the log says so"
leave

# ---- two at once
configure_16 "$model=$store/right.json" "$store/other=$store/right.json"
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
