# Take away what the ledger names, and put back what stood in its place. Sent after apply.sh.

# take_away <lines `KIND PATH`, in this order. A `path` is a file, a link or a folder, which goes when it
# is empty; a `tree` goes with all that is in it, but for what is mounted there. Who does it is who could
# put a link in the way (`whose`), never the owner of what a link leads to.
take_away() {
    local kind path hand inner
    cd /
    while read -r kind path; do
        hand=$(whose "$path")
        [ -n "$hand" ] || continue
        if [ "$kind:$hand" = tree:root ] && [ -d "$path" ] && [ ! -L "$path" ]; then
            inner=$(stat -c %U -- "$path")
            case $inner in
                root | UNKNOWN) ;;
                *) slowly owner_does "$inner" find "$path" -xdev -mindepth 1 -delete </dev/null || true ;;
            esac
        fi
        slowly owner_does "$hand" sh -c '
            if [ "$1" = tree ]; then
                rm -rf --one-file-system -- "$2"
            elif [ -d "$2" ] && [ ! -L "$2" ]; then
                rmdir --ignore-fail-on-non-empty -- "$2"
            else
                rm -f -- "$2"
            fi
        ' sh "$kind" "$path" </dev/null
    done
}

# hand_on NAME <entries of our ledger: another JupyterLab of this server needs these, too, and the last
# that leaves takes them away.
hand_on() {
    heir=/var/lib/$1-fab
    while read -r entry; do
        grep -qsxF -- "$entry" "$heir/made" || printf '%s\n' "$entry" >>"$heir/made"
        path=${entry#replaced }
        if [ "$path" != "$entry" ] && [ ! -e "$heir/former$path" ] && [ ! -L "$heir/former$path" ]; then
            set_aside "$ledger/former$path" "$heir/former$path"
        fi
    done
}

# give_back PATH...: what stood there before us.
give_back() {
    local path former
    cd /
    for path; do
        former=$ledger/former$path
        if [ -n "$(whose "$path")" ] && { [ -e "$former" ] || [ -L "$former" ]; }; then
            put_copy "$former" "$path"
        fi
    done
}

# give_rights PATH MODE OWNER:GROUP: as they were. In a user's folder it is that user who does it, as far
# as they may.
give_rights() {
    local hand
    cd /
    hand=$(whose "$1")
    if [ -z "$hand" ] || [ ! -e "$1" ]; then
        return 0
    elif [ "$hand" = root ]; then
        owner_does "$(stat -c %U -- "$1")" chmod -- "$2" "$1"
        [ "$(stat -c %U:%G -- "$1")" = "$3" ] || chown -h -- "$3" "$1"
    else
        owner_does "$hand" sh -c 'chmod -- "$2" "$1" && { [ "$(stat -c %U:%G -- "$1")" = "$3" ] || chgrp -- "${3#*:}" "$1"; }' \
            sh "$1" "$2" "$3" </dev/null || note "the rights of $1 stay as they are"
    fi
}

# delete_lineage: the certificate of an ACME server, which would be renewed for ever.
delete_lineage() {
    if [ -e "/etc/letsencrypt/renewal/$instance-fab.conf" ]; then
        command -v certbot >/dev/null || return 0
        certbot delete --non-interactive --cert-name "$instance-fab"
    fi
}

# reload_others: what stays goes on without us.
reload_others() {
    systemctl daemon-reload
    systemctl reset-failed "$instance.*" "$instance-backup.*" 2>/dev/null || true
    if systemctl is-active -q nginx; then
        page=/etc/nginx/sites-enabled/default
        if ! nginx -t -q 2>/dev/null && grep -qsxF "replaced $page" "$made"; then
            rm -f -- "$page"
            note "Debian's welcome page stays out of sites-enabled, where it would collide with other sites"
        fi
        nginx -t
        systemctl reload nginx
    fi
}

# lift_bans: of a jail that is gone, where fail2ban stays.
lift_bans() {
    systemctl try-restart fail2ban || true # on some hosts it never ran
}

# give_unit UNIT ENABLED ACTIVE: as it was.
give_unit() {
    [ "$2" != disabled ] || systemctl disable -q -- "$1"
    [ "$3" = active ] || systemctl stop -- "$1"
}

# remove_packages NAME...: those of them that are there, and no other.
remove_packages() {
    recommends=false
    : >"$run/own/packages" # nothing is installed here
    dpkg --force-confdef --force-confold --configure -a || true # what a run that was cut off has begun
    set -- $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' -- "$@" 2>/dev/null \
        | sed -n '/^\(not-installed\|config-files\) /!s/^[^ ]* //p')
    [ "$#" -gt 0 ] || return 0
    unwanted=$(apt-get -s -o APT::Get::AutomaticRemove=false remove -- "$@" | sed -n 's/^\(Remv\|Inst\) \([^ ]*\).*/\2/p')
    for name in $unwanted; do
        case " $* " in
            *" $name "*) ;;
            *) echo "$name would go or come with them: none was removed" && return 1 ;;
        esac
    done
    apt_get -o APT::Get::AutomaticRemove=false remove -- "$@"
}

# purge_packages NAME...: of those that are removed.
purge_packages() {
    dpkg --purge -- "$@"
}

# clear_index: as bare as it was.
clear_index() {
    find /var/lib/apt/lists -mindepth 1 -delete
}

# clear_downloads NAME...: the files of these packages.
clear_downloads() {
    for name; do
        rm -f -- "/var/cache/apt/archives/${name}_"*.deb
    done
}

# clear_backups PATH...: former versions of our own files go, of these paths, too; what else is kept stays.
clear_backups() {
    [ -d "$kept" ] || return 0
    sed -n 's/^\(path\|tree\|replaced\) //p' "$made" >"$run/own/ours"
    printf '%s\n' "$@" >>"$run/own/ours"
    for folder in "$kept"/*/; do
        folder=${folder%/}
        if find "$folder" ! -type d ! -name '*.absent' ! -name '*.part' | sed "s|^$folder\(/since\)\{0,1\}||" \
            | grep -qvxF -f "$run/own/ours"; then
            note "$folder stays: it has more than former versions of our files"
        else
            rm -rf -- "$folder"
        fi
    done
    rmdir --ignore-fail-on-non-empty -- "$kept"
}

# close_ledger: the last of all.
close_ledger() {
    rm -rf -- "$ledger/former" "$ledger/present"
    rm -f -- "$made"
    rmdir -- "$ledger"
    touch "$run/own/gone"
}
