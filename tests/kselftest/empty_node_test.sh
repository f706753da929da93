#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A node that is there and has no memory online. Needs a guest that was started
# with ITME_CXL_OFFLINE=1: once the kernel uses a node, it cannot be emptied.
# shellcheck source=/dev/null disable=SC2154 # of tap.sh
set -uo pipefail
export LC_ALL=C

dir=$(mktemp -d)
cleanup() {
	! mountpoint -q "$dir" || umount "$dir"
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

. "$(dirname "$(readlink -f "$0")")/tap.sh"
tell_more() { echo "$said"; }
is_empty() {
	[ -d "/sys/devices/system/node/node$ITME_CXL_NODE" ] &&
		! grep -qw "$ITME_CXL_NODE" /sys/devices/system/node/has_memory
}
refused() { # OPTIONS
	! mount -t itme -o "$1" none "$dir" 2>/dev/null
}
logged() {
	grep -q -- "$1" <<<"$(dmesg | tail -n 3)"
}
online() {
	daxctl online-memory --no-movable dax0.0 >/dev/null
}

check "the node is there, without memory" is_empty
check "a budget on it is refused" refused "dram=8M,cxl=16M@$ITME_CXL_NODE"
check "and the log says what to do" logged "node $ITME_CXL_NODE has no memory online; see 'daxctl online-memory --no-movable'"
check "what it says to do works" online
check "and then the budget is there" mount -t itme -o "dram=8M,cxl=16M@$ITME_CXL_NODE" none "$dir"
echo "1..$n"
[ "$failed" = 0 ]
