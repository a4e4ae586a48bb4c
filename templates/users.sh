# Programs and files of the user's are for that user alone: root runs none of them, and opens nothing by
# their paths, where a link of theirs could lead it anywhere. Before every script of root's.

longest=3600 # seconds that a program of theirs may take: others wait for this run to end

# What a program of theirs could type into, as if the operator did (TIOCSTI).
detach=
if { true </dev/tty; } 2>/dev/null; then detach='setsid -w'; fi

# owner_does OWNER COMMAND...: as that user, in the folder /. The locks of this run stay with root: who
# inherits one could hold it for ever.
owner_does() {
    owner=$1
    shift
    if [ "$owner" = "$(id -un)" ]; then
        (cd / && "$@")
    else
        (cd / && $detach timeout -k 10 "$longest" runuser -u "$owner" -- "$@" 8>&- 9>&-; exit)
    fi
}

# What a program of theirs says goes to a file where root needs it: whatever it has started could hold the
# other end of a pipe for ever.
#
# looked USER FUNCTION ARGUMENT...: what a function of read.sh prints, for that user.
looked() {
    (umask 077; ulimit -f 16384 # blocks of 512 bytes
        owner_does "$1" sh -c '. "$1" && shift && "$@"' sh "$run/read.sh" "$2" "$3" >"$run/looked" </dev/null) || true
    head -c "$most" -- "$run/looked"
}

# as_user USER HOME COMMAND...: the same, with their home. What it says may not fill root's log without
# an end; and who listens does not wait for what it has started, and left behind.
as_user() {
    account=$1 home=$2
    shift 2
    (
        export HOME="$home" USER="$account" LOGNAME="$account"
        pipe=$(mktemp -u "$run/said.XXXXXX") code=0 tries=50
        mkfifo -m 0600 -- "$pipe"
        head -c "$most" <"$pipe" 8>&- 9>&- &
        reader=$!
        owner_does "$account" "$@" >"$pipe" 2>&1 || code=$?
        while [ -e "/proc/$reader/exe" ] && [ "$tries" -gt 0 ]; do
            tries=$((tries - 1))
            sleep 0.02
        done
        kill "$reader" 2>/dev/null || true
        rm -f -- "$pipe"
        exit "$code"
    )
}
