# What was made here that was not there before, written down before it is made: `fab uninstall` takes
# that away, and nothing else. One entry a line, only ever added to. Part of apply.sh.
ledger=/var/lib/$instance-fab
made=$ledger/made

# open_ledger: the first run begins it, with the packages that were there; `older` says that a version
# without a ledger has been here before.
open_ledger() {
    [ ! -e "$made" ] || return 0
    mkdir -p -- "$ledger"
    dpkg-query -W -f '${Package} ${db:Status-Status}\n' >"$ledger/present" || true
    first=
    [ ! -e "/etc/systemd/system/$instance.service" ] || read -r first <"/etc/systemd/system/$instance.service" || true
    case $first in
        '# Written by `fab'*) echo older >"$made" ;;
        *) : >"$made" ;;
    esac
}

# record KIND VALUE: once, as one line, or not at all.
record() {
    plain "$2" || return 1
    grep -qsxF -- "$1 $2" "$made" || printf '%s %s\n' "$1" "$2" >>"$made"
}

# ours PATH: whether it is written down already.
ours() {
    grep -qsxF -e "path $1" -e "tree $1" -e "replaced $1" -- "$made"
}

# intend KIND PATH: it will be made, and the folders above it that are missing. A `path` is a file, a
# link, or a folder that goes when it is empty; a `tree` goes with all that is in it.
intend() {
    if [ ! -e "$2" ] && [ ! -L "$2" ]; then
        [ -z "${2%/*}" ] || intend path "${2%/*}"
        record "$1" "$2"
    fi
}

# remember PATH: before it is written. What a stranger has there is copied, whole or not at all, and
# will be put back; an older version of ours will not.
remember() {
    plain "$1" || return 1
    if ours "$1"; then
        return 0
    elif [ ! -e "$1" ] && [ ! -L "$1" ]; then
        intend path "$1"
    else
        set_aside "$1" "$ledger/former$1"
        first=
        if [ -f "$ledger/former$1" ] && [ ! -L "$ledger/former$1" ]; then
            read -r first <"$ledger/former$1" || true
        fi
        if [ ! -e "$ledger/former$1" ] && [ ! -L "$ledger/former$1" ]; then
            record path "$1" # a pipe, a socket: there was nothing to keep
            return 0
        fi
        case $first in
            '# Written by `fab'*) record path "$1" ;;
            *) record replaced "$1" ;;
        esac
    fi
}

# remember_rights PATH: of what a stranger has there, before they are changed.
remember_rights() {
    if ! ours "$1" && ! grep -qsF -- "rights $1|" "$made"; then
        record rights "$1|$(stat -c '%a|%U:%G' -- "$1")"
    fi
}

# remember_unit UNIT: whether it was enabled and active, before that is changed.
remember_unit() {
    if ! grep -qsF -- "unit $1|" "$made"; then
        record unit "$1|$(systemctl is-enabled -- "$1" 2>/dev/null)|$(systemctl is-active -- "$1")"
    fi
}

# remember_index: apt's index and caches, when there are none yet.
remember_index() {
    [ -n "$(ls -A /var/lib/apt/lists)" ] || record index /var/lib/apt/lists
    for cache in pkgcache.bin srcpkgcache.bin archives/lock archives/partial; do
        intend path "/var/cache/apt/$cache"
    done
}

# write_packages_hook FILE: what apt tells, before dpkg begins, the names of all files that it will
# install. A package whose configuration was left there is only to be removed, not to be purged.
write_packages_hook() {
    cat >"$1" <<'END'
while read -r file; do
    name=${file##*/} name=${name%%_*} known=
    for list in "/var/lib/dpkg/info/$name.list" "/var/lib/dpkg/info/$name:"*.list; do
        [ ! -e "$list" ] || known=yes
    done
    if [ -z "$known" ]; then
        echo "package $name" || exit
    elif [ "$(dpkg-query -W -f '${db:Status-Status}' -- "$name")" = config-files ]; then
        echo "remnant $name" || exit
    fi
done >>"$1"
END
}
