#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed: what it restores, what it lets go of, whom it answers, and that nothing
# which is done to it or around it does harm.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

echo 1..34

# ---- configuration
"$itmed" --config "$config" --check-config >"$work/out" 2>"$work/err"
ok $? "a good configuration is good"
printf 'probe = true\n\nsample = 1\n' >"$work/bad.toml"
! "$itmed" --config "$work/bad.toml" --check-config >"$work/out" 2>"$work/err" &&
	grep -q "bad.toml:3: 'sample' is not known" "$work/err"
ok $? "a bad one is refused, with its line"
"$itmed" --config "$work/bad.toml" --socket "$sock" >"$work/out" 2>"$work/err"
[ $? = 1 ] && [ ! -e "$sock" ]
ok $? "and itmed does not start with it"
"$itmed" --nonsense >"$work/out" 2>"$work/err"
[ $? = 2 ]
ok $? "wrong usage is status 2"

# ---- start and restore
start wait
ok $? "READY=1 is told"
mountpoint -q "$mnt" && [ "$(stat -c '%a %s %g' "$mnt/one")" = "640 $bytes $gid" ] &&
	[ "$(stat -c '%a %s' "$mnt/second")" = "600 $bytes" ]
ok $? "the mount and its regions were there by then, with mode and group"
[ "$(stat -c '%a %g' "$sock")" = "660 $gid" ]
ok $? "the socket is the group's, 0660"
# It may be tried just then, and is "working".
wait_for answers status "[a['state'] for a in j['restore'][0]['attachments']] == ['there', 'there', 'waiting'] and
	'does not exist' in j['restore'][0]['attachments'][2]['reason']"
ok $? "a store that is missing is told, and the others do not suffer"
wait_for told WATCHDOG=1
ok $? "the watchdog is fed"
cmp -s "$store/one" "$mnt/one"
ok $? "what is restored can be read"
mv "$store/hidden" "$store/late"
wait_for test -e "$mnt/late"
ok $? "a store that comes back is attached"
"$itmed" --config "$config" --socket "$sock" >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -q "another itmed" "$work/err"
ok $? "a second itmed is refused"

# ---- who may
as_member() { setpriv --reuid 65534 --regid 65534 --groups "$gid" "$@"; }
as_other() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
chmod 755 "$run"
as_member "$itmectl" top -n 1 --socket "$sock" --json >"$work/out" 2>"$work/err" &&
	true_of "j['source'] == 'itmed' and j['instances'][0]['instance'] == 'kept'"
ok $? "a member of the group may look"
cat >"$work/release.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"version": 1, "request": "release", "mount": "%s"}\n' % sys.argv[2].encode())
print(s.recv(65536).decode(), end="")
PY
as_member python3 "$work/release.py" "$sock" "$mnt" >"$work/out" 2>"$work/err" &&
	true_of "not j['ok'] and 'as root' in j['error']" && mountpoint -q "$mnt"
ok $? "but may not change anything"
! as_other python3 "$work/release.py" "$sock" "$mnt" >"$work/out" 2>"$work/err" &&
	grep -q PermissionError "$work/err"
ok $? "others may not even connect"

# ---- what hostile peers send
before=$(count_files)
python3 - "$sock" >"$work/out" 2>"$work/err" <<'PY'
import os, random, socket, struct, sys, time
random.seed(7)
good = b'{"version": 1, "request": "status"}\n'
def peer():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(20)
    return s
cases = [b"\n", b"\0" * 5000 + b"\n", b"[" * 8000 + b"\n", b"{" * 9000, b"x" * (1 << 20),
         b'{"version": 1e999, "request": "status"}\n', b'{"version": 1, "request": "\xff\xfe"}\n',
         b'{"version": 1, "request": "release", "mount": "../../etc"}\n',
         b'{"version": 1, "request": "heat", "region": "' + b"a" * 8100, good * 300]
for _ in range(200):
    noise = bytearray(good * 2)
    for _ in range(random.randint(1, 8)):
        noise[random.randrange(len(noise))] = random.randrange(256)
    cases.append(bytes(noise))
for case in cases:
    s = peer()
    try:
        s.sendall(case)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    except (ConnectionError, BrokenPipeError):
        pass
    s.close()
for _ in range(100):  # that go away at once, in the middle of a line, or by a reset
    s = peer()
    s.send(good[:random.randrange(len(good))])
    s.close()
idle = []
refused = 0
for _ in range(80):  # that say nothing, and more than itmed takes
    s = peer()
    idle.append(s)
for s in idle:
    s.setblocking(False)
time.sleep(0.5)
for s in idle:
    try:
        refused += b"too many" in s.recv(65536)
    except BlockingIOError:
        pass
assert refused >= 40, refused
PY
ok $? "garbage, resets, and too many peers are borne"
still_there() {
	kill -0 "$pid" && answers status "j['ok']"
}
wait_for still_there
ok $? "and itmed answers as before"
few_files() { [ "$(count_files)" -le $((before + 1)) ]; }
wait_for few_files
ok $? "and keeps no descriptor of theirs"

# ---- crashes
inode=$(stat -c %i "$mnt/one")
end KILL
start wait && [ "$(stat -c %i "$mnt/one")" = "$inode" ] &&
	answers status "[a['state'] for a in j['restore'][0]['attachments']] == ['there'] * 3"
ok $? "after kill -9 it takes over, and changes nothing"
wait_for holds_region
ok $? "it follows a region that has a schedule"
exec {user}<"$mnt/one"
! "$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err" && wait_for holds_region
ok $? "an umount that fails leaves all as it was"
exec {user}<&-
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err" && ! mountpoint -q "$mnt"
ok $? "itmectl umount: itmed lets go"
end KILL
start wait && ! mountpoint -q "$mnt"
ok $? "what was released stays so after a crash"
end TERM
[ "$status" = 0 ] && told STOPPING=1
ok $? "SIGTERM: STOPPING=1, status 0"
for i in 1 2 3 4 5 6 7 8 9 10; do # in the middle of restoring
	start
	read -r -t "0.0$i" -u "$never"
	read -r -t "0.$((i - 1))" -u "$never"
	end KILL
done
start wait && wait_for test -e "$mnt/late" && cmp -s "$store/two" "$mnt/second"
ok $? "kill -9 ten times while it restores: all is there in the end"
end TERM
mountpoint -q "$mnt" && [ -e "$mnt/one" ]
ok $? "at its end everything stays mounted"
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err" && ! mountpoint -q "$mnt"
ok $? "itmectl umount works without itmed"

# ---- behind its back
start wait
rm "$mnt/second"
gone() { answers status "j['restore'][0]['attachments'][1]['state'] == 'released'"; }
wait_for gone && [ ! -e "$mnt/second" ]
ok $? "a region that is detached behind its back stays away"
umount -l "$mnt" # as umount(8) would be EBUSY: itmed follows a region
released() { answers status "j['restore'][0]['state'] == 'released' and j['mounted'] == []"; }
wait_for released && wait_for [ ! -e /sys/fs/itme/kept ]
ok $? "so does a mount, and nothing of it is held"
unloads() { rmmod itme 2>/dev/null; }
wait_for unloads
ok $? "the module can be unloaded while itmed runs"
kill -HUP "$pid"
wait_for told RELOADING=1 && wait_for grep -q "not restored yet" "$work/log"
ok $? "a reload without the module is no harm"
insmod "$ko"
wait_for test -e "$mnt/second"
ok $? "with the module everything comes back"
printf 'x = 1\n' >"$config"
: >"$work/told"
kill -HUP "$pid"
wait_for told READY=1 && grep -q "not reloaded: .*'x' is not known" "$work/log" && still_there &&
	true_of "len(j['restore']) == 1"
ok $? "a bad configuration is told at a reload, and the old one stays"
end TERM
"$itmectl" umount "$mnt" --socket "$sock" >"$work/out" 2>"$work/err"
ok $? "the end"
[ "$n" = 34 ] && [ "$failed" = 0 ]
