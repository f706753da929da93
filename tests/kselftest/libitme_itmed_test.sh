#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# libitme and itmed: what runtimes declare, what itmed makes of it, and that nobody
# who sends something else does harm. The clients are those of tests/clients.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

clients=$project/build/clients
export ITME_EVENTS=$run/events.sock

sed -i '1i plans = false' "$config" # whose hints would be counted with what is declared
# As systemd has it: of 10, the kernel's own, much is lost while a slow itmed does something else.
echo 512 >/proc/sys/net/unix/max_dgram_qlen
echo 1..20

start wait && wait_for holds_region
ok $? "itmed is up, and follows a region"
chmod 755 "$run"
[ -S "$ITME_EVENTS" ] && [ "$(stat -c %a "$ITME_EVENTS")" = 666 ]
ok $? "anybody may send events"

# A runtime that does what it is told, line by line, through the shared library.
cat >"$work/runtime.py" <<'PY'
import ctypes, os, sys
lib = ctypes.CDLL(sys.argv[1])
region = ctypes.c_void_p()
u64, u32 = ctypes.c_uint64, ctypes.c_uint32
lib.itme_region_lost_events.restype = u64
err = lib.itme_region_open(sys.argv[2].encode(), ctypes.byref(region))
print(f"open {err}", flush=True)
for line in sys.stdin:
    what, *words = line.split()
    numbers = [int(word) for word in words if word.isdigit()]
    if what == "end":
        break
    if what == "step":
        err = lib.itme_region_step(region, words[0].encode(), u64(numbers[0]))
    elif what == "at":
        name = None if words[0] == "-" else words[0].encode()
        err = lib.itme_region_at(region, name, u64(numbers[0]), u32(numbers[1]))
    elif what == "done":
        err = lib.itme_region_done(region, u64(numbers[0]), u64(numbers[1]), u32(numbers[2]))
    elif what == "lost":
        err = lib.itme_region_lost_events(region)
    elif what == "pid":
        err = os.getpid()
    print(f"{what} {err}", flush=True)
PY
# runtime REGION COMMAND...: with descriptors $to and $from
runtime() {
	local region=$1
	shift
	coproc RUNTIME { "$@" python3 "$work/runtime.py" "$project/build/libitme.so" "$region" 2>>"$work/err"; }
	# shellcheck disable=SC2153 # of coproc
	exec {to}>&"${RUNTIME[1]}" {from}<&"${RUNTIME[0]}"
	pids+=("$RUNTIME_PID")
	hears "open 0"
}
hears() { # TEXT
	local line
	read -r -t $((30 * slow)) line <&"$from" && [ "$line" = "$1" ]
}
says() { # WORD...
	echo "$*" >&"$to" && hears "$1 0"
}
end_runtime() {
	local runtime=$RUNTIME_PID
	echo end >&"$to"
	exec {to}>&- {from}<&-
	wait "$runtime" 2>/dev/null
	return 0
}
place() { # EXPRESSION: of the stream's place, called p
	answers observe "[p for p in j['places'] if ($1)]"
}
events() { # EXPRESSION: of the counts, called e
	answers status "(lambda e: $1)(j['events'])"
}

runtime "$mnt/one" env
ok $? "a runtime opens the region"
says step walk 41
wait_for place "p['known_by'] == 'event' and p['pass'] == 41 and p['position'] == 0"
ok $? "STEP is the begin of a pass"
says at walk 42 7
echo pid >&"$to"
read -r -t 30 _ runtime_pid <&"$from"
wait_for place "p['known_by'] == 'event' and p['pass'] == 42 and p['position'] == 7 and p['step'] == 'step7' and p['pid'] == $runtime_pid"
ok $? "AT is a position"
says at - 43 8
wait_for events "e['taken'] == 3 and e['ignored'] == 0 and e['refused'] == 0"
ok $? "each of them was taken, and counted"
says at other 1 1 && says at walk 1 99 && wait_for events "e['taken'] == 3 and e['ignored'] == 2"
ok $? "a stream or a position that the schedule does not have is ignored"
grep -q "is ignored, as all of its kind: a stream that the region's schedule" "$work/log" &&
	grep -q "is ignored, as all of its kind: a position that its program" "$work/log"
ok $? "and told in the log"

# ---- DONE
"$itmectl" hint prefetch "$mnt/one" --length 12M >"$work/out" 2>"$work/err" # 6 of the 8 frames
"$itmectl" hint pin "$mnt/one" --length 2M --for 10m >"$work/pin" 2>&1 &
pinner=$!
pids+=("$pinner")
holds_one() { # SUM OF NAME: of the granules in DRAM
	"$itmectl" residency "$mnt/one" --json >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; j = json.load(open(sys.argv[1])); sys.exit(j['tiers']['dram'][sys.argv[2]] != int(sys.argv[3]))" \
			"$work/out" "$1" "$2" 2>>"$work/err"
}
wait_for holds_one pinned_count 1 && holds_one granule_count 6
says "done" 0 $((7 * granule / 2)) 3 && says "done" 0 $((7 * granule / 2)) 4294967295
wait_for holds_one granule_count 4 && holds_one pinned_count 1 # of 0, 1, 2: not the first
ok $? "DONE and never again: released, but what is pinned or partly in the range"
says "done" $((12 * granule)) 1 4294967295 && wait_for events "e['ignored'] == 3"
ok $? "past the end: ignored"
kill $pinner

# ---- others
end KILL
says at walk 44 1
start wait && wait_for holds_region
says at walk 45 2 && wait_for place "p['known_by'] == 'event' and p['pass'] == 45"
ok $? "an itmed that was started again hears the same runtime"
echo lost >&"$to" && hears "lost 1"
ok $? "which knows what was lost meanwhile"
end_runtime
runtime "$mnt/one" setpriv --reuid 65534 --regid 65534 --groups "$gid"
says at walk 50 3 && wait_for place "p['known_by'] == 'event' and p['pass'] == 50"
ok $? "a user who may read the region may declare"
end_runtime
runtime "$mnt/second" env
says at walk 1 1 && wait_for events "e['ignored'] == 1"
ok $? "a region without a schedule is ignored"
end_runtime

before=$(count_files)
taken=$(ask status && python3 -c "import json, sys; print(json.loads(open(sys.argv[1]).readline())['events']['taken'])" "$work/out")
setpriv --reuid 65534 --regid 65534 --clear-groups python3 - "$ITME_EVENTS" >"$work/out" 2>"$work/err" <<'PY'
import array, random, socket, struct, sys
random.seed(11)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(20)
def event(fd, kind=2, passes=1):
    return struct.pack("<IHHiIQQQQII64s", 120, 1, kind, fd, 0, 0, passes, 0, 0, 0, 0, b"walk")
files = [open("/etc/passwd") for _ in range(8)]
for fd in range(-1, 64):  # what it has, has not, and what is itmed's
    s.sendto(event(fd), sys.argv[1])
for _ in range(500):
    noise = bytearray(event(random.randrange(16), random.randrange(5)))
    for _ in range(random.randint(0, 6)):
        noise[random.randrange(len(noise))] = random.randrange(256)
    s.sendto(bytes(noise[:random.randint(0, 130)]), sys.argv[1])
for _ in range(50):
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [f.fileno() for f in files]))
    s.sendmsg([event(files[0].fileno())], [rights], 0, sys.argv[1])
s.sendto(b"x" * 100000, sys.argv[1])
PY
ok $? "garbage and descriptors are sent, by one who may read nothing"
still_there() { kill -0 "$pid" && answers status "j['ok'] and j['events']['taken'] == $taken"; }
wait_for still_there && [ "$(count_files)" -le $((before + 1)) ]
ok $? "none of it counts, no descriptor is kept, itmed answers as before"

# ---- the clients
count() { # WHAT...: events of these sorts so far
	ask status
	python3 -c "import json, sys; e = json.loads(open(sys.argv[1]).readline())['events']; print(sum(e[w] for w in sys.argv[2:]))" \
		"$work/out" "$@"
}
# all_heard BEFORE SENT FILE: with what was lost, as the client has said in FILE. What is
# of a process that has ended before itmed came to it is refused.
all_heard() {
	local lost
	lost=$(sed 's/.*"lost_events": \([0-9]*\).*/\1/' "$3")
	[ $(($(count taken refused) - $1 + lost)) = "$2" ]
}
loop() { "$clients/loop" "$1" 12 2 2>>"$work/err" | tee "$work/out" | sed 's/.*"sum": \([0-9]*\).*/\1/'; }
sum=$(loop "$store/one")
before=$(count taken refused) taken=$(count taken) ignored=$(count ignored)
[ -n "$sum" ] && [ "$(loop "$mnt/one")" = "$sum" ] && cp "$work/out" "$work/said" &&
	grep -q '"region": true' "$work/said"
ok $? "the loop in C reads the same bytes"
wait_for all_heard "$before" $((2 * (1 + 2 * 12))) "$work/said" && [ "$(count taken)" -gt "$taken" ] &&
	[ "$(count ignored)" = "$ignored" ]
ok $? "and was heard"
if [ -x "$clients/llama_cb" ]; then
	cp "$clients/moe.gguf" "$store/moe"
	"$itmectl" attach "$mnt" "$store/moe" >>"$work/out" 2>"$work/err"
	follows_moe() { [ -n "$(find "/proc/$pid/fd" -lname "$mnt/moe" 2>/dev/null)" ]; }
	wait_for follows_moe
	"$itmectl" schedule derive "$store/moe" >"$work/moe.itme.json" 2>"$work/err"
	before=$(count taken refused) taken=$(count taken)
	"$clients/llama_cb" "$store/moe" 3 --silent >"$work/silent" 2>"$work/err"
	"$clients/llama_cb" "$mnt/moe" 3 "$work/moe.itme.json" >"$work/declared" 2>>"$work/err"
	cat "$work/silent" "$work/declared" >"$work/out"
	python3 - "$work/silent" "$work/declared" 2>>"$work/err" <<'PY'
import json, sys
silent, declared = (json.load(open(name)) for name in sys.argv[1:])
assert silent["logits"] == declared["logits"] and declared["region"]
assert declared["needs"] > 0 and declared["expert_needs"] > 0 and declared["errors"] == 0
PY
	ok $? "llama.cpp with cb_eval computes the same, and declares"
	# A STEP and three ATs a pass: of the layers but the first.
	wait_for all_heard "$before" $((3 * (1 + 3))) "$work/declared" && [ "$(count taken)" -gt "$taken" ]
	ok $? "and was heard, too"
else
	for name in "llama.cpp with cb_eval computes the same, and declares" "and was heard, too"; do
		n=$((n + 1))
		echo "ok $n $name # SKIP build/clients/llama_cb is not here: tests/libitme-selftest builds it"
	done
fi
end TERM
[ "$n" = 20 ] && [ "$failed" = 0 ] && [ ! -e "$ITME_EVENTS" ]
