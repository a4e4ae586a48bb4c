# Another venv in the place of the one that serves, and back again. Part of apply.sh.
# Others stand in PROJECT/.venvs; `previous` there is the one before, a folder or a link to one.

# clear_venvs USER PROJECT: what neither serves nor served before goes, such as a build that was cut off.
clear_venvs() {
    owner_does "$1" sh -c '
        for dir in "$1"/.venvs/*; do
            case $dir in
                "$1/.venvs/previous" | "$(readlink -- "$1/venv")" | "$(readlink -- "$1/.venvs/previous")") ;;
                *) rm -rf -- "$dir" ;;
            esac
        done' sh "$2"
}

# or_clear USER PROJECT: when this step fails, nothing of it stays.
or_clear() {
    whose=$1 where=$2
    trap 'code=$?; [ "$code" = 0 ] || { clear_venvs "$whose" "$where"; exit 3; }' EXIT
}

# check_venv VENV USER HOME CONFIG SECONDS NAME...: import, start and compute with it, beside what serves.
check_venv() {
    venv=$1 account=$2 home=$3
    shift 3
    as_user "$account" "$home" "$venv/bin/python" "$run/check.py" "$run/kernel.py" "$@"
}

# swap_venv USER PROJECT NEW START...: serve from NEW, and keep the former one as `previous`; when the
# service does not START with it, the former one serves again and NEW is gone.
swap_venv() {
    account=$1 project=$2 new=$3
    shift 3
    former=$project/.venvs/previous
    owner_does "$account" sh -c '
        if [ -e "$1" ] || [ -L "$1" ]; then mv -fT -- "$1" "$1.older"; fi
        ln -s -- "$2" "$1"' sh "$former" "$new"
    exchange_venvs "$account" "$project"
    if "$@"; then
        clear_venvs "$account" "$project"
        return 0
    fi
    exchange_venvs "$account" "$project"
    "$@" || echo "the former one does not start either"
    owner_does "$account" sh -c '
        rm -f -- "$1"
        if [ -e "$1.older" ] || [ -L "$1.older" ]; then mv -fT -- "$1.older" "$1"; fi' sh "$former"
    clear_venvs "$account" "$project"
    echo "JupyterLab did not start from the new venv; the former one is back, and serves"
    return 3
}

# roll_back USER PROJECT START...: serve from the one before; what served becomes `previous`.
roll_back() {
    account=$1 project=$2
    shift 2
    exchange_venvs "$account" "$project"
    "$@" && return 0
    exchange_venvs "$account" "$project"
    "$@" || true
    echo "JupyterLab did not start from the one before; the present one is back, and serves"
    return 3
}

# exchange_venvs USER PROJECT: the venv and the previous one change places.
exchange_venvs() {
    owner_does "$1" python3 "$run/exchange.py" "$2/venv" "$2/.venvs/previous"
}

