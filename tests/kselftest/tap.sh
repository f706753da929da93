# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# What a test in shell says, as TAP. To be sourced. ok and check count in $n and $failed; a test's own
# tell_more says what explains a failure.
n=0 failed=0
ok() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		failed=$((failed + 1))
		echo "not ok $n $2"
		tell_more 2>/dev/null | sed 's/^/# /'
	fi
}
check() { # NAME COMMAND...: it succeeds
	local name=$1
	shift
	said=$("$@" 2>&1)
	ok $? "$name"
}
