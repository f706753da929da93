#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The order in which a region is read, where nothing declares it: what is learned is the
# truth, and itmed follows it.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

replay=$project/build/replay
learned=$project/build/tests/bench/learned

echo 1..11

# ---- five programs, three passes of each
head -c 64M /dev/urandom >"$store/big"
for dram in 24M 96M; do
	mount -t itme -o "dram=$dram,granule=1M" none "$mnt" &&
		"$itmectl" attach "$mnt" "$store/big" >"$work/out" 2>"$work/err" &&
		"$learned" "$mnt/big" --sleep-ms=$((5 * slow)) >"$work/out" 2>"$work/err"
	true_of "len(j['programs']) == 5 and j['share'] == 1 and not [p for p in j['programs'] if p['learned'] == []]"
	ok $? "five orders are learned in three passes, with $dram for 64M"
	true_of "all(p['words'].startswith('learned (') and p['confidence'] >= 0.9 and p['passes'] in (2, 3) for p in j['programs'])"
	ok $? "and how sure that is, is told"
	umount "$mnt"
done

# ---- itmed
sed -i "s|^store = \"$store/late\"|&\nschedule = \"none\"|" "$config"
mv "$store/hidden" "$store/late"
start wait
ok $? "itmed is up"
waits() {
	"$itmectl" top -n 1 -d 0.2 --json --socket "$sock" >"$work/out" 2>"$work/err" &&
		true_of "any('no position in kept/second: ' in t and 'its order is being learned' in t for t in j['missing']) and
			any('no position in kept/late: ' in t and 'schedule = \"none\"' in t for t in j['missing'])"
}
wait_for waits
ok $? "what is no model is being learned, and what is to have no schedule is not"
"$replay" run --program=backward --passes=100000 --sleep-ms=20 --look=lines "$mnt/second" >"$work/replay" 2>&1 &
reader=$!
pids+=("$reader")
follows() {
	"$itmectl" top -n 2 -d 1 --json --socket "$sock" 2>"$work/err" | tail -n 1 >"$work/out"
	true_of "[p for p in j['places'] if p['region'] == 'second' and p['pid'] == $reader and p['positions'] == 12 and
		p['pass'] >= 2 and p['program'] == 'learned' and p['order'].startswith('learned (') and p['pass_ns']] and
		not [t for t in j['missing'] if 'kept/second' in t]"
}
wait_for follows
ok $? "top knows where a reader is whose order was learned"
"$itmectl" top -n 1 -d 0.2 --socket "$sock" >"$work/out" 2>"$work/err" &&
	grep -q '^  its order is learned ([0-9]* % sure, [0-9]* passes)$' "$work/out"
ok $? "and says how sure that is"
kill "$reader"
wait "$reader" 2>/dev/null
end TERM

# ---- a region that somebody else attaches: seen when it is used, not at the next sample
sed -i 's/^sample_seconds = 1$/sample_seconds = 3600/' "$config"
: >"$work/log"
start wait
wait_for holds_region && wait_for grep -q 'kept/second: ' "$work/log" &&
	cp "$store/one" "$store/third" && "$itmectl" attach "$mnt" "$store/third" >"$work/out" 2>"$work/err" &&
	! read -r -t 2 -u "$never" && ! grep -q 'kept/third' "$work/log"
ok $? "itmed does not look for another hour"
"$replay" run --program=dense --passes=2 --warm=1 --look=lines "$mnt/third" >"$work/out" 2>"$work/err" &&
	wait_for grep -q 'no position in kept/third: .*its order is being learned' "$work/log"
ok $? "and sees at once what begins to be used"
end TERM
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err"
ok $? "the end"
[ "$n" = 11 ] && [ "$failed" = 0 ]
