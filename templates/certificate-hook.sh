#!/bin/sh
# Written by `fab tls`; certbot runs it with each new certificate: hand it to Nginx, whole.
# RENEWED_LINEAGE is certbot's folder of it, RENEWED_DOMAINS its names.
set -eu
umask 077
domain=${RENEWED_DOMAINS%% *}
place=/etc/nginx/jupyterlab/$domain.acme

# exchange ENDING FILE MODE: put the new one in its place.
exchange() {
    cp -L -- "$RENEWED_LINEAGE/$2" "$place.$1.new"
    chmod "$3" "$place.$1.new"
    mv -f -- "$place.$1.new" "$place.$1"
}

# The former stay beside them until Nginx accepts. Meanwhile the certificate is for root alone: who
# reads it sees that this was cut off.
for file in key pem; do
    [ ! -e "$place.$file" ] || cp -p -- "$place.$file" "$place.$file.former"
done
[ ! -e "$place.pem" ] || chmod 0600 "$place.pem"
exchange key privkey.pem 0600
exchange pem fullchain.pem 0644
if ! nginx -t -q; then # the certificate before goes on being served
    for file in key pem; do
        [ ! -e "$place.$file.former" ] || mv -f -- "$place.$file.former" "$place.$file"
    done
    exit 1
fi
rm -f -- "$place".*.former
systemctl reload nginx
