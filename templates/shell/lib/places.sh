# Which user could redirect a path, by a folder or a link. Sent with all that runs as root.

# walk PATH [through]: look at each folder on the way to PATH. Follow links that root owns; one at
# the end only with `through`. Set
#   way_hand     the user who could redirect PATH: the owner of the first folder or link that is not
#                root's, else root
#   way_planted  that folder or link, if its owner could choose its place
#   way_shared   a folder that root owns and in which others may write, too
#   way_true     PATH without root's links
#   way_gone     the part of PATH that does not exist; `last` for the last name alone
walk() {
    local rest name about uid mode kind open turns target
    way_hand=root way_shared='' way_planted='' way_true='' way_gone='' open='' turns=40
    rest=${1#/}
    while [ -n "$rest" ]; do
        name=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
        case $name in
            '' | .) continue ;;
            ..) way_true=${way_true%/*} open=''; continue ;;
        esac
        if ! about=$(stat -c '%u %a %F' -- "$way_true/$name" 2>/dev/null); then
            way_shared=${way_shared:-${open:+$way_true}}
            way_true=$way_true/$name${rest:+/$rest} way_gone=${rest:-last}
            return 0
        fi
        uid=${about%% *} kind=${about#* * } mode=${about#* }
        mode=${mode%% *}
        [ "$open" != wide ] || way_shared=${way_shared:-$way_true}
        if [ -n "$rest" ] || { [ "$kind" = 'symbolic link' ] && [ "${2:-}" = through ]; }; then
            if [ "$uid" != 0 ]; then
                way_hand=$(stat -c %U -- "$way_true/$name") || return 1
                [ "$way_hand" != UNKNOWN ] || way_hand=$uid
                [ "$kind" != 'symbolic link' ] && [ -z "$open" ] || way_planted=$way_true/$name
                way_true=$way_true/$name${rest:+/$rest}
                return 0
            elif [ "$kind" = 'symbolic link' ]; then
                turns=$((turns - 1))
                [ "$turns" -gt 0 ] || return 1
                target=$(readlink -- "$way_true/$name") || return 1
                rest=${target#/}${rest:+/$rest}
                case $target in /*) way_true='' open='' ;; esac
                continue
            fi
        fi
        case $mode in
            [1357]?[2367]? | [1357]??[2367]) open=sticky ;; # others cannot replace what root owns there
            *[2367]? | *[2367]) open=wide ;;
            *) open='' ;;
        esac
        way_true=$way_true/$name
    done
}

# whose PATH: print the user who must read, write and remove PATH, so that no link leads root
# astray. If root owns the folder but others may write there, that is the user, whom a link can give
# no more than they may open anyway. Prints nothing if a folder on the way is missing.
whose() {
    walk "$1" || return
    [ -z "$way_shared" ] || [ "$way_hand" != root ] || way_hand=${account:-nobody}
    case $way_gone in '' | last) echo "$way_hand" ;; esac
}

# refuse_planted PATH OWNER: fail if somebody else placed a folder or link on the way to PATH: they
# could make OWNER run their programs.
refuse_planted() {
    walk "$1" through || return
    if [ -n "$way_planted" ] && [ "$way_hand" != "$2" ]; then
        echo "$way_planted belongs to $way_hand, who could put programs there that $2 runs: remove it, or choose" \
            "another lab.project"
        return 1
    fi
}

# only_roots PATH: check whether root alone can redirect PATH, which need not exist; print why not.
only_roots() {
    walk "$1" || return
    if [ "$way_hand" != root ]; then
        echo "$1: a folder above it belongs to $way_hand, and root creates nothing there: create it by hand"
    elif [ -n "$way_shared" ]; then
        echo "$1: others may write in $way_shared, and root creates nothing there: create it by hand"
    else
        return 0
    fi
    return 1
}

# plain TEXT: check that it is one line without control characters, as root's lists require.
plain() {
    case $1 in
        *[[:cntrl:]]*)
            printf 'refused: the name %s has a line break or control character: rename it\n' \
                "$(printf '%s' "$1" | tr -c '[:print:]' '?')"
            return 1 ;;
    esac
}
