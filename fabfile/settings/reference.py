"""What people read, made of the code: fabric.yaml, docs/settings.md and docs/symptoms.md."""

from __future__ import annotations

from pathlib import Path

from ..doctor.diagnose import table
from . import NAMES
from .fields import words
from .kernel import Kernel
from .schema import Settings

# the setting before which a subject begins -> its heading, and what to read about it
SUBJECTS = {
    "domain": ("Name, user and folder", "[On your own server](own-server.md)."),
    "packages": ("What is installed", "[Packages and versions](day-2.md#packages-and-versions)."),
    "port": ("Where it listens", "[On your own server](own-server.md)."),
    "tls": ("HTTPS", "[Where certificates come from](security.md#https)."),
    "login_rate": ("Strangers", "[What is defended](security.md)."),
    "upload_limit": ("Sizes and patience", "[When one of these is too small](troubleshooting.md)."),
    "sandbox": ("What notebooks may use", "[The two sandboxes](security.md#the-two-sandboxes)."),
    "cull_after": ("Idle", "[Idle kernels, and a server that sleeps](day-2.md#idle)."),
    "backup_schedule": ("Backups", "[Backups](day-2.md#backups)."),
    "hosts_file": ("Your own machine", "[From your machine to the server](own-server.md#the-way)."),
}
ABOVE = """\
# Your settings. Everything has a default, so an untouched file is a good one. Every line can also
# come from the environment (FABRIC_LAB_DOMAIN=...) or from a file of your own (fab -f FILE ...).
# No password goes here: it is LAB_PASSWORD in the environment, or the prompt of `fab password`.
# docs/settings.md says more.

# hosts: [david@1.1.1.1]              # then `fab nginx` does without -H
# groups: {lab: [a, b]}               # then `fab fleet full --on lab` runs on both;
#                                     # with users and settings of their own: docs/several.md

lab:
"""
INTRODUCTION = """\
# Settings

<!-- made of fabfile/knobs.py by `invoke docs`: change it there -->

A setting stands in `fabric.yaml` under `lab:`, as `domain: lab.example.org`. It can also come from
the environment, as `FABRIC_LAB_DOMAIN=lab.example.org` (lists as words with spaces in between), or
from a file of its own, named by the option `-f`. That file counts most, then the environment, then
`fabric.yaml`. What is misspelt or of the wrong kind is refused, with its path and what is accepted.

```console
$ fab --dry -H david@1.1.1.1 full          # what a change of settings would change there
$ fab -H david@1.1.1.1 full                # brings it about
```

Beside `lab:` there are `hosts:`, a list of servers for tasks without `-H`, and `groups:`, named
lists of them for `fab fleet`, perhaps with users and [settings of their own](several.md). A
password is no setting: that of JupyterLab comes from `LAB_PASSWORD` or the prompt of
`fab password`, that of sudo from `FABRIC_SUDO_PASSWORD` or `--prompt-for-sudo-password`.
"""
SYMPTOMS = """\
# What one sees, why, and what helps

<!-- made of fabfile/ailments.py by `invoke docs`: change it there -->

What `fab -H david@1.1.1.1 doctor` looks for, in the order of what causes what. It shows what proves
it, too. More, by where it happens: [Troubleshooting](troubleshooting.md).

"""
HEAD = "| setting | default | accepted | what it is for |\n|---|---|---|---|\n"


def shown(value) -> str:
    """Write a value as YAML has it in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def example(name: str):
    """A value of a setting to show: its default, or one that says more."""
    return words(Settings.__annotations__[name]).get("examples", [getattr(Settings(), name)])[0]


def remark(name: str) -> str:
    """What stands behind a setting in fabric.yaml; of a choice, also what there is to choose."""
    known = words(Settings.__annotations__[name])
    return (f"{known['description']}: " if "enum" in known else "") + known["title"]


def yaml() -> str:
    """The text of fabric.yaml: the domain, and all others as remarks."""
    lines = []
    for name in NAMES:
        value = example(name)
        many = isinstance(value, dict)
        setting = f"  {'' if name == 'domain' else '# '}{name}:" + f" {shown(value)}" * (not many)
        lines.append(f"{setting:<38}# {remark(name)}" if len(setting) < 38 else
                     f"{setting}  # {remark(name)}")  # fmt: skip
        lines += [f"  #   {key}: {shown(one)}" for key, one in value.items()] if many else []
    return ABOVE + "\n".join(lines) + "\n"


def row(name: str, kind, default) -> str:
    """A setting as a row of a table."""
    known = words(kind)
    usual = f"`{shown(default)}`" if default not in ("", None, (), {}) else ""
    cells = f"`{name}`", usual, known["description"], known["title"]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def page() -> str:
    """The text of docs/settings.md."""
    parts, defaults = [INTRODUCTION], Settings()
    for name in NAMES:
        if name in SUBJECTS:
            heading, more = SUBJECTS[name]
            parts.append(f"\n## {heading}\n\nMore: {more}\n\n{HEAD}")
        parts.append(row(name, Settings.__annotations__[name], getattr(defaults, name)))
    parts.append(f"\n## A kernel in `kernels`\n\n{HEAD}")
    kernel = Kernel()
    parts += (row(n, kind, getattr(kernel, n)) for n, kind in Kernel.__annotations__.items())
    return "".join(parts)


def symptoms() -> str:
    """What `fab doctor` looks for, as a page."""
    return SYMPTOMS + table()


def write(root: Path) -> list[str]:
    """Write them into the project's folder, and tell what became of each.

    A fabric.yaml that sets more than the one that is made here holds somebody's own settings.
    """
    from invoke.vendor.yaml import safe_load

    settings, told = root / "fabric.yaml", []
    files = {
        root / "docs" / "settings.md": page(),
        root / "docs" / "symptoms.md": symptoms(),
        settings: yaml(),
    }
    if settings.exists() and safe_load(settings.read_text()) != safe_load(yaml()):
        del files[settings]
        told.append(f"{settings.name} holds settings of yours: left as it is")
    for path, text in files.items():
        path.write_text(text)
        told.append(f"wrote {path.relative_to(root)}")
    return told
