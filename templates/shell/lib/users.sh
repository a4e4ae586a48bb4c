# Root runs no program of a user and opens no file by a user's path, where a link could lead it
# anywhere: it becomes that user. Sent before every script that runs as root, after read.sh.

longest=60      # seconds that a user's program may take: other runs wait for this one
altogether=7200 # seconds that all of a user's programs may take in one run
doing_in=/      # the folder in which they run

# A user's program could type into root's terminal as if the operator did (TIOCSTI): take it away.
detach=
if { true </dev/tty; } 2>/dev/null; then detach=yes; fi

# owner_does OWNER COMMAND...: run COMMAND as OWNER for at most `longest` seconds, without root's
# environment and terminal, and without the locks of this run, which a child could hold for ever. It
# ends when root's shell is killed, because the next run does not wait for it. OWNER is a number if
# the user no longer exists.
owner_does() {
    local owner="$1" what="$2" code=0 may="$longest" spent=0 begun='' ended=''
    shift
    if [ "$owner" = "$(id -un)" ]; then
        (cd "$doing_in" && "$@")
        return
    fi
    case $owner in
        *[!0-9]*) set -- runuser -u "$owner" -- "$@" ;;
        *) set -- setpriv --reuid="$owner" --regid=65534 --clear-groups -- "$@" ;;
    esac
    if [ "$may" -lt "$altogether" ]; then # a restore has a limit of its own
        [ ! -s "${run:-}/own/spent" ] || read -r spent <"$run/own/spent"
        [ "$((altogether - spent))" -gt "$may" ] || may=$((altogether - spent))
    fi
    if [ "$may" -le 0 ]; then
        is_late "$owner has used up the $altogether s of one run: on the server, ps -fu $owner shows what takes so long"
        return 124
    fi
    read -r begun _ </proc/uptime
    (cd "$doing_in" && cleanly "HOME=${HOME:-/}" "USER=$owner" "LOGNAME=$owner" \
        ${detach:+setsid -w} setpriv --pdeathsig TERM timeout -k 10 "$may" "$@" 8>&- 9>&-; exit) || code=$?
    read -r ended _ </proc/uptime
    ended=$((${ended%%.*} - ${begun%%.*}))
    if [ "$ended" -gt 0 ] && [ "$longest" -lt "$altogether" ] && [ -d "${run:-}/own" ]; then
        (umask 077; echo "$((spent + ended))" >"$run/own/spent")
    fi
    [ "$ended" -lt "$may" ] || is_late "$what, run as $owner, did not end within $may s: on the server, ps -fu $owner shows what blocks it"
    return "$code"
}

# is_late WORDS: record that a program was late, for the operator, also if the step succeeds.
is_late() {
    [ ! -d "${run:-}/own" ] || (umask 077; printf '%s\n' "$1" >>"$run/own/late")
}

# slowly COMMAND...: run COMMAND with a limit of an hour, for slow programs such as an installer.
slowly() {
    local longest=3600
    "$@"
}

# as_user USER HOME COMMAND...: run COMMAND as owner_does does, with the user's HOME.
as_user() {
    local account="$1" home="$2"
    shift 2
    (
        export HOME="$home" USER="$account" LOGNAME="$account"
        owner_does "$account" "$@"
    )
}

# hear USER COMMAND...: run COMMAND as USER and print its output, at most `most` bytes. A process
# that it leaves behind with the pipe open is not waited for, and cannot fill a disk.
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

# looked USER FUNCTION ARGUMENT...: run a function of read.sh as USER, and print its output.
looked() {
    local user="$1"
    shift
    hear "$user" sh -c '. "$1" && shift && "$@"' sh "$run/read.sh" "$@" </dev/null
}
