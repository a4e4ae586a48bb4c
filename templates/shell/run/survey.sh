# What `init` tells about a server before it changes anything. Runs as the login user.

# survey PORT...: print a fact a line: its name, a tab, its value.
survey() {
    local port
    fact processors "$(nproc)"
    fact memory "$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)" # in MB
    fact sudo "$(sudo_state)"
    addresses
    for port in "$@"; do
        fact "port $port" "$(listener "$port")"
    done
}

fact() { printf '%s\t%s\n' "$1" "$2"; }

# sudo_state: print how the login user becomes root.
sudo_state() {
    if [ "$(id -u)" = 0 ]; then
        echo root
    elif ! command -v sudo >/dev/null; then
        echo missing
    elif sudo -n true 2>/dev/null; then
        echo free
    else
        echo password
    fi
}

# listener PORT: print the unit that listens there, or `another program`; nothing if it is free.
listener() {
    local told unit
    told=$(ss -Hltne "sport = :$1" 2>/dev/null)
    [ -n "$told" ] || return 0
    unit=$(printf '%s\n' "$told" | sed -n 's|.*cgroup:[^ ]*/\([^/ ]*\.service\).*|\1|p' | head -n 1)
    echo "${unit:-another program}"
}

# addresses: print those of the server.
addresses() {
    ip -o address show scope global 2>/dev/null | awk '{ sub("/.*", "", $4); print "own\t" $4 }'
}

# leads NAME: print the addresses to which a name leads here.
leads() {
    getent ahosts "$1" | awk '$2 == "STREAM" { print "leads\t" $1 }'
}

# certificates_of FILE: print the certificates with which a site of Nginx is served.
certificates_of() {
    sed -n 's/^ *ssl_certificate  *\(.*\);$/serves\t\1/p' "$1" 2>/dev/null || true
}

