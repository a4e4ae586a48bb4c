#!/bin/sh
# Written by `fab tls`; certbot runs it with each new certificate, to give it to Nginx, whole.
# RENEWED_LINEAGE is the certificate's folder, RENEWED_DOMAINS its names. The name of this file
# tells the instance.
set -eu
umask 077
domain=${RENEWED_DOMAINS%% *} instance=${0##*/}
place=/etc/nginx/${instance%-certificate}/$(printf '%.200s' "$domain" | tr : -).acme # a file name has 255 characters

# exchange ENDING FILE MODE: put the new FILE in the place of the former one.
exchange() {
    cp -L -- "$RENEWED_LINEAGE/$2" "$place.$1.new"
    chmod "$3" "$place.$1.new"
    mv -f -- "$place.$1.new" "$place.$1"
}

# The former files stay until Nginx accepts the new ones, also if this is killed and runs again.
# Meanwhile the certificate has mode 0600, which tells `fab` that this was interrupted.
if [ ! -e "$place.pem.former" ] && [ -e "$place.pem" ]; then
    cp -p -- "$place.key" "$place.key.former"
    cp -p -- "$place.pem" "$place.pem.former"
fi
[ ! -e "$place.pem" ] || chmod 0600 "$place.pem"
sound=yes
nginx -t -q || sound=no # broken before: keep the new files, for when that is fixed
exchange key privkey.pem 0600
exchange pem fullchain.pem 0644
if nginx -t -q; then
    rm -f -- "$place.key.former" "$place.pem.former"
    exec systemctl reload nginx
fi
if [ "$sound" = yes ]; then
    for ending in key pem; do
        [ ! -e "$place.$ending.former" ] || mv -f -- "$place.$ending.former" "$place.$ending"
    done
fi
rm -f -- "$place.key.former" "$place.pem.former"
exit 1
