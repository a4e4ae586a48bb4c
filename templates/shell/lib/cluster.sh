# A cluster's scheduler runs from a copy of the venv: it cannot see the home. Part of apply.sh.

# fill_copy FOLDER STAMP VENV USER HOME: copy what Python needs of VENV to FOLDER/venv, as USER.
# Only root can enter FOLDER, so that nobody can place a link there meanwhile.
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

# copy_venv FOLDER USER HOME COMMAND...: run COMMAND in FOLDER, which USER can reach by no path.
copy_venv() {
    local doing_in="$1"
    shift
    slowly as_user "$@" </dev/null
}

# remove_trees_as OWNER PATH...: remove folders as OWNER.
remove_trees_as() {
    local hand="$1"
    shift
    slowly owner_does "$hand" rm -rf -- "$@"
}

# start_scheduler SOCKET ITS-FILE FOLDER UNIT FILE ADDRESS PORT SECONDS: start the unit after its
# socket, which is in FOLDER. A new or changed socket starts only while neither of them runs.
start_scheduler() {
    local socket="$1" its="$2"
    intend path "$3"
    shift 3
    if ! systemd-analyze verify -- "$its"; then
        put_back "$its" "$2"
        echo "systemd rejected the unit"
        return 1
    fi
    systemctl is-active -q -- "$socket" \
        && [ "$(systemctl show -p NeedDaemonReload --value -- "$socket")" = no ] \
        || systemctl stop -- "$socket" "$1" 2>/dev/null || true # a new unit is not known yet
    start_member "$@"
    accept "$its"
}
