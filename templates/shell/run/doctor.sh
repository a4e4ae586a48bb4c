# Collect evidence of what is wrong with JupyterLab: an answer in sections, for evidence.py. Runs as
# root, or as the login user, who sees less; after read.sh. It changes nothing.
answer
section clock
date +%s
me=$(id -u)
cd /
ulimit -f 65536 # blocks of 512 bytes: JupyterLab's answer may be endless
[ -n "${password+set}" ] || IFS= read -r password || password=
unit=$instance.service

# as_owner COMMAND...: run COMMAND as JupyterLab's user, without access to root's output.
as_owner() {
    if [ "$me" = 0 ]; then
        hear "$account" "$@"
    else
        "$@"
    fi
}

# words COMMAND...: print both outputs of COMMAND; nothing if it is not installed.
words() {
    ! command -v "$1" >/dev/null || "$@" 2>&1 || true
}

# show_failed_reload: print the last error with which Nginx could not read its configuration, if its
# workers are older than that.
show_failed_reload() {
    local master words age
    master=$(systemctl show -p MainPID --value nginx.service)
    words=$(grep -hsF "[emerg] $master#" /var/log/nginx/error.log | grep -v 'still could not bind' | tail -n 1)
    [ -n "$words" ] || return 0
    # field 22 is the start of a process, in hundredths of a second since the boot
    age=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v master="$master" '
        $4 == master && $22 / 100 > newest { newest = $22 / 100 }
        END { getline now <"/proc/uptime"; print int(now - newest) }')
    [ "$(($(date +%s) - $(date -d "${words%% \[emerg\]*}" +%s)))" -ge "${age:-0}" ] || printf '%s\n' "${words#*"#$master: "}"
}

section ntp
words timedatectl show -p NTP -p NTPSynchronized
section me
echo "$me"
section addresses
hostname -I | tr ' ' '\n'

section turn
head -c 2000 /run/jupyterlab-fab.turn 2>/dev/null

# Find the requests that doctor sent from outside, as they arrived here.
section arrived
for log in /var/log/nginx/*.log; do
    [ ! -r "$log" ] || tail -n 2000 -- "$log" | grep -F "jupyterlab-doctor-$nonce" || true
done

# Print all and free bytes, all and free inodes, and the mount point.
section disks
disks=$(timeout 10 df -B1 --output=size,avail,itotal,iavail,target -- / /var /tmp "$home" "$project" "$backups" \
    </dev/null 2>/dev/null | sed 1d | sort -u)
printf '%s\n' "$disks"
section biggest
if printf '%s\n' "$disks" | awk '$2 * 20 < $1 || $4 * 20 < $3 { tight = 1 } END { exit !tight }'; then
    longest=10
    for folder in "$backups" "$project" "$project/.venvs" "$venv" "$project/.kernels" \
        "$home/.local/share/Trash" "$home/.cache" /var/log /var/cache/apt /tmp; do
        [ -d "$folder" ] || continue
        case $folder in "$home"/* | "$project" | "$project"/*) by=as_owner ;; *) by='timeout 10' ;; esac
        printf '%s %s %s\n' "$($by du -xsk -- "$folder" </dev/null 2>/dev/null | head -n 1 | cut -f1)" \
            "$($by df --output=target -- "$folder" </dev/null 2>/dev/null | sed -n 2p)" "$folder"
    done | sort -rn
fi

# Print the Python that the venv runs, and the folder of the Python that it was made with.
section venv
as_owner sh -c '
    [ ! -x "$1/bin/python" ] || readlink -f -- "$1/bin/python"
    ls -d -- "$1"/lib/py*3*/site-packages/jupyter_server 2>/dev/null' sh "$venv" </dev/null

# Check as a user would; this wakes a sleeping JupyterLab.
section proof
if systemctl cat "$unit" >/dev/null 2>&1; then
    longest=300
    printf '%s\n' "$password" | as_owner sh -c "exec 2>&1
$proof"
fi

for name in "$unit" "$instance.socket" nginx.service "$timer"; do
    section "$name"
    systemctl show -p LoadState,ActiveState,SubState,Result,UnitFileState,ExecMainStatus,NRestarts -- "$name"
done
section journal
journal_of "$unit" -n 20 -o cat
section overruled
since=$(systemctl show -p ExecMainStartTimestamp --value -- "$unit")
journal_of "$unit" --since "${since% *}" -o cat \
    | sed -n 's/.* overruled by .*jupyter_lab_config.py: //p' | tail -n 1
section configuration
other_configuration
section libraries
for folder in "$venv" "$project"/.kernels/*; do
    as_owner sh -c 'cd -- "$1" && printf "%s\n" lib/python3*/site-packages/*.dist-info' sh "$folder" </dev/null \
        2>/dev/null | sed -n 's,.*/\([A-Za-z0-9_.]*\)-[^-/]*\.dist-info$,\1,p'
done
section memory
journal_of "$unit" --since -1day -o short-iso \
    | grep -i 'OOM killer\|oom-kill' | tail -n 1

section nginx
words nginx -t
section reload
show_failed_reload
section site
dump=$(nginx -T 2>/dev/null)
printf '%s\n' "$dump"
section enabled
ls -d /etc/nginx/sites-enabled/*jupyterlab* 2>/dev/null
section listening
words ss -Hltnp "( sport = :$port or sport = :$http_port )"
section certificate
[ "$scheme" = http ] || { show_served "$sni" "$port"; echo; }

# Print what certbot has renewed, and why it could not.
section lineage
[ ! -r "/etc/$certbot/live/$instance-fab/cert.pem" ] || base64 -w0 "/etc/$certbot/live/$instance-fab/cert.pem"
echo
section certbot
cat "/var/log/$certbot/letsencrypt.log.1" "/var/log/$certbot/letsencrypt.log" 2>/dev/null | tail -c 2000000 \
    | grep -a "^ *Detail: \|^acme\.messages\.Error: \|certificate $instance-fab with error: \|Hook 'deploy-hook' r\|^ nginx: \[emerg\]" \
    | tail -n 100

# Check whether Nginx can open the socket.
section socket
if [ -n "$socket" ]; then
    stat -c '%A %U:%G %n' -- "${socket%/*}" "$socket" 2>/dev/null
    www=$(printf '%s\n' "$dump" | sed -n 's/^user  *\([^ ;]*\).*/\1/p' | head -n 1)
    if [ "$me" = 0 ] && [ -S "$socket" ] && command -v curl >/dev/null; then
        runuser -u "${www:-www-data}" -- curl -s -o /dev/null --max-time 5 \
            --unix-socket "$socket" http://localhost/api
        printf 'nginx %s %s\n' "${www:-www-data}" "$?"
    fi
fi

# Send as much as JupyterLab's uploads do, to an address that refuses it: 405 if it gets through.
section body
trust=
[ "$scheme" = http ] || trust=any # the certificate is checked elsewhere
longest=10
token=$(as_owner sh -c '[ ! -f "$1" ] || exec head -c 4096 -- "$1"' sh "$token_file" </dev/null 2>/dev/null)
case $token in *[[:cntrl:]]*) token= ;; esac # it must fit in one header
if command -v curl >/dev/null; then # no token in an argument, no file on a disk that may be full
    head -c 1398205 /dev/zero | curl -s ${trust:+-k} -o /dev/null --max-time 20 --noproxy '*' \
        -w '%{http_code}\n' --connect-to ::127.0.0.1: -X PUT --data-binary @- \
        -H @/dev/fd/3 "$scheme://$domain:$port$base/api/me" 3<<END
Authorization: token $token
END
fi

# Print the rules that drop or reject packets from outside.
section firewall
words ufw status | sed -n 's/^Status: /ufw /p'
words nft list ruleset | sed -n '/f2b/!{/policy drop\|[ ]drop\|[ ]reject/s/^[ \t]*/nft /p;}' | head -n 20
command -v nft >/dev/null || words iptables -S | sed -n '/f2b/!{/DROP\|REJECT/s/^/iptables /p;}' | head -n 20
section banned
words fail2ban-client status "$instance" | sed -n 's/.*Banned IP list:[ \t]*\(.\)/\1/p'
section end
