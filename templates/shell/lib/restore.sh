# Restore a backup: check it, unpack it beside the present files, exchange them. Part of apply.sh.
incoming=/var/backups/$instance/incoming # backups from the operator's machine, until they are in place
pending=/var/lib/$instance-fab/restoring # the restore that has begun; the next run completes it

# receive SIZE SUM NAME <bytes: store a backup that the operator sends, whole or not at all.
# The trap needs `part` when this function has ended.
receive() {
    umask 077
    mkdir -p -- "$incoming"
    find "$incoming" -type f -mmin +1440 ! -path "$(head -n 1 "$pending" 2>/dev/null)" -delete # left by killed runs
    part=$incoming/$3.part
    trap 'rm -f -- "$part"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    if [ "$1" -ge "$(room_under "$incoming")" ]; then
        echo "refused: No space left on device for a backup of $1 bytes in $incoming"
        exit 1
    fi
    head -c "$1" >"$part" || exit 1
    if [ "$(sha256sum <"$part")" != "$2  -" ]; then
        echo 'refused: the backup did not arrive completely'
        exit 1
    fi
    sync -- "$part" && mv -fT -- "$part" "$incoming/$3" && echo received
}

# room_under PATH: print how many bytes are free there.
room_under() {
    echo $(($(stat -f -c '%a * %S' -- "$1")))
}

# check_backup FILE SERVER: check a backup before anything changes; remove a sent one if refused.
# The trap needs `archive` and `well` when this function has ended.
check_backup() {
    archive=$1 well=''
    trap '[ -n "$well" ] || { forget "$archive"; exit 3; }' EXIT
    only_roots "$1" || { echo 'refused: users who can write there could change the backup while it is read'; return 1; }
    if [ ! -f "$1" ] || [ -L "$1" ] || [ "$(stat -c %u -- "$1")" != 0 ]; then
        echo "refused: $1 is not a file that root owns"
        return 1
    fi
    check_archive "$1" "$2"
    well=yes
}

# forget FILE: remove a backup that came from the operator's machine.
forget() {
    case $1 in "$incoming"/*) rm -f -- "$1" ;; esac
}

# check_archive FILE SERVER: check that a backup is complete, ours, and holds only what belongs
# there. Write to $run/own/found the block where the user's part begins and the bytes it needs, and
# unpack root's part into $run/own/root. SERVER is the ACME server of the settings.
check_archive() {
    zstd -tq -- "$1" || { echo 'refused: the backup is damaged or incomplete'; return 1; }
    rm -rf -- "$run/own/root"
    mkdir -m 0700 -- "$run/own/root"
    zstd -dcq -- "$1" | /usr/bin/python3 -I "$run/archive_rules.py" "$instance" "$2" "$run/own/root" >"$run/own/found" || {
        cat -- "$run/own/found"
        return 1
    }
    sed -n 's/^note: //p' "$run/own/found" >>"$run/own/notes"
}

# refuse_no_room SIZE FOLDER: fail unless SIZE bytes are free beside the present files.
refuse_no_room() {
    local free
    free=$(room_under "$2")
    if [ "$free" -le "$1" ]; then
        echo "refused: No space left on device: $1 bytes are needed under $2, and $free are free"
        return 1
    fi
}

# mover FOLDER: print who may rename in it: the user, or root where nobody else can place links.
mover() {
    if owner_does "$account" test -w "$1" </dev/null >/dev/null 2>&1; then # no pipe that they could keep open
        echo "$account"
    elif only_roots "$1/x" >&2; then
        echo root
    else
        echo "refused: $account may not write in $1: restore to another lab.project" >&2
        return 1
    fi
}

# find_place PROJECT: set `project` to where PROJECT leads, and `by` to who may rename there. Root
# follows the settings' path and the links that root owns; only the user follows a user's link.
find_place() {
    local parent
    walk "$1" through || { echo "refused: too many symbolic links at $1"; return 1; }
    if [ "$way_hand" = root ] && [ -z "$way_shared" ]; then
        project=$way_true
        plain "$project" || return
        by=$(mover "$(dirname -- "$project")") || return
        return 0
    fi
    (ulimit -f 16; owner_does "$account" readlink -m -- "$1" >"$run/own/leads" </dev/null) || return
    project=$(head -c 8192 -- "$run/own/leads" && echo .) || return
    project=${project%??} by=$account
    plain "$project" || return
    parent=$(dirname -- "$project")
    until owner_does "$account" test -d "$parent" || [ "$parent" = / ]; do parent=$(dirname -- "$parent"); done
    if ! owner_does "$account" test -w "$parent"; then
        echo "refused: $1 leads to $project, where $account may not write: set lab.project to where the" \
            "notebooks are, or remove that link"
        return 1
    fi
}

# stage FOLDER WHO: create an empty folder for the user; WHO may do that.
stage() {
    clear_stage "$1" "$2"
    owner_does "$2" mkdir -m 0700 -- "$1"
    [ "$2" = "$account" ] || chown -h -- "$account:" "$1"
}

# clear_stage FOLDER WHO: remove what was unpacked there, such as by a killed run.
clear_stage() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    slowly owner_does "$account" chmod -R u+rwX -- "$1" >/dev/null || true
    slowly owner_does "$2" rm -rf -- "$1"
}

# unpack_archive FILE ACCOUNT HOME PROJECT: unpack a backup as the user, beside the present files.
# The trap needs the variables that are not local when this function has ended.
unpack_archive() {
    local block size parent
    archive=$1 account=$2 home=$3 well='' project='' by='' at_home=''
    trap '[ -n "$well" ] || { forget "$archive"; clear_stages; exit 3; }' EXIT
    read -r block size <"$run/own/found"
    owner_does "$account" test -d "$home"
    plain "$home"
    at_home=$(mover "$home")
    find_place "$4"
    if owner_does "$account" mountpoint -q -- "$project"; then
        echo "refused: $project is a mount point, which cannot be exchanged: restore to another lab.project"
        return 1
    fi
    parent=$project
    until [ -d "$parent" ]; do parent=$(dirname -- "$parent"); done
    refuse_no_room "$size" "$parent"
    parent=$(dirname -- "$project")
    if [ ! -d "$parent" ]; then
        intend path "$4"
        if [ "$by" = root ]; then
            put_directory "$parent" "$account" "$(id -gn -- "$account")" 0755
            by=$account
        else
            owner_does "$account" mkdir -p -m 0755 -- "$parent"
        fi
    fi
    stage "$home/.jupyterlab.restoring" "$at_home"
    stage "$project.restoring" "$by"
    unpack "$1" "$block" "$home/.jupyterlab.restoring" --exclude=project
    unpack "$1" "$block" "$project.restoring" project
    owner_does "$account" chmod u+rwx -- "$project.restoring/project"
    printf '%s\n' "$project" "$by" >"$run/own/place" # its links may change until then
    well=yes
}

# clear_stages: remove both unpacked parts, as far as their places are known.
clear_stages() {
    [ -z "$at_home" ] || clear_stage "$home/.jupyterlab.restoring" "$at_home"
    [ -z "$by" ] || clear_stage "$project.restoring" "$by"
}

# unpack FILE BLOCK FOLDER OPTION...: unpack the user's part, which begins at BLOCK, whole or fail;
# their processes never get root's part.
unpack() {
    local from="$1" begins="$(($2 * 512 + 1))" into="$3" longest=21600
    shift 3
    : >"$run/own/whole"
    { timeout "$longest" zstd -dcq -- "$from" && echo zstd >>"$run/own/whole"; } \
        | { timeout "$longest" tail -c "+$begins" && echo tail >>"$run/own/whole"; } \
        | owner_does "$account" tar -x -p --no-same-owner --anchored -C "$into" "$@"
    [ "$(wc -l <"$run/own/whole")" = 2 ] || { echo "$from could not be read to its end"; return 1; }
}

# place_archive FILE ACCOUNT HOME PROJECT COOKIE: put an unpacked backup in place. All that this
# needs is written down first, root's part in root's own folder: if this run is killed, the next one
# completes it.
place_archive() {
    local project by path
    { read -r project; read -r by; } <"$run/own/place"
    for path in "$4" "$3/.jupyter" "$3/.local/share/jupyter/kernels" \
        "$3/.jupyter/jupyterlab_token" "$3/.jupyter/jupyter_server_config.json" \
        "$3/.jupyter/jupyter_lab_config.py" "$3/.jupyter/packages.txt" "$5"; do
        intend path "$path"
    done
    for path in "$1" "$2" "$3" "$project" "$5" "$by"; do plain "$path"; done
    rm -rf -- "$ledger/restored"
    cp -a -- "$run/own/root" "$ledger/restored"
    (umask 077; printf '%s\n' "$1" "$2" "$3" "$project" "$5" "$(date +%Y-%m-%dT%H%M%S)" "$by" >"$pending.part")
    sync -- "$pending.part"
    mv -fT -- "$pending.part" "$pending"
    complete_restore
}

# complete_restore: put in place what is not yet; what is already in place stays.
complete_restore() {
    local file account home project cookie stamp by unpacked unit rebuilt='' inner
    { read -r file; read -r account; read -r home; read -r project; read -r cookie; read -r stamp; read -r by; } <"$pending"
    unpacked=$home/.jupyterlab.restoring
    for unit in "$instance.socket" "$instance.service"; do # what it writes now would be lost
        systemctl stop -- "$unit" 2>/dev/null || true
    done
    exchange "$project.restoring/project" "$project" "$by" "$stamp"
    for inner in .venvs .kernels venv; do # not in a backup; `venv` may be a link into .venvs
        if [ ! -e "$project/$inner" ] && [ ! -L "$project/$inner" ] && [ -e "$project.before-$stamp/$inner" ]; then
            slowly owner_does "$account" mv -T -- "$project.before-$stamp/$inner" "$project/$inner" || rebuilt=$inner
        fi
    done
    [ -z "$rebuilt" ] || note "$account may not move $rebuilt: it is created again"
    exchange "$unpacked/jupyter" "$home/.jupyter" "$account" "$stamp"
    exchange "$unpacked/kernels" "$home/.local/share/jupyter/kernels" "$account" "$stamp"
    if [ -e "$unpacked/cookie_secret" ]; then
        slowly owner_does "$account" sh -c 'umask 077; mkdir -p -- "${2%/*}" && mv -fT -- "$1" "$2"' sh "$unpacked/cookie_secret" "$cookie"
    fi
    [ ! -d "$ledger/restored" ] || place_ours "$ledger/restored"
    rm -rf -- "$ledger/restored"
    clear_stage "$unpacked" "$(mover "$home")"
    clear_stage "$project.restoring" "$by"
    rm -f -- "$pending"
    forget "$file"
}

# exchange NEW PATH WHO STAMP: put NEW in the place of PATH, and keep the former PATH beside it.
exchange() {
    local folder former
    [ -e "$1" ] || return 0
    folder=$(dirname -- "$2")
    [ -d "$folder" ] || owner_does "$account" mkdir -p -m 0700 -- "$folder"
    if [ -e "$2" ] || [ -L "$2" ]; then
        former=$2.before-$4
        while [ -e "$former" ]; do former=$former+; done
        slowly owner_does "$3" mv -T -- "$2" "$former"
        note "the former $2 is kept as $former"
    fi
    slowly owner_does "$3" mv -T -- "$1" "$2"
}

# place_ours FOLDER: put certificates and certbot's files in place.
place_ours() {
    local lineage="/etc/letsencrypt/archive/$instance-fab" live="/etc/letsencrypt/live/$instance-fab" \
        part name path mask newest kind
    for part in nginx letsencrypt; do
        [ ! -d "$1/$part" ] || (cd -- "$1" && find "$part" -type f)
    done >"$run/own/ours"
    sort -o "$run/own/ours" "$run/own/ours" # .key before .pem
    while read -r name; do
        case $name in
            nginx/*) path=/etc/nginx/$instance/${name##*/} mask=022 ;;
            *) path=/etc/letsencrypt/${name#*/} mask=077 ;;
        esac
        intend path "$path"
        (umask "$mask"; mkdir -p -- "$(dirname -- "$path")")
        case $name in
            *.key | */privkey* | */accounts/*) put_file "$path" root root 0600 <"$1/$name" ;;
            *) put_file "$path" root root 0644 <"$1/$name" ;;
        esac
    done <"$run/own/ours"
    put_absent "/etc/nginx/$instance/dns.key.hash" # the next run knows no more which key is there
    [ -d "$1/letsencrypt/archive/$instance-fab" ] || return 0
    newest=$(find "$1/letsencrypt/archive/$instance-fab" | sed -n 's,.*/cert\([0-9]*\)\.pem$,\1,p' | sort -n | tail -n 1)
    (umask 077; mkdir -p -- "$live")
    for kind in cert chain fullchain privkey; do
        [ ! -e "$lineage/$kind$newest.pem" ] || put_link "$live/$kind.pem" "../../archive/$instance-fab/$kind$newest.pem"
    done
}
