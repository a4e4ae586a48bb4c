# Debian packages, and Python packages in a venv. Part of apply.sh.

welcome=/etc/nginx/sites-enabled/default

# apt_now ARG...: run apt-get without questions. From version 3.0 on it resolves the mirror's name
# for each package again, which without a network would take 10 s each.
apt_now() {
    RES_OPTIONS='timeout:2 attempts:1' apt-get -q -y -o DPkg::Lock::Timeout="$lock_wait" -o DPkg::Pre-Invoke::="touch $run/dpkg" \
        -o DPkg::Pre-Install-Pkgs::="sh $run/own/packages $made" \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 \
        -o APT::Install-Recommends="$recommends" "$@"
}

# damaged: print the packages of which dpkg has perhaps only a part: it does not configure them before
# they are installed again, and apt does not do that by itself.
damaged() {
    dpkg-query -W -f='${db:Status-Eflag} ${binary:Package}\n' | sed -n 's/^reinstreq //p'
}

# create_user USER: create an account with root's SSH keys and with sudo, which asks for no password,
# as there is none. The account comes last, and whole: an interrupted run leaves no half of it.
create_user() {
    local user="$1" skeleton="$run/skeleton"
    if [ -e "/home/$user" ]; then
        echo "/home/$user is there, without its user: move it away first"
        return 1
    fi
    cp -a /etc/skel "$skeleton"
    if [ -s /root/.ssh/authorized_keys ]; then
        install -d -m 0700 "$skeleton/.ssh"
        install -m 0600 /root/.ssh/authorized_keys "$skeleton/.ssh/authorized_keys"
    else
        note "root has no SSH keys: $user cannot log in before somebody adds one"
    fi
    if [ ! -x /usr/bin/sudo ]; then # not by apt_get: an uninstall would take it away
        apt-get -q update || true # of several sources one may be gone
        apt-get -q -y -o DPkg::Lock::Timeout="$lock_wait" --no-install-recommends install sudo
    fi
    echo "\"$user\" ALL=(ALL:ALL) NOPASSWD: ALL" >"$run/sudoers" # in quotes it is no alias
    visudo -cqf "$run/sudoers"
    install -m 0440 "$run/sudoers" "/etc/sudoers.d/90-$(echo "$user" | tr . _)" # sudo skips names with a dot
    useradd --create-home -K HOME_MODE=0700 --skel "$skeleton" --shell /bin/bash -- "$user"
}

# apt_get ARG...: run apt-get; wait while another program holds its locks, and first complete what a
# run left unfinished that was interrupted or had no disk space.
apt_get() {
    local deadline repaired=''
    deadline=$(($(date +%s) + lock_wait))
    until apt_now "$@" 2>"$run/own/apt.err"; do
        cat -- "$run/own/apt.err" >&2
        # the operator sees the last lines, and the consequences of an error may fill them
        sed -n '/^dpkg: \(error\|unrecoverable\)/{N;/dependency problems/!{p;q}}' "$run/own/apt.err" >&2
        case $repaired:$(cat -- "$run/own/apt.err") in
            *'Could not get lock'*)
                [ "$(date +%s)" -lt "$deadline" ] || return 1
                sleep 1 ;;
            :*'dpkg was interrupted'*)
                note 'dpkg was interrupted: this run completes its work'
                repaired=half
                dpkg --force-confdef --force-confold --configure -a || true ;;
            whole:*) return 1 ;;
            *--fix-broken* | *'dpkg returned an error'* | *'to be reinstalled'*)
                [ -n "$(damaged)" ] || grep -q -e --fix-broken "$run/own/apt.err" || return 1
                note 'some packages lack dependencies or files: this run installs them'
                repaired=whole
                apt_now --no-remove --fix-broken install || true
                # shellcheck disable=SC2046 # a word for each package
                apt_now --no-remove --reinstall install -- $(damaged) || true ;;
            *) return 1 ;;
        esac
    done
}

# install_packages RECOMMENDS NAME...: install in one transaction, with an index at most a day old.
install_packages() {
    local recommends="$1"
    shift
    rm -f -- "$run/dpkg"
    write_packages_hook "$run/own/packages"
    remember_index
    intend path /var/www/html/index.nginx-debian.html # which remains when Nginx is purged
    can_ipv6 || hold_welcome "$@"
    if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -mmin -1440 -print -quit 2>/dev/null)" ]; then
        update_index || return 1
    fi
    install_all "$@" || {
        # with no network it would fail again; and the index may name versions that the mirror no longer has
        ! grep -q 'Temporary failure resolving' "$run/own/apt.err" && update_index && install_all "$@"
    } || {
        unusable_sources | sed "s/^/$(sed -n '/^E: /{s///;s/[&\\/]/\\&/g;p;q}' "$run/own/apt.err"); /"
        return 1
    }
    if is_placeholder "$welcome"; then rm -f -- "$welcome"; fi
}

# install_all NAME...: install these, also where a package of somebody else cannot be configured.
install_all() {
    apt_get install -- "$@" || despite_others "$@"
}

# hold_welcome NAME...: keep Debian's welcome page out of Nginx on a host without IPv6: the page
# listens there, so Nginx would not start, and its package could not be configured. Where a file is
# already, the package enables no page.
hold_welcome() {
    case $(show_welcome "$welcome"):" $* " in
        welcome:*) put_absent "$welcome" ;;
        fresh:*' nginx '*) ;;
        *) return 0 ;;
    esac
    ours "$welcome" || intend path "$welcome"
    mkdir -p -- "${welcome%/*}"
    : >"$welcome"
}

# is_placeholder PATH: check whether a file is empty, such as that of hold_welcome.
is_placeholder() {
    [ -f "$1" ] && [ ! -L "$1" ] && [ ! -s "$1" ]
}

# despite_others NAME...: check whether these are installed, though apt failed; then a package that
# nobody asked for cannot be configured, which is noted. First configure those that apt left when it
# stopped at that one.
despite_others() {
    local others
    grep -q 'dpkg returned an error' "$run/own/apt.err" || return 1
    all_installed "$@" || {
        dpkg --force-confdef --force-confold --configure -a || true
        all_installed "$@"
    } || return 1
    others=$(dpkg-query -W -f='${db:Status-Status} ${binary:Package}\n' \
        | sed -n 's/^\(half-configured\|half-installed\|unpacked\) / /p' | tr -d '\n')
    [ -z "$others" ] || note "dpkg cannot configure$others, which JupyterLab does not need: on the server, sudo dpkg --configure -a"
}

# all_installed NAME...: check whether dpkg has installed and configured all of them.
all_installed() {
    local name there
    there=$nl$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' -- "$@" 2>/dev/null)$nl
    for name; do
        case $there in *"$nl$name installed$nl"*) ;; *) return 1 ;; esac
    done
}

# update_index: get the lists of packages. A source that gives none is noted, with its file: the
# others may suffice.
update_index() {
    local line
    apt_get update || ! grep -q 'Could not get lock' "$run/own/apt.err" || return 1
    [ ! -e "$run/own/update.err" ] || return 0
    cp -- "$run/own/apt.err" "$run/own/update.err"
    unusable_sources | while read -r line; do note "$line"; done
}

# unusable_sources: print each source that apt could not use, with its file, and what apt said of it.
unusable_sources() {
    local line uri file told=' '
    cat -- "$run/own/update.err" "$run/own/apt.err" 2>/dev/null | grep '^[EW]: ' | while read -r line; do
        uri=${line%%:/*}
        uri=${uri##*[!a-z+]}:/${line#*:/}
        uri=${uri%%[ \']*}
        uri=${uri%%/dists/*}
        case $line in *"'cdrom:"*) uri=cdrom: ;; *:/*) ;; *) continue ;; esac
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
            case $told in *" $uri "*) continue ;; esac
            [ -f "$file" ] || continue
            sed 's/#.*//' "$file" | grep -qF -e "${uri%/}" || continue
            printf 'apt cannot use %s in %s: %s\n' "$uri" "$file" "${line#?: }"
            told="$told$uri "
        done
    done
}

# remember_venv VENV HOME: record the venv, its installers' caches, and the files that JupyterLab and
# its kernels write by themselves; not those that a person writes or chooses, such as settings.
remember_venv() {
    local own
    intend tree "$1"
    for own in .cache/jupyterlab .cache/uv .cache/pip .local/share/jupyter/runtime .jupyter/lab/workspaces; do
        intend tree "$2/$own"
    done
    for own in .jupyter/migrated .jupyter/jupyter_server_config.json .jupyter/cookie_secret \
        .local/share/jupyter/nbsignatures.db .local/share/jupyter/notebook_secret \
        .ipython/profile_default/startup/README .ipython/profile_default/history.sqlite \
        .ipython/profile_default/history.sqlite-journal; do
        intend path "$2/$own"
    done
    for own in db log pid security; do
        intend tree "$2/.ipython/profile_default/$own"
    done
}

# fill_venv DIR USER HOME PYTHON REPAIR INSTALLER MINIMUMS RECORD REQUIREMENT...: create the venv if
# needed, and install into it. .converged says how far the last run came: a venv that was never
# finished is created again; one that a failed installer did not change keeps its record. With
# REPAIR `anew` it is created again; with `moved`, too, with the packages installed by hand.
fill_venv() {
    local venv="$1" account="$2" home="$3" python="$4" repair="$5" installer="$6" minimums="$7" record="$8" \
        former now again=''
    shift 8
    refuse_planted "$venv" "$account"
    remember_venv "$venv" "$home"
    if [ "$repair" = moved ]; then
        again=$(looked "$account" by_hand "$venv" "$run/dependencies.py")
    fi
    if [ "$repair" = anew ] || [ "$repair" = moved ]; then
        slowly as_user "$account" "$home" sh -c '
            [ ! -L "$1" ] || rm -f -- "$1"
            mkdir -p -- "$1"
            printf "filling\n%s" "$2" >"$1/.converged"
            find "$1" -mindepth 1 -maxdepth 1 ! -name .converged -exec rm -rf -- {} +' \
            sh "$venv" "$(printf '%s\n' "$again" | sed -n 's/^root /+/p')"
    elif [ ! -x "$venv/bin/python" ]; then
        as_user "$account" "$home" sh -c 'mkdir -p -- "$1" && echo filling >"$1/.converged"' sh "$venv"
    fi
    if [ -x "$venv/bin/python" ]; then
        as_user "$account" "$home" sh -c '
            cp -f -- "$1" "$1.former" 2>/dev/null || : >"$1.former"
            echo changing >"$1"' sh "$venv/.converged"
    else
        slowly as_user "$account" "$home" "$python" -m venv --without-pip -- "$venv"
    fi
    former=$(looked "$account" distributions "$venv")
    if ! slowly as_user "$account" "$home" python3 -I "$run/install.py" \
            "$venv" "$installer" "$repair" "$minimums" "$@"; then
        if [ -n "$former" ] && [ "$former" = "$(looked "$account" distributions "$venv")" ] \
            && as_user "$account" "$home" mv -f -- "$venv/.converged.former" "$venv/.converged"; then
            return 3
        fi
        return 1
    fi
    fill_again "$again" "$@"
    now=$(looked "$account" distributions "$venv")
    [ -n "$now" ] || { echo "$venv has no packages that $account may read"; return 1; }
    { printf '%s\n' "$record"; printf '%s\n' "$now" | sed 's/^/+/; s/-[^-]*$//'; } >"$run/own/record"
    as_user "$account" "$home" sh -c 'cat >"$1.new" && mv -f "$1.new" "$1" && rm -f "$1.former"' \
        sh "$venv/.converged" <"$run/own/record"
}

# fill_again NAMED REQUIREMENT...: install what by_hand printed beside REQUIREMENTs, all at once, else
# one by one: what does not fit this Python is left out. Uses the variables of fill_venv.
fill_again() {
    local again="$1" name names missing
    shift
    names=$(printf '%s\n' "$again" | sed -n 's/^root \([A-Za-z0-9][A-Za-z0-9._-]*\)$/\1/p')
    missing=$(printf '%s\n' "$again" | sed -n 's/^elsewhere \([A-Za-z0-9][A-Za-z0-9._-]*\)$/ \1/p' | tr -d '\n')
    [ -z "$missing" ] || note "from no package index, install again by hand:$missing"
    [ -n "$names" ] || return 0
    missing=
    # shellcheck disable=SC2086 # a word for each name
    slowly as_user "$account" "$home" python3 -I "$run/install.py" "$venv" "$installer" no "$minimums" "$@" $names \
        || for name in $names; do
            slowly as_user "$account" "$home" python3 -I "$run/install.py" \
                "$venv" "$installer" no "$minimums" "$@" "$name" || missing="$missing $name"
        done
    [ -z "$missing" ] || note "was installed by hand, but cannot be with this Python:$missing"
}

# fill_assets FOLDER VENV PREVIOUS USER HOME: compress the pages of VENV into FOLDER/assets, as
# USER, for Nginx to read; those of PREVIOUS stay.
fill_assets() {
    local assets="$1/assets" stamp="$1/filled" now
    now=$(looked "$4" pages_of "$2")
    if [ -z "$now" ]; then
        echo "$2 has no pages of JupyterLab that $4 may read"
        return 1
    fi
    intend tree "$assets"
    intend path "$stamp"
    rm -f -- "$stamp"
    if [ -L "$assets" ] || [ "$(stat -c %U -- "$assets" 2>/dev/null)" != "$4" ]; then
        rm -rf -- "$assets" # a former user's, or no folder
        mkdir -p -- "$1"
        install -d -o "$4" -g www-data -m 0750 -- "$assets"
    fi
    local longest=600
    as_user "$4" "$5" python3 -I "$run/compress_assets.py" "$assets" "$2" "$3"
    printf '%s\n' "$now" >"$stamp"
}

# drop_packages VENV USER HOME LIST TEXT NAME...: uninstall, unless a package that stays needs one
# of them; then write TEXT to LIST, the user's file of added packages.
drop_packages() {
    local venv="$1" account="$2" home="$3" list="$4" text="$5"
    shift 5
    drop_packages_alone "$venv" "$account" "$home" "$@"
    printf '%s\n' "$text" | put_file "$list" "$account" "$(id -gn -- "$account")" 0600
}

# drop_packages_alone VENV USER HOME NAME...: uninstall, unless a package that stays needs one.
drop_packages_alone() {
    local venv="$1" account="$2" home="$3"
    shift 3
    slowly as_user "$account" "$home" "$venv/bin/python" "$run/dependencies.py" remove "$@"
}

# drop_kernels USER FOLDER...: remove kernelspecs and venvs. The hidden file that marks a venv as
# ours goes last, so that the next run recognizes what an interrupted run left.
drop_kernels() {
    local account="$1" folder
    shift
    for folder; do
        slowly owner_does "$account" sh -c 'rm -rf -- "$1"/[!.]* && rm -rf -- "$1"' sh "$folder"
    done
}
