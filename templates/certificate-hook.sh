#!/bin/sh
# Written by `fab tls`; certbot runs it with each new certificate: hand it to Nginx, whole.
# RENEWED_LINEAGE is certbot's folder of it, RENEWED_DOMAINS its names.
set -eu
umask 077
domain=${RENEWED_DOMAINS%% *}
place=/etc/nginx/jupyterlab/$domain.acme

# exchange FILE: put the new one in its place, and keep the former beside it until Nginx accepts.
exchange() {
    [ ! -e "$place.$1" ] || cp -p -- "$place.$1" "$place.$1.former"
    cp -L -- "$RENEWED_LINEAGE/$2" "$place.$1.new"
    chmod "$3" "$place.$1.new"
    mv -f -- "$place.$1.new" "$place.$1"
}

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
