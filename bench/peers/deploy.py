"""The same end state as `fab full`, as a pyinfra deploy; the rendered files are in data.files."""

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.operations import apt, files, server, systemd

RENDERED = host.data.get("files")
HOME = "/home/david"
VENV = f"{HOME}/project/venv"
TOKEN = f"{HOME}/.jupyter/jupyterlab_token"

apt.packages(
    name="Debian packages",
    packages=[
        "python3",
        "python3-venv",
        "python3-pip",
        "nodejs",
        "curl",
        "ca-certificates",
        "nginx",
    ],
    no_recommends=True,
    update=True,
    cache_time=86400,
    _sudo=True,
)
if not host.get_fact(File, path=f"{VENV}/bin/jupyter-lab"):
    server.shell(
        name="Virtual environment and JupyterLab",
        commands=[
            f"python3 -m venv {VENV}",
            f"{VENV}/bin/pip install -q uv",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"
            f" {VENV}/bin/uv pip install -q --python {VENV}/bin/python"
            " jupyter 'jupyter_server>=2.20.0'",
        ],
    )
files.directory(name="Folder of the configuration", path=f"{HOME}/.jupyter", mode="700")
files.directory(name="Folder of the history", path=f"{HOME}/.ipython", mode="700")
config = files.put(
    name="Configuration",
    src=f"{RENDERED}/jupyter_lab_config.py",
    dest=f"{HOME}/.jupyter/jupyter_lab_config.py",
    mode="600",
)
if not host.get_fact(File, path=TOKEN):
    server.shell(
        name="Token",
        commands=[f"umask 077; od -An -v -N24 -tx1 /dev/urandom | tr -d ' \\n' >{TOKEN}"],
    )
folder = files.put(
    name="Folder of the socket",
    src=f"{RENDERED}/tmpfiles.conf",
    dest="/etc/tmpfiles.d/jupyterlab.conf",
    mode="644",
    _sudo=True,
)
unit = files.put(
    name="Unit",
    src=f"{RENDERED}/jupyterlab.service",
    dest="/etc/systemd/system/jupyterlab.service",
    mode="644",
    _sudo=True,
)
systemd.service(
    name="Service",
    service="jupyterlab",
    running=True,
    enabled=True,
    daemon_reload=unit.will_change,
    restarted=unit.will_change or config.will_change or folder.will_change,
    _sudo=True,
)
site = files.put(
    name="Site",
    src=f"{RENDERED}/site.conf",
    dest="/etc/nginx/sites-available/jupyterlab",
    mode="644",
    _sudo=True,
)
link = files.link(
    name="Link of the site",
    path="/etc/nginx/sites-enabled/zz-jupyterlab",
    target="/etc/nginx/sites-available/jupyterlab",
    _sudo=True,
)
welcome = files.link(
    name="No welcome page",
    path="/etc/nginx/sites-enabled/default",
    present=False,
    _sudo=True,
)
systemd.service(
    name="Nginx",
    service="nginx",
    running=True,
    enabled=True,
    reloaded=site.will_change or link.will_change or welcome.will_change,
    _sudo=True,
)
