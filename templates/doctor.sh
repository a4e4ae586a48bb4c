# What is there to be seen of an ill JupyterLab: sections, each under a line `@NAME`, for evidence.py.
# Runs as root, or as the login user, who sees less; after read.sh. It changes nothing.
printf '@clock\n%s\n' "$(date +%s)"
me=$(id -u)
cd /
[ -n "${password+set}" ] || IFS= read -r password || password=
unit=$instance.service
socket=
case $target in /*) socket=$target ;; esac

# owner COMMAND...: as the user whose JupyterLab it is.
owner() {
    if [ "$me" = 0 ]; then runuser -u "$account" -- "$@"; else "$@"; fi
}

# words COMMAND...: what it says on either stream, or nothing where there is no such command.
words() {
    ! command -v "$1" >/dev/null || "$@" 2>&1 || true
}

printf '@ntp\n'
words timedatectl show -p NTP -p NTPSynchronized
printf '@me\n%s\n' "$me"
printf '@addresses\n'
hostname -I | tr ' ' '\n'

# What our visitor from outside asked, as it arrived here.
printf '@arrived\n'
for log in /var/log/nginx/*.log; do
    [ ! -r "$log" ] || tail -n 2000 -- "$log" | grep -F "jupyterlab-doctor-$nonce" || true
done

# Bytes and inodes: in all and free, and where.
printf '@disks\n'
disks=$(df -B1 --output=size,avail,itotal,iavail,target -- / /var /tmp "$home" "$project" "$backups" \
    2>/dev/null | sed 1d | sort -u)
printf '%s\n' "$disks"
printf '@biggest\n'
if printf '%s\n' "$disks" | awk '$2 * 20 < $1 || $4 * 20 < $3 { tight = 1 } END { exit !tight }'; then
    for folder in "$backups" "$project" "$project/.venvs" "$venv" "$project/.kernels" \
        "$home/.local/share/Trash" "$home/.cache" /var/log /var/cache/apt /tmp; do
        [ -d "$folder" ] || continue
        printf '%s %s %s\n' "$(timeout 10 du -xsk -- "$folder" 2>/dev/null | cut -f1)" \
            "$(df --output=target -- "$folder" | sed 1d)" "$folder"
    done | sort -rn
fi

# As a user would; this wakes one that sleeps.
printf '@proof\n'
if systemctl cat "$unit" >/dev/null 2>&1; then
    printf '%s\n' "$password" | owner sh -c "$proof" 2>&1
fi

for name in "$unit" "$instance.socket" nginx.service; do
    printf '@%s\n' "$name"
    systemctl show -p LoadState,ActiveState,SubState,Result,UnitFileState,ExecMainStatus,NRestarts -- "$name"
done
printf '@journal\n'
journalctl -q -u "$unit" -n 20 -o cat --no-pager 2>/dev/null | sed 's/^@/ @/'
printf '@memory\n'
journalctl -q -u "$unit" --since -1day -o short-iso --no-pager 2>/dev/null \
    | grep -i 'OOM killer\|oom-kill' | tail -n 1

printf '@nginx\n'
words nginx -t
printf '@site\n'
dump=$(nginx -T 2>/dev/null)
printf '%s\n' "$dump" | sed 's/^@/ @/'
printf '@enabled\n'
ls -d /etc/nginx/sites-enabled/*jupyterlab* 2>/dev/null
printf '@listening\n'
words ss -Hltnp "( sport = :$port or sport = :$http_port )"
printf '@certificate\n'
[ "$scheme" = http ] || { show_served "$domain" "$port"; echo; }

# What Nginx would meet at the socket.
printf '@socket\n'
if [ -n "$socket" ]; then
    stat -c '%A %U:%G %n' -- "${socket%/*}" "$socket" 2>/dev/null
    www=$(printf '%s\n' "$dump" | sed -n 's/^user  *\([^ ;]*\).*/\1/p' | head -n 1)
    if [ "$me" = 0 ] && [ -S "$socket" ] && command -v curl >/dev/null; then
        runuser -u "${www:-www-data}" -- curl -s -o /dev/null --max-time 5 \
            --unix-socket "$socket" http://localhost/api
        printf 'nginx %s %s\n' "${www:-www-data}" "$?"
    fi
fi

# A piece of a file as large as JupyterLab sends it, to a place that takes none: 405 if it gets there.
printf '@body\n'
trust=
[ "$scheme" = http ] || trust=-k # whose certificate it is, is asked elsewhere
token=$(owner cat -- "$token_file" 2>/dev/null)
if command -v curl >/dev/null; then # the token in no argument, and nothing on a disk that may be full
    head -c 1398205 /dev/zero | curl -s $trust -o /dev/null --max-time 20 --noproxy '*' \
        -w '%{http_code}\n' --resolve "$domain:$port:127.0.0.1" -X PUT --data-binary @- \
        -K /dev/fd/3 "$scheme://$domain:$port$base/api/me" 3<<END
header = "Authorization: token $token"
END
fi

# Who drops or rejects what comes from outside.
printf '@firewall\n'
words ufw status | sed -n 's/^Status: /ufw /p'
words nft list ruleset | sed -n '/f2b/!{/policy drop\|[ ]drop\|[ ]reject/s/^[ \t]*/nft /p;}' | head -n 20
command -v nft >/dev/null || words iptables -S | sed -n '/f2b/!{/DROP\|REJECT/s/^/iptables /p;}' | head -n 20
printf '@banned\n'
words fail2ban-client status "$instance" | sed -n 's/.*Banned IP list:[ \t]*\(.\)/\1/p'
printf '@end\n'
