# Services: check them, start them, wait for them; certificates. Part of apply.sh.

# enable_unit UNIT [--now]: enable a unit, and record for the uninstall what it was before.
enable_unit() {
    remember_unit "$1"
    case $1 in *.timer) intend path "/var/lib/systemd/timers/stamp-$1" ;; esac
    systemctl enable -q ${2:+"$2"} -- "$1"
}

# blame UNIT SINCE WHAT: say what UNIT does not do, with the last lines of its journal from SINCE, in
# seconds of the epoch, and fail. Older lines would tell of other failures.
blame() {
    echo "$1 does not $3; the last lines of its journal:"
    journal_of "$1" --since "@$2" -n 20 -o cat
    return 1
}

# start_limit SECONDS: print how long a start may take: SECONDS, or three times what the last one took.
start_limit() {
    local last=0
    [ ! -f "$took" ] || read -r last <"$took"
    case $last in '' | *[!0-9]*) last=0 ;; esac
    if [ "$((last * 3))" -gt "$1" ]; then echo "$((last * 3))"; else echo "$1"; fi
}

# start_service UNIT FILE ENDPOINT SECONDS [SOCKET ITS-FILE]: check the unit, start it, wait until it
# answers at ENDPOINT. With a SOCKET, only that is enabled, and the first request starts the unit.
start_service() {
    local unit="$1" file="$2" endpoint="$3" socket="${5:-}" seconds
    seconds=$(start_limit "$4")
    shift 4
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
    local user what=answer longest="$((seconds + 30))" since
    since=$(date +%s)
    systemctl restart -- "${socket:-$unit}" || blame "${socket:-$unit}" "$since" start || return 1
    user=$(systemctl show -p User --value -- "$unit") # the socket is in this user's folder
    # That user's program could give any answer: it decides nothing but the file and the venv from
    # which their own JupyterLab starts.
    owner_does "${user:-root}" python3 -I "$run/wait_ready.py" "$endpoint" "$seconds" "$unit" || {
        [ $? = 1 ] || what="answer within $seconds s"
        blame "$unit" "$since" "$what" || true
        other_configuration | sed 's/^/JupyterLab reads this file, too: /'
        return 1
    }
    intend path "$took"
    echo "$(($(date +%s) - since))" >"$took"
    accept "$file" "$@"
}

# start_member UNIT FILE ADDRESS PORT SECONDS TREE...: check the unit, start it, and wait until it
# listens; it creates each TREE itself.
start_member() {
    local unit="$1" file="$2" address="$3" port="$4" tries="$(($5 * 5))" seconds="$5" own since
    shift 5
    for own; do intend tree "$own"; done
    if ! systemd-analyze verify -- "$file"; then
        put_back "$file"
        echo "systemd rejected the unit"
        return 1
    fi
    systemctl daemon-reload
    enable_unit "$unit"
    since=$(date +%s)
    systemctl restart -- "$unit" || blame "$unit" "$since" start || return 1
    until python3 -Ic 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' \
        "$address" "$port" 2>/dev/null; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            blame "$unit" "$since" "answer within $seconds s" || return 1
        fi
        sleep 0.2
    done
    accept "$file"
}

# refuse_python VERSION: fail unless Debian's Python has this version.
refuse_python() {
    local there
    there=$(show_python)
    [ "$there" = "$1" ] && return 0
    echo "Python ${there:-none} is not the cluster's version, $1"
    return 1
}

# retire UNIT: stop and disable a unit; its file stays.
retire() {
    systemctl disable -q --now -- "$1"
}

# stop_units UNIT...: stop and disable the units that exist; first those that could start others.
stop_units() {
    local kind unit
    for kind in timer socket path service; do
        for unit; do
            case $unit in
                *."$kind") ! systemctl cat -- "$unit" >/dev/null 2>&1 || systemctl disable -q --now -- "$unit" ;;
            esac
        done
    done
}

# reload_nginx PATH...: have Nginx serve with the new files; if it cannot, put the former ones back.
reload_nginx() {
    if ! nginx -t; then
        put_back "$@"
        return 1
    fi
    enable_unit nginx.service
    if ! serve_anew; then
        put_back "$@"
        systemctl is-active -q nginx || systemctl restart nginx || true # after a restart that failed
        return 1
    fi
    accept "$@"
}

# serve_anew: have Nginx read its files again, and fail unless it serves with them. It cannot bind
# an address that overlaps one that it has, such as 0.0.0.0:80 and 127.0.0.1:80, unless it restarts.
serve_anew() {
    local port since
    if ! systemctl is-active -q nginx; then
        since=$(date +%s)
        systemctl restart nginx || blame nginx "$since" start || return 1
        return 0
    fi
    if reload_well; then
        port=$(deaf_port)
        [ -n "$port" ] || return 0
    else
        port=$(sed -n 's/.*bind() to [^ ]*:\([0-9]*\) failed (98.*/\1/p' "$run/own/emerg" | tail -n 1)
    fi
    if [ -n "$port" ] && refuse_port "$port" nginx.service && refuse_hidden_sites; then
        if systemctl restart nginx; then
            note "Nginx was restarted, because a reload cannot change the addresses of port $port"
            return 0
        fi
        show_listens | grep ":$port\b" || true
    fi
    echo 'Nginx does not serve with the new files:'
    cat -- "$run/own/emerg"
    return 1
}

# deaf_port: print a port at which IPv4 should be answered by a socket of IPv6 and is not: a reload
# does not change a socket that is open.
deaf_port() {
    local port
    show_listens | sed -n 's/.*:\[::\]:\([0-9]*\) .*ipv6only=off.*/\1/p' | sort -u | while read -r port; do
        perl -e 'socket(S, 2, 1, 0) && connect(S, pack("SnC4x8", 2, $ARGV[0], 127, 0, 0, 1)) or exit 1' "$port" \
            || echo "$port"
    done | head -n 1
}

# refuse_hidden_sites: fail if the login user could not read where a site listens, so that our site
# is written without it.
refuse_hidden_sites() {
    local file reader="${SUDO_USER:-root}"
    show_listens | sed 's/:.*//' | sort -u >"$run/own/sites"
    while read -r file; do
        owner_does "$reader" test -r "$file" </dev/null && continue
        echo "$reader may not read $file, which says where a site listens"
        return 1
    done <"$run/own/sites"
}

# reload_well: reload Nginx, and wait until new workers serve and the former ones take no requests:
# systemctl returns before that, and returns 0 also when Nginx fails. Otherwise write why to emerg.
reload_well() {
    local master log size old='' now='' tries=1500
    : >"$run/own/emerg"
    master=$(systemctl show -p MainPID --value nginx)
    log=$(sed -n '/^[[:space:]]*http/q; s/^[[:space:]]*error_log[[:space:]]*\([^ ;]*\).*/\1/p' /etc/nginx/nginx.conf)
    log=${log:-/var/log/nginx/error.log}
    size=$(stat -L -c %s -- "$log" 2>/dev/null) || size=0
    read -r old <"/proc/$master/task/$master/children" || true # the line has no end
    if ! systemctl reload nginx; then
        journalctl -u nginx -n 10 --no-pager -o cat >"$run/own/emerg"
        return 1
    fi
    while [ "$tries" -gt 0 ]; do
        read -r now <"/proc/$master/task/$master/children" || true
        # shellcheck disable=SC2086 # a word for each worker
        if [ "$now" != "$old" ] && retired $old; then
            return 0
        fi
        if [ "$((tries % 10))" = 0 ]; then # it tries to bind five times, then gives up
            tail -c "+$((size + 1))" -- "$log" 2>/dev/null | grep -F "[emerg] $master#" >"$run/own/emerg" || true
            ! grep -qv 'bind() to' "$run/own/emerg" || break
        fi
        sleep 0.02
        tries=$((tries - 1))
    done
    [ -s "$run/own/emerg" ] || journalctl -u nginx -n 10 --no-pager -o cat >"$run/own/emerg"
    return 1
}

# retired PID...: check that these workers of Nginx take no requests.
retired() {
    local worker words
    for worker; do
        words=
        { read -r words <"/proc/$worker/cmdline"; } 2>/dev/null || true # the line has no end
        case $words in '' | *'shutting down'*) ;; *) return 1 ;; esac
    done
}

# make_certbot VENV VERSION...: create a venv for root with certbot; if that fails, the former one
# stays.
make_certbot() {
    local venv="$1" former="$1.former"
    shift
    intend tree "$venv"
    intend tree "$former"
    rm -rf -- "$former"
    [ ! -e "$venv" ] || mv -T -- "$venv" "$former"
    if ! fill_certbot "$venv" "$@"; then
        rm -rf -- "$venv"
        [ ! -e "$former" ] || mv -T -- "$former" "$venv"
        return 1
    fi
    rm -rf -- "$former"
}

# fill_certbot VENV VERSION...: make the venv, of these versions and no others, from wheels alone: no
# program of a package runs before certbot itself does.
fill_certbot() {
    local venv="$1"
    shift
    /usr/bin/python3 -Im venv -- "$venv" \
        && "$venv/bin/python" -Im pip install --quiet --no-input --no-cache-dir \
            --disable-pip-version-check --no-deps --only-binary :all: -- "$@" \
        && "$venv/bin/python" -Im pip check --disable-pip-version-check
}

# foresee_certbot: record what Debian's certbot will create.
foresee_certbot() {
    local own
    intend tree /etc/letsencrypt/accounts
    for own in archive csr keys live live/README renewal renewal-hooks/deploy renewal-hooks/post \
        renewal-hooks/pre; do
        intend path "/etc/letsencrypt/$own"
    done
    intend path /var/lib/letsencrypt/backups
}

# obtain_certificate NAME EMAIL SERVER HOOK PLUGIN PLACE [CERTBOT]: obtain a certificate from an ACME
# server, unless certbot has a valid one, and give it to Nginx by HOOK. If that fails, the former one
# stays. PLUGIN proves the name: `webroot` in the folder PLACE, `dns-...` with the credentials in PLACE.
# CERTBOT is a venv with another certbot, which obtains one for the address NAME.
obtain_certificate() {
    local certbot=/etc/letsencrypt log=/var/log/letsencrypt lineage="$instance-fab" contact="--email=$2" \
        program=certbot name="--domain=$1" force='' tries=12 venv="${7-}" ours \
        proof='' settings
    ours=${venv##*/}
    if [ -n "$ours" ]; then
        certbot=/etc/$ours log=/var/log/$ours name="--ip-address=$1"
        program="$venv/bin/certbot --config-dir=$certbot --work-dir=/var/lib/$ours --logs-dir=$log"
        program="$program --preferred-profile=shortlived"
        intend tree "$certbot"
        intend tree "/var/lib/$ours"
        intend tree "$log"
        export REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt # else it trusts a list of its own
    else
        foresee_certbot
    fi
    settings=$certbot/renewal/$lineage.conf
    [ -n "$2" ] || contact=--register-unsafely-without-email
    if [ ! -s "$settings" ]; then # left by a killed first run
        rm -rf "$settings" "$certbot/live/$lineage" "$certbot/archive/$lineage"
    elif ! grep -qxF "server = $3" "$settings" || ! grep -qxF "authenticator = $5" "$settings"; then
        force=yes # a test server's certificate may replace a valid one, too
    fi
    case $5:$6 in
        webroot:*) proof=--webroot-path=$6 ;;
        *:) ;; # the server has a role of its own
        dns-route53:*)
            export AWS_CONFIG_FILE="$6"
            systemctl daemon-reload # for renewals: certbot.service has a new variable
            ;;
        *) proof=--$5-credentials=$6 ;;
    esac
    # shellcheck disable=SC2086 # a program with its options
    until $program certonly --non-interactive --agree-tos "$contact" --server="$3" \
        ${force:+--force-renewal --break-my-certs} \
        --authenticator="$5" ${proof:+"$proof"} --cert-name="$lineage" "$name" --key-type=ecdsa \
        --renew-with-new-domains --keep-until-expiring --deploy-hook="$4" >"$run/own/certbot" 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ] || ! grep -q 'Another instance of Certbot' "$run/own/certbot"; then
            # Debian's certbot prints this line instead of the ACME server's error
            grep -v 'can.t set attribute' "$run/own/certbot" || true
            sed -n 's/^acme.messages.Error: //p' "$log/letsencrypt.log" | tail -n 1
            return 1
        fi
        sleep 5
    done
    cat -- "$run/own/certbot"
    RENEWED_LINEAGE=$certbot/live/$lineage RENEWED_DOMAINS=$1 "$4" # certbot does not repeat a failed hook
    if [ "$5" = webroot ]; then # until here certbot needed them for renewals
        put_absent "/etc/nginx/$instance/dns.key"
        put_absent "/etc/nginx/$instance/dns.key.hash"
    fi
}

# restart_fail2ban JAIL LOG: restart fail2ban, and wait until the jail is active.
restart_fail2ban() {
    local tries=100
    [ -e "$2" ] || install -o www-data -g adm -m 0640 /dev/null "$2" # Nginx had no request yet
    enable_unit fail2ban.service
    systemctl restart fail2ban
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

# start_timer UNIT: enable a timer, and restart it with what its file says now.
start_timer() {
    systemctl daemon-reload
    enable_unit "$1"
    systemctl restart -- "$1"
}

# refuse_port PORT UNIT: name the program that listens there and fail, unless it is the unit's own.
refuse_port() {
    local inode fd pid
    # shellcheck disable=SC2013 # a number on each line
    for inode in $(awk -v port="$(printf ':%04X$' "$1")" '$2 ~ port && $4 == "0A" { print $10 }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null); do
        fd=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null) || true
        pid=${fd#/proc/}
        pid=${pid%%/*}
        if grep -q "/$2\$" "/proc/$pid/cgroup" 2>/dev/null; then
            continue
        elif [ -z "$pid" ] && systemctl is-active -q -- "$2"; then
            continue # in a container root may not see which program it is
        fi
        echo "port $1 is taken by $(cat "/proc/$pid/comm" 2>/dev/null || echo 'another program') (process ${pid:-unknown})"
        return 1
    done
}
