"""Every task that can be typed: its options and its help. What it does is loaded when it runs."""

from .engine.task import local_task, task


@task("full")
def full(c, verbose=False, verify=True, yes=False, diff=False, json=False):
    """Turn a bare server into JupyterLab behind Nginx, and test it.

    It changes only what differs from the desired state, so it may be run at any time. With `--dry`
    before the task it only shows what would change.

    :param verbose: show each check of the result, not only how many passed.
    :param verify: test the result as a user would; `--no-verify` skips that.
    :param yes: do not ask before kernels end, or the site loses its name or HTTPS; in your hosts
        file, a name of another server moves to this one.
    :param diff: with --dry: show the text of new files, too.
    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("deps")
def deps(c):
    """Install Python, pip, venv and Node.js from Debian."""


@task("jupyter")
def jupyter(c, anew=False):
    """Install JupyterLab into ~/project/venv and configure it.

    :param anew: create the venv again, for example a damaged one; packages added by hand are lost.
    """


@task("kernels")
def kernels(c, list=False, json=False):
    """Add the further kernels of lab.kernels to JupyterLab.

    Each has its own venv with its own packages and, if you like, its own Python.

    :param list: only show the kernels that JupyterLab offers, their Pythons, venvs and packages.
    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("systemd")
def systemd(c, yes=False):
    """Run JupyterLab as a service that survives reboots.

    :param yes: do not ask before kernels end.
    """


@task("tls")
def tls(c, status=False, preflight=True, new_ca=False, decide=False, yes=False, json=False):
    """Serve by HTTPS, with the certificate that lab.tls chooses.

    :param status: only show the issuer, the names and the days left of the certificate.
    :param new_ca: first make another private CA, for lab.ca_names; your other servers get
        certificates from it in their next `full`.
    :param decide: with lab.tls: auto, look again which kind of HTTPS fits the server.
    :param preflight: `--no-preflight` asks Let's Encrypt without checking first if it can succeed.
    :param yes: do not ask before the site loses its name or HTTPS.
    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("nginx")
def nginx(c, yes=False):
    """Serve JupyterLab through Nginx under its own name.

    :param yes: do not ask before the site loses its name or HTTPS.
    """


@task("fail2ban")
def fail2ban(c):
    """Ban addresses that guess the password, if lab.fail2ban is set."""


@task("verify")
def verify(c, json=False):
    """Log in, open a websocket, compute in a kernel, as a user would.

    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("doctor.doctor")
def doctor(c, url="", json=False):
    """Find what is wrong, with proof and remedy, one line each.

    It examines the server, on it and from this machine, and changes nothing. It exits with 1 when
    something is wrong.

    :param url: the address that people type, if a reverse proxy in front gives JupyterLab another
        one, such as https://example.org/jupyter.
    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("status.status")
def status(c, drift=False, json=False):
    """Show versions, kernels, disk, and drift from the settings.

    It asks the server once, as the login user, without sudo, and writes nothing there. CPU use is
    measured over half a second.

    :param drift: exit with 2 when something differs (0: nothing differs, 1: error), for cron or CI;
        the package index is not asked for newer versions then.
    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("manage.logs")
def logs(c, follow=False, since="", nginx=False, jupyter=False, lines=50):
    """Show the logs of JupyterLab and Nginx.

    Each line has its time (UTC) and its source: `jupyter` is the journal of the service, `nginx`
    the requests to the site, `error` the errors of Nginx, those of other sites included.

    :param follow: show new lines as they come, until Ctrl-C.
    :param since: only newer lines, such as '1 hour ago', yesterday, or '2026-11-24 10:00'.
    :param nginx: only the logs of Nginx.
    :param jupyter: only the log of JupyterLab.
    :param lines: without --since: how many of the last lines of each log.
    """


@task("manage.service")
def restart(c, yes=False):
    """Restart JupyterLab, and wait until it answers.

    Kernels end, notebooks stay. The task names the running kernels, and asks on a terminal;
    elsewhere it needs --yes where one of them is busy.

    :param yes: do not ask.
    """


@task("manage.service")
def stop(c, yes=False):
    """Stop JupyterLab until `start` or `full`, even after a reboot.

    Kernels end, notebooks stay. It asks as `restart` does.

    :param yes: do not ask.
    """


@task("manage.service")
def start(c):
    """Start JupyterLab after a `stop`, and wait until it answers."""


@task("manage.packages")
def packages(c, add="", remove="", list=False, json=False):
    """Add, remove or list Python packages; later runs keep them.

    :param add: pip requirements, such as numpy "pandas>=2"; if they do not fit, nothing changes.
    :param remove: names of packages; refused while another package needs them.
    :param list: show all installed packages, not only the requested ones.
    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("manage.upgrade")
def upgrade(c, lock=False, yes=False):
    """Upgrade to the newest versions: build, test, then swap in.

    If a step fails, the old versions keep serving. JupyterLab restarts with the new ones; the task
    names the kernels that end, and asks as `restart` does.

    :param lock: ignore lab.lock, and write the exact versions there, for a fleet to install.
    :param yes: do not ask.
    """


@task("manage.upgrade")
def rollback(c, anyway=False, yes=False):
    """Roll back to the venv from before the last upgrade.

    A second rollback returns to the newer venv.

    :param anyway: also when a version in it has a known vulnerability.
    :param yes: do not ask, even when a kernel is busy.
    """


@task("backup.backup")
def backup(c, there=False, to="backups", list=False, json=False):
    """Make a backup: notebooks, configuration, login, certificates.

    The backup is written to backups/HOST on this machine, with the exact versions of the venv.

    :param there: write it on the server instead, into lab.backup_folder.
    :param to: another folder on this machine; each host gets a folder in it.
    :param list: show the backups on this machine and on the server instead of making one.
    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("backup.restore", full="full.full")
def restore(c, file, there=False, to="backups", yes=False):
    """Restore a backup, onto the same host or a bare one.

    Afterwards notebooks, packages, password, token and sessions are those of the backup; the former
    files stay beside them, as NAME.before-DATE.

    :param file: a backup on this machine, or `latest`: the newest of this host in backups/HOST.
    :param there: the file is on the server, in lab.backup_folder: give its name, or `latest`.
    :param to: the folder on this machine that has the backups.
    :param yes: do not ask before kernels end.
    """


@task("schedule")
def schedule(c):
    """Set up a timer for backups, if lab.backup_schedule is set."""


@task("manage.login")
def token(c, rotate=False, yes=False):
    """Print the URL that logs in with the server's own token.

    :param rotate: make a new token, end all sessions (also those by password) and restart
        JupyterLab: running kernels end.
    :param yes: with --rotate: do not ask, even when a kernel is busy.
    """


@task("manage.audit")
def audit(c, json=False):
    """Try attacks on the server, and say which of them work.

    The exit code is 1 when one works. An attack that your settings allow is shown with the setting,
    and is no failure.

    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("uninstall.uninstall", dismiss="cluster.leave.dismiss_all")
def uninstall(c, purge=False, yes=False):
    """Remove what this project put on a server, and only that.

    Notebooks, backups, logs and the packages that others need stay. If it is cut off, run it again.

    :param purge: remove the notebooks and backups, too; asks for the host's name first.
    :param yes: do not ask; without a terminal needed with --purge, and where a kernel is busy.
    """


@local_task("manage.init", full="full.full")
def init(c, user="", domain="", yes=False):
    """Ask a few questions, look at the server, and write fabric.yaml.

    It asks for the server, the name that people type, and a password if you like; says what it
    found and which HTTPS fits; writes the settings into the project's folder, and offers to run
    `full`. It changes nothing on the server before that. Without a terminal it takes the server
    from -H, and the answers from the options.

    :param user: whose JupyterLab it is, when you log in as root.
    :param domain: the name that people type; without one, that is the server's address.
    :param yes: do not ask: write the file, and run `full`.
    """


@local_task("manage.check")
def check(c, json=False):
    """Check the settings, and show where each comes from.

    No server is asked. The files that they name on this machine are checked, too. Without -H the
    settings of all groups are checked, and those of no group are shown; with -H those that apply to
    that host.

    :param json: print one line of JSON for a program to read, and nothing else.
    """


@task("full")
def script(c):
    """Print the shell script that `full` would run as root."""


@local_task("hosts")
def hosts(c, remove=False):
    """Add the server's name to your own /etc/hosts.

    :param remove: remove the line again; needs no host.
    """


@task("manage.open")
def open(c, tunnel=False, port=0):
    """Open JupyterLab in your browser, logged in by the token.

    The URL is printed, too. The browser is that of the variable BROWSER, or the default one. Its
    command line contains the URL: other users of this machine can read it there while the command
    runs.

    :param tunnel: connect through SSH, for a server without a name or an open port: by a port of
        this machine (127.0.0.1 only), until Ctrl-C.
    :param port: with --tunnel: the port on this machine; by default any free one.
    """


@task("manage.login")
def password(c, yes=False):
    """Set the login password: from LAB_PASSWORD, or ask for it.

    :param yes: do not ask before kernels end.
    """


@task("cluster.cluster")
def cluster(c, workers="", add="", remove="", status=False, yes=False):
    """Let more hosts compute for this JupyterLab, with Dask.

    Each worker gets the package versions of main; what is up to date is left alone.

    :param workers: comma-separated hosts, as -H takes them; else those of lab.workers.
    :param add: comma-separated hosts to add.
    :param remove: comma-separated hosts to remove; their data moves to the other workers first.
    :param status: only show the state of the workers.
    :param yes: restart JupyterLab without asking, even if a kernel is computing.
    """


@local_task("fleet.fleet")
def fleet(c, what, on="", limit="", jobs=16, retry_failed=False, verify=True, drift=False):
    """Run a task on many hosts at once: fab fleet full --on a,b

    A failed host does not stop the others; a table at the end sums up.

    :param what: the task; with options in quotes: 'packages --add numpy'.
    :param on: comma-separated hosts, groups of fabric.yaml or patterns of ssh_config; USER/HOST
        for the JupyterLab of one user there.
    :param limit: only the hosts that match one of these comma-separated patterns.
    :param jobs: number of hosts at once.
    :param retry_failed: run on the hosts where the last fleet failed.
    :param verify: with full: test the result as a user would; `--no-verify` skips that.
    :param drift: with status: exit with 2 if any host differs, and none failed.
    """


# All tasks, in the groups and the order of README.md and `fab --list`.
GROUPS = {
    "set up": (
        init, check, full, script, deps, jupyter, systemd, tls, nginx, fail2ban, schedule, kernels,
        hosts, cluster, fleet,
    ),
    "use": (open, token, password, packages, stop, start, restart),
    "look": (verify, doctor, status, logs, audit),
    "keep": (upgrade, rollback, backup, restore, uninstall),
}  # fmt: skip
for name, tasks in GROUPS.items():
    for one in tasks:
        one.group = name
TASKS = tuple(one for tasks in GROUPS.values() for one in tasks)
# The tasks of one host or of this machine, and those that ask for something.
ALONE = init, check, script, hosts, open, password, cluster, fleet
# Those that `fab fleet` runs on many hosts at once.
FLEET = tuple(one for one in TASKS if one not in ALONE)
