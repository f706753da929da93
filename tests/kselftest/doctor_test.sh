#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmectl doctor on a host with CXL memory: each thing on the way from the device to the zone,
# and that what it says to do mends it.
# shellcheck source=/dev/null disable=SC2154,SC2317 # of tap.sh
set -uo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
itmectl=$here/../../build/itmectl
node=${ITME_CXL_NODE:-1}
work=$(mktemp -d)
online_again() {
	local block
	for block in /sys/devices/system/node/node"$node"/memory[0-9]*; do
		[ "$(<"$block/state")" != offline ] || echo online_kernel >"$block/state"
	done
}
trap 'online_again; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT

. "$here/tap.sh"
tell_more() { head -c 6000 "$work/out"; }
holds() { # EXPRESSION: of what doctor says now, j, with check(NAME)
	"$itmectl" doctor --json >"$work/out" 2>"$work/err"
	python3 - "$work/out" "$1" <<'PY'
import json, sys
j = json.load(open(sys.argv[1]))
def check(name):
    return next(c for c in j["checks"] if c["name"] == name)
def node(number):
    return next(n for n in j["nodes"] if n["node"] == number)
sys.exit(not eval(sys.argv[2]))
PY
}
fix() { # NAME: the command
	python3 - "$work/out" "$1" <<'PY'
import json, re, sys
j = json.load(open(sys.argv[1]))
fix = next(c["fix"] for c in j["checks"] if c["name"] == sys.argv[2])
print(re.search(r"for b in .*?; done", fix).group())
PY
}
# All blocks that can be, into the zone; the kernel has data of its own in one, most likely.
move_to() { # online_kernel|online_movable
	local block
	for block in /sys/devices/system/node/node"$node"/memory[0-9]*; do
		echo offline >"$block/state" 2>/dev/null && echo "$1" >"$block/state"
	done
	true
}

if [ -e /sys/bus/cxl/devices/mem0 ]; then
	echo 1..4
	holds "j['memdevs'] == [{'memdev': 'mem0', 'ram_bytes': j['memdevs'][0]['ram_bytes'], 'enabled': True}] and j['memdevs'][0]['ram_bytes'] >= 256 << 20"
	ok $? "the device, by libcxl"
	holds "len(j['cxl_regions']) == 1 and j['cxl_regions'][0]['enabled'] and j['cxl_regions'][0]['bytes'] == j['memdevs'][0]['ram_bytes'] and check('cxl regions')['good']"
	ok $? "its region"
	holds "any(d['node'] == $node and d['mode'] == 'system-ram' and d['online_blocks'] > 0 for d in j['dax_devices']) and check('dax devices')['good']"
	ok $? "the dax device, by libdaxctl"
	holds "node($node)['memory_tier'].startswith('memory_tier') and node($node)['memory_tier'] != node(0)['memory_tier']"
	ok $? "the node and its tier"
	exit $((failed > 0))
fi

echo 1..7
holds "check('cxl')['good'] and check('zones')['good'] and node($node)['memory_bytes'] > 0 and node($node)['movable_bytes'] == 0"
ok $? "a node in ZONE_NORMAL is good"
holds "any(d['node'] == $node and d['mode'] == 'system-ram' and not d['movable'] for d in j['dax_devices']) and check('dax devices')['good']"
ok $? "its dax device, by libdaxctl"
holds "node($node)['memory_tier'] != node(0)['memory_tier'] and check('tiers')['good']"
ok $? "its tier is told"
holds "(check('hmat')['good'] or 'itmectl plan --rates' in check('hmat')['fix']) and 'read_bandwidth_mbps' in node($node)"
ok $? "so is its bandwidth, or how to tell it"

move_to online_movable
holds "not check('zones')['good'] and node($node)['movable_bytes'] > 0"
ok $? "a node in ZONE_MOVABLE is not good"
fix zones >"$work/commands"
[ -s "$work/commands" ]
ok $? "and the command is named that brings it back"
bash "$work/commands" >"$work/said" 2>&1
holds "check('zones')['good'] and node($node)['movable_bytes'] == 0 and node($node)['memory_bytes'] > 0"
ok $? "which it does"
exit $((failed > 0))
