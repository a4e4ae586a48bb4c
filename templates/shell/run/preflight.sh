# Put a text where an ACME server would look for its own, and print the addresses of the name here.

# offer PATH TEXT DOMAIN: write the text and print the addresses. Runs as root.
offer() {
    umask 022
    mkdir -p -- "$(dirname -- "$1")" && printf '%s' "$2" >"$1" || return
    echo offered
    getent ahosts "$3" | awk '$2 == "STREAM" { print "address", $1 }'
}

