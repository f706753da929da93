#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One budget of DRAM for the regions of an instance and for the own memory of a program:
# divided by one plan, carried out, and given back whoever ends.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

mib=$((1 << 20))
program=$project/build/tests/bench/anon_cycle

echo 1..12

memory() {
	"$itmectl" memory "$@" --socket "$sock"
}
attribute() { cat "/sys/fs/itme/kept/$1"; }
budget_is() { [ "$(attribute dram_bytes)" = $(($1 * mib)) ]; }
share_says() { # EXPRESSION: of the share, called s, and the process, called p
	holds_now "(lambda s, p: $1)(j['shares'][0], j['processes'][0])" memory show --socket "$sock"
}

# Of one, with 24 MiB, the order is known.
sed -i 's/^dram = "16M"/dram = "64M"/' "$config"
start wait && wait_for holds_region
ok $? "itmed is up, with 64 MiB of DRAM for a model of 24"
mkfifo "$work/go"
"$program" --bytes=$((64 * mib)) --warm=0 --passes=1 <"$work/go" >"$work/said" 2>"$work/err" &
reader=$!
pids+=("$reader")
exec {go}>"$work/go"
wait_for [ -s "$work/said" ]
address=$(python3 -c "import json, sys; print('%x' % json.loads(open(sys.argv[1]).readline())['address'])" "$work/said")

memory declare "$reader" --share=other --range="$address+64M" >"$work/out" 2>"$work/err"
[ $? = 2 ] && grep -q 'no instance other' "$work/err"
ok $? "an instance that is not there is told so"
memory declare "$reader" --range="$address+64M" >"$work/out" 2>"$work/err"
[ $? = 2 ] && grep -q -- '--share INSTANCE' "$work/err"
ok $? "and that there is neither a share nor a size"
memory declare "$reader" --share=kept --range="$address+64M" >"$work/out" 2>"$work/err"
ok $? "it is declared"
divided() {
	share_says "s['frames_bytes'] + s['memory_bytes'] == 64 << 20 and s['memory_bytes'] == s['wanted_bytes'] >= 24 << 20 and
		s['frames_bytes'] >= 16 << 20 and p['dram_bytes'] == s['memory_bytes'] and p['misplaced_bytes'] == 0"
}
wait_for divided
ok $? "what the model does not need of the budget is the memory's, and in DRAM"
frames=$(attribute dram_bytes)
[ "$frames" -lt $((48 * mib)) ] && [ "$(attribute dram_current_bytes)" -le "$frames" ] &&
	[ $((frames + $(python3 -c "import json, sys; print(json.load(open(sys.argv[1]))['processes'][0]['dram_bytes'])" "$work/out"))) -le $((64 * mib)) ]
ok $? "as the module has it: both are not more than the budget"
memory show >"$work/out" 2>"$work/err" && grep -q "^kept: of 64 MiB of DRAM .* for memory of process $reader: a pass of the regions and a reading" "$work/out" &&
	"$itmectl" report plan --socket "$sock" >"$work/out" 2>"$work/err" && grep -q "^kept: of 64 MiB" "$work/out"
ok $? "memory show and report plan say so, and why"

# ---- given back
memory forget "$reader" >"$work/out" 2>"$work/err"
wait_for budget_is 64
ok $? "what is forgotten gives its share back"
memory declare "$reader" --share=kept --range="$address+64M" >"$work/out" 2>"$work/err"
wait_for divided
end KILL
! budget_is 64 && start wait && wait_for budget_is 64
ok $? "what an itmed that died has shared, the next one gives back"
memory declare "$reader" --share=kept --range="$address+64M" >"$work/out" 2>"$work/err"
wait_for divided
echo >&"$go"
wait "$reader"
ok $? "the program found in its memory what it had written"
wait_for budget_is 64
ok $? "a program that has ended gives its share back"
"$program" --bytes=$((64 * mib)) <"$work/go" >"$work/again" 2>"$work/err" &
reader=$!
pids+=("$reader")
wait_for [ -s "$work/again" ]
address=$(python3 -c "import json, sys; print('%x' % json.loads(open(sys.argv[1]).readline())['address'])" "$work/again")
memory declare "$reader" --share=kept --range="$address+64M" >"$work/out" 2>"$work/err"
wait_for divided
end TERM
[ "$status" = 0 ] && budget_is 64 && [ ! -e "$run/shares" ]
ok $? "so does itmed that ends"
[ "$failed" = 0 ]
