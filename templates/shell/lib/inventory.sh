# Print what an uninstall must consider, a fact a line, its kind first. Needs no sudo.

# show_inventory: print the ledger; which of its paths exist; the other JupyterLabs on this server;
# what else uses Nginx, certbot and fail2ban; and what each package depends on.
show_inventory() {
    local mine="/var/lib/$instance-fab" other path site file
    [ ! -d "$mine" ] || echo ledger
    sed 's/^/made /' "$mine/made" 2>/dev/null
    sed -n 's/^\(.*\) installed$/present \1/p' "$mine/present" 2>/dev/null
    for other in /var/lib/jupyterlab*-fab; do
        [ ! -e "$other/made" ] || [ "$other" = "$mine" ] || { other=${other##*/}; echo "other ${other%-fab}"; }
    done
    sed -n 's/^\(path\|tree\|replaced\) //p' "$mine/made" 2>/dev/null | while read -r path; do
        [ ! -e "$path" ] && [ ! -L "$path" ] || echo "there $path"
    done
    for site in /etc/nginx/sites-enabled/*; do
        [ ! -e "$site" ] || [ "$(readlink -f -- "$site")" = "/etc/nginx/sites-available/$instance" ] \
            || echo "uses nginx $site"
    done
    grep -lE '^[[:space:]]*server[[:space:]]*\{' /etc/nginx/conf.d/*.conf 2>/dev/null | sed 's/^/uses nginx /'
    for file in /etc/letsencrypt/renewal/*.conf; do
        [ ! -e "$file" ] || [ "${file##*/}" = "$instance-fab.conf" ] || echo "uses certbot $file"
    done
    for file in /etc/fail2ban/jail.local /etc/fail2ban/jail.d/*; do
        case ${file##*/} in
            "$instance.conf" | sshd-journal.conf | defaults-debian.conf) ;;
            *) [ ! -e "$file" ] || echo "uses fail2ban $file" ;;
        esac
    done
    dpkg-query -W -f 'package ${Package}\t${db:Status-Status}\t${Pre-Depends}, ${Depends}\t${Recommends}\t${Provides}\n'
}

# show_work PROJECT: count the files in a project's folder that fab did not create.
show_work() {
    of_theirs 60 find "$1" \( -path "$1/venv" -o -path "$1/.venvs" -o -path "$1/.kernels" -o -name .ipynb_checkpoints \) \
        -prune -o -type f -printf . | wc -c | sed 's/^/work /'
}

# of_theirs SECONDS COMMAND...: print what COMMAND prints. Root runs it as the user, whose files may
# be pipes, or endless.
of_theirs() {
    local longest="$1"
    shift
    if [ "$me" = 0 ]; then
        hear "$account" "$@" </dev/null
    else
        (cd / && timeout "$longest" "$@" 2>/dev/null </dev/null)
    fi
}
