"""JupyterLab itself: a project folder, a venv in it, and the configuration of the server.

Owns ~/project/venv and ~/.jupyter/jupyter_lab_config.py. It creates a login token once, and sets
the password only when one is given.
"""

import time
from shlex import quote

from .engine.converge import converge
from .engine.host import ADDED, Host, Request
from .items import Assets, Directory, File, Item, Live, Needs, Password, Token, Venv
from .python import minimum_versions, requirements
from .render import file, render
from .settings import Settings

USUAL = "~/.local/share/jupyter/runtime"
TOKEN = "~/.jupyter/jupyterlab_token"
PAGES = "~/.jupyter/pages"  # templates that replace Jupyter's own
CONFIG = "~/.jupyter/jupyter_lab_config.py"
LOGIN = "~/.jupyter/jupyter_server_config.json"  # Jupyter keeps the password's hash here
# A kernel whose command contains one of these works over unix sockets; others need TCP.
OVER_SOCKETS = ("ipykernel", "bash_kernel", "octave_kernel", "sage.repl", "sos_kernel")
SHOW = ("jupyterlab", "jupyter-server", "notebook", "ipykernel", "ipython", "jupyter-core")


def runtime(settings: Settings, host: Host) -> str:
    """Return a folder for the kernels' sockets if the usual path is too long, else an empty text.

    A socket's path has 107 bytes at most (unix(7)): `kernel-`, 36 of an id, `-ipc-`, a number.
    """
    longest = f"{host.under(USUAL)}/kernel-{'x' * 36}-ipc-99"
    return settings.instance.runtime if len(longest.encode()) > 107 else ""


def listens(settings: Settings) -> str:
    """Return the path of the socket that Jupyter itself makes."""
    return settings.instance.own_socket if settings.sleep_after else settings.instance.socket


def cookie_secret(settings: Settings, host: Host) -> str:
    """Return the file with the key that signs session cookies: Jupyter's usual one, or our own."""
    return (
        "~/.jupyter/cookie_secret" if runtime(settings, host) else f"{USUAL}/jupyter_cookie_secret"
    )


def enter(venv: str) -> str:
    """Return a shell command's first words: it runs a program with the venv first in PATH."""
    return f'exec env VIRTUAL_ENV={quote(venv)} PATH={quote(f"{venv}/bin")}:"$PATH"'


def core(settings: Settings, host: Host) -> tuple[str, ...]:
    """Return the files that change with the server's version: newer ones call for a restart."""
    packages = f"{host.under(settings.venv)}/lib/python3*/site-packages"
    return tuple(f"{packages}/{n}-*.dist-info/RECORD" for n in ("jupyterlab", "jupyter_server"))


def venv(settings: Settings, host: Host) -> Venv:
    """Return the virtual environment that JupyterLab runs in."""
    return Venv(
        step="jupyter",
        path=host.under(settings.venv),
        owner=host.user,
        home=host.home,
        requirements=requirements.wanted(settings, host),
        floors=minimum_versions.texts(),
        anew=host.anew,
        installer=settings.installer,
        core=core(settings, host),
        show=SHOW,
        needs=("python3", "python3-venv"),
    )


def previous(settings: Settings) -> str:
    """Return the path of the venv before the last upgrade."""
    return f"{settings.venvs}/previous"


def assets(settings: Settings, host: Host) -> Assets:
    """Return the static files of JupyterLab's pages, for Nginx."""
    return Assets(
        step="jupyter",
        path=settings.instance.pages,
        venv=host.under(settings.venv),
        previous=host.under(previous(settings)),
        owner=host.user,
        home=host.home,
        core=core(settings, host),
    )


def kernels_of(settings: Settings) -> Live:
    """Return the item that reads which kernels run."""
    return Live(
        endpoint=settings.endpoint,
        unit=settings.instance.unit,
        token=TOKEN,
        project=settings.project,
        venv=settings.venv,
    )


def items(settings: Settings, host: Host) -> list[Item]:
    """Return the project folder, venv, static files, configuration, token and password."""
    project, mine = host.under(settings.project), {"owner": host.user, "group": host.group}
    kept = host.under(cookie_secret(settings, host)) if runtime(settings, host) else ""
    config = render(
        "jupyter/jupyter_lab_config.py.j2",
        settings=settings,
        socket=listens(settings),
        project=project,
        enter=enter(host.under(settings.venv)),
        cookie_secret=kept,
        over_sockets=OVER_SOCKETS,
        venv_name=settings.venv.rpartition("/")[2],
        pages=host.under(PAGES),
        dashboard=settings.instance.dashboard if host.cluster else "",
    )
    added = host.added
    text = requirements.text(added)
    return [
        Needs(path="/usr/share/python-wheels", maker="deps"),
        Directory(path=project, adopted=True, **mine),
        venv(settings, host),
        Directory(path=host.under("~/.jupyter"), mode="0700", **mine),
        Directory(path=host.under("~/.ipython"), mode="0700", **mine),  # the history of notebooks
        File(path=host.under(ADDED), content=text, spare=not added, mode="0600", **mine),
        File(path=host.under(CONFIG), content=config, mode="0600", **mine),
        Directory(path=host.under(PAGES), mode="0700", **mine),
        File(
            path=f"{host.under(PAGES)}/login.html",
            content=file("jupyter/login.html"),
            mode="0600",
            **mine,
        ),
        Token(path=host.under(TOKEN), **mine),
        Password(
            path=host.under(LOGIN), password=settings.password, stamp=host.under(TOKEN), **mine
        ),
        assets(settings, host),  # last, while packages are still downloading
    ]


def jupyter(c, settings, anew):
    stamp = f"created again {time.time():.0f}" if anew else ""
    converge(c, settings, items, request=Request(anew=stamp))
