#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed is killed 30 times, at random moments: the data is right, nothing is left behind,
# and the next one carries on.
# shellcheck source=/dev/null disable=SC2154 # of plan.sh
. "$(dirname "$(readlink -f "$0")")/plan.sh"

granules=32
"$replay" make "$model" --bytes $((granules * granule)) --sums "$work/sums" >/dev/null
schedule "$store/model.json" "$(seq -s ' ' 0 $((granules - 1)))" $granules
read_model() { # PASSES: every byte of it against its sums
	"$replay" run "$mnt/model" --look verify --sums "$work/sums" --passes "$1" --sleep-ms $((10 * slow)) \
		--json >"$work/replay.json" 2>"$work/replay.err"
}
# killed COUNT COMMAND...: the command again and again, while itmed is killed so often
killed() {
	local count=$1 runs=0 stop=$work/stop player
	shift
	rm -f "$stop"
	: >"$work/runs"
	(
		until [ -e "$stop" ]; do
			"$@" || exit 1
			echo run >>"$work/runs"
		done
	) &
	player=$!
	for ((i = 0; i < count; i++)); do
		# From its start on; each third time it has at least pinned what is to stay.
		[ $((i % 3)) != 0 ] || wait_for pins
		read -r -t "$((RANDOM % 2)).$((RANDOM % 1000))" -u "$never"
		! pins || held=$((held + 1))
		end KILL
		start
	done
	touch "$stop"
	wait "$player" || return 1
	runs=$(wc -l <"$work/runs")
	echo "# $count kills, $held of them while it held pins, in $runs runs"
	[ "$runs" -ge 1 ]
}
pins() { [ "$(attribute pinned_bytes)" != 0 ]; }
leaves_nothing() { [ "$(attribute pinned_bytes)" = 0 ] && [ "$(attribute queued_bytes)" = 0 ]; }

echo 1..5

configure 32M 4M "$model=$store/model.json"
start wait
read_model 3
held=0
killed 30 read_model 3
ok $? "killed 30 times, the data is right"
[ "$held" -ge 5 ]
ok $? "also while it carried out its plan"
end KILL
leaves_nothing
ok $? "its pins and hints are gone with it"
start wait
read_model 10
ok $? "another one carries on"
python3 -c "import json, sys; j = json.load(open(sys.argv[1])); sys.exit(min(one['misses'] for one in j['passes'][-4:]) > 0)" \
	"$work/replay.json"
ok $? "where the first one was"
leave
[ "$n" = 5 ] && [ "$failed" = 0 ]
