# Replace files, folders and links whole, and keep the former ones. Part of apply.sh.

# keep PATH: set aside what is there. If an unfinished run has set aside an older one, which is
# known to work, that one stays, and what was put there since is kept under this run's date.
keep() {
    remember "$1"
    if [ -e "$kept/now$1" ] || [ -L "$kept/now$1" ] || [ -e "$kept/now$1.absent" ]; then
        [ ! -f "$1" ] || set_aside "$1" "$dated/since$1"
    elif [ -e "$1" ] || [ -L "$1" ]; then
        set_aside "$1" "$kept/now$1"
    else
        (umask 077; mkdir -p -- "$kept/now$(dirname -- "$1")")
        : >"$kept/now$1.absent"
    fi
    if [ ! -e "$kept/now$1" ] && [ ! -L "$kept/now$1" ]; then
        : >"$kept/now$1.absent" # a pipe or a socket: nothing to keep
    fi
}

# set_aside PATH COPY: copy whole or not at all. What is in a user's folder is read as that user.
set_aside() {
    local hand
    hand=$(whose "$1")
    (umask 077; mkdir -p -- "$(dirname -- "$2")")
    if [ "$hand" = root ] || [ "$hand" = "$(id -un)" ]; then
        cp -a -- "$1" "$2.part"
    else
        copy_as "$hand" "$1" "$2.part"
    fi
    if [ -e "$2.part" ] || [ -L "$2.part" ]; then mv -fT -- "$2.part" "$2"; fi
}

# copy_as OWNER PATH COPY: copy a link, or a file of at most 1 MB, as OWNER reads it within 10 s;
# make no COPY of anything else, such as a pipe. The first line of OWNER's output says what it is.
copy_as() {
    local kind mode target
    kind='' mode=''
    rm -f -- "$3"
    (umask 077; ulimit -f 2000; longest=10; owner_does "$1" sh -c '
        if [ -L "$1" ]; then
            echo link && readlink -n -- "$1"
        elif [ -f "$1" ]; then
            echo "file $(stat -c %a -- "$1")" && head -c 1000001 -- "$1"
        else
            echo neither
        fi && printf .' sh "$2" </dev/null >"$3.read") || true
    # OWNER's process may still write to the file: use what is in it now
    (umask 077; head -c 1000100 -- "$3.read" >"$3.told")
    mv -fT -- "$3.told" "$3.read"
    read -r kind mode <"$3.read" || true
    case $mode in *[!0-7]* | ?????*) kind=refused ;; ????) mode=${mode#?} ;; esac # root's copy has no set-user-ID
    case $kind:$mode:$(tail -c 1 -- "$3.read" | tr -d '\000') in
        link::.)
            target=$({ read -r _ && head -c -1; } <"$3.read")
            ln -s -- "$target" "$3" ;;
        file:[0-7]*:.) (umask 077; { read -r _ && head -c -1; } <"$3.read" >"$3") ;;
        neither::.) note "$2 is not a file: no copy is kept" ;;
        *) kind=refused ;;
    esac
    rm -f -- "$3.read"
    if [ "$kind" = refused ]; then
        echo "$2: $1 may not read it, so no copy can be kept: move it away"
        return 1
    elif [ "$kind" = file ] && [ "$(stat -c %s -- "$3")" -gt 1000000 ]; then
        rm -f -- "$3"
        echo "$2 is larger than 1 MB, so no copy is kept: move it away"
        return 1
    fi
    [ "$kind" != file ] || chmod -- "$mode" "$3"
}

# put_copy COPY PATH: put back what was set aside; in a user's folder that user writes.
put_copy() {
    local hand new what
    hand=$(whose "$2")
    new=$(dirname -- "$2")/.new.former
    if [ "$hand" = root ] || [ "$hand" = "$(id -un)" ]; then
        rm -rf -- "$new"
        cp -a -- "$1" "$new"
        mv -fT -- "$new" "$2"
    elif [ -L "$1" ]; then
        what=$(readlink -- "$1")
        owner_does "$hand" ln -sfnT -- "$what" "$2" </dev/null
    else
        what=$(stat -c %a -- "$1")
        put_as "$hand" "$2" "$what" <"$1"
    fi
}

# put_back PATH...: undo this run's changes.
put_back() {
    local path
    for path; do
        if [ -e "$kept/now$path.absent" ]; then
            remove_theirs "$path"
            rm -f -- "$kept/now$path.absent"
            echo "$path was removed again"
        elif [ -e "$kept/now$path" ] || [ -L "$kept/now$path" ]; then
            clear_away "$path"
            put_copy "$kept/now$path" "$path"
            rm -f -- "$kept/now$path"
            echo "$path was put back as it was"
        fi
    done
}

# accept PATH...: record that the present files work, so that no later run puts older ones back.
accept() {
    local path
    for path; do
        rm -f -- "$kept/now$path.absent"
        if [ -e "$kept/now$path" ] || [ -L "$kept/now$path" ]; then
            (umask 077; mkdir -p -- "$dated$(dirname -- "$path")")
            mv -f -- "$kept/now$path" "$dated$path"
        fi
    done
}

# clear_away PATH: remove what a killed run has left beside PATH.
clear_away() {
    local hand
    hand=$(whose "$1")
    [ -z "$hand" ] || owner_does "$hand" sh -c 'rm -f -- "$(dirname -- "$1")"/.new.??????' sh "$1" </dev/null
}

# remove_theirs PATH: remove a file or a link, as the user who owns its folder.
remove_theirs() {
    local hand
    hand=$(whose "$1")
    [ -z "$hand" ] || owner_does "$hand" rm -f -- "$1" </dev/null
}

# put_file PATH OWNER GROUP MODE <content: write a file whole or not at all; GROUP is OWNER's own.
put_file() {
    keep "$1"
    put_as "$2" "$1" "$4"
}

# put_as OWNER PATH MODE <content: write a file as OWNER, whole or not at all. OWNER's process reads
# the content from a file: if it kept a pipe open without reading, root would wait for ever.
put_as() {
    (umask 077; cat >"$run/own/put")
    owner_does "$1" sh -c '
        umask 077
        rm -f -- "$(dirname -- "$1")"/.new.?????? # left by a killed run
        new=$(mktemp -- "$(dirname -- "$1")/.new.XXXXXX") || exit
        trap "rm -f -- \"\$new\"" EXIT
        cat >"$new" && chmod -- "$2" "$new" && sync -- "$new" && mv -fT -- "$new" "$1"
    ' sh "$2" "$3" <"$run/own/put"
}

# doubt PATH: set mode 0600, the mark of an interrupted run, until its other half is new, too.
doubt() {
    [ ! -e "$1" ] || chmod 0600 -- "$1"
}

# put_rights PATH OWNER GROUP MODE: set owner and permissions of a file whose content is right. In a
# user's folder root gives no file away, since another user's could have been moved there: what
# OWNER may read is written again.
put_rights() {
    local hand
    remember_rights "$1"
    hand=$(whose "$1")
    if [ "$hand" = root ]; then
        chown -h -- "$2:$3" "$1"
        owner_does "$2" chmod -- "$4" "$1"
    elif ! owner_does "$2" sh -c '[ -f "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && chgrp -- "$2" "$1" && chmod -- "$3" "$1"' \
        sh "$1" "$3" "$4" </dev/null; then
        copy_as "$2" "$1" "$run/own/theirs"
        refuse_no_file "$1"
        put_as "$2" "$1" "$4" <"$run/own/theirs"
        rm -f -- "$run/own/theirs"
    fi
}

# refuse_no_file PATH: fail unless the copy of PATH that copy_as made for us is a file.
refuse_no_file() {
    if [ ! -f "$run/own/theirs" ] || [ -L "$run/own/theirs" ]; then
        echo "$1 is not a file: move it away"
        return 1
    fi
}

# touch_as OWNER PATH: set the time of a file to now, as OWNER.
touch_as() {
    owner_does "$1" touch -- "$2"
}

# bring_to_now WHO WORDS: set to now the time of files that lies in the future. WHO is `root` or
# `user`, whose shell expands WORDS; a file that is not there is ignored.
bring_to_now() {
    local hand=root now
    now=$(date +%s)
    [ "$1" = root ] || hand=$account
    owner_does "$hand" sh -c "find -L $2 -maxdepth 0 -newermt @$((now + 1)) -exec touch -d @$now -- {} +" \
        </dev/null >/dev/null 2>&1 || true
}

# put_link PATH TARGET: create a symbolic link in a folder that root owns.
put_link() {
    local hand new
    keep "$1"
    hand=$(whose "$1")
    if [ "$hand" != root ] && [ "$hand" != "$(id -un)" ]; then
        echo "$1 is in a folder that belongs to $hand, where root creates no link"
        return 1
    fi
    clear_away "$1"
    new=$(dirname -- "$1")/.new.linked # without the dot Nginx would read it
    ln -s -- "$2" "$new"
    mv -fT -- "$new" "$1" || { rm -f -- "$new"; return 1; }
}

# put_absent PATH: remove what is there, and keep a copy.
put_absent() {
    if [ -e "$1" ] || [ -L "$1" ]; then
        keep "$1"
        remove_theirs "$1"
    fi
}

# put_directory PATH OWNER GROUP MODE: create a folder, or set its owner and permissions.
put_directory() {
    if [ -L "$1" ] && [ "$(stat -L -c %U -- "$1" 2>/dev/null)" != "$2" ]; then
        echo "$1 is a symbolic link to a folder that does not belong to $2: remove it"
        return 1
    fi
    if [ "$2" = root ]; then
        walk "$1"
        [ "$way_hand" = root ] || { echo "$1: a folder above it belongs to $way_hand"; return 1; }
    else
        refuse_planted "$1" "$2"
    fi
    if [ -d "$1" ]; then
        remember_rights "$1"
    elif [ "$2" = root ]; then
        intend tree "$1"
    else
        intend path "$1"
    fi
    # The owner creates it, if they can, and sets the group, if they are in it. Else root does, but
    # only where nobody else can place a link.
    if owner_does "$2" sh -c '
        mkdir -p -- "$1" && [ -O "$1" ] && chgrp -- "$2" "$1" && chmod -- "$3" "$1" \
            && [ "$(stat -L -c %04a -- "$1")" = "$3" ] # chmod drops setgid for a user outside the group
    ' sh "$1" "$3" "$4" 2>/dev/null </dev/null; then
        return 0
    elif ! only_roots "$1" >"$run/own/whose"; then
        if [ -e "$1" ]; then
            echo "$1 does not belong to $2 and the group $3, and root changes nothing in a user's folder:" \
                "fix it by hand: sudo chown -h $2:$3 $1"
        else
            cat -- "$run/own/whose"
        fi
        return 1
    fi
    mkdir -p -- "$1"
    [ -L "$1" ] || chown -- "$2:$3" "$1"
    if [ "$3" = "$(id -gn -- "$2")" ]; then owner_does "$2" chmod -- "$4" "$1"; else chmod -- "$4" "$1"; fi
}

# remove_as OWNER PATH: remove a file as OWNER.
remove_as() {
    owner_does "$1" rm -f -- "$2"
}

# trim_token PATH OWNER GROUP: remove the blanks that an editor has left.
trim_token() {
    copy_as "$2" "$1" "$run/own/theirs"
    refuse_no_file "$1"
    (umask 077; tr -d '[:space:]' <"$run/own/theirs" >"$run/own/trimmed")
    put_file "$1" "$2" "$3" 0600 <"$run/own/trimmed"
    rm -f -- "$run/own/theirs" "$run/own/trimmed"
}

# put_token PATH OWNER GROUP: write 192 random bits that never leave this server.
put_token() {
    local token
    token=$(od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n')
    [ "${#token}" = 48 ] || { echo 'no random bits: no token was written'; return 1; }
    printf %s "$token" | put_file "$1" "$2" "$3" 0600
}

