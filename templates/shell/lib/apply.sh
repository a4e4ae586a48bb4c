# Apply the changes: each is a function step_N, announced as it begins and ends. Runs as root.
set -u
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
took=/var/lib/$instance-fab/start_seconds # what the last start of JupyterLab took
kept=/var/backups/$instance # replaced files; in `now` until the new ones are known to work
lock=/run/jupyterlab-fab.lock
turn_file=/run/jupyterlab-fab.turn # who holds the lock, or held it last, and whether that run finished
told_late=0                  # how many late programs were reported so far
lock_wait=600                # seconds to wait for another run, apt or dpkg

# take_turn OPERATOR SEEN: take the lock, which the kernel releases however this run ends. SEEN is
# what the turn file said when the server was read: if it differs now, another run came between.
# `any` skips that check. Sets for the whole run: before, unfinished, written, dated and run.
take_turn() {
    local holder code
    (umask 077; : >>"$lock") # a user who can open it can hold it
    exec 9>>"$lock"
    if ! flock -n 9; then
        sleep 0.3 # until the holder has written its name
        holder=$(cat -- "$turn_file" 2>/dev/null)
        case $holder in *', done') holder='a backup' ;; esac
        printf 'note another run holds the lock: %s; waiting for it\n' "${holder:-somebody}"
        if ! flock -w "$lock_wait" 9; then
            printf 'held %s\n' "${holder:-somebody}"
            exit 1
        fi
        [ "$2" = any ] || read_again
    fi
    [ /proc/self/fd/9 -ef "$lock" ] || read_again # an uninstall removed it meanwhile
    before=$(cat -- "$turn_file" 2>/dev/null)
    [ "$2" = any ] || [ "$before" = "$2" ] || read_again
    unfinished=yes # whether the last run did not finish
    case $before in
        *', done') unfinished= ;;
        ?*) printf 'note the last run did not finish (%s); this one continues from there\n' "$before" ;;
        '')
            if [ -d "$kept/now" ]; then
                echo 'note a run before the last reboot did not finish'
            else
                unfinished=
            fi ;;
    esac
    written="$1, since $(date -u +'%F %T') UTC, process $$"
    write_turn "$written" || exit 1
    open_ledger
    dated=$kept/$(date +%Y-%m-%dT%H%M%S.%N)
    rm -rf /run/jupyterlab-fab.?????? # left by a killed run
    find /run -maxdepth 1 -name 'jupyterlab-read.*' -mmin +10 -delete
    run=$(mktemp -d /run/jupyterlab-fab.XXXXXX) || exit 1
    chmod 0711 -- "$run" # steps that run as the user read their tools there
    mkdir -m 0700 -- "$run/own"
    : >"$run/own/notes"
    trap 'rm -rf -- "$run"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    if [ -e "$pending" ]; then
        echo 'note a restore was interrupted: this run completes it first; JupyterLab stays stopped until fab full'
        logged restore complete_restore
        code=$? # an `||` after it would disable set -e
        [ "$code" = 0 ] || { show_log restore; exit 1; }
        [ "$2" = any ] || read_again
    fi
}

# confirm_user USER UID GROUP HOME: refuse values that the system's user database does not confirm.
# They were read by the login user's own programs, so root does not rely on them. Refuse a home that
# root may not enter, too: systemd could not start the service there.
confirm_user() {
    local entry
    entry=$(getent passwd "$1" | cut -d: -f1,3,6)
    if [ "$entry:$(id -gn -- "$1" 2>/dev/null)" != "$1:$2:$4:$3" ]; then
        printf 'refused the user ID, group or home that was read is not that of %s\n' "$1"
        exit 1
    fi
    if ! (cd -- "$4") 2>/dev/null; then
        printf 'refused root may not enter %s, the home of %s: it is perhaps a FUSE mount without allow_root, or on NFS with root_squash: allow that, or choose a user with another home\n' "$4" "$1"
        exit 1
    fi
}

# confirm_isolation DIRECTIVE...: before the first start, refuse a host where systemd may not give a
# service mounts of its own, as in a container without nesting: it exits with 226 then.
confirm_isolation() {
    local directive code=0
    [ ! -e "/etc/systemd/system/$instance.service" ] || return 0
    for directive; do
        set -- "$@" -p "$directive"
        shift
    done
    systemd-run -q --wait --collect "$@" true >/dev/null 2>&1 || code=$?
    [ "$code" = 226 ] || return 0
    printf 'refused systemd may not isolate a service here, as that of JupyterLab: in a container allow nesting (LXC: security.nesting), then run again\n'
    exit 1
}

# read_again: end without a change, because another run came between: the caller must read again.
read_again() {
    echo again
    exit 0
}

# write_turn TEXT: write down who holds the lock, for the next run and for the caller.
write_turn() {
    { printf '%s\n' "$1" >"$turn_file.new" && mv -f -- "$turn_file.new" "$turn_file"; } || return 1
    printf 'turn %s\n' "$1"
}

# --- steps ---------------------------------------------------------------------------------

# run_step N: run a step and announce how it ended; a failure ends the script.
run_step() {
    printf 'begin %s\n' "$1"
    logged "$1" "step_$1"
    ended "$1" $?
}

# logged NAME FUNCTION: run FUNCTION and keep `most` bytes of its output as the log NAME. A program
# that prints more does not fill /run; one that keeps the pipe open is not waited for.
logged() {
    local pipe="$run/own/$1.said" reader='' code=''
    mkfifo -m 0600 -- "$pipe" || return 1
    (umask 077; head -c "$most" >"$run/$1.log"; exec cat >/dev/null) <"$pipe" 2>/dev/null 8>&- 9>&- &
    reader=$!
    (set -e; "$2") >"$pipe" 2>&1 </dev/null # an `||` after it would disable set -e
    code=$?
    let_go "$reader"
    rm -f -- "$pipe"
    return "$code"
}

# show_log NAME: print the end of a log for the operator, and which programs were late.
show_log() {
    tail -n 40 -- "$run/$1.log" | tail -c 60000 | sed 's/^/| /'
    [ ! -s "$run/own/late" ] || sed 's/^/| /' "$run/own/late"
}

# reason N: print the line of a log that tells best why the step failed, for the next run and doctor:
# plain text without credentials, as every user of this server can read it.
reason() {
    tail -n 40 -- "$run/$1.log" | awk '
        /^note: / { next }
        !best && /^E: |\[emerg\]|[Ee]rror|No space left/ { best = $0 }
        NF { last = $0 }
        END { print substr(best ? best : last, 1, 300) }' \
        | LC_ALL=C tr -cd '\40-\176' | sed 's#//[^/@ ]*@#//#g; s/, done$//; s/ *$//'
}

# begin N: start a step in parallel with those that follow. Sets `beside` for `finish` and `ended`.
begin() {
    printf 'begin %s\n' "$1"
    (umask 077; : >"$run/$1.log")
    (set -e; "step_$1") >"$run/$1.log" 2>&1 </dev/null & # packages: only root's programs run
    beside="$1 $!"
}

# finish: wait for the step that runs in parallel.
finish() {
    [ -n "${beside:-}" ] || return 0
    set -- "${beside% *}" "${beside#* }"
    beside=
    wait "$2"
    ended "$1" $?
}

# ended N STATUS: announce the end of a step; after a failure print the end of its log, end the step
# that runs in parallel, and exit. STATUS 3 is a refusal that changed nothing, so the next run has
# nothing to repair. The run also ends after two late programs: the user may delay them on purpose.
ended() {
    local late why
    tell_notes "$1"
    printf 'end %s %s\n' "$1" "$2"
    if [ "$2" -ne 0 ]; then
        show_log "$1"
        why=$(reason "$1")
        [ "$2" = 3 ] || write_turn "$written${why:+; it stopped: $why}" >/dev/null || true
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

# note WORDS...: record a note for the operator, printed when the step has ended. The output of a
# user's program goes to the step's log instead, so it cannot pass for a note.
note() {
    printf '%s\n' "$*" >>"$run/own/notes"
}

# tell_notes N: print the notes, and why pip was used; at most 20 lines each time.
tell_notes() {
    awk -v notes="$run/own/notes" '
        FILENAME == notes { words = $0 }
        FILENAME != notes && /^note: uv could not be used [(].*[)]; using pip$/ && !pip++ { words = substr($0, 7) }
        words != "" && told++ < 20 { print "note " substr(words, 1, 1000) }
        { words = "" }' "$run/own/notes" "$run/$1.log"
    : >"$run/own/notes"
}

# stop_download PID: end a step that still downloads packages; wait for one that runs dpkg.
stop_download() {
    # shellcheck disable=SC2046 # a word for each child
    [ -e "$run/dpkg" ] || kill "$1" $(cat "/proc/$1/task/$1/children") 2>/dev/null
    wait "$1" 2>/dev/null
}

# settle: end a successful run; keep under its date what it replaced.
settle() {
    if [ -d "$kept/now" ]; then
        find "$kept/now" \( -name '*.absent' -o -name '*.part' \) -delete
        { mkdir -p -- "$dated" && cp -a -- "$kept/now/." "$dated/" && rm -rf -- "$kept/now"; } || exit 1
    fi
    if [ -d "$dated" ]; then
        find "$dated" -depth -type d -empty -delete
    fi
    if [ -d "$dated" ]; then
        printf 'note the replaced files are kept in %s\n' "$dated"
    fi
    write_turn "$written, done"
    [ ! -e "$run/own/gone" ] || rm -f -- "$turn_file" "$lock" # after an uninstall
}

# settle_deed: end a single action or a refusal. A run that was unfinished before stays unfinished.
settle_deed() {
    if [ -z "$unfinished" ] || [ -e "$run/own/gone" ]; then
        settle
    else
        write_turn "$before"
    fi
}

