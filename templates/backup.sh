# Back up a JupyterLab: notebooks, configuration, login, certificates and the venv's lock, as one
# tar through zstd. Runs as root, but what is the user's is read as that user, whom a link could not
# lead anywhere else. Before it stand the values of: instance account home project venv cookie domain
# folder (of the archives here) keep (how many of them).
set -u
umask 077
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lock=/run/jupyterlab-fab.lock # of whoever changes this server
patience=600                  # seconds that they, or another backup, may take
limit=21600                   # seconds that reading what is the user's may take

# begin_backup: one at a time, in a folder of its own that goes with it.
begin_backup() {
    exec 8>>"/run/$instance-backup.lock"
    flock -w "$patience" 8 || stop 'another backup is still at work'
    rm -rf "/run/$instance-backup".?????? # of one that was killed
    work=$(mktemp -d "/run/$instance-backup.XXXXXX") || exit 1
    summing=
    trap 'kill $summing 2>/dev/null; rm -rf -- "$work" ${part:+"$part"}' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    : >"$work/said"
}

# stop WORDS: say why there is no backup.
stop() {
    printf '%s\n' "$1" >&2
    exit 1
}

# as_them COMMAND...: as the one whose JupyterLab it is.
as_them() {
    if [ "$account" = "$(id -un)" ]; then
        "$@"
    else # with nothing of root's: no lock that they could keep, no endless log, no terminal
        (
            cd / && ulimit -f 40960
            exec timeout -k 10 "$limit" setsid -w runuser -u "$account" -- \
                env -i "PATH=$PATH" "LC_ALL=$LC_ALL" "HOME=$home" "$@" 8>&- 9>&-
        )
    fi
}

# piece COMMAND...: the tar that it writes, without its end, so that another may follow.
piece() {
    { "$@" 2>>"$work/said"; echo $? >>"$work/status"; } \
        | { timeout -k 10 "$((limit + 20))" head -c -1024 || echo failed >>"$work/status"; }
}

# theirs FOLDER NAME OPTION...: what is in a folder of the user's, as NAME/... What changed while it
# was read is read again: of two members with one name the later counts.
theirs() {
    from=$1 name=$2
    shift 2
    as_them test -d "$from" </dev/null >/dev/null || return 0
    : >"$work/names"
    set -- --anchored "$@" .
    for try in 1 2 3 4; do
        [ "$try" = 1 ] || sleep 1
        cat -- "$work/said" >>"$work/before"
        : >"$work/said"
        piece as_them tar -b1 -c --quoting-style=literal -C "$from" --transform "s,^\\.,$name,S" "$@" <"$work/names"
        sed -n 's/^tar: \(.*\): \(file changed as we read it\|File shrank by .*\)$/\1/p' \
            "$work/said" >"$work/names"
        [ -s "$work/names" ] || return 0
        set -- --no-recursion --verbatim-files-from -T -
    done
    sed "s,^\\.,note: it was written all the while: $name," "$work/names" >>"$work/notes"
}

# ours FOLDER NAME <paths: regular files of root's, as NAME/...
ours() {
    piece tar -b1 -c --no-recursion --owner=root:0 --group=root:0 -C "$1" \
        --transform "s,^\\.,$2,S" --verbatim-files-from -T -
}

# certificates: those that Nginx serves, and what certbot needs to go on renewing ours.
certificates() {
    place=/etc/nginx/$instance certbot=/etc/letsencrypt lineage=$instance-fab
    if [ -d "$place" ]; then
        (cd "$place" && find . -maxdepth 1 -type f \( -name '*.pem' -o -name '*.key' \) | grep -x '\./[A-Za-z0-9_.-]*') | ours "$place" nginx
    fi
    if [ -s "$certbot/renewal/$lineage.conf" ]; then
        as=$(sed -n 's/^account = \([0-9a-f]*\)$/\1/p' "$certbot/renewal/$lineage.conf")
        (cd "$certbot" && find "renewal/$lineage.conf" "archive/$lineage" accounts -type f \
            \( -path "*/$lineage*" -o -path "accounts/*/${as:-none}/*" \) 2>/dev/null | sed 's,^,./,' \
            | grep -x -e "\./renewal/$lineage\.conf" -e '\./accounts/.*/[a-z_]*\.json' \
                -e "\./archive/$lineage/\(cert\|chain\|fullchain\|privkey\)[0-9]*\.pem") \
            | ours "$certbot" letsencrypt
    fi
}

# lock VENV: the exact version of all that is in it; what came from elsewhere than an index cannot
# come from there again, and is only named.
lock() {
    as_them sh -c '
        for info in "$1"/lib/python3*/site-packages/*.dist-info; do
            [ -e "$info" ] || continue
            name=${info##*/} name=${name%.dist-info}
            case $name in *[!A-Za-z0-9_.+!-]* | -* | *- | [!A-Za-z0-9]*) continue ;; esac # no line but name==version
            if [ -e "$info/direct_url.json" ]; then printf "# "; fi
            printf "%s==%s\n" "${name%-*}" "${name##*-}"
        done' sh "$1" 2>/dev/null </dev/null
}

# locks: that of JupyterLab's venv, and of each kernel that has one.
locks() {
    mkdir -- "$work/locks"
    lock "$venv" >"$work/lock.txt"
    as_them ls -- "$project/.kernels" >"$work/kernels" 2>/dev/null </dev/null || true
    grep -x '[A-Za-z0-9_-][A-Za-z0-9._-]*' "$work/kernels" | head -n 200 | while read -r kernel; do
        lock "$project/.kernels/$kernel" >"$work/locks/$kernel.txt"
    done
}

# manifest: what this is a backup of.
manifest() {
    printf '%s\n' format=1 "made=$(date -u +%Y-%m-%dT%H:%M:%SZ)" "host=$(uname -n)" "user=$account" \
        "home=$home" "project=$project" "domain=$domain" "by=$by" \
        "jupyterlab=$(sed -n 's/^jupyterlab==//p' "$work/lock.txt" | head -n 1)"
}

# write_archive: to the standard output. Who changes the server waits while the small parts are read,
# and is waited for; the notebooks are not theirs.
write_archive() {
    as_them test -d "$project" </dev/null >/dev/null || stop "there is no $project here: nothing to back up"
    (
        flock -s -w "$patience" 9 || stop 'a run on this server is still at work'
        limit=120 # seconds for each look at what is the user's: whoever changes the server waits
        locks
        manifest >"$work/manifest"
        [ -s "$work/manifest" ] || stop "there is no room in $work"
        (cd "$work" && ls manifest lock.txt locks/*.txt 2>/dev/null | sort -r) | piece tar -b1 -c --no-recursion --owner=root:0 --group=root:0 \
            -C "$work" -T -
        certificates
        theirs "$home/.jupyter" jupyter --exclude=./cookie_secret
        theirs "$home/.local/share/jupyter/kernels" kernels
        if as_them test -f "$cookie" </dev/null >/dev/null; then # the sessions of browsers live on
            piece as_them tar -b1 -c --no-recursion -C "${cookie%/*}" \
                --transform "s,.*,cookie_secret,S" "./${cookie##*/}"
        fi
    ) 9>>"$lock" || return 1
    theirs "$project" project --exclude=./venv --exclude=./.venvs --exclude=./.kernels \
        --no-anchored --exclude=__pycache__
    head -c 1024 /dev/zero
}

# compressed: the whole of it.
compressed() {
    { write_archive 2>>"$work/stopped" || echo failed >>"$work/status"; } \
        | { zstd -q -T0 -3 2>>"$work/stopped" || echo failed >>"$work/status"; }
}

# judge: whether it is a backup, and what to know about it. What came and went meanwhile is no fault.
judge() {
    sort -u -- "$work/before" "$work/said" 2>/dev/null | grep '^tar: ' | grep -v -e ': socket ignored$' \
        -e ': file changed as we read it$' -e ': File shrank by ' -e ': File removed before we read it$' \
        -e ': Cannot [^:]*: No such file or directory$' -e ': Exiting with failure status' >"$work/faults"
    sed -n 's/^tar: \(.*\): Cannot [^:]*: Permission denied$/note: '"$account"' may not read it, so it is left out: \1/p' \
        "$work/faults" >>"$work/notes"
    head -n 20 -- "$work/notes" 2>/dev/null
    grep -v ': Permission denied$' "$work/faults" >>"$work/stopped"
    grep -q -v '^[012]$' "$work/status" && echo 'a part of it could not be written' >>"$work/stopped"
    tail -n 3 -- "$work/stopped" 2>/dev/null
    [ ! -s "$work/stopped" ]
}

# stream: the archive to the standard output, behind it notes and a last line with how it ended, its
# checksum, and the size of the notes: who reads it knows whether it came whole.
stream() {
    by=fab
    begin_backup
    mkfifo "$work/pipe"
    sha256sum <"$work/pipe" >"$work/sum" &
    summing=$!
    compressed | tee -- "$work/pipe"
    wait "$summing"
    summing='' ended=0
    judge >"$work/told" || ended=1
    head -c 8000 "$work/told"
    read -r sum _ <"$work/sum"
    printf '\n@end %s %s %s\n' "$ended" "$sum" "$(head -c 8000 "$work/told" | wc -c)"
}

# store: the archive into the folder of this server, whole or not at all; then those too many go.
store() {
    by=${1:-fab}
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

# roots_folder: stop where somebody else could put archives, or links, or take them away.
roots_folder() {
    if ! only_roots "$folder/x" >/dev/null; then
        [ "$way_hand" = root ] && stop "$folder: others may write in $way_shared: choose another lab.backup_folder"
        stop "$folder is not root's alone, but $way_hand's: choose another lab.backup_folder"
    fi
}

# archives: the names of those here, the newest first.
archives() {
    (cd -- "$folder" 2>/dev/null && ls | grep -x "jupyterlab-$dated.tar.zst" | sort -r)
}
dated='[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]T[0-9]\{6\}Z'

# sound NAME: whether it is what was written.
sound() {
    (cd -- "$folder" && [ -f "$1" ] && sha256sum -c --status -- "$1.sha256" 2>/dev/null)
}

# prune: the newest that are sound stay, so many as to keep; what is older goes.
prune() {
    there=0
    for name_of in $(archives); do
        if [ "$there" -ge "$keep" ]; then
            rm -f -- "$folder/$name_of" "$folder/$name_of.sha256"
        elif sound "$name_of"; then
            there=$((there + 1))
        fi
    done
}

# show NAME: the manifest and the lock of one that is sound.
show() {
    roots_folder
    sound "$1" || stop "refused: $folder/$1 is damaged, or not there"
    zstd -dcq -- "$folder/$1" 2>/dev/null | tar -xO --occurrence=1 manifest lock.txt
}

# list: name, size, version of JupyterLab and soundness of each; how the timer is doing.
list() {
    [ ! -e "$folder" ] || roots_folder
    for name in $(archives); do
        state=damaged
        ! sound "$name" || state=sound
        version=$(zstd -dcq -- "$folder/$name" 2>/dev/null | tar -xO --occurrence=1 manifest 2>/dev/null \
            | sed -n 's/^jupyterlab=//p' | head -n 1 | tr -cd 'A-Za-z0-9.+!-')
        printf 'archive|%s|%s|%s|%s\n' "$name" "$(stat -c %s -- "$folder/$name")" "$version" "$state"
    done
    unit=$instance-backup
    [ -e "/etc/systemd/system/$unit.timer" ] || return 0
    printf 'timer|%s|%s|%s\n' \
        "$(systemctl show -p NextElapseUSecRealtime --value "$unit.timer")" \
        "$(systemctl show -p ExecMainExitTimestamp --value "$unit.service")" \
        "$(systemctl show -p Result --value "$unit.service")"
}
