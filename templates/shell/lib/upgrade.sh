# Another venv in the place of the one that serves, and back again. Part of apply.sh.
# Others stand in PROJECT/.venvs; `previous` there is the one before, a folder or a link to one.

# clear_venvs USER PROJECT: of what was built by this, what neither serves nor served before goes, such
# as a build that was cut off. The one before, if it was set aside by a run that was killed, is back first.
clear_venvs() {
    slowly owner_does "$1" sh -c '
        cd -- "$1/.venvs" 2>/dev/null || exit 0
        if [ ! -e previous ] && [ -e previous.older ]; then mv -fT -- previous.older previous; fi
        rm -rf -- previous.older
        for dir in ????-??-??T??????Z; do
            if ! [ "$dir" -ef ../venv ] && ! [ "$dir" -ef previous ]; then rm -rf -- "$dir"; fi
        done' sh "$2"
}

# or_clear USER PROJECT: when this step fails, nothing of it stays.
or_clear() {
    whose=$1 where=$2
    trap 'code=$?; [ "$code" = 0 ] || { clear_venvs "$whose" "$where"; exit 3; }' EXIT
}

# same_disk USER PROJECT: two venvs can only change places on one.
same_disk() {
    owner_does "$1" mkdir -p -- "$2/.venvs"
    if ! owner_does "$1" sh -c '[ "$(stat -L -c %d -- "$1")" = "$(stat -L -c %d -- "$1/.venvs")" ]' sh "$2"; then
        echo "$2/.venvs is on another disk than the project: make it a folder there"
        return 3
    fi
}

# check_venv VENV USER HOME CONFIG SECONDS NAME...: import, start and compute with it, beside what serves.
check_venv() {
    venv=$1 account=$2 home=$3
    shift 3
    slowly as_user "$account" "$home" "$venv/bin/python" "$run/check.py" "$run/kernel.py" "$@"
}

# swap_venv USER PROJECT NEW START...: serve from NEW, and keep the former one as `previous`; when the
# service does not START with it, the former one serves again and NEW is gone.
swap_venv() {
    account=$1 project=$2 new=$3
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

# roll_back USER PROJECT START...: serve from the one before; what served becomes `previous`.
roll_back() {
    account=$1 project=$2
    shift 2
    exchange_venvs "$account" "$project"
    # newer than what runs, so that a run that is cut off here is finished by the next
    owner_does "$account" sh -c 'touch -- "$1"/lib/python3*/site-packages/jupyterlab-*.dist-info/RECORD' sh "$project/venv"
    attempt "$@"
    [ "$code" != 0 ] || return 0
    exchange_venvs "$account" "$project"
    return_to "the one before" "$@"
}

# attempt START...: with `set -e` in force, which `if` and `||` would suspend; how it ended is in $code.
attempt() {
    set +e
    (set -e; "$@")
    code=$?
    set -e
}

# return_to WHAT START...: start what served before, because JupyterLab did not start from WHAT.
return_to() {
    what=$1
    shift
    attempt "$@"
    if [ "$code" != 0 ]; then
        echo "neither $what nor the present venv starts: mend what the journal says"
        return 1
    fi
    echo "JupyterLab did not start from $what; the present one is back, and serves"
    return 3
}

# exchange_venvs USER PROJECT: the venv and the previous one change places.
exchange_venvs() {
    owner_does "$1" python3 -I "$run/exchange.py" "$2/venv" "$2/.venvs/previous"
}

