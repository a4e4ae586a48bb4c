"""Turn the last words of a failed step into one line: what happened, and what to do next."""

import re

REMEDIES = (
    (
        r"\S+, run as \S+, did not end within .*|\S+ has used up the .*",
        "end that, then run again",
    ),
    (
        r"the new venv was refused: .*|JupyterLab did not start from .*",
        "see above, and mend lab.packages; it serves as before",
    ),
    (r"(?<=refused: )(?!No space).*", "nothing was touched"),
    (
        r"Detail: .*|urn:ietf:params:acme:error:.*",
        "mend what the ACME server says, then run again; what was served is served still",
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
        "it is not its folder's owner's, as after sudo: remove it by hand, then run again",
    ),
    (
        r"Python \S+ is not the one of the cluster, \S+",
        "a worker needs the same Debian as main, both up to date: apt upgrade, then run again",
    ),
    (
        r"Cannot assign requested address",
        "that is not an address of this host: correct lab.cluster_address, then run again",
    ),
    (r"does not answer; the last lines", "mend what the journal says, then run again"),
    (r"systemd rejected the unit", "mend what systemd says, then run again"),
    (
        r"Could not get lock .*|Unable to lock .*",
        "another package run holds the lock for too long: wait for it, then run again",
    ),
    (
        r"Temporary failure (resolving|in name resolution)|Could not resolve|Could not connect|"
        r"Network is unreachable|"
        r"Failed to fetch|dns error|error sending request|Connection refused|timed out|"
        r"client error \(Connect\)",
        "the server does not reach its package index: check its network, DNS, proxy and "
        "sources.list or pip.conf, then run again",
    ),
    (
        r"Unable to locate package .*|Package '.*' has no installation candidate",
        "correct lab.system_packages, then run again",
    ),
    (
        r"No solution found when resolving|No matching distribution|ResolutionImpossible",
        "no versions fit together, see above: correct lab.packages, or what is to be added, then "
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
        "remove that certificate on the server, then run again: another is made",
    ),
    (
        r"port (\d+) is taken by .*",
        "stop that program, or choose another lab.http_port or lab.port",
    ),
    (
        r"\[emerg\] .*",
        "mend the file that Nginx names (or the setting it came from), then run again",
    ),
    (
        r"(ImportError|ModuleNotFoundError): .*",
        "a kernel cannot start with these packages: correct lab.kernels, then run again",
    ),
)


def explain(say: str, words: list[str], report, where: str) -> str:
    """Show the words that matter and give the one line for the operator.

    :param say: the step that failed; :param words: the end of its output.
    """
    words = [word[:2000] for word in words[-40:]]  # what is to be found in them costs its square
    text = "\n".join(words)
    for pattern, remedy in REMEDIES:
        found = re.search(pattern, text)
        if found:
            kernel = re.search(r"/\.kernels/([a-z0-9_-]+)", say)
            if kernel:
                remedy = remedy.replace("lab.packages", f"lab.kernels.{kernel[1]}.packages")
            report.words(words if re.search("journal|Nginx|systemd|above", remedy) else [])
            return f"{where}: could not {say}: {found[0]}: {remedy}"
    report.words(words)
    return f"{where}: could not {say}: see the lines above; then run again, it goes on from there"
