# Use JupyterLab as its users do, and print a line `hop|check|ok or FAIL|seconds|detail` for each
# check. Runs as the login user; the first line of the input is the password to try, if any.
export LC_ALL=C.UTF-8
[ -e "/etc/systemd/system/$instance.service" ] || [ ! -x /etc/systemd/system ] || { echo absent; exit 0; }
ulimit -f 65536 # blocks of 512 bytes: JupyterLab's answer may be endless
IFS= read -r password || password=
token=$([ ! -f "$token_file" ] || head -c 4096 -- "$token_file" 2>/dev/null)
[ -n "$password" ] || password=$token
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM PIPE # the connection is lost: leave no kernel behind

# ask CURL-ARGUMENT...: send a request to Nginx, by name; print status, redirect and seconds.
ask() {
    # if a certificate was installed, Nginx must serve that one
    curl -sS -o "$work/body" --max-time 20 --noproxy '*' --connect-to ::127.0.0.1: \
        ${certificate:+--cacert} "${certificate:---insecure}" \
        -b "$work/cookies" -c "$work/cookies" -w '%{http_code} %{redirect_url} %{time_total}' "$@" \
        2>"$work/error" || cat -- "$work/error"
}

# patiently ASK...: ask until the answer is 200, for some seconds: the service may just be starting.
patiently() {
    local tries=40 answer
    until answer=$("$@") && [ "${answer%% *}" = 200 ]; do
        tries=$((tries - 1))
        case $answer in *'curl: (28)'*) tries=$((tries - 19)) ;; esac # a timeout counts for 20 tries
        { [ "$tries" -gt 0 ] && systemctl is-active -q "$instance"; } || break
        sleep 0.5
    done
    printf '%s' "$answer"
}

# told HOP CHECK EXPECTED ANSWER: compare the answer, print a line, and exit if it differs.
told() {
    local seconds="${4##* }"
    # shellcheck disable=SC2254 # EXPECTED is a pattern
    case $4 in
        $3) printf '%s|%s|ok|%s|%s\n' "$1" "$2" "$seconds" "${4% *}" ;;
        *) printf '%s|%s|FAIL|0|%s\n' "$1" "$2" "$4" && exit 0 ;;
    esac
}

# log_in PASSWORD: log in as the form does, with the password in the input and not in an argument.
# Nginx limits logins, those of earlier checks included, so wait while it answers 429.
log_in() {
    local xsrf tries=30 answer
    xsrf=$(awk '$6 == "_xsrf" { print $7 }' "$work/cookies")
    while answer=$(printf '%s' "$1" | ask --data-urlencode "_xsrf=$xsrf" --data-urlencode password@- \
            "$site/login?next=$base/lab") && [ "${answer%% *}" = 429 ] && [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        sleep 1
    done
    printf '%s' "$answer"
}

set -- "http://127.0.0.1:$endpoint$base/api"
[ -z "$socket" ] || set -- --unix-socket "$socket" "http://localhost$base/api"
origin=$scheme://$domain:$port
site=$origin$base
named=$(printf '%s' "$domain" | tr '[]' '??') # as a pattern: an IPv6 address has brackets
command -v curl >/dev/null || { echo 'jupyter|curl|FAIL|0|curl is not installed'; exit 0; }

told jupyter 'answers on its socket' '200 *' "$(patiently ask "$@")"
[ -z "$certificate" ] || told nginx 'plain HTTP redirects to HTTPS' "301 https://$named*$base/lab *" \
    "$(ask "http://$domain:$http_port$base/lab")"
told nginx '/lab leads to the login page' "302 $scheme://$named*$base/login?*" "$(ask "$site/lab")"
told nginx 'the login page is there' '200 *' "$(ask "$site/login")"
told nginx 'a wrong password is refused' '401 *' "$(log_in 'certainly not the password')"
told nginx "$what is accepted" "302 *$base/lab *" "$(log_in "$password")"
told nginx '/lab opens' '200 *' "$(ask "$site/lab")"

# Test a kernel and its websocket, with the token in a header, which no process list shows.
printf 'Authorization: token %s\n' "$token" >"$work/token"
told nginx 'a kernel starts' '201 *' "$(ask -H "@$work/token" -X POST "$site/api/kernels")"
kernel=$(sed -n 's/.*"id": *"\([0-9a-f-]*\)".*/\1/p' "$work/body")
remove() {
    ask -H "@$work/token" -X DELETE "$site/api/kernels/$kernel"
}
trap 'remove >/dev/null; rm -rf -- "$work"' EXIT

# curl does not leave an upgraded connection: read the first header and end it.
curl -sS -N -o /dev/null -D "$work/upgrade" --max-time 20 --noproxy '*' --http1.1 -H "@$work/token" \
    --connect-to ::127.0.0.1: \
    ${certificate:+--cacert} "${certificate:---insecure}" -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
    -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \
    -H "Origin: $origin" "$site/api/kernels/$kernel/channels" 2>/dev/null &
began=$(date +%s%N)
until grep -q '^HTTP' "$work/upgrade" 2>/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
took=$((($(date +%s%N) - began) / 1000000))
kill $! 2>/dev/null
upgrade=$(sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' "$work/upgrade")
told nginx 'a websocket upgrade answers 101' '101 *' \
    "${upgrade:-none} $(printf '%d.%03d' $((took / 1000)) $((took % 1000)))"

# by_kernel: print a kernel's answer; do not wait for what the venv's Python leaves behind.
by_kernel() {
    timeout 120 "$python" -c "$run_in_kernel_py" "$site" "$kernel" "$token_file" "$certificate" >"$work/said" 2>&1
    tail -n 1 -- "$work/said"
}
told nginx '6*7 over the websocket is 42' '42 *' "$(by_kernel)"

# Have that kernel compute on each worker of the cluster.
if [ -e "$members" ]; then
    wanted=$(sed -n '/^#/!s/.* //p' "$members" | sort | tr '\n' ' ')
    number=$(printf '%s' "$wanted" | wc -w)
    export COMPUTE="$worker_hosts_py
answers($number)"
    answer=$(by_kernel)
    told cluster "${wanted% }" "'${wanted% }' *" "$answer"
fi
