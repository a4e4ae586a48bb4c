# Back up a JupyterLab: notebooks, configuration, login, certificates and the venv's lock, as one
# tar through zstd. Runs as root, but what is the user's is read as that user, whom a link could not
# lead anywhere else. Before it stand the values of: instance account home project venv cookie domain
# folder (of the archives here) keep (how many of them).
set -u
umask 077
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lock=/run/jupyterlab-fab.lock # of whoever changes this server
patience=600                  # seconds that they, or another backup, may take
longest=21600                 # seconds that reading the notebooks may take
short=120                     # seconds for all that is read while whoever changes this server waits
packages=2000                 # lines of a lock
kernels=200                   # that have a lock
locked=8388608                # bytes of all their locks
largest=8388608               # bytes that are heard of a program of theirs
room='make room (df /run), then back up again'

# begin_backup: one at a time, in a folder of its own that goes with it.
begin_backup() {
    exec 8>>"/run/$instance-backup.lock"
    flock -w "$patience" 8 || stop 'another backup is still at work'
    rm -rf "/run/$instance-backup".?????? # of one that was killed
    work=$(mktemp -d "/run/$instance-backup.XXXXXX") || stop "there is no room in /run: $room"
    summing=
    trap 'kill $summing 2>/dev/null; rm -rf -- "$work" ${part:+"$part"}' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    put_members >"$work/members.py" || stop "there is no room in /run: $room"
    : >"$work/notes"
    : >"$work/heard"
    allow "$short"
}

# stop WORDS: say why there is no backup.
stop() {
    printf '%s\n' "$1" >&2
    exit 1
}

# allow SECONDS: how long, from now on, what is the user's may be looked at in all.
allow() {
    read -r now _ </proc/uptime
    deadline=$((${now%.*} + $1))
}

# left: seconds that remain of that.
left() {
    read -r now _ </proc/uptime
    now=$((deadline - ${now%.*}))
    [ "$now" -gt 0 ] && echo "$now" || echo 0
}

# in_time: stop where nothing remains.
in_time() {
    [ "$(left)" -gt 0 ] || stop "reading $home/.jupyter, its kernels and the venvs takes $account more than $short s, \
while others wait: see what is large or slow there, then back up again"
}

# as_them COMMAND...: as the one whose JupyterLab it is.
as_them() {
    if [ "$account" = "$(id -un)" ]; then
        "$@"
    else # with nothing of root's: no lock that they could keep, no endless log, no terminal
        seconds=$(left)
        [ "$seconds" -gt 0 ] || return 124
        (
            cd / && ulimit -f 16384 # blocks of 512 bytes: what it says is kept in /run
            exec timeout -k 10 "$seconds" setsid -w runuser -u "$account" -- \
                env -i "PATH=$PATH" "LC_ALL=$LC_ALL" "HOME=$home" "$@" 8>&- 9>&-
        )
    fi
}

# kept NAME: of what their program wrote into NAME.theirs so much, as NAME: they may hold that file and make
# it endless.
kept() {
    head -c "$largest" -- "$work/$1.theirs" >"$work/$1"
}

# passed PART ARGUMENT...: a tar as far as a restore takes it, without its end, so that another may follow.
# Fails when it is not whole, whatever tar has said.
passed() {
    timeout -k 10 "$(($(left) + 10))" /usr/bin/python3 -I "$work/members.py" "$@" 2>>"$work/heard"
}

# theirs FOLDER NAME OPTION...: what is in a folder of the user's, as NAME/... What changed while it
# was read is read again: of two members with one name the later counts.
theirs() {
    from=$1 name=$2
    shift 2
    must=some
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
        heed "$code" || return
        sed -n 's/^tar: \(\..*\): \(file changed as we read it\|File shrank by .*\)$/\1/p' \
            "$work/said" | sed 's/\\:/:/g' >"$work/names"
        [ -s "$work/names" ] || return 0
        must=some
        set -- --no-recursion -T - # each as tar has told it: with \n for a line end
    done
    head -n 20 -- "$work/names" | sed "s,^\\.,note: it was written all the while: $name," >>"$work/notes"
}

# heed STATUS: what tar said, as notes and faults, a few of each. What came and went meanwhile is no fault.
heed() {
    faults | sed -n 's/^tar: \(.*\): Cannot [^:]*: Permission denied$/note: '"$account"' may not read it, so it is left out: \1/p' \
        | head -n 20 >>"$work/notes"
    faults | grep -v ': Permission denied$' | head -n 20 >>"$work/stopped"
    if [ "$(stat -c %s -- "$work/said")" -ge "$largest" ]; then
        echo "tar has more to complain of than can be kept: see what $account may not read in $from" >>"$work/stopped"
    fi
    [ -e "$work/said" ] && echo end >>"$work/said" && return "$1" # where that cannot be kept, the rest was not
}

# faults: what of it may be one.
faults() {
    grep -a '^tar: ' "$work/said" | sort -u | grep -a -v -e ': socket ignored$' \
        -e ': file changed as we read it$' -e ': File shrank by ' -e ': File removed before we read it$' \
        -e ': Cannot [^:]*: No such file or directory$' -e ': Exiting with failure status'
}

# roots: what is root's: the manifest, the locks, and the certificates.
roots() {
    place=/etc/nginx/$instance certbot=/etc/letsencrypt lineage=$instance-fab from=/
    : >"$work/said"
    {
        (cd "$work" && ls manifest lock.txt locks/*.txt 2>/dev/null) | sort -r | sed "s,^,.$work/,"
        find "$place" -maxdepth 1 -type f \( -name '*.pem' -o -name '*.key' \) 2>/dev/null | sed 's,^,.,' \
            | grep -x "\\.$place/[A-Za-z0-9_-][A-Za-z0-9_.-]*"
        [ ! -s "$certbot/renewal/$lineage.conf" ] || certbots
    } | {
        tar -b1 -c --no-recursion --hard-dereference --owner=root:0 --group=root:0 -C / --transform "s,^\\.$work/,,S" \
            --transform "s,^\\.$place/,nginx/,S" --transform "s,^\\.$certbot/,letsencrypt/,S" \
            --verbatim-files-from -T - 2>>"$work/said" || [ $? = 1 ] || echo # no tar has that behind its end
    } | passed roots
    heed $?
}

# certbots: the paths of what certbot needs to go on renewing ours; of its versions the newest hundred.
certbots() {
    conf=$certbot/renewal/$lineage.conf
    as=$(sed -n 's/^account = \([0-9a-f]*\)$/\1/p' "$conf")
    server=$(sed -n 's,^server = https://\([A-Za-z0-9.:/_~-]*\)$,\1,p' "$conf")
    echo ".$conf"
    for kind in cert chain fullchain privkey; do
        find "$certbot/archive/$lineage" -type f 2>/dev/null | sed 's,^,.,' \
            | grep -x "\\.$certbot/archive/$lineage/$kind[0-9]\{1,9\}\.pem" | sort -V | tail -n 100
    done
    for kind in meta private_key regr; do
        find "$certbot/accounts/${server%/}/${as:-none}/$kind.json" -type f 2>/dev/null | sed 's,^,.,'
    done
}

# lock VENV FILE: the exact version of all that is in it; what came from elsewhere than an index cannot
# come from there again, and is only named.
lock() {
    as_them sh -c '
        for info in "$1"/lib/python3*/site-packages/*.dist-info; do
            [ -e "$info" ] || continue
            name=${info##*/} name=${name%.dist-info}
            if [ -e "$info/direct_url.json" ]; then printf "# "; fi
            printf "%s==%s\n" "${name%-*}" "${name##*-}"
        done' sh "$1" >"$work/look.theirs" 2>/dev/null </dev/null
    kept look
    word='[A-Za-z0-9_.+!-]*'
    grep -a -x -e "\(# \)\{0,1\}[A-Za-z0-9]$word==${word}[A-Za-z0-9_.+!]" "$work/look" >"$work/lines" # no other line
    head -n "$packages" -- "$work/lines" >"$2"
    if [ "$(wc -l <"$work/lines")" -gt "$packages" ]; then
        echo "note: only the first $packages packages of $1 are in its lock" >>"$work/notes"
    fi
}

# locks: that of JupyterLab's venv, and of each kernel that has one.
locks() {
    mkdir -- "$work/locks"
    lock "$venv" "$work/lock.txt"
    as_them ls -- "$project/.kernels" >"$work/look.theirs" 2>/dev/null </dev/null || true
    kept look
    grep -a -x '[A-Za-z0-9_-][A-Za-z0-9._-]\{0,199\}' "$work/look" >"$work/kernels"
    head -n "$kernels" -- "$work/kernels" | while read -r kernel && [ "$(left)" -gt 0 ]; do
        file=$work/locks/$kernel.txt
        lock "$project/.kernels/$kernel" "$file"
        locked=$((locked - $(stat -c %s -- "$file")))
        [ "$locked" -gt 0 ] || { rm -- "$file" && break; }
    done
    in_time
    if [ "$(ls -- "$work/locks" | wc -l)" -lt "$(wc -l <"$work/kernels")" ]; then
        echo "note: only the locks of the first kernels in $project/.kernels are in it: there are too many" >>"$work/notes"
    fi
}

# manifest: what this is a backup of.
manifest() {
    printf '%s\n' format=1 "made=$(date -u +%Y-%m-%dT%H:%M:%SZ)" "host=$(uname -n)" "user=$account" \
        "home=$home" "project=$project" "domain=$domain" "by=$by" \
        "jupyterlab=$(sed -n 's/^jupyterlab==//p' "$work/lock.txt" | head -n 1)"
}

# small_parts: what is root's, then what is the user's but for the notebooks.
small_parts() {
    locks
    manifest >"$work/manifest" && roots && theirs "$home/.jupyter" jupyter --exclude=./cookie_secret \
        && theirs "$home/.local/share/jupyter/kernels" kernels || return
    as_them test -f "$cookie" </dev/null >/dev/null 2>&1 || return 0
    from=${cookie%/*} # the sessions of browsers live on
    as_them tar -b1 -c --no-recursion -C "$from" --transform "s,.*,cookie_secret,S" "./${cookie##*/}" \
        </dev/null 2>"$work/said.theirs" | passed theirs cookie_secret some
    code=$?
    kept said
    heed "$code"
}

# write_archive: to the standard output. Who changes the server waits while the small parts are read,
# and is waited for; the notebooks are not theirs.
write_archive() {
    as_them test -d "$project" </dev/null >/dev/null 2>&1 || stop "there is no $project here: nothing to back up"
    (
        flock -s -w "$patience" 9 || stop 'a run on this server is still at work'
        allow "$short"
        small_parts || { in_time; exit 1; }
        in_time
    ) 9>>"$lock" || return 1
    allow "$longest"
    theirs "$project" project --exclude=./venv --exclude=./.venvs --exclude=./.kernels \
        --no-anchored --exclude=__pycache__ || return 1
    head -c 1024 /dev/zero
}

# compressed: the whole of it.
compressed() {
    { write_archive 2>>"$work/stopped" && echo whole >>"$work/status"; } \
        | { zstd -q -T0 -3 2>>"$work/stopped" && echo whole >>"$work/status"; }
}

# judge: whether it is a backup, and what to know about it: only what is known to be whole is one.
judge() {
    sed -n '/^note: /p' "$work/heard" 2>/dev/null | sort -u -- - "$work/notes" 2>/dev/null | head -n 20
    if [ -s "$work/stopped" ]; then
        tail -n 3 -- "$work/stopped"
    elif [ "$(grep -c whole "$work/status" 2>/dev/null)" != 2 ]; then
        why=$(sed -n 's/^refused: //p' "$work/heard" 2>/dev/null | head -n 1)
        echo "a part of it could not be written: ${why:-see that there is room in /run, and memory, then back up again}"
    else
        return 0
    fi
    return 1
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
    summing='' ended=0 sum=''
    told=$(judge) || ended=1
    read -r sum _ <"$work/sum" || ended=1
    told=$(printf '%s' "$told" | tail -c 8000; echo .) # its last line says why
    printf '%s\n@end %s %s %s\n' "${told%.}" "$ended" "${sum:-$(printf %064d 0)}" "$(printf %s "${told%.}" | wc -c)"
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
