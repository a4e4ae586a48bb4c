# Whose hand could be in the way to a path. Sent with all that runs as root.

# walk PATH [through]: look at each folder on the way, links of root's followed, the last name left as it
# is, unless it is to go `through` a link of root's there. Sets way_hand to who could put something else
# in the way: the owner of the first folder or link that is not root's, else root; way_planted to that one,
# where they could choose its place; way_shared to a folder of root's in which others may write, too; way_true to the path without those links; way_gone to what is
# missing of it.
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
            [1357]?[2367]? | [1357]??[2367]) open=sticky ;; # another's cannot be put in place of root's
            *[2367]? | *[2367]) open=wide ;;
            *) open='' ;;
        esac
        way_true=$way_true/$name
    done
}

# whose PATH: who reads, writes and removes what is there, so that no link leads root anywhere. In a folder
# of root's where others may write that is the user, for whom nobody opens more than they may open anyway.
# Nothing when a folder on the way is missing, and the path with it.
whose() {
    walk "$1" || return
    [ -z "$way_shared" ] || [ "$way_hand" != root ] || way_hand=${account:-nobody}
    case $way_gone in '' | last) echo "$way_hand" ;; esac
}

# refuse_planted PATH OWNER: unless no link or folder on the way to it was put there by somebody else, who
# could have OWNER run their programs.
refuse_planted() {
    walk "$1" through || return
    if [ -n "$way_planted" ] && [ "$way_hand" != "$2" ]; then
        echo "$way_planted is $way_hand's, who could put programs there that $2 runs: remove it, or choose" \
            "another lab.project"
        return 1
    fi
}

# only_roots PATH: whether nobody but root could put anything in its way, there or still to be made.
only_roots() {
    walk "$1" || return
    if [ "$way_hand" != root ]; then
        echo "$1: a folder above it belongs to $way_hand, where root makes nothing: make it by hand"
    elif [ -n "$way_shared" ]; then
        echo "$1: others may write in $way_shared, where root makes nothing: make it by hand"
    else
        return 0
    fi
    return 1
}

# plain TEXT: whether it is one line without control characters, as each entry of a list of root's is.
plain() {
    case $1 in
        *[[:cntrl:]]*)
            printf 'refused: %s has a line end or a control character in its name: rename it\n' \
                "$(printf '%s' "$1" | tr -c '[:print:]' '?')"
            return 1 ;;
    esac
}
