# Files, folders and links: replaced whole, and what stood there is kept. Part of apply.sh.

# keep PATH: set aside what stands there. A run that did not end well left older ones, which are
# known to work: those stay, and what was put there since goes under this run's date.
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
}

# set_aside PATH COPY: whole or not at all.
set_aside() {
    (umask 077; mkdir -p -- "$(dirname -- "$2")")
    cp -a -- "$1" "$2.part"
    mv -fT -- "$2.part" "$2"
}

# put_back PATH...: undo this run's change, if it made one.
put_back() {
    for path; do
        if [ -e "$kept/now$path.absent" ]; then
            rm -f -- "$path" "$kept/now$path.absent"
            echo "$path is gone again"
        elif [ -e "$kept/now$path" ] || [ -L "$kept/now$path" ]; then
            clear_away "$path"
            again=$(dirname -- "$path")/.new.former
            cp -a -- "$kept/now$path" "$again"
            mv -fT -- "$again" "$path"
            rm -f -- "$kept/now$path"
            echo "$path is what it was again"
        fi
    done
}

# accept PATH...: what is there now works, so that no later run goes back behind it.
accept() {
    for path; do
        rm -f -- "$kept/now$path.absent"
        if [ -e "$kept/now$path" ] || [ -L "$kept/now$path" ]; then
            (umask 077; mkdir -p -- "$dated$(dirname -- "$path")")
            mv -f -- "$kept/now$path" "$dated$path"
        fi
    done
}

# clear_away PATH: what a run that was killed has left beside it.
clear_away() {
    rm -f -- "$(dirname -- "$1")"/.new.??????
}

# put_file PATH OWNER GROUP MODE <content: whole or not at all. The group is the owner's own.
put_file() {
    keep "$1"
    owner_does "$2" sh -c '
        umask 077
        rm -f -- "$(dirname -- "$1")"/.new.?????? # of a run that was killed
        new=$(mktemp -- "$(dirname -- "$1")/.new.XXXXXX") || exit
        trap "rm -f -- \"\$new\"" EXIT
        cat >"$new" && chmod -- "$2" "$new" && sync -- "$new" && mv -fT -- "$new" "$1"
    ' sh "$1" "$4"
}

# doubt PATH: for root alone until its other half is new, too; who reads it sees a run that was cut off.
doubt() {
    [ ! -e "$1" ] || chmod 0600 -- "$1"
}

# put_rights PATH OWNER GROUP MODE: of a file whose content is right.
put_rights() {
    remember_rights "$1"
    chown -h -- "$2:$3" "$1"
    owner_does "$2" chmod -- "$4" "$1"
}

# touch_as OWNER PATH
touch_as() {
    owner_does "$1" touch -- "$2"
}

# put_link PATH TARGET
put_link() {
    keep "$1"
    clear_away "$1"
    new=$(dirname -- "$1")/.new.linked # no dot at its start, and Nginx would read it
    trap 'rm -f -- "$new"' EXIT
    ln -s -- "$2" "$new"
    mv -fT -- "$new" "$1"
}

# put_absent PATH: whatever is there is kept.
put_absent() {
    if [ -e "$1" ] || [ -L "$1" ]; then
        keep "$1"
        rm -f -- "$1"
    fi
}

# put_directory PATH OWNER GROUP MODE
put_directory() {
    if [ -L "$1" ] && [ "$(stat -L -c %U -- "$1" 2>/dev/null)" != "$2" ]; then
        echo "$1 is a link to what does not belong to $2: remove it"
        return 1
    fi
    if [ -d "$1" ]; then
        remember_rights "$1"
    elif [ "$2" = root ]; then
        intend tree "$1"
    else
        intend path "$1"
    fi
    # Where it can be the owner who makes it and the folders above, it is. Else root does, but only
    # where all above is root's, and nobody can put a link there.
    if [ "$3" != "$(id -gn -- "$2")" ] || ! owner_does "$2" sh -c '
        mkdir -p -- "$1" && [ -O "$1" ] && chmod -- "$2" "$1"
    ' sh "$1" "$4" 2>/dev/null; then
        [ -d "$1" ] || only_roots "$1" || return 1
        mkdir -p -- "$1"
        chown -h -- "$2:$3" "$1"
        if [ "$3" = "$(id -gn -- "$2")" ]; then owner_does "$2" chmod -- "$4" "$1"; else chmod -- "$4" "$1"; fi
    fi
}

# only_roots PATH: whether all folders above, and all links among them, are root's.
only_roots() {
    above=$1
    while above=$(dirname -- "$above") && [ "$above" != / ]; do
        if [ -e "$above" ] && [ "$(stat -c %u -- "$above")" != 0 ]; then
            echo "$1: $above belongs to $(stat -c %U -- "$above"), who may not make it: make it by hand"
            return 1
        fi
    done
}

# remove_as OWNER PATH
remove_as() {
    owner_does "$1" rm -f -- "$2"
}

# trim_token PATH OWNER GROUP: without the blanks that an editor leaves.
trim_token() {
    owner_does "$2" cat -- "$1" | tr -d '[:space:]' | put_file "$1" "$2" "$3" 0600
}

# put_token PATH OWNER GROUP: 192 random bits that only this server has seen.
put_token() {
    od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n' | put_file "$1" "$2" "$3" 0600
}

