# Make it so. Every change is a step_N; steps are announced as they begin and end. Runs as root.
set -u
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
kept=/var/backups/$instance # what stood in our place: `now` until it is known to work
lock=/run/jupyterlab-fab.lock
turn=/run/jupyterlab-fab.turn # who holds the lock, or held it last, and how that ended
told_late=0                  # how often a program of the user's was, as far as it was said
lock_wait=600                # seconds that another run, apt or dpkg may take

# take_turn OPERATOR SEEN: one run at a time. The lock goes with its processes, however they end;
# what its last holder wrote down tells whether the server changed since it was read (SEEN).
take_turn() {
    (umask 077; : >>"$lock") # who can open it can hold it
    exec 9>>"$lock"
    if ! flock -n 9; then
        sleep 0.3 # until it has written who it is
        holder=$(cat -- "$turn" 2>/dev/null)
        case $holder in *', done') holder='a backup' ;; esac
        printf 'note another run is at work here: %s; waiting for it\n' "${holder:-somebody}"
        if ! flock -w "$lock_wait" 9; then
            printf 'held %s\n' "${holder:-somebody}"
            exit 1
        fi
        [ "$2" = any ] || again
    fi
    [ /proc/self/fd/9 -ef "$lock" ] || again # an uninstall took it away meanwhile
    before=$(cat -- "$turn" 2>/dev/null)
    [ "$2" = any ] || [ "$before" = "$2" ] || again
    unfinished=yes # by the last run, whatever this one does
    case $before in
        *', done') unfinished= ;;
        ?*) printf 'note the last run did not end well (%s); this one goes on from there\n' "$before" ;;
        '')
            if [ -d "$kept/now" ]; then
                echo 'note a run before the last boot did not end well'
            else
                unfinished=
            fi ;;
    esac
    written="$1, since $(date -u +'%F %T') UTC, process $$"
    write_turn "$written"
    open_ledger
    dated=$kept/$(date +%Y-%m-%dT%H%M%S.%N)
    rm -rf /run/jupyterlab-fab.?????? # of a run that was killed
    find /run -maxdepth 1 -name 'jupyterlab-read.*' -mmin +10 -delete
    run=$(mktemp -d /run/jupyterlab-fab.XXXXXX) || exit 1
    chmod 0711 -- "$run" # the user's own steps read their tools there
    mkdir -m 0700 -- "$run/own"
    : >"$run/own/notes"
    trap 'rm -rf -- "$run"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    if [ -e "$pending" ]; then
        echo 'note a restore was cut off half-way: it is completed first; JupyterLab is stopped until fab full'
        logged restore complete_restore
        [ $? -eq 0 ] || { show_log restore; exit 1; }
        [ "$2" = any ] || again
    fi
}

# confirm_user USER UID GROUP HOME: these were told to the login user, whose own programs told us; root
# goes by what the system says.
confirm_user() {
    entry=$(getent passwd "$1" | cut -d: -f1,3,6)
    if [ "$entry:$(id -gn -- "$1" 2>/dev/null)" != "$1:$2:$4:$3" ]; then
        printf 'refused the user, group or home that was told is not that of %s\n' "$1"
        exit 1
    fi
}

# again: somebody else's run came in between; nothing is done before it is read anew.
again() {
    echo again
    exit 0
}

# write_turn TEXT: for whoever comes next, on the server and here.
write_turn() {
    printf '%s\n' "$1" >"$turn.new" && mv -f -- "$turn.new" "$turn"
    printf 'turn %s\n' "$1"
}

# --- steps ---------------------------------------------------------------------------------

# run N: run a step and say how it ended; the first that fails ends the whole.
run() {
    printf 'begin %s\n' "$1"
    logged "$1" "step_$1"
    ended "$1" $?
}

# logged NAME FUNCTION: run it. Its log takes `most` bytes of what root and the user's programs say: who keeps
# hold of it, or says more, fills no memory of the server's, and is not waited for.
logged() {
    local pipe="$run/own/$1.said" reader='' code=''
    mkfifo -m 0600 -- "$pipe" || return 1
    (umask 077; head -c "$most" >"$run/$1.log"; exec cat >/dev/null) <"$pipe" 2>/dev/null 8>&- 9>&- &
    reader=$!
    (set -e; "$2") >"$pipe" 2>&1 </dev/null # an `||` behind it would undo set -e
    code=$?
    let_go "$reader"
    rm -f -- "$pipe"
    return "$code"
}

# show_log NAME: its last words, for the operator, and who was late.
show_log() {
    tail -n 40 -- "$run/$1.log" | tail -c 60000 | sed 's/^/| /'
    [ ! -s "$run/own/late" ] || sed 's/^/| /' "$run/own/late"
}

# begin N: start a step beside those that follow.
begin() {
    printf 'begin %s\n' "$1"
    (umask 077; : >"$run/$1.log")
    (set -e; "step_$1") >"$run/$1.log" 2>&1 </dev/null & # root's programs alone: packages
    beside="$1 $!"
}

# finish: wait for the step that runs beside.
finish() {
    [ -n "${beside:-}" ] || return 0
    set -- $beside
    beside=
    wait "$2"
    ended "$1" $?
}

# ended N STATUS: announce it; after a failure show its last words and stop, also what runs beside. 3 is
# a refusal that changed nothing: there is nothing for the next run to mend. A user whose programs were late
# twice may have stopped them: the run does not go on until their time is used up.
ended() {
    tell_notes "$1"
    printf 'end %s %s\n' "$1" "$2"
    if [ "$2" -ne 0 ]; then
        show_log "$1"
    else
        [ -s "$run/own/late" ] || return 0
        late=$(wc -l <"$run/own/late")
        if [ "$late" -lt 2 ]; then
            [ "$late" = "$told_late" ] || sed 's/^/note /' "$run/own/late"
            told_late=$late
            return 0
        fi
        sed 's/^/| /' "$run/own/late"
    fi
    [ -z "${beside:-}" ] || stop_download "${beside#* }"
    [ "$2" -ne 3 ] || settle_deed
    exit 1
}

# note WORDS...: for the operator, when the step has ended. What a user's program says is in the step's log,
# and is shown as theirs: it cannot pass for this.
note() {
    printf '%s\n' "$*" >>"$run/own/notes"
}

# tell_notes N: all that was noted, and why pip was used; twenty lines at most.
tell_notes() {
    awk -v notes="$run/own/notes" '
        FILENAME == notes { words = $0 }
        FILENAME != notes && /^note: uv could not be used [(].*[)]; using pip$/ && !pip++ { words = substr($0, 7) }
        words != "" && told++ < 20 { print "note " substr(words, 1, 1000) }
        { words = "" }' "$run/own/notes" "$run/$1.log"
    : >"$run/own/notes"
}

# stop_download PID: a step that still downloads packages is not waited for; dpkg is.
stop_download() {
    [ -e "$run/dpkg" ] || kill "$1" $(cat "/proc/$1/task/$1/children") 2>/dev/null
    wait "$1" 2>/dev/null
}

# settle: the run ended well; what it replaced is kept under its date.
settle() {
    if [ -d "$kept/now" ]; then
        find "$kept/now" \( -name '*.absent' -o -name '*.part' \) -delete
        { mkdir -p -- "$dated" && cp -a -- "$kept/now/." "$dated/" && rm -rf -- "$kept/now"; } || exit 1
    fi
    if [ -d "$dated" ]; then
        find "$dated" -depth -type d -empty -delete
    fi
    if [ -d "$dated" ]; then
        printf 'note what was replaced is kept in %s\n' "$dated"
    fi
    write_turn "$written, done"
    [ ! -e "$run/own/gone" ] || rm -f -- "$turn" "$lock" # nothing of ours is here any more
}

# settle_deed: the same after what was asked for once, or was refused: what an earlier run has left
# unfinished is still to be finished.
settle_deed() {
    if [ -z "$unfinished" ] || [ -e "$run/own/gone" ]; then
        settle
    else
        write_turn "$before"
    fi
}

