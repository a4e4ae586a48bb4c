# What runs: checked, started, waited for; certificates. Part of apply.sh.

# enable_unit UNIT [--now]
enable_unit() {
    remember_unit "$1"
    case $1 in *.timer) intend path "/var/lib/systemd/timers/stamp-$1" ;; esac
    systemctl enable -q ${2:+"$2"} -- "$1"
}

# start_service UNIT FILE TARGET SECONDS [SOCKET ITS-FILE]: check the unit, start it, wait for its
# answer. With a socket it is that which is there at boot, and whoever asks starts the unit.
start_service() {
    unit=$1 file=$2 target=$3 seconds=$4
    shift 4
    socket=${1:-}
    [ -z "$socket" ] || shift
    if ! systemd-analyze verify -- "$file" "$@"; then
        put_back "$file" "$@"
        echo "systemd rejected the unit"
        return 1
    fi
    systemctl daemon-reload
    enable_unit "${socket:-$unit}"
    if [ -n "$socket" ]; then
        systemctl disable -q -- "$unit"
        systemctl stop -- "$unit"
    fi
    systemctl restart -- "${socket:-$unit}"
    local user longest="$((seconds + 30))"
    user=$(systemctl show -p User --value -- "$unit") # in whose folder the socket is
    # Whether it answers is the word of that user, whose program can say anything: nothing of root's and of
    # nobody else's follows from it, only which file and venv their own JupyterLab starts from.
    if ! owner_does "${user:-root}" python3 -I "$run/answers.py" "$target" "$seconds" "$unit"; then
        echo "$unit does not answer; the last lines of its journal:"
        journalctl -u "$unit" -n 20 --no-pager -o cat
        return 1
    fi
    accept "$file" "$@"
}

# start_member UNIT FILE ADDRESS PORT SECONDS TREE...: check the unit, start it, and wait until it
# listens there; each TREE it makes itself.
start_member() {
    unit=$1 file=$2 address=$3 port=$4 tries=$(($5 * 5))
    shift 5
    for own; do intend tree "$own"; done
    if ! systemd-analyze verify -- "$file"; then
        put_back "$file"
        echo "systemd rejected the unit"
        return 1
    fi
    systemctl daemon-reload
    enable_unit "$unit"
    systemctl restart -- "$unit"
    until python3 -Ic 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' \
        "$address" "$port" 2>/dev/null; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            echo "$unit does not answer; the last lines of its journal:"
            journalctl -u "$unit" -n 20 --no-pager -o cat
            return 1
        fi
        sleep 0.2
    done
    accept "$file"
}

# refuse_python VERSION: unless Debian's own is of that version.
refuse_python() {
    there=$(show_python)
    [ "$there" = "$1" ] && return 0
    echo "Python ${there:-none} is not the one of the cluster, $1"
    return 1
}

# retire UNIT: it ends, and will not be there at boot; its file is still there.
retire() {
    systemctl disable -q --now -- "$1"
}

# stop_units UNIT...: those that are there end, what could start another one first, and will not be
# there at boot.
stop_units() {
    for kind in timer socket path service; do
        for unit; do
            case $unit in
                *."$kind") ! systemctl cat -- "$unit" >/dev/null 2>&1 || systemctl disable -q --now -- "$unit" ;;
            esac
        done
    done
}

# reload_nginx PATH...: only a configuration that nginx itself accepts; else the former one is back.
reload_nginx() {
    if ! nginx -t; then
        put_back "$@"
        return 1
    fi
    enable_unit nginx.service
    master=$(systemctl show -p MainPID --value nginx)
    old=$(cat "/proc/$master/task/$master/children" 2>/dev/null) || old=
    systemctl reload-or-restart nginx
    accept "$@"
    wait_retired $old
}

# obtain_certificate DOMAIN EMAIL SERVER WEBROOT HOOK: from an ACME server, and give it to Nginx; what
# was there before stays when that fails. One that certbot has already is not asked for again.
obtain_certificate() {
    certbot=/etc/letsencrypt lineage=$instance-fab contact="--email=$2" force=
    intend tree $certbot/accounts
    for own in archive csr keys live live/README renewal renewal-hooks/deploy renewal-hooks/post \
        renewal-hooks/pre; do
        intend path "$certbot/$own"
    done
    intend path /var/lib/letsencrypt/backups
    [ -n "$2" ] || contact=--register-unsafely-without-email
    if [ ! -s "$certbot/renewal/$lineage.conf" ]; then # what a killed first run left behind
        rm -rf "$certbot/renewal/$lineage.conf" "$certbot/live/$lineage" "$certbot/archive/$lineage"
    elif ! grep -qxF "server = $3" "$certbot/renewal/$lineage.conf"; then
        force='--force-renewal --break-my-certs' # a test server's, too, takes the place of another's
    fi
    tries=12
    until certbot certonly --non-interactive --agree-tos "$contact" --server="$3" $force \
        --webroot --webroot-path="$4" --cert-name="$lineage" --domain="$1" --key-type=ecdsa \
        --renew-with-new-domains --keep-until-expiring --deploy-hook="$5" >"$run/own/certbot" 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ] || ! grep -q 'Another instance of Certbot' "$run/own/certbot"; then
            # Debian's certbot hides behind such a line what was said
            grep -v 'can.t set attribute' "$run/own/certbot" || true
            sed -n 's/^acme.messages.Error: //p' /var/log/letsencrypt/letsencrypt.log | tail -n 1
            return 1
        fi
        sleep 5
    done
    cat -- "$run/own/certbot"
    RENEWED_LINEAGE=$certbot/live/$lineage RENEWED_DOMAINS=$1 "$5" # certbot forgets one that failed
}

# restart_fail2ban JAIL LOG: and see that the jail is at work.
restart_fail2ban() {
    [ -e "$2" ] || install -o www-data -g adm -m 0640 /dev/null "$2" # nobody has asked Nginx yet
    enable_unit fail2ban.service
    systemctl restart fail2ban
    tries=100
    until fail2ban-client status "$1" >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            echo "fail2ban has no jail $1; the last lines of its journal:"
            journalctl -u fail2ban -n 20 --no-pager -o cat
            return 1
        fi
        sleep 0.1
    done
}

# start_timer UNIT: with what its file says now.
start_timer() {
    systemctl daemon-reload
    enable_unit "$1"
    systemctl restart -- "$1"
}

# wait_retired PID...: until the workers of before take no more requests; a reload returns earlier.
wait_retired() {
    for worker; do
        tries=100
        while [ "$tries" -gt 0 ] && [ -e "/proc/$worker" ] \
            && ! grep -q 'shutting down' "/proc/$worker/cmdline"; do
            tries=$((tries - 1))
            sleep 0.02
        done
    done
}

# refuse_port PORT UNIT: name the program that listens there, and stop, unless it is the unit's own.
refuse_port() {
    inode=$(awk -v port="$(printf ':%04X$' "$1")" '$2 ~ port && $4 == "0A" { print $10; exit }' \
        /proc/net/tcp /proc/net/tcp6)
    [ -n "$inode" ] || return 0 # free by now
    fd=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null) || true
    pid=${fd#/proc/}
    pid=${pid%%/*}
    if grep -q "/$2\$" "/proc/$pid/cgroup" 2>/dev/null; then
        return 0
    elif [ -z "$pid" ] && systemctl is-active -q -- "$2"; then
        return 0 # in a container root may not see whose it is
    fi
    echo "port $1 is taken by $(cat "/proc/$pid/comm" 2>/dev/null || echo 'another program') (process ${pid:-unknown})"
    return 1
}
