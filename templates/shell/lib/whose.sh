# The account and its home from the user database, as $HOME may differ.
me=$(id -u)
entry=$(getent passwd "${account:-$me}")
account=${entry%%:*} home=${entry%:*}
home=${home##*:}
