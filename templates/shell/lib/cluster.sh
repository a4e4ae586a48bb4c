# What the scheduler of a cluster is made of, which cannot see the home. Part of apply.sh.

# fill_copy FOLDER STAMP VENV USER HOME: what Python needs of a venv, as FOLDER/venv, copied with USER's
# rights alone; FOLDER is closed to all, so that no link of theirs, nor anybody else, gets in between.
fill_copy() {
    local cache="$1" stamp="$2" source="$3" hand="$4" state
    state=$(looked "$hand" venv_state "$source")
    intend tree "$cache"
    install -d -m 0700 -o root -g root -- "$cache"
    rm -rf -- "$stamp" "$cache/new"
    install -d -m 0755 -o "$hand" -g "$(id -gn -- "$hand")" -- "$cache/new"
    if ! copy_venv "$cache/new" "$hand" "$5" sh -c '
        set -e
        umask 022
        need=$(du -smc -- "$1/bin" "$1/lib" | sed -n "\$s/[^0-9].*//p")
        free=$(df --output=avail -B1M . | sed 1d)
        [ "$((need + 100))" -lt "$free" ] || { echo "No space left on device: $need MB are needed"; exit 1; }
        cp -dR --preserve=mode,timestamps --reflink=auto -- "$1/bin" "$1/lib" "$1/pyvenv.cfg" .
        chmod -R a+rX -- bin lib pyvenv.cfg' sh "$source"; then
        rm -rf -- "$cache/new"
        return 1
    fi
    rm -rf -- "$cache/former"
    [ ! -e "$cache/venv" ] || mv -T -- "$cache/venv" "$cache/former"
    mv -T -- "$cache/new" "$cache/venv"
    rm -rf -- "$cache/former"
    printf '%s\n' "$state" >"$stamp"
}

# copy_venv FOLDER USER HOME COMMAND...: there, where they get by no path.
copy_venv() {
    local doing_in="$1"
    shift
    slowly as_user "$@" </dev/null
}

# remove_trees_as OWNER PATH...: with their rights alone.
remove_trees_as() {
    local hand="$1"
    shift
    slowly owner_does "$hand" rm -rf -- "$@"
}

# start_scheduler SOCKET ITS-FILE FOLDER UNIT FILE ADDRESS PORT SECONDS: its socket, which is made in
# FOLDER, is open before it is; a socket that is new, or changed, waits for nobody who runs.
start_scheduler() {
    local socket="$1" its="$2"
    intend path "$3"
    if [ -d "$3" ] && [ "$(stat -c %u -- "$3")" != 0 ]; then # of an older version: the user could put links there
        systemctl stop -- "$socket" "$4" 2>/dev/null || true
        rm -rf -- "$3"
    fi
    shift 3
    if ! systemd-analyze verify -- "$its"; then
        put_back "$its" "$2"
        echo "systemd rejected the unit"
        return 1
    fi
    systemctl is-active -q -- "$socket" \
        && [ "$(systemctl show -p NeedDaemonReload --value -- "$socket")" = no ] \
        || systemctl stop -- "$socket" "$1" 2>/dev/null || true # one that is not known yet
    start_member "$@"
    accept "$its"
}
