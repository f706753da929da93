#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The own memory of a program, declared to an itmed that has nothing mounted: it goes where
# its plan wants it, stays there, holds what it held, and is seen.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

node=${ITME_CXL_NODE:-1}
mib=$((1 << 20))
program=$project/build/tests/bench/anon_cycle

echo 1..26

start_bare
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

# ---- a runtime that declares its own, as nobody
chmod 755 "$run"
cat >"$work/runtime.py" <<'PY'
import ctypes, mmap, os, sys
lib = ctypes.CDLL(sys.argv[1])
size = 16 << 20
memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.write(b"itme" * (size // 4))
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
class Range(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("bytes", ctypes.c_uint64)]
def declare(address, size, dram):
    return lib.itme_memory_declare(ctypes.byref(Range(address, size)), 1, ctypes.c_uint64(dram), 0)
errs = [declare(address + 1, 4096, 0), declare(1 << 40, 1 << 40, 0), declare(address, size, 4 << 20)]
print(os.getpid(), "%x" % address, *errs, flush=True)
for line in sys.stdin:
    if line == "forget\n":
        print(lib.itme_memory_forget(), flush=True)
    elif line == "look\n":
        memory.seek(0)
        print(memory.read() == b"itme" * (size // 4), flush=True)
PY
coproc RUNTIME { ITME_MEMORY=$run/memory.sock setpriv --reuid 65534 --regid 65534 --clear-groups \
	python3 "$work/runtime.py" "$project/build/libitme.so" 2>>"$work/err"; }
# shellcheck disable=SC2153 # of coproc
exec {to}>&"${RUNTIME[1]}" {from}<&"${RUNTIME[0]}"
pids+=("$RUNTIME_PID")
says() { # COMMAND ANSWER
	local line
	echo "$1" >&"$to" && read -r -t $((30 * slow)) line <&"$from" && [ "$line" = "$2" ]
}
read -r -t $((30 * slow)) reader address errs <&"$from"
[ "$errs" = "-22 -1 0" ]
ok $? "a runtime of nobody declares what it has; what is wrong, or more than the machine has, is refused ($errs)"
wait_for placed
[ "$(awk -v "a=$address" '$1 <= a && /anon=/ { line = $0 } END { print line }' "/proc/$reader/numa_maps" | grep -o "N$node=[0-9]*")" = "N$node=3072" ]
ok $? "12 of 16 MiB are in CXL memory, as the kernel sees it"
memory declare "$reader" --dram=16M --range="$address+16M" >"$work/out" 2>"$work/err" && says forget -1
ok $? "root declares it otherwise, which the runtime cannot undo"
python3 - "$run/memory.sock" "$work/said" 2>>"$work/err" <<'PY'
import os, random, socket, sys
random.seed(3)
for i in range(300):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(30)
    s.connect(sys.argv[1])
    s.send(os.urandom(random.randrange(1, 20000)))
    assert len(s.recv(100)) == 8
PY
garbage=$?
[ $garbage = 0 ] && kill -0 "$pid" && says look True
ok $? "garbage is refused, and the memory holds what it held"
memory forget "$reader" >"$work/out" 2>"$work/err" && says forget 0
ok $? "what is forgotten may be forgotten again"
exec {to}>&- {from}<&-

# ---- half of it is idle
kdamonds=/sys/kernel/mm/damon/admin/kdamonds
cat >"$work/half.py" <<'PY'
import ctypes, mmap, os, zlib
half = 16 << 20
libc = ctypes.CDLL(None)
memory = mmap.mmap(-1, 2 * half, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
view = memoryview(memory)
view[:] = b"itme" * (half // 2)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
# A mapping of its own, so that numa_maps tells the halves apart.
libc.mprotect(ctypes.c_void_p(address + half), ctypes.c_size_t(half), mmap.PROT_READ)
print(os.getpid(), "%x" % address, "%x" % (address + half), flush=True)
sum = zlib.crc32(view[half:])
while zlib.crc32(view[half:]) == sum:
    pass
PY
python3 "$work/half.py" >"$work/half" 2>>"$work/err" &
pids+=($!)
wait_for [ -s "$work/half" ]
read -r reader idle hot <"$work/half"
on() { # NODE ADDRESS: MiB of the mapping there
	awk -v "node=N$1=" -v "address=$2" '$1 == address { for (i = 2; i <= NF; i++) if (index($i, node) == 1) sum += substr($i, length(node) + 1) }
		END { print int(sum / 256) }' "/proc/$reader/numa_maps"
}
memory declare "$reader" --dram=16M --order=unknown --range="$idle+32M" >"$work/out" 2>"$work/err"
wait_for placed && [ "$(on 0 "$hot")" = 8 ] && [ "$(on 0 "$idle")" = 8 ]
ok $? "at first DRAM is spread evenly"
halves() { [ "$(on 0 "$hot")" -ge 14 ] && [ "$(on "$node" "$idle")" -ge 14 ]; }
# Three looks of four seconds at least, and DAMON's regions have to find the border first.
wait_for halves || wait_for halves
ok $? "what DAMON sees to be idle ends in CXL memory, and what is read in DRAM ($(on 0 "$hot") and $(on "$node" "$idle") of 16 MiB)"
holds "12 << 20 <= j['processes'][0]['idle_bytes'] <= 16 << 20 and j['processes'][0]['touched_bytes'] + j['processes'][0]['idle_bytes'] == 32 << 20 and j['accesses_missing'] == ''" \
	"memory show tells how much is idle" memory show --socket "$sock"
end KILL
kdamonds_are() { [ "$(cat $kdamonds/nr_kdamonds)" = "$1" ]; }
kdamonds_are 1 && start wait && wait_for kdamonds_are 0
ok $? "what an itmed that died has left of DAMON, the next one gives back"
echo 1 >$kdamonds/nr_kdamonds
memory declare "$reader" --dram=16M --order=unknown --range="$idle+32M" >"$work/out" 2>"$work/err"
holds "'in use by another' in j['accesses_missing'] and j['processes'][0]['idle_bytes'] is None" \
	"where DAMON is another's it is told, and the memory is placed without" memory show --socket "$sock"
[ "$(cat $kdamonds/nr_kdamonds)" = 1 ] && echo 0 >$kdamonds/nr_kdamonds
memory declare "$reader" --dram=16M --order=unknown --range="$idle+32M" >"$work/out" 2>"$work/err"
wait_for kdamonds_are 1
ok $? "and is used when it is free"

end TERM
[ "$status" = 0 ] && [ "$(cat $kdamonds/nr_kdamonds)" = 0 ] && [ ! -S "$run/memory.sock" ] && [ ! -e /sys/kernel/tracing/instances/itmed ]
ok $? "itmed ends, and leaves nothing in tracefs, nor of DAMON"
[ "$failed" = 0 ]
