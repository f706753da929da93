# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash source=/dev/null disable=SC2034,SC2154
# What the tests of plans share, beside itmed.sh: regions with schedules, and what becomes
# of them. To be sourced.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/itmed.sh"

replay=$project/build/replay
model=$store/model

# configure DRAM WINDOW STORE=SCHEDULE...
configure() {
	cat >"$config" <<-EOT
		socket_group = "$group"
		metrics = ""
		sample_seconds = 1
		[[mount]]
		path = "$mnt"
		dram = "$1"
		window = "$2"
		name = "planned"
	EOT
	shift 2
	local entry
	for entry; do
		printf '[[mount.attach]]\nstore = "%s"\nschedule = "%s"\n' "${entry%%=*}" "${entry#*=}" >>"$config"
	done
}
# schedule FILE ORDER GRANULES: of a region of so many, those of the order, two a step
schedule() {
	python3 - "$1" $(($3 * granule)) "$granule" "$2" <<'PY'
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
attribute() { cat "/sys/fs/itme/planned/$1"; }
plan_says() { # EXPRESSION: of the plans, called p
	holds_now "(lambda p: $1)(j['plans'])" report plan --socket "$sock"
}
gone() { ! mountpoint -q "$mnt"; }
leave() {
	"$itmectl" umount --socket "$sock" "$mnt" >"$work/out" 2>"$work/err" || return 1
	end TERM
	gone
}
