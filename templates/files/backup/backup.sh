# Back up a JupyterLab: notebooks, configuration, login, certificates and the venv's lock, as one
# tar through zstd. Runs as root, but reads the user's files as that user, so that no link leads
# root elsewhere. The caller sets: instance account home project venv cookie domain folder (of the
# archives on this server) keep (how many of them).
set -u
umask 077
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lock=/run/jupyterlab-fab.lock # held by a run that changes this server
patience=600                  # seconds to wait for such a run, or for another backup
longest=21600                 # seconds that reading the notebooks may take
short=120                     # seconds for all that is read while such a run has to wait
packages=2000                 # packages in a lock, at most
kernels=200                   # kernels with a lock, at most
locked=8388608                # bytes of all kernels' locks
largest=8388608               # bytes that are kept of a user's program's output
room='make room (df /run), then back up again'

# begin_backup: wait for another backup, then create the folder `work`. At the end it is removed, as
# is the file `part`, and the process `summing` is ended.
begin_backup() {
    exec 8>>"/run/$instance-backup.lock"
    flock -w "$patience" 8 || stop 'another backup is still running'
    rm -rf "/run/$instance-backup".?????? # left by a killed backup
    work=$(mktemp -d "/run/$instance-backup.XXXXXX") || stop "there is no room in /run: $room"
    summing=
    trap 'kill $summing 2>/dev/null; rm -rf -- "$work" ${part:+"$part"}' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    put_archive_rules >"$work/archive_rules.py" || stop "there is no room in /run: $room"
    : >"$work/notes"
    : >"$work/heard"
    allow "$short"
}

# stop WORDS: say why there is no backup, and exit.
stop() {
    printf '%s\n' "$1" >&2
    exit 1
}

# allow SECONDS: set `deadline`: the time that the user's programs may take from now on, together.
allow() {
    local now
    read -r now _ </proc/uptime
    deadline=$((${now%.*} + $1))
}

# left: print the seconds that remain of it.
left() {
    local now
    read -r now _ </proc/uptime
    now=$((deadline - ${now%.*}))
    [ "$now" -gt 0 ] && echo "$now" || echo 0
}

# in_time: stop if none remain.
in_time() {
    [ "$(left)" -gt 0 ] || stop "reading $home/.jupyter, its kernels and the venvs takes $account more than $short s, \
while other runs wait: check what is large or slow there, then back up again"
}

# as_them COMMAND...: run COMMAND as JupyterLab's user.
as_them() {
    local seconds
    if [ "$account" = "$(id -un)" ]; then
        "$@"
    else # without root's locks, environment and terminal, and with a limit on output
        seconds=$(left)
        [ "$seconds" -gt 0 ] || return 124
        (
            cd / && ulimit -f 16384 # blocks of 512 bytes: its output is kept in /run
            exec timeout -k 10 "$seconds" setsid -w runuser -u "$account" -- \
                env -i "PATH=$PATH" "LC_ALL=$LC_ALL" "HOME=$home" "$@" 8>&- 9>&-
        )
    fi
}

# kept NAME: copy the beginning of NAME.theirs, which a user's program wrote, to NAME: that program
# may still write to its file.
kept() {
    head -c "$largest" -- "$work/$1.theirs" >"$work/$1"
}

# passed PART ARGUMENT...: pass on the members of a tar that a restore accepts, without the tar's
# end, so that another may follow. Fails if the tar is incomplete, whatever tar reported.
passed() {
    timeout -k 10 "$(($(left) + 10))" /usr/bin/python3 -I "$work/archive_rules.py" "$@" 2>>"$work/heard"
}

# theirs FOLDER NAME OPTION...: archive one of the user's folders as NAME/... Files that change
# while they are read are read again: of two members with the same name the later one counts.
theirs() {
    local from="$1" name="$2" must=some try code
    shift 2
    if [ "$name" = project ]; then
        must=whole
    else
        as_them test -d "$from" </dev/null >/dev/null 2>&1 || return 0
    fi
    : >"$work/names"
    set -- --anchored "$@" .
    for try in 1 2 3 4; do
        [ "$try" = 1 ] || sleep 1
        : >"$work/said.theirs"
        as_them tar -b1 -c --quoting-style=escape -C "$from" --transform "s,^\\.,$name,S" "$@" \
            <"$work/names" 2>>"$work/said.theirs" | passed theirs "$name" "$must"
        code=$?
        kept said
        heed "$code" "$from" || return
        sed -n 's/^tar: \(\..*\): \(file changed as we read it\|File shrank by .*\)$/\1/p' \
            "$work/said" | sed 's/\\:/:/g' >"$work/names"
        [ -s "$work/names" ] || return 0
        must=some
        set -- --no-recursion -T - # as tar printed the names, with \n for a line break
    done
    head -n 20 -- "$work/names" | sed "s,^\\.,note: it kept changing while read: $name," >>"$work/notes"
}

# heed STATUS FOLDER: record what tar reported of FOLDER, as notes and errors, a few of each, and
# return STATUS.
heed() {
    faults | sed -n 's/^tar: \(.*\): Cannot [^:]*: Permission denied$/note: '"$account"' may not read it, so it is left out: \1/p' \
        | head -n 20 >>"$work/notes"
    faults | grep -v ': Permission denied$' | head -n 20 >>"$work/stopped"
    if [ "$(stat -c %s -- "$work/said")" -ge "$largest" ]; then
        echo "tar reported more errors than can be kept: check what $account may not read in $2" >>"$work/stopped"
    fi
    [ -e "$work/said" ] && echo end >>"$work/said" && return "$1" # if this cannot be written, the rest was not
}

# faults: print tar's reports but for those of files that changed, came or went meanwhile.
faults() {
    grep -a '^tar: ' "$work/said" | sort -u | grep -a -v -e ': socket ignored$' \
        -e ': file changed as we read it$' -e ': File shrank by ' -e ': File removed before we read it$' \
        -e ': Cannot [^:]*: No such file or directory$' -e ': Exiting with failure status'
}

# roots: archive root's part: the manifest, the locks and the certificates.
roots() {
    local place="/etc/nginx/$instance" certbot=/etc/letsencrypt lineage="$instance-fab"
    : >"$work/said"
    {
        (cd "$work" && ls manifest lock.txt locks/*.txt 2>/dev/null) | sort -r | sed "s,^,.$work/,"
        find "$place" -maxdepth 1 -type f \( -name '*.pem' -o -name '*.key' \) 2>/dev/null | sed 's,^,.,' \
            | grep -x "\\.$place/[A-Za-z0-9_-][A-Za-z0-9_.-]*"
        [ ! -s "$certbot/renewal/$lineage.conf" ] || certbots "$certbot" "$lineage"
    } | {
        tar -b1 -c --no-recursion --hard-dereference --owner=root:0 --group=root:0 -C / --transform "s,^\\.$work/,,S" \
            --transform "s,^\\.$place/,nginx/,S" --transform "s,^\\.$certbot/,letsencrypt/,S" \
            --verbatim-files-from -T - 2>>"$work/said" || [ $? = 1 ] || echo # no valid tar ends like that
    } | passed roots
    heed $? /
}

# certbots FOLDER LINEAGE: print the paths that certbot needs to renew our certificate; its newest
# 100 versions.
certbots() {
    local certbot="$1" lineage="$2" conf="$1/renewal/$2.conf" as server kind
    as=$(sed -n 's/^account = \([0-9a-f]*\)$/\1/p' "$conf")
    server=$(sed -n 's,^server = https://\([A-Za-z0-9.:/_~-]*\)$,\1,p' "$conf")
    echo ".$conf"
    for kind in cert chain fullchain privkey; do
        find "$certbot/archive/$lineage" -type f 2>/dev/null | sed 's,^,.,' \
            | grep -x "\\.$certbot/archive/$lineage/${kind}[0-9]\{1,9\}\.pem" | sort -V | tail -n 100
    done
    for kind in meta private_key regr; do
        find "$certbot/accounts/${server%/}/${as:-none}/$kind.json" -type f 2>/dev/null | sed 's,^,.,'
    done
}

# write_lock VENV FILE: write the exact version of each package in a venv; one that came from no index
# cannot be installed from there again, and becomes a comment.
write_lock() {
    local word='[A-Za-z0-9_.+!-]*'
    as_them sh -c '
        for info in "$1"/lib/python3*/site-packages/*.dist-info; do
            [ -e "$info" ] || continue
            name=${info##*/} name=${name%.dist-info}
            if [ -e "$info/direct_url.json" ]; then printf "# "; fi
            printf "%s==%s\n" "${name%-*}" "${name##*-}"
        done' sh "$1" >"$work/look.theirs" 2>/dev/null </dev/null
    kept look
    grep -a -x -e "\(# \)\{0,1\}[A-Za-z0-9]$word==${word}[A-Za-z0-9_.+!]" "$work/look" >"$work/lines" # drop other lines
    head -n "$packages" -- "$work/lines" >"$2"
    if [ "$(wc -l <"$work/lines")" -gt "$packages" ]; then
        echo "note: only the first $packages packages of $1 are in its lock" >>"$work/notes"
    fi
}

# write_locks: write the lock of JupyterLab's venv, and of each kernel's venv.
write_locks() {
    local kernel file room_left="$locked"
    mkdir -- "$work/locks"
    write_lock "$venv" "$work/lock.txt"
    as_them ls -- "$project/.kernels" >"$work/look.theirs" 2>/dev/null </dev/null || true
    kept look
    grep -a -x '[A-Za-z0-9_-][A-Za-z0-9._-]\{0,199\}' "$work/look" >"$work/kernels"
    head -n "$kernels" -- "$work/kernels" | while read -r kernel && [ "$(left)" -gt 0 ]; do
        file=$work/locks/$kernel.txt
        write_lock "$project/.kernels/$kernel" "$file"
        room_left=$((room_left - $(stat -c %s -- "$file")))
        [ "$room_left" -gt 0 ] || { rm -- "$file" && break; }
    done
    in_time
    if [ "$(find "$work/locks" -name '*.txt' | wc -l)" -lt "$(wc -l <"$work/kernels")" ]; then
        echo "note: only the locks of the first kernels in $project/.kernels are included: there are too many" >>"$work/notes"
    fi
}

# manifest: print what this is a backup of.
manifest() {
    printf '%s\n' format=1 "made=$(date -u +%Y-%m-%dT%H:%M:%SZ)" "host=$(uname -n)" "user=$account" \
        "home=$home" "project=$project" "domain=$domain" "by=$by" \
        "jupyterlab=$(sed -n 's/^jupyterlab==//p' "$work/lock.txt" | head -n 1)"
}

# small_parts: archive root's part, then the user's part without the notebooks.
small_parts() {
    local code
    write_locks
    manifest >"$work/manifest" && roots && theirs "$home/.jupyter" jupyter --exclude=./cookie_secret \
        && theirs "$home/.local/share/jupyter/kernels" kernels || return
    as_them test -f "$cookie" </dev/null >/dev/null 2>&1 || return 0
    # browsers' sessions survive a restore
    as_them tar -b1 -c --no-recursion -C "${cookie%/*}" --transform "s,.*,cookie_secret,S" "./${cookie##*/}" \
        </dev/null 2>"$work/said.theirs" | passed theirs cookie_secret some
    code=$?
    kept said
    heed "$code" "${cookie%/*}"
}

# write_archive: write the archive to the standard output. The lock is held while the small parts
# are read, because a run may change them; runs do not change notebooks.
write_archive() {
    as_them test -d "$project" </dev/null >/dev/null 2>&1 || stop "there is no $project on this server: nothing to back up"
    (
        flock -s -w "$patience" 9 || stop 'another run on this server is in progress'
        allow "$short"
        small_parts || { in_time; exit 1; }
        in_time
    ) 9>>"$lock" || return 1
    allow "$longest"
    theirs "$project" project --exclude=./venv --exclude=./.venvs --exclude=./.kernels \
        --no-anchored --exclude=__pycache__ || return 1
    head -c 1024 /dev/zero
}

# compressed: write the archive, compressed.
compressed() {
    { write_archive 2>>"$work/stopped" && echo whole >>"$work/status"; } \
        | { zstd -q -T0 -3 2>>"$work/stopped" && echo whole >>"$work/status"; }
}

# judge: print the notes, and check that the backup is complete, or print why not.
judge() {
    local why
    sed -n '/^note: /p' "$work/heard" 2>/dev/null | sort -u -- - "$work/notes" 2>/dev/null | head -n 20
    if [ -s "$work/stopped" ]; then
        tail -n 3 -- "$work/stopped"
    elif [ "$(grep -c whole "$work/status" 2>/dev/null)" != 2 ]; then
        why=$(sed -n 's/^refused: //p' "$work/heard" 2>/dev/null | head -n 1)
        echo "a part of it could not be written: ${why:-make sure that there is room in /run, and memory, then back up again}"
    else
        return 0
    fi
    return 1
}

# stream: write the archive to the standard output, then the notes and a last line with the status,
# the checksum and the size of the notes, by which the reader knows whether it is complete.
stream() {
    local by=fab ended=0 sum='' told
    begin_backup
    mkfifo "$work/pipe"
    sha256sum <"$work/pipe" >"$work/sum" &
    summing=$!
    compressed | tee -- "$work/pipe"
    wait "$summing"
    summing=
    told=$(judge) || ended=1
    read -r sum _ <"$work/sum" || ended=1
    told=$(printf '%s' "$told" | tail -c 8000; echo .) # the last line says why it failed
    printf '%s\n@end %s %s %s\n' "${told%.}" "$ended" "${sum:-$(printf %064d 0)}" "$(printf %s "${told%.}" | wc -c)"
}

# store: write the archive to this server's folder, whole or not at all; then remove the oldest.
store() {
    local by="${1:-fab}" name sum
    begin_backup
    roots_folder
    [ -d "$folder" ] || mkdir -p -- "$folder"
    roots_folder
    chmod 0700 -- "$folder"
    rm -f -- "$folder"/jupyterlab-*.part
    while :; do
        name=jupyterlab-$(date -u +%Y-%m-%dT%H%M%SZ).tar.zst
        [ -e "$folder/$name" ] || break
        sleep 1
    done
    part=$folder/$name.part
    compressed >"$part"
    judge || exit 1
    sum=$(sha256sum <"$part") || exit 1
    sync -- "$part"
    printf '%s  %s\n' "${sum%% *}" "$name" >"$folder/$name.sha256" && mv -f -- "$part" "$folder/$name" || exit 1
    prune
    printf 'made %s %s\n' "$(stat -c %s -- "$folder/$name")" "$folder/$name"
}

# roots_folder: stop if another user could place or remove archives or links there.
roots_folder() {
    if ! only_roots "$folder/x" >/dev/null; then
        [ "$way_hand" = root ] && stop "$folder: others may write in $way_shared: choose another lab.backup_folder"
        stop "$folder: a folder on the way belongs to $way_hand: choose another lab.backup_folder"
    fi
}

# archives: print the names of the archives here, the newest first.
archives() {
    (cd -- "$folder" 2>/dev/null && find . -maxdepth 1 | sed -n "s,^\./\(jupyterlab-$dated\.tar\.zst\)$,\1,p" | sort -r)
}
dated='[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]T[0-9]\{6\}Z'

# sound NAME: check an archive against its checksum.
sound() {
    (cd -- "$folder" && [ -f "$1" ] && sha256sum -c --status -- "$1.sha256" 2>/dev/null)
}

# prune: keep the newest sound archives, `keep` of them, and remove older ones.
prune() {
    local there=0 name_of
    for name_of in $(archives); do
        if [ "$there" -ge "$keep" ]; then
            rm -f -- "$folder/$name_of" "$folder/$name_of.sha256"
        elif sound "$name_of"; then
            there=$((there + 1))
        fi
    done
}

# show NAME: print the manifest and the lock of a sound archive.
show() {
    roots_folder
    sound "$1" || stop "refused: $folder/$1 is damaged or missing"
    zstd -dcq -- "$folder/$1" 2>/dev/null | tar -xO --occurrence=1 manifest lock.txt
}

# list: print name, size, version of JupyterLab and soundness of each, then the timer's state.
list() {
    local name state version unit="$instance-backup"
    [ ! -e "$folder" ] || roots_folder
    for name in $(archives); do
        state=damaged
        ! sound "$name" || state=sound
        version=$(zstd -dcq -- "$folder/$name" 2>/dev/null | tar -xO --occurrence=1 manifest 2>/dev/null \
            | sed -n 's/^jupyterlab=//p' | head -n 1 | tr -cd 'A-Za-z0-9.+!-')
        printf 'archive|%s|%s|%s|%s\n' "$name" "$(stat -c %s -- "$folder/$name")" "$version" "$state"
    done
    [ -e "/etc/systemd/system/$unit.timer" ] || return 0
    printf 'timer|%s|%s|%s\n' \
        "$(systemctl show -p NextElapseUSecRealtime --value "$unit.timer")" \
        "$(systemctl show -p ExecMainExitTimestamp --value "$unit.service")" \
        "$(systemctl show -p Result --value "$unit.service")"
}
