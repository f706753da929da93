#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed is killed 50 times, at random moments of a decode: the tokens are the same, nothing
# is left behind, and the next one carries on.
# shellcheck source=/dev/null disable=SC2154 # of plan.sh
. "$(dirname "$(readlink -f "$0")")/plan.sh"

granules=32
"$replay" make "$model" --bytes $((granules * granule)) --sums "$work/sums" >/dev/null
schedule "$store/model.json" "$(seq -s ' ' 0 $((granules - 1)))" $granules
clients=$project/build/clients
dense=$store/dense.gguf
if [ -x "$clients/llama_cb" ]; then
	cp "$clients/dense.gguf" "$dense"
	"$clients/llama_cb" "$dense" 4 --silent >"$work/truth" 2>"$work/err"
	logits=$(sed 's/.*"logits": "\([0-9a-f]*\)".*/\1/' "$work/truth")
fi

read_model() { # PASSES: every byte of it against its sums
	"$replay" run "$mnt/model" --look verify --sums "$work/sums" --passes "$1" --sleep-ms $((10 * slow)) \
		--json >"$work/replay.json" 2>"$work/replay.err"
}
decode() { # the tokens are those of a plain file
	"$clients/llama_cb" "$mnt/dense.gguf" 4 --silent >"$work/said" 2>"$work/llama.err" &&
		grep -q "\"region\": true.*\"logits\": \"$logits\"" "$work/said"
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
		[ $((i % 3)) != 0 ] || wait_for pins || break
		read -r -t "0.$((RANDOM % 1000))" -u "$never"
		! pins || held=$((held + 1))
		end KILL
		start
	done
	touch "$stop"
	wait "$player" && [ "$i" = "$count" ] || return 1
	runs=$(wc -l <"$work/runs")
	echo "# $count kills, $held of them while it held pins, in $runs runs"
	[ "$runs" -ge 1 ]
}
pins() { [ "$(attribute pinned_bytes)" != 0 ]; }
leaves_nothing() { [ "$(attribute pinned_bytes)" = 0 ] && [ "$(attribute queued_bytes)" = 0 ]; }

echo 1..8

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

names=("llama.cpp: killed 20 times, the tokens are the same" "llama.cpp: its pins and hints are gone with it"
	"llama.cpp: another one carries on")
if [ -x "$clients/llama_cb" ]; then
	# Half of it: the other half is streamed.
	granule_size=64K configure $(($(stat -c %s "$dense") / 2048))K 1M "$dense=auto"
	start wait
	decode
	held=0
	killed 20 decode
	ok $? "${names[0]}"
	end KILL
	leaves_nothing
	ok $? "${names[1]}"
	start wait
	decode && wait_for plan_says "p[0]['fetched'] > 0"
	ok $? "${names[2]}"
	leave
else
	for name in "${names[@]}"; do
		n=$((n + 1))
		echo "ok $n $name # SKIP build/clients/llama_cb is not here: tests/libitme-selftest builds it"
	done
fi
[ "$n" = 8 ] && [ "$failed" = 0 ]
