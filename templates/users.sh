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

# looked USER FUNCTION ARGUMENT...: what a function of read.sh prints, for that user.
looked() {
    owner_does "$1" sh -c '. "$1" && shift && "$@"' sh "$run/read.sh" "$2" "$3" | head -c "$most"
}

# as_user USER HOME COMMAND...: the same, with their home; what it says may not fill the disk of root's log.
as_user() {
    account=$1 home=$2
    shift 2
    (
        export HOME="$home" USER="$account" LOGNAME="$account"
        { code=0; owner_does "$account" "$@" || code=$?; echo "$code" >"$run/ended"; } | head -c "$most"
        exit "$(cat -- "$run/ended")"
    )
}
