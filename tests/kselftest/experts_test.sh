#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A program that chooses: what is popular stays in memory, guesses are fetched within a
# budget, and where they are wrong no more are taken.
# shellcheck source=/dev/null disable=SC2154 # of plan.sh
. "$(dirname "$(readlink -f "$0")")/plan.sh"

export ITME_EVENTS=$run/events.sock
layers=4 experts=16 picked=2
"$replay" make "$model" --bytes $((layers * (experts + 1) * granule)) --sums "$work/sums" >/dev/null

# 24 frames for 68 granules: 4 that all read, and 64 experts
configure 48M 12M "$model=$store/model.json"
python3 - "$store/model.json" "$granule" $layers $experts $picked <<'PY'
import json, sys
granule, layers, experts, picked = map(int, sys.argv[2:])
objects, groups, steps = [], [], []
def add(name):
    objects.append({"name": name, "extents": [[0, len(objects) * granule, granule]]})
    return name
for layer in range(layers):
    steps.append({"name": f"layer{layer}", "read": [add(f"layer{layer}")]})
    name = f"experts{layer}"
    groups.append({"name": name, "objects": [add(f"e{layer}.{i}") for i in range(experts)]})
    steps.append({"name": name, "choice": name, "pick": picked})
json.dump({"itme_schedule": 1, "name": "model", "regions": [{"name": "model", "bytes": len(objects) * granule}],
           "objects": objects, "groups": groups, "programs": [{"name": "pass", "cyclic": True, "steps": steps}],
           "streams": [{"name": "pass", "program": "pass"}]}, open(sys.argv[1], "w"))
PY
# play PASSES [OPTION...]: every byte against its sums; always the same experts are popular
play() {
	local passes=$1
	shift
	"$replay" run "$mnt/model" --program moe --layers $layers --experts $experts --picked $picked --skew 2 --seed 7 \
		--shared-bytes "$granule" --expert-bytes "$granule" --look verify --sums "$work/sums" --warm 0 \
		--passes "$passes" --sleep-ms $((10 * slow)) --needs --json "$@" >"$work/played" 2>"$work/err"
}
figure() { # EXPRESSION: of the bytes read from the store in each pass, called b
	python3 -c "import json, sys; b = [one['store_bytes'] for one in json.load(open(sys.argv[1]))['passes']]
print('#', [one >> 21 for one in b]); sys.exit(not ($1))" "$work/played" 2>>"$work/err"
}

echo 1..9

start wait
wait_for plan_says "p[0]['dram_bytes'] >= 10 * $granule"
ok $? "itmed keeps what it can"
play 60
ok $? "a run whose experts are asked for reads right data"
# 8 experts of 64 a pass: where any 20 of them stayed, 5.5 would come from the store.
figure "sum(b[1:]) < 4 * $granule * len(b[1:])"
ok $? "what stays is what is chosen often"
play 60 --guesses $picked --right 0.9 --ready-first &
player=$!
wait_for plan_says "p[0]['state'] in ('chooses', 'follows')"
ok $? "itmectl report plan says that it goes on"
wait $player && plan_says "p[0]['guesses_used'] >= 0"
ok $? "a run with guesses, which reads first what is there, reads right data"
grep -h 'guesses_\|"state"\|"slots"\|_bytes"' "$work/out" | sed 's/^/# /'
plan_says "p[0]['guesses_used'] >= 5 and p[0]['guesses_used'] > p[0]['guesses_wasted']"
ok $? "guesses that are right are fetched, and used"
# Now and then they are tried again: at the run's end, too, it may be.
none_are_taken() {
	"$itmectl" report plan --socket "$sock" >"$work/out" 2>"$work/err" &&
		grep -q "^planned:model: of the runtime's guesses [0-9]* granules were fetched, .*; only [0-9]* of the last 32 came true: none are taken" "$work/out"
}
play 100 --guesses $picked --right 0 &
player=$!
wait_for none_are_taken
ok $? "after some wrong guesses no more are taken, and itmectl report plan says why"
wait $player
ok $? "wrong guesses change no data"
plan_says "p[0]['guesses_withheld'] >= 32 and p[0]['guesses_wasted'] < p[0]['guesses_withheld']"
ok $? "most of them are left alone"
"$itmectl" umount --socket "$sock" "$mnt" >"$work/out" 2>"$work/err"
end TERM
[ "$n" = 9 ] && [ "$failed" = 0 ]
