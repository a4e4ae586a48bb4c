# Read the state of the server. No function fails, changes anything or needs sudo. What a user has
# written is printed in base64, or only if it has the expected form; only regular files up to a
# certain size are read. Starting a process takes a millisecond, so one process answers many
# questions at once (look_at, ask_systemd, ask_dpkg), and the shell itself picks from its answer.
LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
nl='
'
tab='	'
largest=1048576     # bytes of a file that is read, at most
most=8388608        # bytes that a program run as the user may print
patience=60         # seconds that reading as the user may take

# answer: begin an answer. This shell alone knows its mark, so that nothing that is read can begin a
# section or end one. Sets `mark`.
answer() {
    read -r mark </proc/sys/kernel/random/uuid
    printf '@%s\n' "$mark"
}

# section NAME: begin a section of the answer.
section() {
    printf '@%s %s\n' "$mark" "$1"
}

# cleanly [NAME=VALUE...] COMMAND...: run COMMAND without root's environment but for the proxies.
cleanly() {
    env -i "PATH=$PATH" "LC_ALL=$LC_ALL" ${http_proxy:+"http_proxy=$http_proxy"} \
        ${https_proxy:+"https_proxy=$https_proxy"} ${HTTPS_PROXY:+"HTTPS_PROXY=$HTTPS_PROXY"} \
        ${no_proxy:+"no_proxy=$no_proxy"} ${NO_PROXY:+"NO_PROXY=$NO_PROXY"} "$@"
}

# let_go READER: wait a second at most until READER has read all, then end it: a process that was
# left behind may keep the other end of its pipe open for ever.
let_go() {
    local tries=200
    while [ -e "/proc/$1/exe" ] && [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.003
    done
    # shellcheck disable=SC2046 # a word for each child
    [ ! -e "/proc/$1/exe" ] || kill "$1" $(cat "/proc/$1/task/$1/children") 2>/dev/null || true
}

# theirs <script: run a script as the user whose files it reads; it begins an answer of its own.
# This repeats owner_does and hear (users.sh), so as not to send those each time.
theirs() {
    local pipe="/run/jupyterlab-read.$mark"
    section theirs
    mkfifo -m 0600 -- "$pipe"
    head -c "$most" <"$pipe" 2>/dev/null 8>&- 9>&- &
    (cleanly ${detach:+setsid -w} timeout -k 5 "$patience" runuser -u "$account" -- sh >"$pipe" 2>/dev/null 8>&- 9>&-)
    let_go "$!"
    rm -f -- "$pipe"
    echo
}

# facts: print the user, the system and the state that earlier runs left.
facts() {
    local uid="${entry#*:*:}" root='' systemd='' turn='' free='' certificates='' restoring='' cluster='' \
        ipv6='' memory=0 certificate line blocks name kilobytes
    # shellcheck source=/dev/null # the system's own file
    . /etc/os-release
    [ "$me" != 0 ] || root=yes
    [ ! -d /run/systemd/system ] || systemd=yes
    [ ! -e /run/jupyterlab-fab.turn ] || read -r turn </run/jupyterlab-fab.turn
    for certificate in /etc/nginx/"$instance"/*.pem; do
        [ ! -e "$certificate" ] || certificates="$certificates ${certificate##*/}"
    done
    [ ! -e "/var/lib/$instance-fab/restoring" ] || restoring=yes
    [ ! -f "/var/lib/$instance-fab/cluster" ] || while read -r line; do
        case $line in '#'*) ;; *) cluster=$cluster$line$tab ;; esac
    done <"/var/lib/$instance-fab/cluster"
    can_ipv6 && ipv6=yes
    while read -r name kilobytes line; do
        case $name in MemAvailable: | SwapFree:) memory=$((memory + kilobytes / 1024)) ;; esac
    done </proc/meminfo
    blocks=$(stat -f -c '%a %S' -- "$home" 2>/dev/null) && free=$((${blocks% *} * ${blocks#* } / 1048576))
    printf '%s\n' "instance=$instance" "user=$account" "group=$(id -gn -- "$account")" "home=$home" "uid=${uid%%:*}" \
        "root=$root" "system=$ID" "like=${ID_LIKE:-}" "version=${VERSION_ID:-}" \
        "name=${PRETTY_NAME:-$ID}" "systemd=$systemd" "free=$free" "turn=$turn" \
        "certificates=$certificates" "restoring=$restoring" "cluster=$cluster" "ipv6=$ipv6" "memory=$memory" \
        "proxies=${http_proxy:-${HTTP_PROXY:-}}$tab${https_proxy:-${HTTPS_PROXY:-}}$tab${no_proxy:-${NO_PROXY:-}}"
    foreign_nginx
}

# foreign_nginx: print whether Nginx, as another packager may have set it up, reads sites-enabled,
# and as whom it runs, unless that user is in the group www-data.
foreign_nginx() {
    local conf=/etc/nginx/nginx.conf word='' user='' group=''
    [ -r "$conf" ] || return 0
    if [ ! -d /etc/nginx/sites-available ] || [ ! -d /etc/nginx/sites-enabled ] \
        || ! grep -qs '^[^#]*include[^#]*sites-enabled/' "$conf" /etc/nginx/conf.d/*.conf; then
        echo reads_sites=no
    fi
    while [ "$word" != user ] && read -r word user group; do :; done <"$conf"
    [ "$word" = user ] || return 0
    user=${user%;}
    case $user:${group%;} in root:* | www-data:* | *:www-data) return 0 ;; esac
    case " $(id -nG -- "$user" 2>/dev/null) " in
        *' www-data '*) ;;
        *) printf 'nginx_user=%s\n' "$user" ;;
    esac
}

# can_ipv6: check whether programs can have sockets of IPv6; without that, a kernel or a sandbox
# answers 97 (EAFNOSUPPORT).
can_ipv6() {
    [ -e /proc/net/if_inet6 ] || return 1
    perl -e 'socket(S, 10, 1, 0) or exit $!' 2>/dev/null # Debian always has perl
    [ "$?" != 97 ]
}

# show_listens: print what the sites of others listen at, as FILE:WORDS. It follows each `include`
# from nginx.conf, as Nginx does; our own sites are left out.
show_listens() {
    local files=/etc/nginx/nginx.conf depth=0 file told
    while [ -n "$files" ] && [ "$depth" -lt 9 ]; do
        set --
        for file in $files; do # these may be patterns
            case $file in */zz-jupyterlab* | */sites-enabled/"$instance") continue ;; esac
            [ ! -f "$file" ] || [ ! -r "$file" ] || set -- "$@" "$file"
        done
        [ "$#" -gt 0 ] || return 0
        told=$(awk '
            FNR == 1 { text = "" }
            {
                if (match($0, /(^|[ \t;{}])#/)) { $0 = substr($0, 1, RSTART + RLENGTH - 2) }
                text = text " " $0
                n = split(text, parts, /[;{}]/)
                text = parts[n]
                for (i = 1; i < n; i++) {
                    gsub(/[ \t]+/, " ", parts[i])
                    if (sub(/^ ?listen /, "", parts[i])) {
                        print FILENAME ":" parts[i]
                    } else if (sub(/^ ?include ["\047]?/, "", parts[i])) {
                        sub(/["\047]? ?$/, "", parts[i])
                        print "include " (parts[i] ~ /^\// ? "" : "/etc/nginx/") parts[i]
                    }
                }
            }' "$@")
        files=
        while read -r told; do
            case $told in
                'include '*) files="$files ${told#include }" ;;
                ?*) printf '%s\n' "$told" ;;
            esac
        done <<END
$told
END
        depth=$((depth + 1))
    done
}

# neighbours: print the user, the address and the certificate of each JupyterLab on this server, and
# where it is the default, as FILE:LINE.
neighbours() {
    grep -s '^User=\|^# JupyterLab of \|^ *ssl_certificate \|^ *listen .*default_server' /dev/null /etc/systemd/system/jupyterlab*.service \
        /etc/nginx/sites-available/jupyterlab* /etc/nginx/conf.d/00-jupyterlab*.conf || true
}

# show_added FILE: print the pip requirements in a user's file.
show_added() {
    [ ! -f "$1" ] || head -c "$largest" -- "$1" 2>/dev/null | grep -v '^#' || true
}

# look_at PATH...: ask stat about all of them at once, for show_path. Sets `stats`.
look_at() {
    stats=$nl$(stat -c '%n|%s|%F|%U|%G|%a' -- "$@" 2>/dev/null)$nl
}

# ask_systemd UNIT...: ask systemd about all of them at once, for show_service: a paragraph each.
# Sets `units`.
ask_systemd() {
    units=$nl$nl$(systemctl show --timestamp=us+utc \
        -p Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload \
        -p ExecMainStartTimestamp,StateChangeTimestamp,ActiveEnterTimestamp -- "$@")$nl$nl
}

# show_path PATH: print kind, owner, group and mode; a file's content in base64, a link's target.
show_path() {
    if [ -L "$1" ]; then
        printf 'link\n%s\n' "$(one_line "$(readlink -- "$1")")"
    elif [ -e "$1" ]; then
        seen "$1"
        printf '%s\n' "${line#*|}"
        if [ ! -f "$1" ]; then
            echo
        elif [ "${line%%|*}" -gt "$largest" ]; then
            echo '!'
        else
            base64 -w0 -- "$1" 2>/dev/null || printf '!unread'
            echo
        fi
    elif is_hidden "$1"; then
        echo hidden
    else
        echo absent
    fi
}

# is_hidden PATH: check whether PATH is below a folder that may not be entered: it may be there.
is_hidden() {
    local folder="${1%/*}"
    while [ -n "$folder" ] && [ ! -e "$folder" ]; do folder=${folder%/*}; done
    [ -d "$folder" ] && [ ! -x "$folder" ]
}

# seen PATH: set `line` to size, kind, owner, group and mode.
seen() {
    case ${stats:-} in *"$nl$1|"*) ;; *) look_at "$1" ;; esac
    line=${stats#*"$nl$1|"}
    line=${line%%"$nl"*}
}

# one_line TEXT: print TEXT, or `?` if it has several lines.
one_line() {
    case $1 in *"$nl"*) echo '?' ;; *) printf '%s\n' "$1" ;; esac
}

# show_rights PATH: print kind, owner, group and mode.
show_rights() {
    [ -e "$1" ] || { echo absent; return; }
    seen "$1"
    printf '%s\n' "${line#*|}"
}

# show_folder PATH: do as show_path, but follow a link to a folder if root or the user owns it.
show_folder() {
    if [ -L "$1" ] && [ -d "$1" ] && linked_by "$(stat -c %U -- "$1")"; then
        stat -L -c '%F|%U|%G|%a' -- "$1"
    else
        show_path "$1"
    fi
}

# linked_by USER: check whether USER is root or the user.
linked_by() {
    case $1 in root | "$account") ;; *) return 1 ;; esac
}

# show_acme_server [CERTBOT]: print the ACME server that issued the certificate of Debian's certbot, or
# of the one in the venv CERTBOT, and how it is renewed.
show_acme_server() {
    local own="${1-}"
    own=${own##*/}
    sed -n 's/^\(server\|authenticator\) = /\1=/p' "/etc/${own:-letsencrypt}/renewal/$instance-fab.conf" 2>/dev/null || true
}

# show_certbot VENV: print NAME-VERSION of each distribution in a venv with certbot that runs.
show_certbot() {
    local own former
    [ -x "$1/bin/python" ] && [ -x "$1/bin/certbot" ] || return 0
    find_python "$1"
    [ -n "$former" ] || distributions "$1" "$own"
}

# show_served NAME PORT: print the certificate that Nginx serves to a client that tells it this name,
# or none, in base64.
show_served() {
    local port="$2"
    if [ -n "$1" ]; then set -- -servername "$1"; else set -- -noservername; fi
    openssl s_client -connect "127.0.0.1:$port" "$@" </dev/null 2>/dev/null \
        | openssl x509 2>/dev/null | base64 -w0
}

# show_welcome LINK: print `welcome` if it leads to the unchanged welcome page of Debian's Nginx.
show_welcome() {
    local page sum
    page=/etc/nginx/sites-available/default
    if [ ! -e /etc/nginx/nginx.conf ]; then
        echo fresh # Nginx is not installed yet, nor is the page
    elif [ "$(readlink -- "$1")" != "$page" ] || [ "$(ls /var/www/html)" != index.nginx-debian.html ]; then
        echo other
    else
        sum=$(md5sum <"$page")
        case $(dpkg-query -W -f '${Conffiles}' nginx-common 2>/dev/null) in
            *"$page ${sum%% *}"*) echo welcome ;;
            *) echo other ;;
        esac
    fi
}

# show_including PATTERN NAME: print whether a site includes PATTERN, which files have a server NAME
# (both are regular expressions), and whether a file is unreadable.
show_including() {
    local file
    ! in_sites -q "^[^#]*include[[:space:]]+[\"']?$1[\"']?[[:space:]]*;" || echo includes
    in_sites -l "^[^#]*server_name[[:space:]]([^;#]*[[:space:]])?$2[[:space:];]" | while read -r file; do
        printf 'names %s\n' "$(readlink -f -- "$file")"
    done
    [ -z "$(find -L /etc/nginx/nginx.conf /etc/nginx/conf.d /etc/nginx/sites-enabled -type f ! -readable \
        2>/dev/null)" ] || echo unreadable
}

# in_sites OPTION EXPRESSION: run grep on the files that Nginx may read, except ours.
in_sites() {
    grep -RisE "$1" --exclude-dir=sites-available --exclude-dir=modules-available --exclude-dir='jupyterlab*' \
        -e "$2" -- /etc/nginx
}

# ask_dpkg NAME...: ask dpkg for the status and version of all of them at once, for show_packages.
# Sets `packages`.
ask_dpkg() {
    packages=$(dpkg-query -W -f '${Package}|${db:Status-Status}|${Version}\n' -- "$@" 2>/dev/null)
}

# show_packages NAME...: print status and version of these, or of all that ask_dpkg asked for.
show_packages() {
    [ -n "${packages+asked}" ] || ask_dpkg "$@"
    printf '%s\n' "$packages"
}

# show_venv DIR: print what the last run recorded in it, in base64, and every distribution in it. If
# another Python made it, print which instead.
show_venv() {
    local own='' former=''
    find_python "$1"
    [ -n "$former" ] || [ -x "$1/bin/python" ] || { echo absent; return; }
    if [ -f "$1/.converged" ]; then
        head -c "$largest" -- "$1/.converged" 2>/dev/null | base64 -w0
        echo
    else
        echo Zm9yZWlnbgo= # foreign
    fi
    if [ -n "$former" ]; then
        one_line "former $former"
    else
        distributions "$1" "$own"
    fi
}

# find_python DIR: set `own` to the name of a venv's Python, such as python3.13, which its folder in
# lib has, too, and `former` to the one that made the venv, if that is gone: after an upgrade of
# Debian a venv runs the new Python, which does not read the packages of the old one.
find_python() {
    local info
    own=$(readlink -f -- "$1/bin/python") former=''
    own=${own##*/}
    case $own in
        python3.[0-9]* | pypy3.[0-9]*) ;;
        *) for info in "$1"/lib/py*3*; do own=${info##*/}; done ;; # its program has another name
    esac
    if [ -x "$1/bin/python" ]; then
        for info in "$1/lib/$own/site-packages"/*.dist-info; do
            [ ! -e "$info" ] || return 0
        done
    fi
    for info in "$1"/lib/py*3*/site-packages/*.dist-info; do
        [ -e "$info" ] || continue
        former=${info%/site-packages/*}
        former=${former##*/}
    done
}

# by_hand DIR DEPENDENCIES.PY: print `root NAME` for each package of a venv's former Python that was
# installed by name, also those that an interrupted run noted; `elsewhere NAME` for one of no index.
by_hand() {
    local own former
    [ ! -f "$1/.converged" ] || sed -n '1{/^filling$/!q};s/^+/root /p' "$1/.converged"
    find_python "$1"
    [ -z "$former" ] || python3 -I "$2" roots "$1/lib/$former/site-packages"
}

# distributions DIR [PYTHON]: print NAME-VERSION of each distribution that a venv's Python finds in
# it, if it has that form.
distributions() {
    local info own="${2:-}" former
    [ -n "$own" ] || find_python "$1"
    for info in "$1/lib/$own/site-packages"/*.dist-info; do
        info=${info##*/}
        info=${info%.dist-info}
        case $info in *[!A-Za-z0-9._+!-]*) ;; *) printf '%s\n' "$info" ;; esac
    done
}

# pages_of VENV: print when files were last added to or removed from each folder of its pages.
pages_of() {
    (cd -- "$1" 2>/dev/null && stat -L -c '%n %.9Y' -- share/jupyter/lab/static \
        share/jupyter/labextensions/*/static share/jupyter/labextensions/@*/*/static \
        lib/python3*/site-packages/notebook/static 2>/dev/null)
}

# show_assets FOLDER VENV: print `fresh` if Nginx has the pages of this venv as it is now.
show_assets() {
    local now
    now=$(pages_of "$2")
    [ -d "$1/assets" ] && [ -n "$now" ] && [ "$(cat -- "$1/filled" 2>/dev/null)" = "$now" ] \
        && echo fresh || echo stale
}

# venv_state VENV: print a checksum of its distributions, and when fab last changed it.
venv_state() {
    distributions "$1" | cksum
    stat -L -c %.9Y -- "$1/.converged" 2>/dev/null
}

# show_venv_copy STAMP VENV: print `fresh` if the copy with this STAMP is of the venv as it is now.
show_venv_copy() {
    [ -f "$1" ] && [ "$(cat -- "$1" 2>/dev/null)" = "$(venv_state "$2")" ] && echo fresh || echo stale
}

# show_interpreter PATH: print whether a program is there.
show_interpreter() {
    [ -f "$1" ] && [ -x "$1" ] && echo there || echo absent
}

# show_ipykernel VENV: print whether this is a venv in which kernels can run.
show_ipykernel() {
    local own former
    [ -x "$1/bin/python" ] || { echo absent; return; }
    find_python "$1"
    [ -z "$former" ] || { echo former; return; }
    [ ! -d "$1/lib/$own/site-packages/ipykernel" ] || { echo there; return; }
    [ -f "$1/pyvenv.cfg" ] || { echo lacking; return; }
    case $(head -c 65536 -- "$1/pyvenv.cfg" 2>/dev/null) in
        *'include-system-site-packages = true'*)
            [ ! -d /usr/lib/python3/dist-packages/ipykernel ] || { echo there; return; } ;;
    esac
    echo lacking
}

# show_kernels SPECS VENVS: print the kernelspecs that fab wrote, each as its folder and the name in
# it, and the venvs that fab created.
show_kernels() {
    local spec name record
    for spec in "$1"/*/kernel.json; do
        name=${spec%/kernel.json}
        name=${name##*/}
        case $name in *[!a-z0-9_-]*) continue ;; esac
        [ ! -f "$spec" ] || head -c "$largest" -- "$spec" 2>/dev/null \
            | sed -n 's,^ *"jupyterlab_fab": "\([a-z0-9_-]*\)".*,spec '"$name"' \1,p'
    done
    for record in "$2"/*/.converged; do
        name=${record%/.converged}
        name=${name##*/}
        case $name in *[!a-z0-9_-]*) ;; *) printf 'venv %s\n' "$name" ;; esac
    done
}

# show_service UNIT PATH...: print its state and start, and when each of its files was written.
show_service() {
    local above below
    case ${units:-} in *"${nl}Id=$1$nl"*) ;; *) ask_systemd "$1" ;; esac
    above=${units%%"${nl}Id=$1$nl"*} below=${units#*"${nl}Id=$1$nl"}
    printf '%s\n' "${above##*"$nl$nl"}" "${below%%"$nl$nl"*}"
    shift
    QUOTING_STYLE=escape stat -L -c 'written=%.6Y %N' -- "$@" 2>/dev/null || true
}

# other_configuration: print the files, besides ours, in which JupyterLab looks for settings.
other_configuration() {
    local folder name kind file
    for folder in "$home/.jupyter" ${venv:+"$venv/etc/jupyter"} /usr/local/etc/jupyter /etc/jupyter; do
        for name in config server_config lab_config notebook_config; do
            for kind in py json; do
                file=$folder/jupyter_$name.$kind
                case $file in
                    "$home"/.jupyter/jupyter_lab_config.py | "$home"/.jupyter/jupyter_server_config.json) ;;
                    *) [ ! -f "$file" ] || printf '%s\n' "$file" ;;
                esac
            done
        done
    done
}

# journal_of UNIT [OPTION...]: print the journal of UNIT. `journalctl -u` leaves out why a program
# cannot be started, if that process was gone before the journal asked for its unit.
journal_of() {
    local unit="$1"
    case $unit in *.*) ;; *) unit=$unit.service ;; esac
    shift
    journalctl -q --no-pager "$@" "_SYSTEMD_UNIT=$unit" + _UID=0 "UNIT=$unit" 2>/dev/null
}

# show_calendar EXPRESSION: print whether systemd accepts it as a time.
show_calendar() {
    systemd-analyze calendar -- "$1" >/dev/null 2>&1 && echo fits || echo refused
}

# show_listener PORT: print `taken` if something listens there.
show_listener() {
    awk -v port="$(printf ':%04X$' "$1")" '$2 ~ port && $4 == "0A" { print "taken"; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# show_disk FOLDER: print free bytes, all bytes and mount point of its disk, or of the home's.
show_disk() {
    local folder
    for folder in "$1" "$home"; do
        [ -e "$folder" ] || continue
        df -B1 --output=avail,size,target -- "$folder" 2>/dev/null | sed -n 2p
        return
    done
}

# show_live ARGUMENT... <status.py: print how JupyterLab runs; nothing without Python.
show_live() {
    ! command -v python3 >/dev/null || HOME=$home PYTHONDONTWRITEBYTECODE=1 python3 -IB - "$@" 2>/dev/null || true
}

# would_install RECOMMENDS NAME...: print `package version` of all that apt would install; nothing
# without an index.
would_install() {
    local recommends="$1"
    shift
    apt-get -s -o Debug::NoLocking=1 -o Dir::Log::Planner=/dev/null \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Install-Recommends="$recommends" install -- "$@" 2>/dev/null \
        | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\).*/\1 \2/p'
}

# would_fill VENV INSTALLER HOW FLOORS REQUIREMENT... <install.py: print the same for a venv; HOW is
# `see` or `newer`.
would_fill() {
    [ -x "$1/bin/python" ] || { echo '(the newest compatible versions, known once Python is installed)'; return; }
    HOME=$home PYTHONDONTWRITEBYTECODE=1 python3 -IB - "$@" 2>/dev/null \
        || echo '(unknown: the versions conflict, or the package index does not answer)'
}

# show_python: print the version of Debian's Python; nothing without one.
show_python() {
    /usr/bin/python3 -Ic 'import platform; print(platform.python_version())' 2>/dev/null || true
}

# show_seat HOST VENV: print what this host offers a cluster: memory, processors, its address on the
# way to HOST, and the Python of VENV, or else Debian's.
show_seat() {
    local there route python memory
    there=$(getent ahosts -- "$1" 2>/dev/null | head -n 1)
    route=$(ip -o route get "${there%% *}" 2>/dev/null)
    case $route in *' src '*) route=${route#* src } ;; *) route= ;; esac
    python=$("$2/bin/python" -Ic 'import platform; print(platform.python_version())' 2>/dev/null || show_python)
    memory=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
    printf '%s\n' "name=$(uname -n)" "machine=$(cat /etc/machine-id 2>/dev/null)" "processors=$(nproc)" \
        "memory=$((memory / 1024))" "python=$(one_line "$python")" "address=${route%% *}"
}
