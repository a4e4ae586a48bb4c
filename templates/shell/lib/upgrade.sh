# Replace the venv that serves, and go back to the previous one. Part of apply.sh.
# Other venvs are in PROJECT/.venvs; `previous` there is the former one, a folder or a link to one.

# clear_venvs USER PROJECT: remove the upgrades' venvs that are neither in use nor `previous`, such
# as an interrupted build; first put back a `previous` that a killed run had set aside.
clear_venvs() {
    slowly owner_does "$1" sh -c '
        cd -- "$1/.venvs" 2>/dev/null || exit 0
        if [ ! -e previous ] && [ -e previous.older ]; then mv -fT -- previous.older previous; fi
        rm -rf -- previous.older
        for dir in ????-??-??T??????Z; do
            if ! [ "$dir" -ef ../venv ] && ! [ "$dir" -ef previous ]; then rm -rf -- "$dir"; fi
        done' sh "$2"
}

# or_clear USER PROJECT: remove what this step built if it fails. The trap needs `builder` and `place`
# when this function has ended.
or_clear() {
    builder=$1 place=$2
    trap '[ "$?" = 0 ] || { clear_venvs "$builder" "$place"; exit 3; }' EXIT
}

# same_disk USER PROJECT: fail unless .venvs is on the project's disk, as an exchange requires.
same_disk() {
    owner_does "$1" mkdir -p -- "$2/.venvs"
    if ! owner_does "$1" sh -c '[ "$(stat -L -c %d -- "$1")" = "$(stat -L -c %d -- "$1/.venvs")" ]' sh "$2"; then
        echo "$2/.venvs is not on the disk of the project: make it a folder there"
        return 3
    fi
}

# check_venv VENV USER HOME CONFIG SECONDS NAME...: test a new venv: import, start and compute.
check_venv() {
    local venv="$1" account="$2" home="$3"
    shift 3
    slowly as_user "$account" "$home" "$venv/bin/python" "$run/check_venv.py" "$run/run_in_kernel.py" "$@"
}

# swap_venv USER PROJECT NEW START...: serve from NEW, and keep the former venv as `previous`. If
# the service does not START, serve from the former venv again and remove NEW.
swap_venv() {
    local account="$1" project="$2" new="$3"
    shift 3
    owner_does "$account" sh -c '
        cd -- "$1/.venvs"
        if [ -e previous ] || [ -L previous ]; then mv -fT -- previous previous.older; fi
        ln -s -- "$2" previous' sh "$project" "$new"
    exchange_venvs "$account" "$project"
    attempt "$@"
    if [ "$code" = 0 ]; then
        clear_venvs "$account" "$project"
        return 0
    fi
    exchange_venvs "$account" "$project"
    owner_does "$account" rm -f -- "$project/.venvs/previous"
    clear_venvs "$account" "$project"
    return_to "the new venv" "$@"
}

# roll_back USER PROJECT START...: serve from `previous`, which the current venv becomes.
roll_back() {
    local account="$1" project="$2"
    shift 2
    exchange_venvs "$account" "$project"
    # newer than the service: if this run is interrupted here, the next one restarts it
    owner_does "$account" sh -c 'touch -- "$1"/lib/python3*/site-packages/jupyterlab-*.dist-info/RECORD' sh "$project/venv"
    attempt "$@"
    [ "$code" != 0 ] || return 0
    exchange_venvs "$account" "$project"
    return_to "the previous venv" "$@"
}

# attempt START...: run START under `set -e`, which `if` and `||` disable; set `code` to its status.
attempt() {
    set +e
    (set -e; "$@")
    code=$?
    set -e
}

# return_to WHAT START...: start the service again, because JupyterLab did not start from WHAT.
return_to() {
    local what="$1"
    shift
    attempt "$@"
    if [ "$code" != 0 ]; then
        echo "neither $what nor the current venv starts: fix what the journal says"
        return 1
    fi
    echo "JupyterLab did not start from $what; the current venv is back, and serves"
    return 3
}

# exchange_venvs USER PROJECT: exchange the venv and `previous`.
exchange_venvs() {
    owner_does "$1" python3 -I "$run/exchange_paths.py" "$2/venv" "$2/.venvs/previous"
}

