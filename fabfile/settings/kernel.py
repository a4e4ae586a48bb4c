"""A further kernel, as `lab.kernels` describes it."""

import msgspec

from .fields import PATH, Package, several, text

KERNEL = r"(?!python3\Z)[a-z][a-z0-9_-]{0,63}"  # python3 is the one of the venv beside JupyterLab
EXAMPLES = {
    "data": {"packages": ["pandas", "scikit-learn"]},
    "old": {"python": "/usr/bin/python3.9", "packages": ["numpy<2"]},
    "mine": {"venv": "~/envs/mine", "title": "My own"},
}


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of them: with a venv that is made for it, or one that is there."""

    packages: several(
        Package, "what goes into the venv that is made for it", "a list of pip requirements"
    ) = ()
    python: text(
        PATH, "the Python to make that venv from", "a path over there, such as /usr/bin/python3.11"
    ) = "python3"
    venv: text(
        PATH, "a venv of your own instead, which has ipykernel", "~/NAME or an absolute path"
    ) = ""
    title: text(
        r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,59}",
        "what the launcher calls it, if not by its name",
        "up to 60 characters",
    ) = ""
