#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# mount(8), umount(8), findmnt(8) and fstab: what an administrator types.
# shellcheck source=/dev/null disable=SC2154 # of tap.sh
set -uo pipefail
export LC_ALL=C

dir=$(mktemp -d)
file=$ITME_STORE_DIR/mount-cmd
cleanup() {
	! mountpoint -q "$dir" || umount "$dir"
	rm -rf "$dir" "$file"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

. "$(dirname "$(readlink -f "$0")")/tap.sh"
tell_more() { echo "$said"; }
fails() { # STATUS COMMAND...
	local want=$1
	shift
	"$@"
	[ $? = "$want" ]
}
refused() { # COMMAND...
	! "$@"
}
options_have() {
	grep -qx -- "$1" <<<"$(findmnt -n -t itme -o OPTIONS "$dir" | tr ',' '\n')"
}
logged() {
	grep -q -- "$1" <<<"$(dmesg | tail -n 5)"
}

check "mount" mount -t itme -o dram=16M,name=by-hand none "$dir"
check "findmnt shows the budget" options_have dram=16777216@0
check "findmnt shows the name" options_have name=by-hand
check "a name in use is status 32" fails 32 mount -t itme -o dram=8M,name=by-hand none "$dir"
check "stat -f knows the type" sh -c "stat -f -c %t '$dir' | grep -qx 49544d45"
check "remount with one option" mount -o remount,dram=8M "$dir"
check "the new budget is in force" options_have dram=8388608@0
check "remount keeps what is not named" options_have name=by-hand
check "a bad remount is status 32" fails 32 mount -o remount,dram=9999G "$dir"
check "and says why in the log" logged "larger than node 0"
check "and changes nothing" options_have dram=8388608@0
check "df shows its memory" sh -c "df -B1 --output=size,avail '$dir' | tail -n 1 | grep -qE '^ *8388608 +8388608\$'"
check "a new mount is empty" test -z "$(ls -A "$dir")"
exec {held}<"$dir"
check "umount in use is status 32" fails 32 umount "$dir"
exec {held}<&-
check "umount" umount "$dir"
check "a bad option is status 32" fails 32 mount -t itme -o dram=16M,tram=16M none "$dir"
check "and the log names it" logged tram
check "no option at all is status 32" fails 32 mount -t itme none "$dir"
check "and the log says what to give" logged "give dram=SIZE"
check "a user may not" refused setpriv --reuid 65534 --clear-groups mount -t itme -o dram=8M none "$dir"
check "ext4 options are not ours" fails 32 mount -t itme -o dram=8M,errors=continue none "$dir"
check "common options work" mount -t itme -o dram=8M,nosuid,nodev,noexec,noatime none "$dir"
check "and are shown" options_have noexec
check "umount again" umount "$dir"
echo "1..$n"
[ "$failed" = 0 ]
