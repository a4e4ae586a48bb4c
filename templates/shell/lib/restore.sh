# Backups put in place: looked through, unpacked beside what is there, exchanged. Part of apply.sh.
incoming=/var/backups/$instance/incoming # what came from the operator's machine, until it is in place
pending=/var/lib/$instance-fab/restoring # what is to be put in place; whoever comes next completes it

# receive SIZE SUM NAME <bytes: whole or not at all.
receive() {
    umask 077
    mkdir -p -- "$incoming"
    find "$incoming" -type f -mmin +1440 ! -path "$(head -n 1 "$pending" 2>/dev/null)" -delete # of runs that were killed
    part=$incoming/$3.part
    trap 'rm -f -- "$part"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    if [ "$1" -ge "$(room_under "$incoming")" ]; then
        echo "refused: No space left on device for a backup of $1 bytes in $incoming"
        exit 1
    fi
    head -c "$1" >"$part" || exit 1
    if [ "$(sha256sum <"$part")" != "$2  -" ]; then
        echo 'refused: it did not arrive whole'
        exit 1
    fi
    sync -- "$part" && mv -fT -- "$part" "$incoming/$3" && echo received
}

# room_under PATH: bytes that are free there.
room_under() {
    echo $(($(stat -f -c '%a * %S' -- "$1")))
}

# check_backup FILE SERVER: the first step; one that is refused does not stay.
check_backup() {
    archive=$1 well=''
    trap '[ -n "$well" ] || { forget "$archive"; exit 3; }' EXIT
    only_roots "$1" || { echo 'refused: who can write there could change it while it is read'; return 1; }
    if [ ! -f "$1" ] || [ -L "$1" ] || [ "$(stat -c %u -- "$1")" != 0 ]; then
        echo "refused: $1 is no file of root's"
        return 1
    fi
    check_archive "$1" "$2"
    well=yes
}

# forget FILE: one that came from the operator's machine.
forget() {
    case $1 in "$incoming"/*) rm -f -- "$1" ;; esac
}

# check_archive FILE SERVER: whole, ours, with nothing in it that does not belong there. Leaves the block
# where the user's part begins, and its size, in $run/own/found, and root's part in $run/own/root. SERVER is
# the ACME server of the settings.
check_archive() {
    zstd -tq -- "$1" || { echo 'refused: it is damaged or cut off'; return 1; }
    rm -rf -- "$run/own/root"
    mkdir -m 0700 -- "$run/own/root"
    zstd -dcq -- "$1" | /usr/bin/python3 -I "$run/members.py" "$instance" "$2" "$run/own/root" >"$run/own/found" || {
        cat -- "$run/own/found"
        return 1
    }
    sed -n 's/^note: //p' "$run/own/found" >>"$run/own/notes"
}

# refuse_no_room SIZE FOLDER: what is unpacked goes beside what is there.
refuse_no_room() {
    free=$(room_under "$2")
    if [ "$free" -le "$1" ]; then
        echo "refused: No space left on device: $1 bytes are needed under $2, and $free are free"
        return 1
    fi
}

# mover FOLDER: who may rename in it: its user, or root where nobody else can put anything in the way.
mover() {
    if owner_does "$account" test -w "$1" </dev/null >/dev/null 2>&1; then # nothing that they could hold
        echo "$account"
    elif only_roots "$1/x" >&2; then
        echo root
    else
        echo "refused: $1 is not $account's to write: restore to another lab.project" >&2
        return 1
    fi
}

# find_place PROJECT: sets `project` to where that is, and `by` to who may rename there. Root goes by the
# name that the settings have, and by links of root's; where a link of a user's leads, only they go.
find_place() {
    walk "$1" through || { echo "refused: too many links at $1"; return 1; }
    if [ "$way_hand" = root ] && [ -z "$way_shared" ]; then
        project=$way_true
        plain "$project" || return
        by=$(mover "$(dirname -- "$project")") || return
        return 0
    fi
    (ulimit -f 16; owner_does "$account" readlink -m -- "$1" >"$run/own/leads" </dev/null) || return
    project=$(head -c 8192 -- "$run/own/leads" && echo .) && project=${project%??} by=$account
    plain "$project" || return
    parent=$(dirname -- "$project")
    until owner_does "$account" test -d "$parent" || [ "$parent" = / ]; do parent=$(dirname -- "$parent"); done
    if ! owner_does "$account" test -w "$parent"; then
        echo "refused: $1 leads to $project, where $account may not write: set lab.project to where the" \
            "notebooks are, or remove that link"
        return 1
    fi
}

# stage FOLDER WHO: an empty one of the user's, made by who may.
stage() {
    clear_stage "$1" "$2"
    owner_does "$2" mkdir -m 0700 -- "$1"
    [ "$2" = "$account" ] || chown -h -- "$account:" "$1"
}

# clear_stage FOLDER WHO: what a run that was killed left.
clear_stage() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    slowly owner_does "$account" chmod -R u+rwX -- "$1" >/dev/null || true
    slowly owner_does "$2" rm -rf -- "$1"
}

# unpack_archive FILE ACCOUNT HOME PROJECT: as the user, beside what is there.
unpack_archive() {
    archive=$1 account=$2 home=$3 well='' project='' by='' at_home=''
    trap '[ -n "$well" ] || { forget "$archive"; clear_stages; exit 3; }' EXIT
    read -r block size <"$run/own/found"
    owner_does "$account" test -d "$home"
    plain "$home"
    at_home=$(mover "$home")
    find_place "$4"
    if owner_does "$account" mountpoint -q -- "$project"; then
        echo "refused: $project is a mount of its own, which cannot be exchanged: restore to another lab.project"
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
    unpack "$1" "$home/.jupyterlab.restoring" --exclude=project
    unpack "$1" "$project.restoring" project
    owner_does "$account" chmod u+rwx -- "$project.restoring/project"
    printf '%s\n' "$project" "$by" >"$run/own/place" # whatever its links are by then
    well=yes
}

# clear_stages: both, as far as it is known where they are.
clear_stages() {
    [ -z "$at_home" ] || clear_stage "$home/.jupyterlab.restoring" "$at_home"
    [ -z "$by" ] || clear_stage "$project.restoring" "$by"
}

# unpack FILE FOLDER OPTION...: the user's part; what is root's never gets to their processes.
unpack() {
    from=$1 into=$2
    local longest=21600
    shift 2
    timeout "$longest" zstd -dcq -- "$from" | timeout "$longest" tail -c "+$((block * 512 + 1))" \
        | owner_does "$account" tar -x -p --no-same-owner --anchored -C "$into" "$@"
}

# place_archive FILE ACCOUNT HOME PROJECT COOKIE: from here on it will be, whoever is killed. What is to
# be done is written down with its values, and root's part of it lies in root's own folder.
place_archive() {
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

# complete_restore: everything that is still to be exchanged; what has been stays so.
complete_restore() {
    { read -r file; read -r account; read -r home; read -r project; read -r cookie; read -r stamp; read -r by; } <"$pending"
    stage=$home/.jupyterlab.restoring
    for unit in "$instance.socket" "$instance.service"; do # what it writes now would be lost
        systemctl stop -- "$unit" 2>/dev/null || true
    done
    exchange "$project.restoring/project" "$project" "$by"
    rebuilt=
    for inner in .venvs .kernels venv; do # which no backup has; a link leads into .venvs
        if [ ! -e "$project/$inner" ] && [ ! -L "$project/$inner" ] && [ -e "$project.before-$stamp/$inner" ]; then
            slowly owner_does "$account" mv -T -- "$project.before-$stamp/$inner" "$project/$inner" || rebuilt=$inner
        fi
    done
    [ -z "$rebuilt" ] || note "$rebuilt is not $account's to move: it is made anew"
    exchange "$stage/jupyter" "$home/.jupyter" "$account"
    exchange "$stage/kernels" "$home/.local/share/jupyter/kernels" "$account"
    if [ -e "$stage/cookie_secret" ]; then
        slowly owner_does "$account" sh -c 'umask 077; mkdir -p -- "${2%/*}" && mv -fT -- "$1" "$2"' sh "$stage/cookie_secret" "$cookie"
    fi
    [ ! -d "$ledger/restored" ] || place_ours "$ledger/restored"
    rm -rf -- "$ledger/restored"
    clear_stage "$stage" "$(mover "$home")"
    clear_stage "$project.restoring" "$by"
    rm -f -- "$pending"
    forget "$file"
}

# exchange NEW PATH WHO: what stood there stands beside it from now on.
exchange() {
    [ -e "$1" ] || return 0
    folder=$(dirname -- "$2")
    [ -d "$folder" ] || owner_does "$account" mkdir -p -m 0700 -- "$folder"
    if [ -e "$2" ] || [ -L "$2" ]; then
        former=$2.before-$stamp
        while [ -e "$former" ]; do former=$former+; done
        slowly owner_does "$3" mv -T -- "$2" "$former"
        note "what was there is now $former"
    fi
    slowly owner_does "$3" mv -T -- "$1" "$2"
}

# place_ours FOLDER: certificates, and what certbot goes on with.
place_ours() {
    lineage=/etc/letsencrypt/archive/$instance-fab live=/etc/letsencrypt/live/$instance-fab
    (cd -- "$1" && find nginx letsencrypt -type f 2>/dev/null | sort) >"$run/own/ours" || true # .key before .pem
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
    [ -d "$1/letsencrypt/archive/$instance-fab" ] || return 0
    newest=$(ls -- "$1/letsencrypt/archive/$instance-fab" | sed -n 's/^cert\([0-9]*\)\.pem$/\1/p' | sort -n | tail -n 1)
    (umask 077; mkdir -p -- "$live")
    for kind in cert chain fullchain privkey; do
        [ ! -e "$lineage/$kind$newest.pem" ] || put_link "$live/$kind.pem" "../../archive/$instance-fab/$kind$newest.pem"
    done
}
