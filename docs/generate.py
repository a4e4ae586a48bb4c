"""Files generated from the code: fabric.example.yaml, docs/settings.md, docs/symptoms.md."""

from __future__ import annotations

from pathlib import Path

from fabfile.doctor import libraries
from fabfile.doctor.diagnose import table
from fabfile.settings import NAMES
from fabfile.settings.fields import as_yaml, words
from fabfile.settings.kernel import Kernel
from fabfile.settings.schema import Settings

# the first setting of a section -> the section's heading, and where to read more
SUBJECTS = {
    "domain": ("Name, user and folder", "[On your own server](own-server.md)."),
    "packages": ("Packages", "[Packages and versions](day-2.md#packages-and-versions)."),
    "port": ("Ports", "[On your own server](own-server.md)."),
    "tls": ("HTTPS", "[The sources of certificates](security.md#https)."),
    "login_rate": ("Protection", "[Security](security.md)."),
    "upload_limit": ("Sizes and timeouts", "[When one of these is too small](troubleshooting.md)."),
    "sandbox": ("Limits of notebooks", "[The two sandboxes](security.md#the-two-sandboxes)."),
    "cull_after": ("Idle kernels", "[Idle kernels, and a sleeping JupyterLab](day-2.md#idle)."),
    "backup_schedule": ("Backups", "[Backups](day-2.md#backups)."),
    "hosts_file": ("Your own machine", "[From your machine to the server](own-server.md#the-way)."),
}
ABOVE = """\
# All settings with their defaults. Copy the lines that you change into a file of your own:
# fabric.yaml in this folder, or ~/.config/jupyterlab-fab/fabric.yaml. You can also set each one in
# the environment (FABRIC_LAB_DOMAIN=...) or in another file (fab -f FILE ...). Passwords do not
# belong there: set LAB_PASSWORD in the environment, or answer the prompt of `fab password`.
# Read more in docs/settings.md; `fab check` shows what applies, and where it comes from.

# hosts: [david@1.1.1.1]              # then `fab nginx` needs no -H
# groups: {lab: [a, b]}               # then `fab fleet full --on lab` runs on both;
#                                     # groups with users and settings: docs/several.md

lab:
"""
INTRODUCTION = """\
# Settings

<!-- generated from fabfile/settings/schema.py by `invoke docs`: edit that file -->

Settings are under `lab:` in a file of your own: `fabric.yaml` in the folder of this project (or
where you stand, if you installed the command `jupyterlab-fab`); if there is none,
`~/.config/jupyterlab-fab/fabric.yaml`. `fabric.example.yaml` shows all of them. The environment
overrides the file: `FABRIC_LAB_DOMAIN=lab.example.org` (lists as words separated by spaces). A file
named by the option `-f` overrides both. A misspelt setting or a bad value is refused: the message
names the setting and says what it accepts.

```console
$ fab check                                # needs no server: shows each setting, and its source
$ fab --dry -H david@1.1.1.1 full          # shows what a change of settings would change
$ fab -H david@1.1.1.1 full                # applies it
```

Next to `lab:` there can be `hosts:`, a list of servers for tasks without `-H`, and `groups:`, named
lists of servers for `fab fleet`, with or without users and [their own settings](several.md).
Passwords are not settings: that of JupyterLab comes from `LAB_PASSWORD` or the prompt of
`fab password`, that of sudo from `FABRIC_SUDO_PASSWORD` or `--prompt-for-sudo-password`.
"""
SYMPTOMS = """\
# Symptoms, causes and remedies

<!-- generated from fabfile/doctor/causes.py by `invoke docs`: edit that file -->

`fab -H david@1.1.1.1 doctor` looks for these causes, and shows the evidence for each. A cause comes
before its consequences. See also [Troubleshooting](troubleshooting.md), sorted by place.

"""
LIBRARIES = """
## Plots and maps that stay empty

<!-- generated from fabfile/doctor/libraries.py -->

Pages may load from no other origin than JupyterLab's own, unless `content_from` lists it. These
libraries need some: list in `fabric.yaml` those that you use, such as
`content_from: [https://cdn.bokeh.org]`, then `fab -H david@1.1.1.1 nginx`. Some can put all that
they need into the notebook instead: `BOKEH_RESOURCES=inline` is an environment variable, which a
first cell can set by `%env`. matplotlib, plotly, ipywidgets and itables need none.

"""
HEAD = "| setting | default | accepted | purpose |\n|---|---|---|---|\n"


def example(name: str):
    """Return the value of a setting to show: its example, or else its default."""
    return words(Settings.__annotations__[name]).get("examples", [getattr(Settings(), name)])[0]


def remark(name: str) -> str:
    """Return the comment on a setting in fabric.yaml; for a choice, with the accepted words."""
    known = words(Settings.__annotations__[name])
    return (f"{known['description']}: " if "enum" in known else "") + known["title"]


def yaml() -> str:
    """Return the text of fabric.yaml: the domain, and all other settings as comments."""
    lines = []
    for name in NAMES:
        value = example(name)
        many = isinstance(value, dict)
        setting = f"  {'' if name == 'domain' else '# '}{name}:" + f" {as_yaml(value)}" * (not many)
        lines.append(f"{setting:<38}# {remark(name)}" if len(setting) < 38 else
                     f"{setting}  # {remark(name)}")  # fmt: skip
        lines += [f"  #   {key}: {as_yaml(one)}" for key, one in value.items()] if many else []
    return ABOVE + "\n".join(lines) + "\n"


def row(name: str, kind, default) -> str:
    """Return a setting as a row of a table."""
    known = words(kind)
    usual = f"`{as_yaml(default)}`" if default not in ("", None, (), {}) else ""
    cells = f"`{name}`", usual, known["description"], known["title"]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def page() -> str:
    """Return the text of docs/settings.md."""
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
    """Return the text of docs/symptoms.md."""
    return f"{SYMPTOMS}{table()}{LIBRARIES}{libraries.table()}"


def write(root: Path) -> list[str]:
    """Write the generated files into the project's folder; return a line about each."""
    files = {
        "docs/settings.md": page(),
        "docs/symptoms.md": symptoms(),
        "fabric.example.yaml": yaml(),
    }
    for path, text in files.items():
        (root / path).write_text(text)
    return [f"wrote {path}" for path in files]
