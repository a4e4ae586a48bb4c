# What is there? Each function prints it and never fails; nothing is changed, no sudo is needed.
LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH

# facts: who logs in here, and what this system is.
facts() {
    . /etc/os-release
    printf '%s\n' "user=$(id -un -- "$account")" "group=$(id -gn -- "$account")" "home=$home" \
        "uid=$(id -u -- "$account")" "root=$([ "$(id -u)" = 0 ] && echo yes)" \
        "system=$ID" "like=${ID_LIKE:-}" "version=${VERSION_ID:-}" "name=${PRETTY_NAME:-$ID}" \
        "systemd=$([ -d /run/systemd/system ] && echo yes)" \
        "free=$(df -Pm -- "$home" | awk 'NR > 1 { print $4 }')" \
        "turn=$(cat /run/jupyterlab-fab.lock 2>/dev/null)"
}

# show_path PATH: its kind, owner, group and mode; a file's content in base64, a link's target.
show_path() {
    if [ -L "$1" ]; then
        printf 'link\n%s\n' "$(readlink -- "$1")"
    elif [ -e "$1" ]; then
        stat -c '%F|%U|%G|%a' -- "$1"
        [ ! -f "$1" ] || base64 -w0 -- "$1" 2>/dev/null || printf '!'
        echo
    else
        echo absent
    fi
}

# show_folder PATH: the same of a folder; a link to one is as good.
show_folder() {
    if [ -d "$1" ]; then
        stat -L -c '%F|%U|%G|%a' -- "$1"
    else
        show_path "$1"
    fi
}

# show_packages NAME...: status and version of each that dpkg knows; the age of the index.
show_packages() {
    dpkg-query -W -f '${Package}|${db:Status-Status}|${Version}\n' -- "$@" 2>/dev/null || true
}

# show_venv DIR: what its last run left behind, and every distribution in it.
show_venv() {
    [ -x "$1/bin/python" ] || { echo absent; return; }
    cat -- "$1/.converged" 2>/dev/null || echo foreign
    echo
    distributions "$1"
}

# distributions DIR: name-version of all that is installed in a venv.
distributions() {
    for info in "$1"/lib/python3*/site-packages/*.dist-info; do
        info=${info##*/}
        printf '%s\n' "${info%.dist-info}"
    done
}

# show_service UNIT PATH...: its state, when it began, and when each file that it reads was written.
show_service() {
    systemctl show --timestamp=us+utc "$1" \
        -p LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload \
        -p ExecMainStartTimestamp,StateChangeTimestamp
    shift
    stat -L -c 'written=%.6Y %n' -- "$@" 2>/dev/null || true
}

# show_listener PORT UNIT: whether something listens there, and whether the unit is running.
show_listener() {
    awk -v port="$(printf ':%04X$' "$1")" '$2 ~ port && $4 == "0A" { print "taken"; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
    systemctl show "$2" -p ActiveState
}

# would_install NAME...: `package version` of all that apt would bring; nothing without an index.
would_install() {
    apt-get -s -o Debug::NoLocking=1 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        --no-install-recommends install -- "$@" 2>/dev/null \
        | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\).*/\1 \2/p'
}
