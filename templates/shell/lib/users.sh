# Programs and files of the user's are for that user alone: root runs none of them, and opens nothing by
# their paths, where a link of theirs could lead it anywhere. Before every script of root's, after read.sh.

longest=60      # seconds that a program of theirs may take: others wait for this run to end
altogether=7200 # seconds that all of them may take in one run
doing_in=/      # the folder in which that is done

# What a program of theirs could type into, as if the operator did (TIOCSTI).
detach=
if { true </dev/tty; } 2>/dev/null; then detach='setsid -w'; fi

# owner_does OWNER COMMAND...: as that user, for `longest` seconds, with nothing of root's: neither its
# environment nor its terminal, nor the locks of this run, which who inherits one could hold for ever. The
# next run would not wait for it, so it ends when root's shell is killed. Of a user who is gone the OWNER is
# a number.
owner_does() {
    local owner="$1" code=0 may="$longest" spent=0 begun='' ended='' become=''
    shift
    if [ "$owner" = "$(id -un)" ]; then
        (cd "$doing_in" && "$@")
        return
    fi
    case $owner in
        *[!0-9]*) become="runuser -u $owner --" ;;
        *) become="setpriv --reuid=$owner --regid=65534 --clear-groups --" ;;
    esac
    if [ "$may" -lt "$altogether" ]; then # a restore has a limit of its own
        [ ! -s "${run:-}/own/spent" ] || read -r spent <"$run/own/spent"
        [ "$((altogether - spent))" -gt "$may" ] || may=$((altogether - spent))
    fi
    if [ "$may" -le 0 ]; then
        is_late "$owner has used up the $altogether s of one run: see there by ps -fu $owner what takes so long"
        return 124
    fi
    read -r begun _ </proc/uptime
    (cd "$doing_in" && cleanly "HOME=${HOME:-/}" "USER=$owner" "LOGNAME=$owner" \
        $detach setpriv --pdeathsig TERM timeout -k 10 "$may" $become "$@" 8>&- 9>&-; exit) || code=$?
    read -r ended _ </proc/uptime
    ended=$((${ended%%.*} - ${begun%%.*}))
    if [ "$ended" -gt 0 ] && [ "$longest" -lt "$altogether" ] && [ -d "${run:-}/own" ]; then
        (umask 077; echo "$((spent + ended))" >"$run/own/spent")
    fi
    [ "$ended" -lt "$may" ] || is_late "$1, run as $owner, did not end within $may s: see there by ps -fu $owner what stops it"
    return "$code"
}

# is_late WORDS: for the operator, whatever becomes of the step.
is_late() {
    [ ! -d "${run:-}/own" ] || (umask 077; printf '%s\n' "$1" >>"$run/own/late")
}

# slowly COMMAND...: with an hour for what takes long by itself, such as an installer.
slowly() {
    local longest=3600
    "$@"
}

# as_user USER HOME COMMAND...: the same, with their home.
as_user() {
    account=$1 home=$2
    shift 2
    (
        export HOME="$home" USER="$account" LOGNAME="$account"
        owner_does "$account" "$@"
    )
}

# hear USER COMMAND...: what it says, `most` bytes of it. Nobody waits for what it has started, and left
# behind with the other end of the pipe; nor does that fill a disk.
hear() {
    local pipe reader=''
    pipe=$(mktemp -u "${run:-/run}/jupyterlab-read.XXXXXX")
    mkfifo -m 0600 -- "$pipe" || return 0
    head -c "$most" <"$pipe" 2>/dev/null 8>&- 9>&- &
    reader=$!
    owner_does "$@" >"$pipe" 2>/dev/null || true
    let_go "$reader"
    rm -f -- "$pipe"
}

# looked USER FUNCTION ARGUMENT...: what a function of read.sh prints, for that user.
looked() {
    local user="$1"
    shift
    hear "$user" sh -c '. "$1" && shift && "$@"' sh "$run/read.sh" "$@" </dev/null
}
