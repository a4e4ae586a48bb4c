"""A further kernel, as `lab.kernels` describes it."""

import msgspec

from .fields import PATH, Package, several, text

KERNEL = r"(?!python3\Z)[a-z][a-z0-9_-]{0,63}"  # python3 is JupyterLab's own kernel
EXAMPLES = {
    "data": {"packages": ["pandas", "scikit-learn"]},
    "old": {"python": "/usr/bin/python3.9", "packages": ["numpy<2"]},
    "mine": {"venv": "~/envs/mine", "title": "My own"},
}


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A further kernel: in a venv that is made for it, or in an existing one."""

    packages: several(
        Package, "the packages of the venv that is made for it", "a list of pip requirements"
    ) = ()
    python: text(
        PATH, "the Python of that venv", "a path on the server, such as /usr/bin/python3.11"
    ) = "python3"
    venv: text(PATH, "your own venv with ipykernel, instead", "~/NAME or an absolute path") = ""
    title: text(
        r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,59}",
        "its name in the launcher, if that is another",
        "up to 60 characters",
    ) = ""
