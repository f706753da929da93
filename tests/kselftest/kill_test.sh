#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed is killed 50 times, at random moments of a decode: the tokens are the same, nothing
# is left behind, and the next one carries on.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

replay=$project/build/replay
clients=$project/build/clients
granules=32
model=$store/model
"$replay" make "$model" --bytes $((granules * granule)) --sums "$work/sums" >/dev/null
dense=$store/dense.gguf
frames=16
if [ -x "$clients/llama_cb" ]; then
	cp "$clients/dense.gguf" "$dense"
	"$clients/llama_cb" "$dense" 4 --silent >"$work/truth" 2>"$work/err"
	logits=$(sed 's/.*"logits": "\([0-9a-f]*\)".*/\1/' "$work/truth")
	# Half of it: the other half is streamed.
	weights=$(($(stat -c %s "$dense") / granule))
fi

# configure FRAMES STORE...
configure() {
	local entry frames=$1
	shift
	cat >"$config" <<-EOT
		socket_group = "$group"
		metrics = ""
		sample_seconds = 1
		[[mount]]
		path = "$mnt"
		dram = "$((frames * 2))M"
		window = "4M"
		name = "planned"
	EOT
	for entry; do
		printf '[[mount.attach]]\nstore = "%s"\nschedule = "%s"\n' "${entry%%=*}" "${entry#*=}" >>"$config"
	done
}
python3 - "$store/model.json" $((granules * granule)) "$granule" <<'PY'
import json, sys
size, granule = int(sys.argv[2]), int(sys.argv[3])
names = [f"o{g}" for g in range(size // granule)]
json.dump({"itme_schedule": 1, "name": "model", "regions": [{"name": "model", "bytes": size}],
           "objects": [{"name": name, "extents": [[0, g * granule, granule]]} for g, name in enumerate(names)],
           "groups": [], "programs": [{"name": "pass", "cyclic": True, "steps": [
               {"name": f"step{i}", "read": names[i:i + 2]} for i in range(0, len(names), 2)]}],
           "streams": [{"name": "pass", "program": "pass"}]}, open(sys.argv[1], "w"))
PY
attribute() { cat "/sys/fs/itme/planned/$1"; }
plan_says() { # EXPRESSION: of the plans, called p
	"$itmectl" report plan --json --socket "$sock" >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; p = json.load(open(sys.argv[1]))['plans']; sys.exit(not ($1))" \
			"$work/out" 2>>"$work/err"
}
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
leave() {
	"$itmectl" umount --socket "$sock" "$mnt" >"$work/out" 2>"$work/err"
	end TERM
}

echo 1..8

configure "$frames" "$model=$store/model.json"
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
	configure $((weights / 2 + 4)) "$dense=auto"
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
