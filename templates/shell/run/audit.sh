# Try on the running server what an attacker would, and print for each threat a line
# `audit|threat|closed or open|proof`. Runs as root, to become another user (nobody) and to search
# the logs; changes nothing.
export LC_ALL=C.UTF-8
cd /
ulimit -f 65536 # blocks of 512 bytes: JupyterLab's answer may be endless
unit=$instance.service
most=1048576
longest=10
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM PIPE
site=$scheme://$domain:$port$base
# Wake a sleeping JupyterLab.
[ -z "$socket" ] || (longest=70; owner_does "$account" curl -s -o /dev/null --max-time 60 \
    --unix-socket "$socket" http://localhost/api </dev/null >/dev/null 2>&1)
pid=$(systemctl show -p MainPID --value "$unit")

# told THREAT STATE PROOF: print a result.
told() {
    printf 'audit|%s|%s|%s\n' "$1" "$2" "$(printf '%s' "$3" | tr '\n|' '; ')"
}

# judged THREAT FOUND [PROOF]: print `open` if something was found; else `closed`, with PROOF.
judged() {
    if [ -n "$2" ]; then told "$1" open "$2"; else told "$1" closed "$3"; fi
}

# other COMMAND...: run COMMAND as another user of this server.
other() {
    timeout -k 2 60 runuser -u nobody -- "$@"
}

# ask CURL-ARGUMENT...: send a request to Nginx, by name; print the status, 000 for no answer.
ask() {
    curl -ks -o "$work/body" -D "$work/headers" --max-time 20 --noproxy '*' -w '%{http_code}' \
        --connect-to ::127.0.0.1: -b "$work/cookies" -c "$work/cookies" "$@"
}

# header NAME: print its values in the last answer.
header() {
    sed -n "s/^$1: *//Ip" "$work/headers" | tr -d '\r'
}

# shown OPENSSL-ARGUMENT...: print what openssl sees of a handshake with Nginx.
shown() {
    if [ -n "$sni" ]; then set -- "$@" -servername "$sni"; else set -- "$@" -noservername; fi
    openssl s_client "$@" -connect "127.0.0.1:$port" </dev/null 2>/dev/null
}

# as_owner COMMAND...: run COMMAND as JupyterLab's user, for a limited time.
as_owner() {
    hear "$account" "$@" </dev/null
}

# sockets: print the TCP ports at which JupyterLab's user listens, each with its inode.
sockets() {
    local place inode
    awk -v own="$(id -u -- "$account")" '$4 == "0A" && $8 == own { print $2, $10 }' \
        /proc/net/tcp /proc/net/tcp6 \
        | while read -r place inode; do printf '%d %s\n' "0x${place##*:}" "$inode"; done | sort -u
}

# listening: print these ports, `shown_most` of them, since each may take long to try.
listening() {
    sockets | cut -d' ' -f1 | sort -un | head -n "$shown_most"
}
shown_most=60

# tcp_kernels: print the ports of kernels that listen at TCP ports, each with its kernel's name.
tcp_kernels() {
    as_owner sh -c 'for file in "$1"/kernel-*.json; do head -c 4096 -- "$file" | tr -d "\n"; echo; done' sh \
        "$runtime" 2>/dev/null | awk '/"transport": *"tcp"/ {
            name = match($0, /"kernel_name": *"[A-Za-z0-9._-]+"/) ? substr($0, RSTART, RLENGTH) : "unknown"
            gsub(/"kernel_name": *|"/, "", name)
            while (match($0, /_port": *[0-9]+/)) {
                port = substr($0, RSTART, RLENGTH)
                sub(/.* |.*:/, "", port)
                print port, name
                $0 = substr($0, RSTART + RLENGTH)
            }
        }'
}

# answering: print those of these ports at which ZeroMQ answers user nobody, each with its kind.
answering() {
    # shellcheck disable=SC2046 # a word for each port
    other python3 -Ic "$find_publishers_py" $(listening)
}

# program INODE: print the command line of the process that has this socket.
program() {
    local file
    as_owner find /proc -maxdepth 3 -path '/proc/[0-9]*/fd/*' -lname "socket:\[$1\]" 2>/dev/null | head -n 1 \
        | sed 's,/fd/.*,/cmdline,' | while read -r file; do as_owner head -c 400 -- "$file" | tr '\0' ' '; done
}

# header_of TOKEN: write the header that logs in to a file; ours has no control characters.
header_of() {
    case $1 in *[[:cntrl:]]*) set -- none ;; esac
    (umask 077; printf 'Authorization: token %s\n' "$1" >"$work/token")
}

# stranger CURL-ARGUMENT...: send a request without the former cookies.
stranger() {
    : >"$work/cookies"
    ask "$@"
}

if [ "$pid" = 0 ]; then
    told running open "$unit does not run"
    exit 0
fi
for tool in curl openssl python3; do
    command -v "$tool" >/dev/null || { told running open "$tool is missing, which the audit needs"; exit 0; }
done
status=$(stranger "$site/login")
if [ "$status" != 200 ]; then
    told running open "$site/login answers $status"
    exit 0
fi

# --- another user of this server -------------------------------------------------------------

# Programs of JupyterLab's user that listen, such as an extension's server, may ask for no login.
# The ZeroMQ of kernels is safe: they accept only messages signed with their secret. What a notebook
# starts in its kernel may not be.
found='' all=0 kernels=0
tcp_kernels >"$work/kernels"
answering >"$work/zeromq"
while read -r number inode; do
    [ -n "$number" ] || continue
    all=$((all + 1))
    [ "$all" -le "$shown_most" ] || continue
    by=$(program "$inode")
    speaks=$(sed -n "s/^$number .*/zeromq/p" "$work/zeromq")
    case $speaks:$by in # a kernel is given the file with its ports
        zeromq:*"$runtime/kernel-"*) kernels=$((kernels + 1)) ;;
        *) [ "$number" = "$endpoint" ] || found="$found $number (${by:-unknown}),"
    esac
done <<END
$(sockets | sed '/^$/d')
END
found=${found%,}
[ "$all" -le "$shown_most" ] || found=" $((all - shown_most)) more than the $shown_most that are checked${found:+;$found}"
judged ports "${found# }" "no program of $account listens at a TCP port, except kernels: $kernels ports"

for number in $(listening); do # in parallel: each may take long
    { ! other curl -s --max-time 5 "http://127.0.0.1:$number$base/login" | head -c 65536 | grep -qi jupyter || echo "$number"; } &
done >"$work/open"
wait
open_port=$(tail -n 1 "$work/open")
judged beside "${open_port:+as user nobody: the login page answers at port $open_port}" "as user nobody: no port answers with the login page"
if [ -n "$socket" ]; then
    found=
    tries=5
    for path in "${socket%/*}"/*.sock; do # two if it may sleep; its user can create more
        tries=$((tries - 1))
        [ "$tries" -ge 0 ] || break
        answer=$(other curl -sS --max-time 5 --unix-socket "$path" "http://localhost$base/login" 2>&1 | head -c 65536 | head -n 1)
        ! printf '%s' "$answer" | grep -qi html || found="$found $path"
    done
    judged socket "${found:+as user nobody: the login page answers at$found}" "as user nobody: $answer"
fi
if [ -n "$open_port" ]; then
    told squat open "any user may listen at port $open_port while JupyterLab restarts"
else
    folder=$(dirname -- "$socket")
    judged squat "$(other test -w "$folder" && echo "user nobody may write to $folder")" \
        "user nobody may not write to $folder"
fi

# Start a kernel with the token that the server itself keeps for its user. It is read as that user,
# because a link in their folders could lead root elsewhere.
token=$(as_owner head -c 65536 -- "$runtime/jpserver-$pid.json" 2>/dev/null \
    | sed -n 's/.*"token": "\([^"]*\)".*/\1/p')
header_of "$token"
if [ "$(ask -H "@$work/token" -X POST "$site/api/kernels")" = 201 ]; then
    kernel=$(sed -n 's/.*"id": *"\([0-9a-f-]*\)".*/\1/p' "$work/body")
    # On a busy server it may take long until it listens; a kernel that uses files has no such port.
    publishes=$(as_owner head -c 4096 -- "$runtime/kernel-$kernel.json" \
        | sed -n 's/.*"iopub_port": *\([0-9]\{4,5\}\),.*/\1/p')
    tries=20
    sleep 2
    until [ -z "$publishes" ] || [ "$tries" = 0 ] \
        || sockets | cut -d' ' -f1 | grep -qx "$publishes"; do
        tries=$((tries - 1))
        sleep 1
    done
    found='' names=''
    for number in $(answering | sed -n 's/ publisher$//p'); do
        name=$(sed -n "s/^$number //p" "$work/kernels")
        if [ -n "$name" ]; then names="$names $name"; else found="$found $number"; fi
    done
    ask -H "@$work/token" -X DELETE "$site/api/kernels/$kernel" >/dev/null
    judged kernels "${found:+as user nobody: a kernel publishes what it computes at port$found}" \
        "as user nobody: the port of no such kernel of $account publishes what it computes"
    [ -z "$names" ] || told tcp open "as user nobody: a port publishes what a kernel computes:$names"
else
    told kernels open "no kernel could be started for this check"
fi

# The user lists the names of their files; one with a line break is not ours.
as_owner sh -c 'for file in "$1"/.jupyter/*.json "$1"/.jupyter/*.py "$1/.jupyter/jupyterlab_token" \
        "$2"/*cookie_secret "$1/.ipython/profile_default/history.sqlite"; do
    case $file in *"
"*) ;; *) printf "%s\n" "$file" ;; esac
done' sh "$home" "$runtime" 2>/dev/null | head -c 65536 >"$work/files"
found=$(other sh -c 'while read -r file; do [ ! -r "$file" ] || printf " %s" "$file"; done' <"$work/files")
for notebook in $(other find "$project" -name venv -prune -o -name '*.ipynb' -readable -print \
    2>/dev/null | head -n 3); do
    found="$found $notebook"
done
mask=$(sed -n 's/^Umask:\s*//p' "/proc/$pid/status")
[ "${mask#0?}" = 77 ] || found="$found new files (umask $mask)"
judged files "${found:+user nobody may read$found}" "as user nobody: no hash, token or notebook can be read; umask $mask"

# --- the network -------------------------------------------------------------------------------

stranger "$site/login" >/dev/null
xsrf=$(awk '$6 == "_xsrf" { print $7 }' "$work/cookies")
checked=0
for guess in 1 2 3 4 5 6 7 8 9 10; do
    answer=$(ask --data-urlencode "_xsrf=$xsrf" -d "password=guess-$guess" "$site/login")
    [ "$answer" = 429 ] || checked=$((checked + 1))
done
judged guesses "$([ "$checked" -lt 10 ] || echo "all of 10 guesses in a row were checked")" \
    "$checked of 10 guesses were checked"

found=
others='other-name.invalid'
bare=$(hostname -I | cut -d' ' -f1)
[ "$bare" = "$domain" ] || others="$others $bare"
for name in $others; do
    curl -ks -o "$work/body" -D "$work/headers" --max-time 5 --noproxy '*' \
        --connect-to "::127.0.0.1:$port" "$scheme://$name:$port$base/lab"
    ! grep -qi '^location:.*/login?next' "$work/headers" || found="$found $name"
    : >"$work/headers"
done
judged names "${found:+JupyterLab answers to$found}" "these do not lead to JupyterLab: $others"

secret=audit$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
ask "$site/lab?token=$secret" >/dev/null
ask -e "$site/lab?token=$secret" "$site/no-such-page" >/dev/null
ask -H 'Content-Type: application/csp-report' -d "{\"csp-report\": {\"referrer\": \"$site/lab?token=$secret\"}}" \
    "$site/api/security/csp-report" >/dev/null
sleep 1
found=$(grep -rls "$secret" /var/log/nginx)
! journalctl -q --since -1min --no-pager -o cat | grep -q "$secret" || found="$found the journal"
since=$(systemctl show -p ActiveEnterTimestamp --value "$unit")
! journalctl -q -u "$unit" --since "${since% *}" --no-pager -o cat | grep -q 'token=[0-9a-f]\{32\}' \
    || found="$found the journal (the login token)"
judged logs "${found:+a token is in $found}" "no log has a token from a URL or a referer"

stranger "$site/login" >/dev/null
found=$(header server | grep '[0-9]')
for file in api static/lab/package.json static/lab/package.json/ static/lab/package.json.orig; do
    stranger "$site/$file" >/dev/null
    number=$(grep -m 1 -o '"version": *"[^"]*"' "$work/body")
    found=$found${number:+ $number}
done
judged version "${found# }" "neither Nginx nor JupyterLab shows its version"

stranger "$site/login" >/dev/null
found=
header content-security-policy | grep -q 'default-src' || found="$found Content-Security-Policy"
header content-security-policy | grep -q 'frame-ancestors' || found="$found frame-ancestors"
for name in x-content-type-options referrer-policy permissions-policy; do
    [ -n "$(header "$name")" ] || found="$found $name"
done
[ -z "$hsts" ] || [ -n "$(header strict-transport-security)" ] \
    || found="$found strict-transport-security"
judged headers "${found:+missing:$found}" "all headers are set"

# A page that repeats its address must not be compressed: its length would reveal the rest of it.
found=
for path in static/no-such-page lab/extensions/no/static/such-page lab/api/themes/no/such.css; do
    stranger -H 'Accept-Encoding: gzip' "$site/$path" >/dev/null
    ! header content-encoding | grep -qi gzip || ! header content-type | grep -qi html || found="$found /$path"
done
judged pages "${found:+compressed error pages:$found}" "no error page is compressed"

# Run a server as user nobody for a moment: no odd address may reach it under JupyterLab's name.
if [ -z "$ports" ]; then
    other python3 -Ic "$foreign_server_py" >"$work/foreign" 2>/dev/null &
    foreign_pid=$!
    tries=50
    until [ -s "$work/foreign" ] || [ "$tries" = 0 ]; do sleep 0.1; tries=$((tries - 1)); done
    read -r number <"$work/foreign" || number=0
    found=
    for path in "proxy/$number/" "proxy/$number/..%2f..%2flab" "proxy/$number/%2e%2e/%2e%2e/lab" \
        "static/..%2fproxy/$number/"; do
        stranger --path-as-is -H "@$work/token" "$site/$path" >/dev/null
        ! grep -q '^foreign server$' "$work/body" || found="$found /$path"
    done
    kill "$foreign_pid" 2>/dev/null
    judged proxy "${found:+a server of user nobody answered at$found}" "a server of user nobody did not answer under /proxy/"
fi

stranger -H "@$work/token" "$site/lab" >/dev/null
cookies=$(header set-cookie)
# lacking WORD [NAME]: print the cookies without WORD; with NAME those that begin with it.
lacking() {
    printf '%s\n' "$cookies" | grep "^${2:-}" | grep -iv "; $1" | cut -d= -f1
}
if [ -n "$cookies" ]; then
    found=$(lacking samesite; lacking httponly username; [ "$scheme" = http ] || lacking secure)
    judged cookies "$(printf '%s' "$found" | tr '\n' ' ')" "$(printf '%s\n' "$cookies" | head -n 1 | sed 's/.*GMT; //')"
else
    told cookies open "no cookie was set, so this could not be tried"
fi

if [ "$scheme" = http ]; then
    told clear open "$site is plain HTTP"
else
    answer=$(ask "http://$domain:$http_port$base/login")
    judged clear "$(printf '%s' "$answer" | grep 200)" "plain HTTP only redirects to HTTPS"
    found=
    for version in tls1 tls1_1; do
        ! shown -"$version" -cipher 'ALL:@SECLEVEL=0' | grep -q '^ *Cipher *: *[A-Z]' \
            || found="$found $version"
    done
    judged oldtls "${found# }" "TLS 1.0 and 1.1 are refused"
    begun=$(date -d "$(shown | openssl x509 -noout -startdate | cut -d= -f2)" +%s)
    end=$(date -d "$(shown | openssl x509 -noout -enddate | cut -d= -f2)" +%s)
    left=$((end - $(date +%s))) some=$(((end - begun) / 3))
    [ "$some" -lt 864000 ] || some=864000 # ten days, or a third of a short lifetime
    judged certificate "$([ "$left" -ge "$some" ] || echo "it expires in $((left / 86400)) days")" \
        "$((left / 86400)) days left"
fi
if [ -n "$page" ]; then
    ask "http://$domain:$http_port/ca/ca.crt" >/dev/null
    found=$(find "$page" -mindepth 1 ! -path "$page/index.html" ! -path "$page/ca.crt")
    ! grep -qr 'PRIVATE KEY' -- "$page" || found="$found with a private key"
    shown -showcerts | openssl x509 >"$work/served" 2>/dev/null
    openssl verify -CAfile "$work/body" "$work/served" >/dev/null 2>&1 \
        || found="$found; the certificate at /ca did not sign that of the site"
    judged ca "${found:+$page: ${found#; }}" "/ca has the certificate of the CA and nothing else: compare its fingerprint, since plain HTTP can be changed on the way"
fi

# --- code in a notebook --------------------------------------------------------------------------

exposure=$(systemd-analyze security --no-pager "$unit" 2>/dev/null \
    | sed -n 's/.*exposure level[^:]*: \([0-9.]*\) .*/\1/p')
more=$(awk -v a="${exposure:-10}" -v b="$exposed" 'BEGIN { if (a + 0 > b + 0) print "too much" }')
judged sandbox "${more:+exposure ${exposure:-unknown} by systemd-analyze security}" \
    "exposure $exposure by systemd-analyze security, at most $exposed"
if [ "$login" = "$account" ] && sudo -n -l -U "$account" 2>/dev/null | grep -q 'may run the following'; then
    echo "note|$account logs in and may use sudo: commands that a notebook writes to ~/.bashrc run in the next task"
fi
if grep -q '^NoNewPrivs:\s*1' "/proc/$pid/status"; then
    told root closed "no new privileges: sudo does not work in JupyterLab"
else
    judged root "$(sudo -n -l -U "$account" 2>/dev/null | grep -m1 -o 'NOPASSWD: .*')" \
        "$account may not use sudo without a password"
fi
limit=$(systemctl show -p MemoryMax --value "$unit")
case $limit in
    *[!0-9]* | '') told memory open "no limit on memory" ;;
    *) told memory closed "a kernel is killed before JupyterLab takes more than $((limit / 1048576)) MB" ;;
esac

version=$(as_owner sh -c 'ls -d -- "$1"/lib/python3*/site-packages/jupyter_server-*.dist-info' sh "$venv" \
    | sed -n 's/.*\/jupyter_server-\([0-9][A-Za-z0-9.+!]*\)\.dist-info$/\1/p' | tail -n 1)
judged hole "$(printf '%s\n' "$minimum" "$version" | sort -V -C || echo "jupyter_server $version")" "jupyter_server $version"
