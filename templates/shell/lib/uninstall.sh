# Remove what the ledger names, and put back what was there before. Sent after apply.sh.

# take_away <lines `KIND PATH`: remove the paths in this order. A `path` is a file, a link, or a
# folder, which is removed if empty; a `tree` is removed with its content, except for what is
# mounted there. The user who could redirect the path (`whose`) removes it, never the owner of a
# link's target.
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

# hand_on NAME <entries of our ledger: add to the ledger of another JupyterLab here what it needs,
# too; the last one that is uninstalled removes it.
hand_on() {
    local heir="/var/lib/$1-fab" entry path
    while read -r entry; do
        grep -qsxF -- "$entry" "$heir/made" || printf '%s\n' "$entry" >>"$heir/made"
        path=${entry#replaced }
        if [ "$path" != "$entry" ] && [ ! -e "$heir/former$path" ] && [ ! -L "$heir/former$path" ]; then
            set_aside "$ledger/former$path" "$heir/former$path"
        fi
    done
}

# give_back PATH...: put back what was there before fab.
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

# give_rights PATH MODE OWNER:GROUP: put owner and permissions back. In a user's folder that user
# does it, as far as they may.
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
            sh "$1" "$2" "$3" </dev/null || note "the permissions of $1 stay as they are"
    fi
}

# delete_lineage: delete the certificate of an ACME server, which certbot would renew for ever.
delete_lineage() {
    if [ -e "/etc/letsencrypt/renewal/$instance-fab.conf" ]; then
        command -v certbot >/dev/null || return 0
        certbot delete --non-interactive --cert-name "$instance-fab"
    fi
}

# reload_others: reload systemd and Nginx without JupyterLab.
reload_others() {
    local page=/etc/nginx/sites-enabled/default
    systemctl daemon-reload
    systemctl reset-failed "$instance.*" "$instance-backup.*" 2>/dev/null || true
    if systemctl is-active -q nginx; then
        if ! nginx -t -q 2>/dev/null && grep -qsxF "replaced $page" "$made"; then
            rm -f -- "$page"
            note "Debian's welcome page stays out of sites-enabled, where it would conflict with other sites"
        fi
        nginx -t
        serve_anew
    fi
}

# lift_bans: restart fail2ban, which lifts the bans of a removed jail.
lift_bans() {
    systemctl try-restart fail2ban || true # on some hosts it never ran
}

# give_unit UNIT ENABLED ACTIVE: disable and stop a unit if it was so before.
give_unit() {
    [ "$2" != disabled ] || systemctl disable -q -- "$1"
    [ "$3" = active ] || systemctl stop -- "$1"
}

# remove_packages NAME...: remove those that are installed, and no other package.
remove_packages() {
    local recommends=false unwanted name
    : >"$run/own/packages" # nothing is installed here
    dpkg --force-confdef --force-confold --configure -a || true # complete an interrupted run
    # shellcheck disable=SC2046 # a word for each package
    set -- $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' -- "$@" 2>/dev/null \
        | sed -n '/^\(not-installed\|config-files\) /!s/^[^ ]* //p')
    [ "$#" -gt 0 ] || return 0
    apt_get -s -o APT::Get::AutomaticRemove=false remove -- "$@" >"$run/own/would"
    unwanted=$(sed -n 's/^\(Remv\|Inst\) \([^ ]*\).*/\2/p' "$run/own/would")
    for name in $unwanted; do
        case " $* " in
            *" $name "*) ;;
            *) echo "apt would also remove or install $name: no package was removed" && return 1 ;;
        esac
    done
    apt_get -o APT::Get::AutomaticRemove=false remove -- "$@" || { # perhaps because of another package
        grep -q 'dpkg returned an error' "$run/own/apt.err" \
            && ! dpkg-query -W -f '${db:Status-Status}\n' -- "$@" | grep -qvx 'not-installed\|config-files'
    }
}

# purge_packages NAME...: remove the configuration of packages that were removed.
purge_packages() {
    dpkg --purge -- "$@"
}

# clear_index: remove apt's index, as none was there before.
clear_index() {
    find /var/lib/apt/lists -mindepth 1 -delete
}

# clear_downloads NAME...: remove the downloaded files of these packages.
clear_downloads() {
    local name
    for name; do
        rm -f -- "/var/cache/apt/archives/${name}_"*.deb
    done
}

# clear_backups: remove kept versions of our files, and no others.
clear_backups() {
    local folder
    [ -d "$kept" ] || return 0
    sed -n 's/^\(path\|tree\|replaced\) //p' "$made" >"$run/own/ours"
    for folder in "$kept"/*; do
        [ -d "$folder" ] || continue
        find "$folder" ! -type d ! -name '*.absent' ! -name '*.part' >"$run/own/kept"
        sed -i "s|^$folder\(/since\)\{0,1\}||" "$run/own/kept"
        if awk 'FNR == NR { ours[$0]; next } !($0 in ours) { exit 1 }' "$run/own/ours" "$run/own/kept"; then
            rm -rf -- "$folder"
        else
            note "$folder stays: it has other files than former versions of those that fab wrote"
        fi
    done
    rmdir --ignore-fail-on-non-empty -- "$kept"
}

# close_ledger: remove the ledger, as the last step.
close_ledger() {
    rm -rf -- "$ledger/former" "$ledger/present"
    rm -f -- "$made"
    rmdir -- "$ledger"
    touch "$run/own/gone"
}
