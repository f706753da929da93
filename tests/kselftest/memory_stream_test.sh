#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Declared memory whose reader says where he is: what he reads next comes to DRAM, and what he has
# read leaves it, within its share; and whoever lies about it harms nobody. The stand-in for CXL memory is
# as fast as DRAM, so the reader waits where he finds a piece in it, as he would for slow memory.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

# As systemd has it: of 10, the kernel's own, much is lost while a slow itmed does something else.
echo 512 >/proc/sys/net/unix/max_dgram_qlen
echo 1..14

start_bare
chmod 755 "$run"
export ITME_EVENTS=$run/events.sock ITME_MEMORY=$run/memory.sock

# 24 pieces, half of which may be in DRAM. Writes a line for each pass: how many pieces were in DRAM when they
# were read, the most that were at once, and whether all held what had been written.
cat >"$work/runtime.py" <<'PY'
import ctypes, mmap, os, random, sys, time, zlib
library, what, slower = sys.argv[1], sys.argv[2], float(sys.argv[3])
lib, libc = ctypes.CDLL(library), ctypes.CDLL(None)
piece, pieces, node = 2 << 20, 24, int(os.environ["ITME_CXL_NODE"])
whole = mmap.mmap(-1, (pieces + 1) * piece, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
begin = ctypes.addressof(ctypes.c_char.from_buffer(whole))
skip = -begin % piece
whole.madvise(mmap.MADV_HUGEPAGE if what == "huge" else mmap.MADV_NOHUGEPAGE)
view = memoryview(whole)[skip : skip + pieces * piece]
for i in range(pieces):
    view[i * piece : (i + 1) * piece] = bytes([i + 1]) * piece
sums = [zlib.crc32(view[i * piece : (i + 1) * piece]) for i in range(pieces)]
class Range(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("bytes", ctypes.c_uint64)]
def at(offset):
    return lib.itme_memory_at(ctypes.c_uint64(offset))
def nodes():
    # Of each piece its first, a middle, and its last page.
    count = 3 * pieces
    pages = (ctypes.c_void_p * count)(*(begin + skip + i * piece + o for i in range(pieces) for o in (0, piece // 2, piece - 4096)))
    status = (ctypes.c_int * count)()
    assert libc.syscall(279, 0, ctypes.c_ulong(count), pages, None, status, 0) == 0
    return [status[i] for i in range(count)]
print(os.getpid(), at(0), flush=True)
assert lib.itme_memory_declare(ctypes.byref(Range(begin + skip, pieces * piece)), 1, ctypes.c_uint64(pieces // 2 * piece), 0) == 0
while nodes().count(0) > 3 * pieces // 2:
    time.sleep(0.05)
while True:
    in_dram = most = 0
    good = True
    for i in range(pieces):
        if what == "flood":
            for _ in range(100):
                at(random.randrange(2 * pieces * piece))
        else:
            at(i * piece)
        where = nodes()
        most = max(most, where.count(0))
        good = good and zlib.crc32(view[i * piece : (i + 1) * piece]) == sums[i]
        here = node not in where[3 * i : 3 * i + 3]
        in_dram += here
        time.sleep(0.06 if here else 0.06 + slower)
    print(in_dram, most, good, flush=True)
PY
runtime() { # KIND SLOWER
	python3 "$work/runtime.py" "$project/build/libitme.so" "$@" >"$work/said" 2>>"$work/err" &
	reader=$!
	pids+=("$reader")
	wait_for [ -s "$work/said" ]
}
stream_is() { # EXPRESSION: of the stream, called s
	holds_now "any(p['pid'] == $reader and p['stream'] and (lambda s: $1)(p['stream']) for p in j['processes'])" \
		memory show --socket "$sock"
}
# passes COUNT: so many more have been told of
passes() {
	local wanted=$(($(wc -l <"$work/said") + $1))
	more() { [ "$(wc -l <"$work/said")" -ge "$wanted" ]; }
	wait_for more
}
# In all passes so far the share was kept, and nothing was changed.
well() {
	awk 'NR > 1 { bad = bad || $2 > 36 || $3 != "True" } END { exit bad || NR < 2 }' "$work/said"
}
gone() {
	memory_gone=$("$itmectl" memory show --json --socket "$sock" 2>>"$work/err") && ! grep -q "\"pid\": $reader" <<<"$memory_gone"
}

# ---- memory that is slow: it pays
for pages in huge small; do
	runtime $pages 0.12
	wait_for stream_is "s['state'] != 'placed'"
	ok $? "passes with $pages pages are measured, and streaming is tried"
	wait_for stream_is "s['state'] == 'streams' and s['streamed_pass_ns'] * 1.05 <= s['placed_pass_ns'] and s['slots'] == 3"
	ok $? "it is shorter by that, and stays so"
	passes 4
	tail -n 3 "$work/said" >"$work/last"
	[ "$(awk '{ sum += $1 } END { print sum }' "$work/last")" -ge 61 ]
	ok $? "of what is read 85 % and more are in DRAM, where half could be ($(tr '\n' ';' <"$work/last"))"
	well
	ok $? "never more than its share was, and all of it held what was written"
	[ $pages = small ] || { kill "$reader" && wait_for gone; }
done
"$itmectl" memory show --socket "$sock" >"$work/out" 2>"$work/err" && grep -q "^process $reader streams: a pass takes .* s, and placed took .* s$" "$work/out"
ok $? "memory show says so"

# ---- it ends in the middle of a move
kill -9 "$reader"
wait_for gone && kill -0 "$pid"
ok $? "a reader that is killed is forgotten"

# ---- memory that is not
runtime huge 0
wait_for stream_is "s['state'] == 'placed' and 'streamed, a pass took' in s['why']" && well
ok $? "where passes are not shorter by it memory is placed again, and the reason told"
kill "$reader"

# ---- positions that mean nothing
runtime flood 0
passes 2 && well && stream_is "s['state'] == 'placed'" && answers status "j['events']['ignored'] > 100"
ok $? "a flood of places that are nowhere moves nothing, and others are heard"
end TERM
ok "$status" "itmed ends"
[ "$failed" = 0 ]
