"""Turn the output of a failed step into one line: what happened, and what to do next."""

import re

from ..ui.command import FAB

REMEDIES = (
    (
        r"\S+, run as \S+, did not end within .*|\S+ has used up the .*",
        "end that program, then run again",
    ),
    (
        r"the new venv was refused: .*|JupyterLab did not start from .*",
        "see above, and correct lab.packages; JupyterLab runs as before",
    ),
    (r"(?<=refused: )(?!No space).*", "nothing was touched"),
    (
        r"Detail: .*|urn:ietf:params:acme:error:.*",
        "fix what the ACME server says, then run again; the site is served as before",
    ),
    (
        r"(Encountered error adding TXT record|Error (communicating with|determining zone|finding "
        r"domain|parsing credentials)|Unable to determine (base domain|zone_id|managed zone)|"
        r"Missing property in credentials|Received response from server|"
        r"Encountered exception during recovery: certbot.errors.PluginError).*",
        "correct the file of lab.tls_dns_credentials, or the zone at the DNS provider, then run "
        "again; the site is served as before",
    ),
    (
        r"(?<=An unexpected error occurred:\n).*|Requesting .*",
        "the server does not reach the ACME server: check its network and lab.acme_server",
    ),
    (
        r"No space left on device|enough free space",
        "the disk is full: make room, then run again",
    ),
    (
        r"cannot (remove|delete) .*: Permission denied",
        "another user owns it, perhaps after sudo: remove it by hand, then run again",
    ),
    (
        r"Python \S+ is not the cluster's version, \S+",
        "a worker needs the same Debian as main: run apt upgrade on both, then run again",
    ),
    (
        r"Cannot assign requested address",
        "that is not an address of this host: correct lab.cluster_address, then run again",
    ),
    (
        r"status=226/NAMESPACE",
        "systemd may not isolate a service here, see above: in a container allow nesting (LXC: "
        "security.nesting), then run again",
    ),
    (
        r"status=217/USER",
        "systemd does not know the user of the unit, see above: check `getent passwd`, then run "
        "again",
    ),
    (
        r"Bad config encountered during initialization: .*",
        "correct that setting in the files above that JupyterLab reads, too, or in "
        "~/.jupyter/jupyter_server_config.json; then run again",
    ),
    (
        r"\S+ does not answer within \d+ s(?=; the last lines)",
        "give a slow server more time by lab.start_timeout, or fix what the journal says; then run "
        "again",
    ),
    (
        r"\S+ does not (answer|start)(?=; the last lines)",
        "fix what the journal says, then run again",
    ),
    (r"systemd rejected the unit", "fix what systemd says, then run again"),
    (
        r"Could not get lock .*|Unable to lock .*",
        "another package run holds the lock for too long: wait for it, then run again",
    ),
    (
        r".*apt cannot use (?!.*(Could not|Temporary|timed out|unreachable)).*",
        "correct or remove that source, or correct lab.system_packages, then run again",
    ),
    (r"(?<=E: ).* /etc/apt/.*", "correct that file, then run again"),
    (
        r"[Tt]he package \S+ needs to be reinstalled, but I can't find an archive for it",
        "on the server, sudo dpkg --remove --force-remove-reinstreq that package, then run again",
    ),
    (
        r".*apt cannot use .*|"
        r"Temporary failure (resolving|in name resolution)|Could not resolve|Could not connect|"
        r"Network is unreachable|"
        r"Failed to fetch|dns error|error sending request|Connection refused|timed out|"
        r"client error \(Connect\)",
        "the server does not reach its package index: check its network, DNS, proxy (lab.proxy) "
        "and sources.list or pip.conf, then run again",
    ),
    (
        r"Unable to locate package .*|Package '.*' has no installation candidate",
        "correct lab.system_packages, then run again",
    ),
    (
        r"No solution found when resolving|No matching distribution|ResolutionImpossible",
        "no versions fit together, see above: correct lab.packages, or the packages to add, then "
        "run again",
    ),
    (r"(?m)^\S+ needs \S+$", "nothing was removed: name both, or keep both"),
    (
        r"failed to execute \S+/python\S*: No such file.*|No module named '?venv'?",
        "install that Python with its venv module on the server, or correct lab.kernels, then run "
        "again",
    ),
    (
        r"cannot load certificate.*|key values mismatch",
        "remove that certificate on the server, then run again to create another",
    ),
    (
        r"port (\d+) is taken by .*",
        "stop that program, or choose another lab.http_port or lab.port",
    ),
    (
        r"\S+ may not read \S+, which says where a site listens",
        "our site must know that: allow it by chmod a+r, then run again",
    ),
    (
        r"bind\(\) to \S+ failed .*",
        "the site of somebody else listens there in a way that leaves Nginx no room for ours, see "
        "above: change that `listen`, or choose another lab.http_port; then run again",
    ),
    (
        r"\[emerg\] .*",
        "fix the file that Nginx names (or the setting it came from), then run again",
    ),
    (
        r"(ImportError|ModuleNotFoundError): .*",
        "a kernel cannot start with these packages: correct lab.kernels, then run again",
    ),
)


REASON = re.compile(r"^E: |[Ee]rror|No space left")  # in the line that tells best why; as apply.sh
UNKNOWN = "fix that, then run again to continue"
UNANSWERED = (  # by the login, or the login shell, before our command
    (r"log ?in as the user \"?([\w.-]+)", f"log in as that user: {FAB} -H {{0}}@{{host}}"),
    (
        r"(?i)password change required|password (has )?expired",
        "log in once with ssh, set a new password, then run again",
    ),
    (
        r"account is currently not available",
        "its login shell ends every session: as root there, type chsh -s /bin/bash {user}",
    ),
    (r"service allows sftp connections only", "remove ForceCommand from the server's sshd_config"),
)
SHELL = (
    "perhaps a start-up file of its login shell, such as ~/.bashrc, ends it or starts another one: "
    "do that for interactive shells only"
)


def unanswered(lines: list[str], where: str, user: str, host: str) -> str:
    """Return one line about a server that did not run our command: its own words, and a remedy.

    :param lines: what it said instead; :param where: user and host; :param host: its address.
    """
    said = " ".join(line.strip() for line in lines[-5:] if line.strip())[:500].rstrip(".;")
    for pattern, remedy in UNANSWERED:
        if found := re.search(pattern, said):
            return f"{where} says: {said}; {remedy.format(*found.groups(), user=user, host=host)}"
    return f"{where} did not run the command; it said: {said or 'nothing'}; {SHELL}"


def explain(say: str, words: list[str], where: str, show=lambda lines: None) -> str:
    """Return one line for the operator.

    :param say: the step that failed; :param words: the end of its output.
    :param show: is called with the lines that matter as well, if any.
    """
    words = [word[:2000] for word in words[-40:]]  # a search takes the square of their length
    text = "\n".join(words)
    for pattern, remedy in REMEDIES:
        found = re.search(pattern, text)
        if found:
            kernel = re.search(r"/\.kernels/([a-z0-9_-]+)", say)
            if kernel:
                remedy = remedy.replace("lab.packages", f"lab.kernels.{kernel[1]}.packages")
            show(words if re.search("journal|Nginx|systemd|above", remedy) else [])
            return f"{where}: could not {say}: {found[0]}: {remedy}"
    show(words)
    told = [word for word in words if not word.startswith("note: ")]
    why = next(filter(REASON.search, told), told[-1] if told else "it said nothing").strip()
    return f"{where}: could not {say}: {why}: {UNKNOWN}"
