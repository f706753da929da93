# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The agent's telemetry, with a module that is not as it should be. To be sourced.
set -uo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
ko=${KO:-$here/../../build/kmod/$(uname -r)/itme.ko}
work=$(mktemp -d)
cleanup() {
	# The tests after this one want the module as it was.
	rmmod itme 2>/dev/null
	insmod "$ko" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

# with_module TESTS COMMAND...: COMMAND makes $work/itme.ko of $ko.
with_module() {
	local tests=$1
	shift
	"$@" && rmmod itme && insmod "$work/itme.ko" || exit 1
	"$here/../../build/tests/telemetry-tests" --gtest_filter="$tests"
}
