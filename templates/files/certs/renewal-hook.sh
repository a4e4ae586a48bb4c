#!/bin/sh
# Written by `fab tls`; certbot runs it with each new certificate: hand it to Nginx, whole.
# RENEWED_LINEAGE is certbot's folder of it, RENEWED_DOMAINS its names. Whose it is, is in its own name.
set -eu
umask 077
domain=${RENEWED_DOMAINS%% *} instance=${0##*/}
place=/etc/nginx/${instance%-certificate}/$domain.acme

# exchange ENDING FILE MODE: put the new one in its place.
exchange() {
    cp -L -- "$RENEWED_LINEAGE/$2" "$place.$1.new"
    chmod "$3" "$place.$1.new"
    mv -f -- "$place.$1.new" "$place.$1"
}

# What Nginx accepts is never lost: the former stay until it accepts these, also those of a run that
# was killed. Meanwhile the certificate is for root alone: who reads it sees that this was cut off.
if [ ! -e "$place.pem.former" ] && [ -e "$place.pem" ]; then
    cp -p -- "$place.key" "$place.key.former"
    cp -p -- "$place.pem" "$place.pem.former"
fi
[ ! -e "$place.pem" ] || chmod 0600 "$place.pem"
sound=yes
nginx -t -q || sound=no # for another reason: these are for when it is mended
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
