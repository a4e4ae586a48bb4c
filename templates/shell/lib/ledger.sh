# The ledger: what fab creates on this server, recorded before that. `fab uninstall` removes it and
# nothing else. One entry a line; lines are only appended. Part of apply.sh.
ledger=/var/lib/$instance-fab
made=$ledger/made

# open_ledger: begin the ledger in the first run, with the packages that are installed.
open_ledger() {
    [ ! -e "$made" ] || return 0
    mkdir -p -- "$ledger"
    # without the whole list more packages count as needed, and stay
    if dpkg-query -W -f '${Package} ${db:Status-Status}\n' >"$ledger/present.new"; then
        mv -f -- "$ledger/present.new" "$ledger/present"
    else
        rm -f -- "$ledger/present.new"
    fi
    : >"$made"
}

# record KIND VALUE: append an entry, once; refuse a value that is not one line.
record() {
    plain "$2" || return 1
    grep -qsxF -- "$1 $2" "$made" || printf '%s %s\n' "$1" "$2" >>"$made" || {
        # the disk is full: an uninstall would remove what half of the path names
        [ -z "$(tail -c 1 -- "$made")" ] || truncate -s "-$(tail -n 1 -- "$made" | wc -c)" -- "$made"
        return 1
    }
}

# ours PATH: check whether a path is recorded already.
ours() {
    grep -qsxF -e "path $1" -e "tree $1" -e "replaced $1" -- "$made"
}

# intend KIND PATH: record a path that will be created, and the missing folders above it. A `path`
# is a file, a link, or a folder that is removed when empty; a `tree` is removed with its content.
intend() {
    if [ ! -e "$2" ] && [ ! -L "$2" ]; then
        [ -z "${2%/*}" ] || intend path "${2%/*}"
        record "$1" "$2"
    fi
}

# remember PATH: record a path before it is written. A file that fab did not write is copied, whole
# or not at all, and an uninstall puts it back.
remember() {
    plain "$1" || return 1
    if ours "$1"; then
        return 0
    elif [ ! -e "$1" ] && [ ! -L "$1" ]; then
        intend path "$1"
    else
        set_aside "$1" "$ledger/former$1"
        if [ -e "$ledger/former$1" ] || [ -L "$ledger/former$1" ]; then
            record replaced "$1"
        else
            record path "$1" # a pipe or a socket: nothing to keep
        fi
    fi
}

# remember_rights PATH: record owner and permissions of a path that is not ours, before they change.
remember_rights() {
    local rights
    if ! ours "$1" && ! grep -qsF -- "rights $1|" "$made"; then
        rights=$(stat -c '%a|%U:%G' -- "$1")
        record rights "$1|$rights"
    fi
}

# remember_unit UNIT: record whether a unit was enabled and active, before that changes.
remember_unit() {
    if ! grep -qsF -- "unit $1|" "$made"; then
        record unit "$1|$(systemctl is-enabled -- "$1" 2>/dev/null)|$(systemctl is-active -- "$1")"
    fi
}

# remember_index: record apt's package index and caches, if there are none yet.
remember_index() {
    local cache
    [ -n "$(ls -A /var/lib/apt/lists)" ] || record index /var/lib/apt/lists
    for cache in pkgcache.bin srcpkgcache.bin archives/lock archives/partial; do
        intend path "/var/cache/apt/$cache"
    done
}

# write_packages_hook FILE: write the shell to which apt tells the package files before dpkg begins.
# A package whose configuration was left here is a `remnant`: an uninstall does not purge it.
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
