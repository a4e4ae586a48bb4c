# Take away what the ledger names, and put back what stood in its place. Sent after apply.sh.

# whose PATH: who could put a link in its way, so that they are who takes it away: the owner of the
# first folder above it that is not root's. Nothing when such a folder is gone, and the path with it.
whose() {
    folder='' rest=${1#/}
    while [ "$rest" != "${rest#*/}" ]; do
        folder=$folder/${rest%%/*} rest=${rest#*/}
        owners=$(stat -c %U -- "$folder" 2>/dev/null && stat -L -c %U -- "$folder" 2>/dev/null) || return 0
        for owner in $owners; do
            case $owner in root | UNKNOWN) ;; *) echo "$owner" && return ;; esac
        done
    done
    echo root
}

# take_away <lines `KIND PATH`, in this order. A `path` is a file, a link or a folder, which goes when it
# is empty; a `tree` goes with all that is in it, but for what is mounted there.
take_away() {
    cd /
    while read -r kind path; do
        hand=$(whose "$path")
        [ -n "$hand" ] || continue
        if [ "$kind" = tree ] && [ -d "$path" ] && [ ! -L "$path" ]; then
            inner=$(stat -c %U -- "$path")
            [ "$inner" = UNKNOWN ] || owner_does "$inner" find "$path" -xdev -mindepth 1 -delete
        fi
        owner_does "$hand" sh -c '
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
    cd /
    for path; do
        former=$ledger/former$path hand=$(whose "$path")
        if [ -z "$hand" ] || { [ ! -e "$former" ] && [ ! -L "$former" ]; }; then
            continue
        elif [ "$hand" = root ]; then
            rm -f -- "$path"
            cp -a -- "$former" "$path"
        elif [ -L "$former" ]; then
            owner_does "$hand" ln -sfnT -- "$(readlink -- "$former")" "$path"
        else
            owner_does "$hand" sh -c 'rm -f -- "$1" && umask 077 && cat >"$1" && chmod -- "$2" "$1"' \
                sh "$path" "$(stat -c %a -- "$former")" <"$former"
        fi
    done
}

# give_rights PATH MODE OWNER:GROUP: as they were.
give_rights() {
    cd /
    if [ -e "$1" ]; then
        owner_does "$(stat -c %U -- "$1")" chmod -- "$2" "$1"
        [ "$(stat -c %U:%G -- "$1")" = "$3" ] || chown -h -- "$3" "$1"
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
            echo "note: Debian's welcome page stays out of sites-enabled, where it would collide with other sites"
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
    : >"$run/packages" # nothing is installed here
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
    sed -n 's/^\(path\|tree\|replaced\) //p' "$made" >"$run/ours"
    printf '%s\n' "$@" >>"$run/ours"
    for folder in "$kept"/*/; do
        folder=${folder%/}
        if find "$folder" ! -type d ! -name '*.absent' ! -name '*.part' | sed "s|^$folder\(/since\)\{0,1\}||" \
            | grep -qvxF -f "$run/ours"; then
            echo "note: $folder stays: it has more than former versions of our files"
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
    touch "$run/gone"
}
