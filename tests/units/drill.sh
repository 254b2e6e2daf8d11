#!/bin/bash
# Runs the units of deploy/ under systemd itself, started as the first process in namespaces of its own, and says PASS, FAIL or SKIP of each
# thing that was tried; ends with the number of failures. Needs root, overlayfs, a cgroup2 mount, systemd, openssl, curl; nginx for its part.
# Changes nothing outside: what is written lies in memory and goes with the namespaces. Takes half a minute.
#     drill.sh DEPLOY RELAY CLIENT
set -u
if [ "${1:-}" = --boot ]; then
    set -e
    t=$2; r=$t/root
    mount -t tmpfs -o size=1g,mode=0755 tmpfs "$t"
    mkdir "$t/upper" "$t/work" "$r"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$t/upper,workdir=$t/work" "$r"
    mount -t proc -o nosuid,nodev,noexec proc "$r/proc"
    # The kernel's variables are the machine's: nobody in here may set them.
    mount --bind "$r/proc/sys" "$r/proc/sys"
    mount -o remount,bind,ro "$r/proc/sys"
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$r/sys"
    mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup"
    for dir in run tmp dev; do mount -t tmpfs -o mode=0755,nosuid tmpfs "$r/$dir"; done
    chmod 1777 "$r/tmp"
    for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "$r/dev/${node%:*}" c 1 "${node#*:}"; done
    mknod -m 666 "$r/dev/tty" c 5 0
    mkdir "$r/dev/pts" "$r/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$r/dev/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$r/dev/shm"
    ln -s pts/ptmx "$r/dev/ptmx"
    ln -s /proc/self/fd "$r/dev/fd"
    for io in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${io%:*}" "$r/dev/${io#*:}"; done
    touch "$r/dev/console"
    mount --bind "$r/dev/null" "$r/dev/console"
    hostname drill
    # An empty machine: none of this one's own units, logs and settings.
    rm -rf "$r"/etc/systemd/system "$r"/etc/systemd/user "$r"/etc/rc?.d "$r"/etc/init.d "$r"/etc/cron* "$r/etc/porchlight" "$r/var/log" \
        "$r"/var/lib/porchlight* "$r"/var/lib/private "$r/var/lib/systemd/credential.secret" "$r"/etc/nginx/sites-enabled/* "$r"/etc/nginx/conf.d/*
    mkdir -p "$r/etc/systemd/system" "$r/etc/systemd/journald.conf.d" "$r/var/log/journal" "$r/var/lib/systemd"
    : > "$r/etc/fstab"
    echo '127.0.0.1 localhost relay.example' > "$r/etc/hosts"
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' > "$r/etc/machine-id"
    printf '[Journal]\nStorage=volatile\nForwardToSyslog=no\nRateLimitBurst=0\n' > "$r/etc/systemd/journald.conf.d/drill.conf"
    ln -s /lib/systemd/system/multi-user.target "$r/etc/systemd/system/default.target"
    for unit in getty.target console-getty.service nginx.service systemd-udevd.service systemd-timesyncd.service systemd-logind.service \
        systemd-sysctl.service systemd-modules-load.service systemd-networkd.service systemd-resolved.service remote-fs.target \
        sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-hugepages.mount proc-sys-fs-binfmt_misc.automount; do
        ln -s /dev/null "$r/etc/systemd/system/$unit"
    done
    mkdir "$r/drill"
    cp -r "$3" "$r/drill/deploy"
    install -m 0755 "$4" "$r/usr/local/bin/porchlight-relay"
    install -m 0755 "$5" "$r/usr/local/bin/porchlight"
    cp "$0" "$r/drill/drill.sh"
    mkdir "$r/.old"
    cd "$r"
    pivot_root . .old
    umount -l /.old
    mount --make-rshared /
    exec env -i container=drill PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --log-target=journal --show-status=0
fi

if [ "${1:-}" != --inside ]; then
    [ $# = 3 ] && [ "$(id -u)" = 0 ] || { echo "usage, as root: drill.sh DEPLOY RELAY CLIENT" >&2; exit 2; }
    self=$(realpath "$0") deploy=$(realpath "$1") relay=$(realpath "$2") client=$(realpath "$3")
    group=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/porchlight-drill-$$
    place=$(mktemp -d) || exit 2
    boot='' first=''
    clean() {
        [ -n "$first" ] && kill -KILL "$first" 2> /dev/null
        [ -n "$boot" ] && { kill -KILL "$boot"; wait "$boot"; } 2> /dev/null
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            find "$group" -depth -type d -exec rmdir {} \; 2> /dev/null
            [ -d "$group" ] || break
            sleep 0.2
        done
        rm -rf "$place"
    }
    trap clean EXIT
    trap 'exit 130' INT TERM HUP
    mkdir "$place/t" "$group" || exit 2
    # shellcheck disable=SC2016
    sh -c 'echo $$ > "$0/cgroup.procs" && exec "$@"' "$group" unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child \
        --propagation private bash "$self" --boot "$place/t" "$deploy" "$relay" "$client" < /dev/null > "$place/log" 2>&1 &
    boot=$!
    for _ in $(seq 100); do
        first=$(pgrep -P "$boot" | head -1)
        [ -n "$first" ] && nsenter -t "$first" -m -p test -S /run/systemd/private 2> /dev/null && break
        kill -0 "$boot" 2> /dev/null || break
        sleep 0.1
    done
    [ -n "$first" ] && kill -0 "$first" 2> /dev/null || { echo "FAIL systemd does not start here:"; cat "$place/log"; exit 1; }
    timeout 170 nsenter -t "$first" -a env -i HOME=/root TERM=dumb SYSTEMD_PAGER= SYSTEMD_COLORS=0 LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash /drill/drill.sh --inside < /dev/null
    exit
fi

# ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
failed=0
ok() { # what, then a command that is to succeed
    local what=$1 said; shift
    if said=$("$@" 2>&1); then echo "PASS $what"; else echo "FAIL $what: $*: $said"; failed=$((failed + 1)); fi
}
no() { local what=$1; shift; ok "$what" not "$@"; }
not() { ! "$@"; }
is() { if [ "$2" = "$3" ]; then echo "PASS $1: $2"; else echo "FAIL $1: $2, and not $3"; failed=$((failed + 1)); fi; }
skip() { echo "SKIP $1"; }
get() { curl -sk -m 8 -o /dev/null -w '%{http_code}' "$@"; }
pid() { systemctl show -P MainPID porchlight-relay; }
status() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$(pid)/status"; }
limit() { awk -v key="$1" 'index($0, key) == 1 { print $(NF - 1) }' "/proc/$(pid)/limits"; }
said() { # the journal may be a moment behind
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        journalctl -o cat --no-pager -u porchlight-relay -u porchlight-relay.socket --since "@$since" | grep -q -- "$1" && return
        sleep 0.2
    done
    return 1
}
both() { systemctl "$1" porchlight-relay.socket porchlight-relay.service; }
letter() { timeout 40 porchlight caller checkin --card "$1/card.txt" --phrase-file words --status help --text "$2" --fast-beats "${@:3}"; }
served() { timeout 5 openssl s_client -connect 127.0.0.1:443 -servername relay.example 2> /dev/null < /dev/null | openssl x509 -noout -serial; }
signed() { openssl x509 -req -in "$1" -signkey key.pem -days "$2" -copy_extensions copyall -out "$3" 2> /dev/null; }
# A line that is kept up to date by hand, quick enough for a drill.
line() {
    porchlight line init --dir "$1" --relay https://relay.example --relay-pin "$2" --passphrase-file pass --beat-ms 1000 --up-beat-ms 300
}
pin() { porchlight-relay check-config --config "$1" 2> /dev/null | sed -n 's/^pin //p'; }
config=/etc/porchlight/relay.toml site=https://relay.example

timeout 30 systemctl is-system-running --wait > /dev/null
is "systemd runs" "$(systemctl is-system-running)" running
umask 022
cd /drill || exit 1
mkdir -p /var/www/site /etc/porchlight
echo 'a garden club' > /var/www/site/index.html
echo 'no such page' > /var/www/site/404.html
cat > $config <<END
listen = "systemd"
data_dir = "/var/lib/porchlight"
decoy_dir = "/var/www/site"
[tls]
cert = "cert.pem"
key = "key.pem"
END
chmod 0600 $config
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj /CN=relay.example -addext subjectAltName=DNS:relay.example \
    -out request.pem 2> /dev/null
signed request.pem 90 cert.pem
cp $config .
ok "check-config" porchlight-relay check-config --config relay.toml
ok "the key is encrypted" systemd-creds encrypt --name=key.pem key.pem /etc/porchlight/key.pem.cred
install -m 0644 cert.pem request.pem /etc/porchlight/
install -m 0755 deploy/renewed /usr/local/sbin/porchlight-renewed
echo 'a passphrase for a drill' > pass
ok "a line" line anna "$(pin relay.toml)"
cat anna/relay.toml >> $config
cp deploy/porchlight-relay.service deploy/porchlight-relay.socket /etc/systemd/system/
systemctl daemon-reload

# ── start ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
since=$(date +%s)
ok "socket and service start" systemctl enable --now porchlight-relay.socket porchlight-relay.service
is "the service" "$(systemctl is-active porchlight-relay)" active
is "the site" "$(get $site/)" 200
is "a page that is missing" "$(get $site/nothing)" 404
no "it is not root" test "$(status Uid)" = 0
is "its account" "$(status Uid)" "$(systemctl show -P UID porchlight-relay)"
is "capabilities" "$(status CapEff)$(status CapBnd)" 00000000000000000000000000000000
is "no new privileges" "$(status NoNewPrivs)" 1
is "system calls are filtered" "$(status Seccomp)" 2
is "core dumps" "$(limit 'Max core file size')" 0
is "its memory belongs to" "$(stat -c %U "/proc/$(pid)/mem")" root
is "its network" "$(nsenter -t "$(pid)" -n sh -c 'ls /sys/class/net | wc -l; ip -o link 2> /dev/null | grep -vc " lo:"' | tail -1)" 0
is "the keyring" "$(stat -c '%a %u' /run/private/porchlight/keyring)" "600 $(status Uid)"
is "what root gave it" "$(ls "/proc/$(pid)/root/run/credentials/porchlight-relay.service" | tr '\n' ' ')" "cert.pem key.pem relay.toml "
# Whoever may not raise limits cannot hand them on.
if [ $((0x$(awk '$1 == "CapEff:" { print $2 }' /proc/1/status) >> 24 & 1)) = 1 ]; then
    is "open files" "$(limit 'Max open files')" 65536
    no "memory is locked" test "$(status VmLck)" = 0
else
    skip "open files, locked memory: no CAP_SYS_RESOURCE here"
fi
own=/sys/fs/cgroup/system.slice/porchlight-relay.service
if [ -e $own/memory.max ]; then
    is "the end of its memory" "$(cat $own/memory.max)" "$(systemctl show -P MemoryMax porchlight-relay)"
    is "swap" "$(cat $own/memory.swap.max 2> /dev/null || echo 0)" 0
    ok "it counts its sockets" sh -c "ls -l /proc/$(pid)/fd | grep -q memory.stat"
else
    skip "memory: its controller belongs to cgroup version 1 here"
fi
sleep 1.5
is "it goes on" "$(systemctl show -P NRestarts porchlight-relay)" 0
is "systemd has no warnings" "$(journalctl -o cat --no-pager -p warning _PID=1 --since "@$since" | grep -v tpmrm0)" ""

# ── what is held stays ──────────────────────────────────────────────────────────────────────────────────────────────────────────
ok "a line is published" timeout 60 porchlight line publish --dir anna --passphrase-file pass
porchlight caller new --card anna/card.txt --phrase-file words > /dev/null
ok "a letter" letter anna first
before=$(pid)
kill -9 "$before"
is "somebody who comes after kill -9 waits" "$(get $site/)" 200
no "another process" test "$(pid)" = "$before"
ok "another letter" letter anna second
( for _ in $(seq 80); do get $site/ > /dev/null; echo $?; sleep 0.02; done ) > codes &
calls=$!
again=0
for _ in 1 2 3 4 5 6 7 8; do systemctl restart porchlight-relay || again=1; sleep 0.2; done
is "eight restarts in a row" $again 0
wait $calls
# 7 is a refused connection. One that was being greeted as the relay ended is cut off, and tries again.
no "nobody is refused meanwhile" grep -qx 7 codes
ok "all but one or two are served: $(grep -cx 0 codes) of 80" test "$(grep -cx 0 codes)" -ge 76
systemctl stop porchlight-relay 2> /dev/null
is "a knock starts it" "$(get $site/)" 200
ok "a third letter" letter anna third
ok "the desk has all three" sh -c "timeout 60 porchlight desk sync --dir anna --passphrase-file pass --wait 20s | grep '3 new letters'"

# ── a renewed certificate ───────────────────────────────────────────────────────────────────────────────────────────────────────
old=$(served)
since=$(date +%s)
ok "reload" systemctl reload porchlight-relay
sleep 0.3
ok "it says that a reload changes nothing" said "SIGHUP changes nothing"
mkdir lineage
signed request.pem 80 lineage/fullchain.pem
ok "a renewed certificate, as certbot hands it over" env RENEWED_LINEAGE=/drill/lineage porchlight-renewed
new=$(served)
no "it is served" test "$new" = "$old"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -subj /CN=relay.example \
    -addext subjectAltName=DNS:relay.example -days 80 -out other.pem 2> /dev/null
openssl req -new -key key.pem -subj /CN=other.example -addext subjectAltName=DNS:other.example -out named.request 2> /dev/null
signed named.request 80 named.pem
echo nonsense > nonsense.pem
for wrong in other named nonsense; do no "$wrong.pem is refused" porchlight-renewed $wrong.pem; done
is "served still" "$(served)" "$new"

# ── what an operator does wrong ─────────────────────────────────────────────────────────────────────────────────────────────────
wrong() { # what, and what the journal says
    since=$(date +%s)
    no "$1: the start fails" systemctl restart porchlight-relay
    ok "$1: the journal says why" said "$2"
}
mended() {
    is "mended, it starts by itself" "$(get --retry 3 --retry-all-errors $site/)" 200
}
cp -p $config good
sed -i 's/^decoy_dir/decoy_dri/' $config
wrong "a typo" "relay.toml, line 3: unknown field"
( get -m 20 $site/ > waited ) &
waits=$!
sleep 1
cp -p good $config
wait $waits
is "somebody who came meanwhile waits" "$(cat waited)" 200
mv /etc/porchlight/cert.pem .
wrong "no certificate" "Failed to set up credentials"
mv cert.pem /etc/porchlight/
mended
chmod 700 /var/www
wrong "a site that is closed" "decoy_dir: cannot read"
chmod 755 /var/www
mended
sed -i 's,/var/lib/porchlight,/srv/porchlight,' $config
wrong "data elsewhere" "/srv/porchlight: Read-only"
cp -p good $config
mended
both stop
perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 443, Listen => 1, ReuseAddr => 1) or die; sleep 30' &
taken=$!
sleep 0.3
since=$(date +%s)
no "the port is taken: the start fails" systemctl start porchlight-relay
ok "the port is taken: the journal says why" said "Failed to listen on porchlight-relay.socket"
kill $taken
wait $taken 2> /dev/null
ok "and when it is free" systemctl start porchlight-relay
both stop
ok "the keys are overwritten" shred -n 1 -z -u /run/private/porchlight/keyring
ok "and what is left of them removed" systemctl clean --what=runtime porchlight-relay.service
no "nothing is left" test -e /run/private/porchlight
ok "it starts with new ones" both start
both stop

# ── behind a website ────────────────────────────────────────────────────────────────────────────────────────────────────────────
if ! command -v nginx > /dev/null; then
    skip "nginx is not here"
else
    hash=$(openssl x509 -in other.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1)
    ok "a line behind it" line bo "$hash"
    { printf 'listen = "systemd"\ndata_dir = "/var/lib/porchlight"\n[tls]\nspki = "%s"\n' "$hash"; cat bo/relay.toml; } > $config
    cp -r deploy/front/. /etc/systemd/system/
    systemctl daemon-reload
    gate=$(sed -n 's/^gates = \["\([a-z0-9]*\)".*/\1/p' bo/relay.toml)
    sed -n '/── http block/,/── server block/p' deploy/nginx.conf > /etc/nginx/porchlight.conf
    sed -n '/── server block/,$p' deploy/nginx.conf | sed "s/k3v9q2x7/$gate/" > /etc/nginx/porchlight-site.conf
    cat > /etc/nginx/nginx.conf <<END
user www-data;
pid /run/nginx.pid;
worker_processes 1;
events {}
http {
    include /etc/nginx/porchlight.conf;
    access_log /var/log/nginx/access.log porchlight if=\$porchlight_elsewhere;
    error_log /var/log/nginx/error.log crit;
    server {
        listen 443 ssl http2;
        ssl_certificate /drill/other.pem;
        ssl_certificate_key /drill/other.key;
        root /var/www/site;
        error_page 404 /404.html;
        include /etc/nginx/porchlight-site.conf;
    }
}
END
    mkdir -p /var/log/nginx
    rm /etc/systemd/system/nginx.service
    systemctl daemon-reload
    ok "nginx starts" systemctl start nginx
    ok "the relay starts behind it" both start
    is "its socket" "$(stat -c '%a %U %G' /run/porchlight-front/relay.sock)" "660 root www-data"
    knock() { setpriv --reuid "$1" --regid "$2" --clear-groups curl -s -m 5 -o /dev/null --unix-socket /run/porchlight-front/relay.sock http://x/; }
    ok "nginx's account may connect" knock www-data www-data
    no "nobody else may" knock nobody nogroup
    is "the website" "$(get $site/)" 200
    is "a gate" "$(get "$site/$gate/v1/notice")" 200
    is "no gate" "$(get "$site/nothing99/v1/notice")" 404
    ok "it is published through nginx" timeout 60 porchlight line publish --dir bo --passphrase-file pass
    porchlight caller new --card bo/card.txt --phrase-file words.bo > /dev/null
    mv words.bo words
    both stop
    is "while it is away the website answers" "$(get "$site/$gate/v1/notice")" 404
    ok "and it comes back" both start

    # ── the desk that is always on watch ──
    useradd --system --home-dir /var/lib/porchlight-watch --create-home porchlight-watch
    vault=/var/lib/porchlight-watch/desk
    as() { (cd / && setpriv --reuid porchlight-watch --regid porchlight-watch --clear-groups "$@"); }
    install -o porchlight-watch -m 600 pass /run/pass
    as porchlight desk join --dir $vault --passphrase-file /run/pass > request 2> asked
    porchlight desk admit request --dir bo --passphrase-file pass --words "$(sed -n 's/.*by another: //p' asked)" --out admission > answered 2>&1
    install -o porchlight-watch -m 600 admission /run/admission
    ok "the watch joins" as porchlight desk join --dir $vault --passphrase-file /run/pass --admission /run/admission \
        --words "$(sed -n 's/^  \([a-z].* .*\)$/\1/p' answered | head -1)"
    mkdir -m 0700 /etc/porchlight-watch
    systemd-creds encrypt --name=pass pass /etc/porchlight-watch/pass.cred 2> /dev/null
    cp deploy/porchlight-watch.service /etc/systemd/system/
    systemctl daemon-reload
    ok "the watch starts" systemctl enable --now porchlight-watch.service
    ok "a letter arrives" letter bo "for the watch" --wait 30s
    is "the watch" "$(systemctl is-active porchlight-watch) $(systemctl show -P NRestarts porchlight-watch)" "active 0"
    no "no gate in any log" grep -rq "$gate" /var/log /run/log
fi
echo "$failed failed"
exit "$((failed > 0))"
