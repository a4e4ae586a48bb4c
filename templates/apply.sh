# Make it so. Every change is a step_N; steps are announced as they begin and end. Runs as root.
set -u
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
kept=/var/backups/jupyterlab # what stood in our place: `now` until it is known to work
lock=/run/jupyterlab-fab.lock
turn=/run/jupyterlab-fab.turn # who holds the lock, or held it last, and how that ended
lock_wait=600                # seconds that another run, apt or dpkg may take

# take_turn OPERATOR SEEN: one run at a time. The lock goes with its processes, however they end;
# what its last holder wrote down tells whether the server changed since it was read (SEEN).
take_turn() {
    (umask 077; : >>"$lock") # who can open it can hold it
    exec 9>>"$lock"
    if ! flock -n 9; then
        sleep 0.3 # until it has written who it is
        holder=$(cat -- "$turn" 2>/dev/null)
        holder=${holder%, done}
        printf 'note another run is at work here: %s; waiting for it\n' "${holder:-somebody}"
        if ! flock -w "$lock_wait" 9; then
            printf 'held %s\n' "${holder:-somebody}"
            exit 1
        fi
        [ "$2" = any ] || again
    fi
    before=$(cat -- "$turn" 2>/dev/null)
    [ "$2" = any ] || [ "$before" = "$2" ] || again
    case $before in
        *', done') ;;
        ?*) printf 'note the last run did not end well (%s); this one goes on from there\n' "$before" ;;
        '') [ ! -d "$kept/now" ] || echo 'note a run before the last boot did not end well' ;;
    esac
    written="$1, since $(date -u +'%F %T') UTC, process $$"
    write_turn "$written"
    dated=$kept/$(date +%Y-%m-%dT%H%M%S.%N)
    rm -rf /run/jupyterlab-fab.?????? # of a run that was killed
    run=$(mktemp -d /run/jupyterlab-fab.XXXXXX) || exit 1
    chmod 0711 -- "$run" # the user's own steps read their tools there
    trap 'rm -rf -- "$run"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
}

# again: somebody else's run came in between; nothing is done before it is read anew.
again() {
    echo again
    exit 0
}

# write_turn TEXT: for whoever comes next, on the server and here.
write_turn() {
    printf '%s\n' "$1" >"$turn.new" && mv -f -- "$turn.new" "$turn"
    printf 'turn %s\n' "$1"
}

# --- steps ---------------------------------------------------------------------------------

# run N: run a step and say how it ended; the first that fails ends the whole.
run() {
    printf 'begin %s\n' "$1"
    (set -e; "step_$1") >"$run/$1.log" 2>&1 </dev/null
    ended "$1" $?
}

# begin N: start a step beside those that follow.
begin() {
    printf 'begin %s\n' "$1"
    (set -e; "step_$1") >"$run/$1.log" 2>&1 </dev/null &
    beside="$1 $!"
}

# finish: wait for the step that runs beside.
finish() {
    [ -n "${beside:-}" ] || return 0
    set -- $beside
    beside=
    wait "$2"
    ended "$1" $?
}

# ended N STATUS: announce it; after a failure show its last words and stop, also what runs beside.
ended() {
    sed -n 's/^note: /note /p' "$run/$1.log"
    printf 'end %s %s\n' "$1" "$2"
    [ "$2" -ne 0 ] || return 0
    tail -n 40 -- "$run/$1.log" | sed 's/^/| /'
    [ -z "${beside:-}" ] || stop_download "${beside#* }"
    exit 1
}

# stop_download PID: a step that still downloads packages is not waited for; dpkg is.
stop_download() {
    [ -e "$run/dpkg" ] || kill "$1" $(cat "/proc/$1/task/$1/children") 2>/dev/null
    wait "$1" 2>/dev/null
}

# settle: the run ended well; what it replaced is kept under its date.
settle() {
    if [ -d "$kept/now" ]; then
        find "$kept/now" \( -name '*.absent' -o -name '*.part' \) -delete
        { mkdir -p -- "$dated" && cp -a -- "$kept/now/." "$dated/" && rm -rf -- "$kept/now"; } || exit 1
    fi
    if [ -d "$dated" ]; then
        find "$dated" -depth -type d -empty -delete
    fi
    if [ -d "$dated" ]; then
        printf 'note what was replaced is kept in %s\n' "$dated"
    fi
    write_turn "$written, done"
}

# --- files ---------------------------------------------------------------------------------

# keep PATH: set aside what stands there. A run that did not end well left older ones, which are
# known to work: those stay, and what was put there since goes under this run's date.
keep() {
    if [ -e "$kept/now$1" ] || [ -L "$kept/now$1" ] || [ -e "$kept/now$1.absent" ]; then
        [ ! -f "$1" ] || set_aside "$1" "$dated/since$1"
    elif [ -e "$1" ] || [ -L "$1" ]; then
        set_aside "$1" "$kept/now$1"
    else
        (umask 077; mkdir -p -- "$kept/now$(dirname -- "$1")")
        : >"$kept/now$1.absent"
    fi
}

# set_aside PATH COPY: whole or not at all.
set_aside() {
    (umask 077; mkdir -p -- "$(dirname -- "$2")")
    cp -a -- "$1" "$2.part"
    mv -fT -- "$2.part" "$2"
}

# put_back PATH...: undo this run's change, if it made one.
put_back() {
    for path; do
        if [ -e "$kept/now$path.absent" ]; then
            rm -f -- "$path" "$kept/now$path.absent"
            echo "$path is gone again"
        elif [ -e "$kept/now$path" ] || [ -L "$kept/now$path" ]; then
            clear_away "$path"
            former=$(dirname -- "$path")/.new.former
            cp -a -- "$kept/now$path" "$former"
            mv -fT -- "$former" "$path"
            rm -f -- "$kept/now$path"
            echo "$path is what it was again"
        fi
    done
}

# accept PATH...: what is there now works, so that no later run goes back behind it.
accept() {
    for path; do
        rm -f -- "$kept/now$path.absent"
        if [ -e "$kept/now$path" ] || [ -L "$kept/now$path" ]; then
            (umask 077; mkdir -p -- "$dated$(dirname -- "$path")")
            mv -f -- "$kept/now$path" "$dated$path"
        fi
    done
}

# clear_away PATH: what a run that was killed has left beside it.
clear_away() {
    rm -f -- "$(dirname -- "$1")"/.new.??????
}

# put_file PATH OWNER GROUP MODE <content: whole or not at all.
put_file() {
    keep "$1"
    clear_away "$1"
    new=$(mktemp -- "$(dirname -- "$1")/.new.XXXXXX")
    trap 'rm -f -- "$new"' EXIT
    cat >"$new"
    chown -- "$2:$3" "$new"
    chmod -- "$4" "$new"
    sync -- "$new"
    mv -fT -- "$new" "$1"
}

# put_rights PATH OWNER GROUP MODE: of a file whose content is right.
put_rights() {
    chown -h -- "$2:$3" "$1"
    chmod -- "$4" "$1"
}

# put_link PATH TARGET
put_link() {
    keep "$1"
    clear_away "$1"
    new=$(dirname -- "$1")/.new.linked # no dot at its start, and Nginx would read it
    trap 'rm -f -- "$new"' EXIT
    ln -s -- "$2" "$new"
    mv -fT -- "$new" "$1"
}

# put_absent PATH: whatever is there is kept.
put_absent() {
    keep "$1"
    rm -f -- "$1"
}

# put_directory PATH OWNER GROUP MODE
put_directory() {
    if [ -L "$1" ] && [ "$(stat -L -c %U -- "$1" 2>/dev/null)" != "$2" ]; then
        echo "$1 is a link to what does not belong to $2: remove it"
        return 1
    fi
    # the folders above it are the owner's, too, where the owner may make them
    [ -d "$1" ] || runuser -u "$2" -- mkdir -p -- "$1" 2>/dev/null || mkdir -p -- "$1"
    chown -- "$2:$3" "$1"
    chmod -- "$4" "$1"
}

# put_token PATH OWNER GROUP: 192 random bits that only this server has seen.
put_token() {
    od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n' | put_file "$1" "$2" "$3" 0600
}

# --- packages ------------------------------------------------------------------------------

# apt_now ARG...: apt-get as it must be where nobody answers.
apt_now() {
    apt-get -q -y -o DPkg::Lock::Timeout="$lock_wait" -o DPkg::Pre-Invoke::="touch $run/dpkg" \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 \
        -o APT::Install-Recommends="$recommends" "$@"
}

# apt_get ARG...: apt-get that waits for whoever holds its locks, and first completes what a run
# that was cut off, or had no room left, has begun.
apt_get() {
    deadline=$(($(date +%s) + lock_wait)) mended=
    until apt_now "$@" 2>"$run/apt.err"; do
        cat -- "$run/apt.err" >&2
        case $mended:$(cat -- "$run/apt.err") in
            *'Could not get lock'*)
                [ "$(date +%s)" -lt "$deadline" ] || return 1
                sleep 1 ;;
            :*'dpkg was interrupted'*)
                echo 'note: dpkg was interrupted: completing what it had begun'
                mended=half
                dpkg --force-confdef --force-confold --configure -a || true ;;
            :*--fix-broken* | half:*--fix-broken*)
                echo 'note: packages were left without what they depend on: completing them'
                mended=whole
                apt_now --no-remove --fix-broken install || true ;;
            *) return 1 ;;
        esac
    done
}

# install_packages RECOMMENDS NAME...: one transaction, on an index of at most a day.
install_packages() {
    recommends=$1
    shift
    rm -f -- "$run/dpkg"
    if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -mmin -1440 -print -quit 2>/dev/null)" ]; then
        apt_get update
    fi
    apt_get install -- "$@" || {
        apt_get update # an index of this morning may name what the mirror no longer has
        apt_get install -- "$@"
    }
}

# as_user USER HOME COMMAND...: as the one whose files these are.
as_user() {
    account=$1 home=$2
    shift 2
    (cd -- "$home" && HOME=$home USER=$account LOGNAME=$account exec runuser -u "$account" -- "$@")
}

# fill_venv DIR USER HOME REPAIR INSTALLER RECORD REQUIREMENT...: make it if need be, install into it.
# .converged says how far the last run came: a venv that was never finished is made anew.
fill_venv() {
    venv=$1 account=$2 home=$3 repair=$4 installer=$5 record=$6
    shift 6
    if [ "$repair" = anew ]; then
        rm -rf -- "$venv"
    fi
    if [ -x "$venv/bin/python" ]; then
        as_user "$account" "$home" sh -c 'echo changing >"$1"' sh "$venv/.converged"
    else
        as_user "$account" "$home" sh -c 'mkdir -p -- "$1" && echo filling >"$1/.converged"' sh "$venv"
        as_user "$account" "$home" python3 -m venv --without-pip -- "$venv"
    fi
    as_user "$account" "$home" python3 "$run/install.py" "$venv" "$installer" "$repair" "$@"
    { printf '%s\n' "$record"; distributions "$venv" | sed 's/^/+/; s/-[^-]*$//'; } | as_user "$account" "$home" \
        sh -c 'cat >"$1.new" && mv -f "$1.new" "$1"' sh "$venv/.converged"
}

# --- services ------------------------------------------------------------------------------

# start_service UNIT FILE TARGET SECONDS: check the unit, start it, wait for its answer.
start_service() {
    unit=$1 file=$2 target=$3 seconds=$4
    if ! systemd-analyze verify -- "$file"; then
        put_back "$file"
        echo "systemd rejected the unit"
        return 1
    fi
    systemctl daemon-reload
    systemctl enable -q -- "$unit"
    systemctl restart -- "$unit"
    if ! python3 "$run/answers.py" "$target" "$seconds" "$unit"; then
        echo "$unit does not answer; the last lines of its journal:"
        journalctl -u "$unit" -n 20 --no-pager -o cat
        return 1
    fi
    accept "$file"
}

# reload_nginx PATH...: only a configuration that nginx itself accepts; else the former one is back.
reload_nginx() {
    if ! nginx -t; then
        put_back "$@"
        return 1
    fi
    systemctl enable -q nginx
    master=$(systemctl show -p MainPID --value nginx)
    old=$(cat "/proc/$master/task/$master/children" 2>/dev/null) || old=
    systemctl reload-or-restart nginx
    accept "$@"
    wait_retired $old
}

# obtain_certificate DOMAIN EMAIL SERVER WEBROOT HOOK: from an ACME server, and give it to Nginx; what
# was there before stays when that fails. One that certbot has already is not asked for again.
obtain_certificate() {
    certbot=/etc/letsencrypt contact="--email=$2" force=
    [ -n "$2" ] || contact=--register-unsafely-without-email
    if [ ! -s "$certbot/renewal/jupyterlab.conf" ]; then # what a killed first run left behind
        rm -rf "$certbot/renewal/jupyterlab.conf" "$certbot/live/jupyterlab" "$certbot/archive/jupyterlab"
    elif ! grep -qxF "server = $3" "$certbot/renewal/jupyterlab.conf"; then
        force='--force-renewal --break-my-certs' # a test server's, too, takes the place of another's
    fi
    tries=12
    until certbot certonly --non-interactive --agree-tos "$contact" --server="$3" $force \
        --webroot --webroot-path="$4" --cert-name=jupyterlab --domain="$1" --key-type=ecdsa \
        --renew-with-new-domains --keep-until-expiring --deploy-hook="$5" >"$run/certbot" 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ] || ! grep -q 'Another instance of Certbot' "$run/certbot"; then
            grep -v 'can.t set attribute' "$run/certbot" # Debian's certbot hides behind it what was said
            sed -n 's/^acme.messages.Error: //p' /var/log/letsencrypt/letsencrypt.log | tail -n 1
            return 1
        fi
        sleep 5
    done
    cat -- "$run/certbot"
    RENEWED_LINEAGE=$certbot/live/jupyterlab RENEWED_DOMAINS=$1 "$5" # certbot forgets one that failed
}

# restart_fail2ban JAIL LOG: and see that the jail is at work.
restart_fail2ban() {
    [ -e "$2" ] || : >"$2" # of an Nginx that nobody has asked yet
    systemctl enable -q fail2ban
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
    fi
    echo "port $1 is taken by $(cat "/proc/$pid/comm" 2>/dev/null || echo 'another program') (process ${pid:-unknown})"
    return 1
}
