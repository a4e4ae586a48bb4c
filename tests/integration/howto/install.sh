#!/bin/sh
# What the how-to says, in its order, as root on a bare Debian 12 where `david` has an account.
# Mended are two slips, for it does not run as written: venv/vin/activate, sites/available.
set -eu
here=$1    # the folder of the files that it has one paste into an editor
password=$2 # what one types, twice, when `jupyter server password` asks

# Dependencies
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qqy python3 python3-pip python3-venv nodejs nginx

# JupyterLab in a virtual environment
su - david -c '
    mkdir -p ~/project && cd ~/project
    python3 -m venv venv
    . venv/bin/activate
    pip install -q jupyter
'

# Its password and its configuration
su - david -c '. ~/project/venv/bin/activate && exec python -' <<END
import getpass
getpass.getpass = lambda *_: """$password"""
from jupyter_server.serverapp import main
main(["password"])
END
su - david -c 'cat >~/.jupyter/jupyter_lab_config.py' <"$here/jupyter_lab_config.py"

# The service
cat "$here/jupyterlab.service" >/etc/systemd/system/jupyterlab.service
systemctl daemon-reload
systemctl enable -q --now jupyterlab.service

# The site
cat "$here/jupyterlab.nginx" >/etc/nginx/sites-available/jupyterlab
ln -s /etc/nginx/sites-available/jupyterlab /etc/nginx/sites-enabled/jupyterlab
nginx -t -q
systemctl restart nginx
