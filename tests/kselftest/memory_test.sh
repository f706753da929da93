#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The own memory of a program, declared to an itmed that has nothing mounted: it goes where
# its plan wants it, stays there, holds what it held, and is seen.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

node=${ITME_CXL_NODE:-1}
mib=$((1 << 20))
program=$project/build/tests/bench/anon_cycle

echo 1..15

cat >"$config" <<EOT
socket_group = "root"
metrics = ""
EOT
start wait
ok $? "itmed is up, with nothing mounted"
mkfifo "$work/go"
"$program" --bytes=$((64 * mib)) --warm=1 --passes=2 <"$work/go" >"$work/said" 2>"$work/err" &
reader=$!
pids+=("$reader")
exec {go}>"$work/go"
wait_for [ -s "$work/said" ]
ok $? "a program has written to its memory"
address=$(python3 -c "import json, sys; print('%x' % json.loads(open(sys.argv[1]).readline())['address'])" "$work/said")

on_node() { # NODE: bytes of the program's large mapping
	awk -v "node=N$1=" -v "address=$address" '$1 == address || $0 ~ /anon=16[0-9][0-9][0-9]/ {
		for (i = 2; i <= NF; i++) if (index($i, node) == 1) sum += substr($i, length(node) + 1)
	} END { print sum * 4096 }' "/proc/$reader/numa_maps"
}
memory() {
	"$itmectl" memory "$@" --socket "$sock"
}

[ "$(on_node 0)" -ge $((64 * mib)) ]
ok $? "all of it is in DRAM"
holds_now "j['processes'][0]['bytes'] == 64 << 20" memory declare "$reader" --dram=16M --range="$address+64M" --socket "$sock"
ok $? "it is declared"
placed() {
	memory show --json >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; p = json.load(open(sys.argv[1]))['processes'][0]; sys.exit(p['misplaced_bytes'] != 0)" "$work/out"
}
wait_for placed
ok $? "it is where it is wanted"
[ "$(on_node 0)" -le $((16 * mib)) ] && [ "$(on_node 0)" -ge $((12 * mib)) ] && [ "$(on_node "$node")" -ge $((48 * mib)) ]
ok $? "a share of 16 MiB is in DRAM, and the rest in CXL memory, as the kernel sees it"
holds "j['migrations']['pages'].get('syscall', 0) >= 12288 and j['processes'][0]['moved_to'] == [{'node': $node, 'bytes': j['processes'][0]['to_cxl_bytes']}] and [n['node'] for n in j['migrations']['nodes']] == [0, $node]" \
	"the kernel's tracepoint tells of 48 MiB, and itmed by node" memory show --socket "$sock"
holds "any(p['pid'] == $reader and p['declared']['bytes'] == 64 << 20 and p['anon_cxl_bytes'] >= 48 << 20 and p['region_dram_bytes'] == 0 for p in j['memory'])" \
	"top has it, by tier" top -n 1 -d 0.2 --socket "$sock"

# ---- somebody else moves it
migratepages "$reader" "$node" 0
holds "j['processes'][0]['to_cxl_bytes'] >= 90 << 20 and j['processes'][0]['misplaced_bytes'] == 0" \
	"what another moves to DRAM is put back" memory show --socket "$sock"
[ "$(on_node 0)" -le $((16 * mib)) ]
ok $? "and the kernel sees it there"

# ---- refused
memory declare "$reader" --dram=1M --range=zz+1M >"$work/out" 2>"$work/err"
[ $? = 2 ] && grep -q 'ADDRESS+SIZE' "$work/err"
ok $? "what is no range is told so"
memory declare 4194303 --dram=1M --range="$address+64M" >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -q 'no process 4194303' "$work/err"
ok $? "and what is no process"

# ---- the end
echo >&"$go"
wait "$reader"
ok $? "the program found in its memory what it had written"
gone() {
	memory show --json >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; sys.exit(json.load(open(sys.argv[1]))['processes'] != [])" "$work/out"
}
wait_for gone
ok $? "a program that has ended is forgotten"
end TERM
[ "$status" = 0 ] && [ ! -e /sys/kernel/tracing/instances/itmed ]
ok $? "itmed ends, and leaves nothing in tracefs"
[ "$failed" = 0 ]
