#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# itmed as systemd runs it, by the unit that is installed: a systemd of this test's own,
# in name spaces of its own, with no more units than itmed's needs.
# shellcheck source=/dev/null disable=SC2154 # of itmed.sh
. "$(dirname "$(readlink -f "$0")")/itmed.sh"

systemd=/lib/systemd/systemd
[ -x $systemd ] || {
	echo "1..0 # SKIP systemd is not here: run scripts/deps vm"
	exit 0
}
echo 1..17

units=$work/units group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/systemd
mkdir -p "$units" "$work/sbin" "$group"
cp "$itmed" "$work/sbin/"
sed "s|@SBINDIR@|$work/sbin|" "$project/agent/itmed/itmed.service.in" >"$units/itmed.service"
# ---- as it is
systemd-analyze verify --man=no "$units/itmed.service" >"$work/out" 2>"$work/err" &&
	[ ! -s "$work/err" ]
ok $? "systemd-analyze has nothing to say against the unit"

# What every service wants, and nothing behind it.
for target in sysinit basic multi-user shutdown local-fs remote-fs; do
	printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' $target >"$units/$target.target"
done
# Here the log is a file, and patience is shorter, but longer than BPF programs take to load
# on an emulated processor.
mkdir "$units/itmed.service.d"
cat >"$units/itmed.service.d/test.conf" <<EOT
[Service]
StandardError=append:$work/log
StandardOutput=append:$work/log
WatchdogSec=$((15 * slow))
EOT

# ---- a machine of its own
cat >"$work/init" <<EOT
#!/bin/bash
echo \$BASHPID >"$group/cgroup.procs"
exec unshare --cgroup --mount --pid --fork --kill-child --mount-proc bash -c '
	mount -t tmpfs none /run && mkdir -p /etc/itme && mount -t tmpfs none /etc/itme &&
		head -n -2 "$config" >/etc/itme/itmed.toml && umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup &&
		SYSTEMD_UNIT_PATH="$units" container=test exec $systemd --system --unit=multi-user.target \
			--log-target=console --show-status=no --default-standard-output=null'
EOT
bash "$work/init" >>"$work/err" 2>&1 &
machine=$!
pids+=("$machine")
manager() { # its process, as it is seen from here
	first=$(pgrep --parent "$machine" --exact systemd)
}
inside() { nsenter --target "$first" --mount --pid --cgroup "$@"; }
ctl() { inside systemctl "$@" >"$work/out" 2>>"$work/err"; }
property() { inside systemctl show itmed --property="$1" --value; }
is() { [ "$(property "$1")" = "$2" ]; }
up() { manager && [ "$(inside systemctl is-system-running 2>/dev/null)" = running ]; }
leave() {
	inside umount "$mnt" 2>/dev/null
	kill -9 "$first" 2>/dev/null
	wait $machine 2>/dev/null
	find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
	cleanup
}
trap leave EXIT
wait_for up
ok $? "a systemd is up"

# ---- readiness
mv "$store/hidden" "$store/late"
ctl start itmed && is ActiveState active && is Type notify
ok $? "systemctl start waits until itmed is ready"
[ "$(inside stat -c '%a %s' "$mnt/one" "$mnt/second")" = "640 $bytes"$'\n'"600 $bytes" ]
ok $? "and by then everything is restored"
is StatusText "1 mounted, 3 restored, 0 waiting"
ok $? "systemctl status says so"
main=$(property MainPID)
inside grep -Eq '^NoNewPrivs:[[:space:]]*1' "/proc/$main/status" &&
	! inside grep -q "$(grep CapBnd /proc/self/status)" "/proc/$main/status"
ok $? "it has fewer privileges than root"
asks() { # EXPRESSION ARGUMENT...: itmectl's answer, inside
	local expression=$1
	shift
	inside "$itmectl" "$@" --json >"$work/out" 2>"$work/err" &&
		python3 -c "import json, sys; j = json.loads(open(sys.argv[1]).read()); sys.exit(not ($expression))" \
			"$work/out" 2>>"$work/err"
}
wait_for asks "j['source'] == 'itmed' and j['seen'] and j['places'] == []" top --count=1
ok $? "which are enough for its BPF programs"
inside cat "$mnt/one" >/dev/null
wait_for asks "[r for r in j['regions'] if r['region'] == 'one'][0]['stalls']['miss']['count'] > 0" report stalls
ok $? "and these count"

# ---- reload
inside cp "$config" /etc/itme/itmed.toml
ctl reload itmed && is ActiveState active && is MainPID "$main" && wait_for inside test -e "$mnt/late"
ok $? "systemctl reload: what the configuration has now is there, and it is the same process"
inside bash -c 'echo "nonsense = 1" >>/etc/itme/itmed.toml'
ctl reload itmed && is ActiveState active && is MainPID "$main" &&
	wait_for grep -q "not reloaded: .*nonsense" "$work/log"
ok $? "a reload of a bad configuration changes nothing"
inside cp "$config" /etc/itme/itmed.toml

# ---- trouble
restarted() { is NRestarts "$1" && is SubState running && [ "$(property MainPID)" != "$main" ]; }
inside kill -STOP "$main"
wait_for restarted 1
ok $? "one that hangs is ended by the watchdog and started again"
main=$(property MainPID)
inside kill -KILL "$main"
wait_for restarted 2
ok $? "one that is killed is started again"
ready() { is StatusText "1 mounted, 4 restored, 0 waiting"; }
wait_for ready && inside cmp -s "$store/one" "$mnt/one"
ok $? "and takes over what is there"
main=$(property MainPID)
ctl stop itmed && is ActiveState inactive && is Result success
ok $? "systemctl stop ends it, cleanly"
inside mountpoint -q "$mnt" && inside test ! -e /run/itme
ok $? "everything stays mounted, and its runtime folder is gone"
inside bash -c 'echo "nonsense = 1" >>/etc/itme/itmed.toml'
! ctl start itmed && is Result exit-code && grep -q "nonsense" "$work/log"
ok $? "a bad configuration keeps it from starting, and the log says why"
inside "$itmectl" umount "$mnt" >"$work/out" 2>"$work/err" && ! inside mountpoint -q "$mnt"
ok $? "the end"
[ "$n" = 17 ] && [ "$failed" = 0 ]
