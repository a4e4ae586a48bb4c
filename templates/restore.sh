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

# check_backup FILE: the first step; one that is refused does not stay.
check_backup() {
    archive=$1 well=''
    trap '[ -n "$well" ] || { forget "$archive"; exit 3; }' EXIT
    check_archive "$1"
    well=yes
}

# forget FILE: one that came from the operator's machine.
forget() {
    case $1 in "$incoming"/*) rm -f -- "$1" ;; esac
}

# check_archive FILE: whole, ours, with nothing in it that does not belong there, and room for it.
# Leaves the block where the user's part begins in $run/block, and root's part in $run/root.
check_archive() {
    zstd -tq -- "$1" || { echo 'refused: it is damaged or cut off'; return 1; }
    (umask 077; : >"$run/listing") # names of notebooks
    zstd -dcq -- "$1" | tar -tvR --numeric-owner --quoting-style=escape >"$run/listing" || {
        echo 'refused: it is no tar'
        return 1
    }
    look_through <"$run/listing" >"$run/found" || { cat -- "$run/found"; return 1; }
    read -r block size <"$run/found"
    echo "$block" >"$run/block"
    rm -rf -- "$run/root"
    mkdir -m 0700 -- "$run/root"
    zstd -dcq -- "$1" | head -c $((block * 512)) | tar -x --no-same-owner -C "$run/root"
    grep -qx format=1 "$run/root/manifest" || { echo 'refused: it is of a format unknown here'; return 1; }
    certbot=$run/root/letsencrypt/renewal/$instance-fab.conf
    if [ -e "$certbot" ] && grep -i hook "$certbot" | grep -qvx "renew_hook = /usr/local/sbin/$instance-certificate"; then
        echo 'refused: it would have certbot run a program of its own'
        return 1
    fi
}

# look_through <listing: the block where the user's part begins, and the bytes that it takes; or a
# refusal.
look_through() {
    awk '
        function refuse(why) { print "refused: " why; failed = 1; exit 1 }

        /^block [0-9]+: \*\* / { next } # its end
        {
            kind = substr($3, 1, 1)
            name = $0
            if (!sub(/^block [0-9]+: [^ ]+ +[0-9]+\/[0-9]+ +[0-9,]+ [^ ]+ [^ ]+ /, "", name)) refuse("a line like " $0)
            if (kind == "l") sub(/ -> .*$/, "", name)
            if (kind == "h") sub(/ link to .*$/, "", name)
            if (name ~ /^\// || name ~ /(^|\/)\.\.(\/|$)/) refuse("it names " name)
            if (name ~ /^(project|jupyter|kernels)(\/|$)/ || name == "cookie_secret") {
                if (kind !~ /[-dlhp]/) refuse(name " is no file, folder or link")
                if (!users) { users = 1; sub(/:$/, "", $2); block = $2 }
                size += (kind == "-" ? $5 : 0) + 4096
            } else {
                ours = name ~ /^(manifest|lock\.txt|locks\/[A-Za-z0-9_.-]+\.txt|nginx\/[A-Za-z0-9_.-]+\.(pem|key))$/ \
                    || name ~ /^letsencrypt\/renewal\/jupyterlab[a-z0-9-]*-fab\.conf$/ \
                    || name ~ /^letsencrypt\/archive\/jupyterlab[a-z0-9-]*-fab\/(cert|chain|fullchain|privkey)[0-9]+\.pem$/ \
                    || name ~ /^letsencrypt\/accounts\/([A-Za-z0-9_.-]+\/)+(meta|private_key|regr)\.json$/
                if (users || kind != "-" || !ours) refuse(name " does not belong there")
            }
        }
        END {
            if (failed) exit 1
            if (!users) refuse("it has no notebooks")
            printf "%s %.0f\n", block, size
        }
    '
}

# refuse_no_room SIZE FOLDER: what is unpacked goes beside what is there.
refuse_no_room() {
    free=$(room_under "$2")
    if [ "$free" -le "$1" ]; then
        echo "refused: No space left on device: $1 bytes are needed under $2, and $free are free"
        return 1
    fi
}

# mover FOLDER: who may rename in it: its user, or root where its user can lead nobody elsewhere.
mover() {
    if owner_does "$account" test -w "$1"; then
        echo "$account"
        return 0
    fi
    above=$1
    while [ "$above" != / ]; do
        above=$(dirname -- "$above")
        if owner_does "$account" test -w "$above"; then
            echo "refused: $1 is not $account's to write: restore to another lab.project" >&2
            return 1
        fi
    done
    echo root
}

# stage FOLDER: an empty one of the user's.
stage() {
    by=$(mover "$(dirname -- "$1")")
    clear_stage "$1"
    owner_does "$by" mkdir -m 0700 -- "$1"
    [ "$by" = "$account" ] || chown -h -- "$account:" "$1"
}

# clear_stage FOLDER: what a run that was killed left.
clear_stage() {
    [ -e "$1" ] || return 0
    owner_does "$account" chmod -R u+rwX -- "$1" 2>/dev/null || true
    by=$(mover "$(dirname -- "$1")")
    owner_does "$by" rm -rf -- "$1"
}

# unpack_archive FILE ACCOUNT HOME PROJECT: as the user, beside what is there.
unpack_archive() {
    archive=$1 account=$2 home=$3 well=''
    project=$(true_place "$4")
    trap '[ -n "$well" ] || { forget "$archive"; clear_stage "$home/.jupyterlab.restoring"; clear_stage "$project.restoring"; exit 3; }' EXIT
    read -r block size <"$run/found"
    owner_does "$account" test -d "$home"
    if mountpoint -q -- "$project"; then
        echo "refused: $project is a mount of its own, which cannot be exchanged: restore to another lab.project"
        return 1
    fi
    parent=$project
    until [ -d "$parent" ]; do parent=$(dirname -- "$parent"); done
    refuse_no_room "$size" "$parent"
    parent=$(dirname -- "$project")
    [ -d "$parent" ] || put_directory "$parent" "$account" "$(id -gn -- "$account")" 0755
    for folder in "$home/.jupyterlab.restoring" "$project.restoring"; do stage "$folder"; done
    unpack "$1" "$home/.jupyterlab.restoring" --exclude=project
    unpack "$1" "$project.restoring" project
    owner_does "$account" chmod u+rwx -- "$project.restoring/project"
    well=yes
}

# true_place PATH: where a link of the user's leads.
true_place() {
    owner_does "$account" readlink -m -- "$1"
}

# unpack FILE FOLDER OPTION...: the user's part; what is root's never gets to their processes.
unpack() {
    from=$1 into=$2
    shift 2
    zstd -dcq -- "$from" | tail -c "+$(($(cat -- "$run/block") * 512 + 1))" \
        | owner_does "$account" tar -x -p --no-same-owner --anchored -C "$into" "$@"
}

# place_archive FILE ACCOUNT HOME PROJECT COOKIE: from here on it will be, whoever is killed.
place_archive() {
    account=$2
    for path in "$(true_place "$4")" "$3/.jupyter" "$3/.local/share/jupyter/kernels" \
        "$3/.jupyter/jupyterlab_token" "$3/.jupyter/jupyter_server_config.json" \
        "$3/.jupyter/jupyter_lab_config.py" "$3/.jupyter/packages.txt" "$5"; do
        intend path "$path"
    done
    (umask 077; printf '%s\n' "$1" "$2" "$3" "$(true_place "$4")" "$5" "$(date +%Y-%m-%dT%H%M%S)" >"$pending.part")
    sync -- "$pending.part"
    mv -fT -- "$pending.part" "$pending"
    complete_restore
}

# complete_restore: everything that is still to be exchanged; what has been stays so.
complete_restore() {
    { read -r file; read -r account; read -r home; read -r project; read -r cookie; read -r stamp; } <"$pending"
    stage=$home/.jupyterlab.restoring
    for unit in "$instance.socket" "$instance.service"; do # what it writes now would be lost
        systemctl stop -- "$unit" 2>/dev/null || true
    done
    by=$(mover "$(dirname -- "$project")")
    exchange "$project.restoring/project" "$project" "$by"
    rebuilt=
    for inner in .venvs .kernels venv; do # which no backup has; a link leads into .venvs
        if [ ! -e "$project/$inner" ] && [ ! -L "$project/$inner" ] && [ -e "$project.before-$stamp/$inner" ]; then
            owner_does "$account" mv -T -- "$project.before-$stamp/$inner" "$project/$inner" || rebuilt=$inner
        fi
    done
    [ -z "$rebuilt" ] || echo "note: $rebuilt is not $account's to move: it is made anew"
    exchange "$stage/jupyter" "$home/.jupyter" "$account"
    exchange "$stage/kernels" "$home/.local/share/jupyter/kernels" "$account"
    if [ -e "$stage/cookie_secret" ]; then
        owner_does "$account" sh -c 'umask 077; mkdir -p -- "${2%/*}" && mv -fT -- "$1" "$2"' sh "$stage/cookie_secret" "$cookie"
    fi
    if [ -e "$file" ]; then
        check_archive "$file"
        place_ours "$run/root"
    fi
    clear_stage "$stage"
    clear_stage "$project.restoring"
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
        owner_does "$3" mv -T -- "$2" "$former"
        echo "note: what was there is now $former"
    fi
    owner_does "$3" mv -T -- "$1" "$2"
}

# place_ours FOLDER: certificates, and what certbot goes on with.
place_ours() {
    lineage=/etc/letsencrypt/archive/$instance-fab live=/etc/letsencrypt/live/$instance-fab
    if [ -d "$1/letsencrypt" ] && [ ! -d "$1/letsencrypt/archive/$instance-fab" ]; then
        echo 'note: its certificate of an ACME server was of another name on its server: a new one is asked for'
        rm -rf -- "$1/letsencrypt"
    fi
    (cd -- "$1" && find nginx letsencrypt -type f 2>/dev/null | sort) >"$run/ours" || true # .key before .pem
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
    done <"$run/ours"
    [ -d "$1/letsencrypt/archive/$instance-fab" ] || return 0
    newest=$(ls -- "$1/letsencrypt/archive/$instance-fab" | sed -n 's/^cert\([0-9]*\)\.pem$/\1/p' | sort -n | tail -n 1)
    (umask 077; mkdir -p -- "$live")
    for kind in cert chain fullchain privkey; do
        [ ! -e "$lineage/$kind$newest.pem" ] || put_link "$live/$kind.pem" "../../archive/$instance-fab/$kind$newest.pem"
    done
}
