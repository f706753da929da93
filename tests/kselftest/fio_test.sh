#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# fio writes to a region larger than memory by each way that runtimes write, and verifies
# it there, and then in the backing file. ITME_FIO_LOOPS: how often [1].
# shellcheck source=/dev/null disable=SC2154 # of tap.sh
set -uo pipefail
export LC_ALL=C

here=$(dirname "$(readlink -f "$0")")
itmectl=$here/../../build/itmectl
loops=${ITME_FIO_LOOPS:-1}
work=$(mktemp -d)
store=$ITME_STORE_DIR/fio
mnt=$work/mnt
cleanup() {
	! mountpoint -q "$mnt" || umount "$mnt"
	rm -rf "$work" "$store"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

. "$here/tap.sh"
tell_more() { tail -n 20 "$work/out"; }
# fio NAME OPTION...: of a job of that name, so that each job's pattern is its own
fio_of() {
	local name=$1
	shift
	(cd "$work" && command fio --name="$name" --size=40M --bs=32k --rw=randwrite --verify=crc32c \
		--verify_fatal=1 --randseed=7 --allow_file_create=0 --fallocate=none "$@") >"$work/out" 2>&1
}
written_and_verified() { # ENGINE OPTION...
	local engine=$1
	shift
	for ((loop = 0; loop < loops; loop++)); do
		fio_of "$engine" --ioengine="$engine" --filename="$mnt/fio" --do_verify=1 --end_fsync=1 "$@" ||
			return
	done
}

echo 1..8
mkdir -p "$mnt" && mount -t itme -o dram=16M none "$mnt" &&
	"$itmectl" create "$mnt" --size 40M --store "$store" >"$work/out" 2>&1
ok $? "a region larger than memory"
for engine in mmap libaio io_uring; do
	options=(--direct=1 --iodepth=8)
	[ $engine != mmap ] || options=()
	written_and_verified $engine "${options[@]}"
	ok $? "what $engine has written is there"
	sync -f "$mnt" && fio_of $engine --ioengine=psync --direct=1 --filename="$store" --verify_only
	ok $? "and in the file behind it"
done
"$itmectl" detach "$mnt/fio" >"$work/out" 2>&1 && umount "$mnt"
ok $? "and all of it goes"
[ "$failed" = 0 ]
