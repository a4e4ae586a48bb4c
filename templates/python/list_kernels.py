"""Print a line of JSON for every kernel that JupyterLab offers (runs in its venv, as the user).

Usage: list_kernels.py NAME...     (of kernels that work over unix sockets)
"""

import json
import subprocess
import sys

from jupyter_client.kernelspec import KernelSpecManager

ASK = """import sys, importlib.metadata as m
found = {(d.metadata["Name"] or "").lower() for d in m.distributions()}
print("Python " + sys.version.split()[0] + " in " + sys.prefix + ", %d packages" % len(found))"""


def what(spec: dict, folder: str) -> str:
    """Return what a kernel runs with, for a Python kernel by asking its Python."""
    command = spec["argv"][0]
    if spec.get("language") != "python":
        return f"{spec.get('language')}, by {command}, registered in {folder}"
    if command in ("python", "python3", "python{}.{}".format(*sys.version_info)):
        command = sys.executable  # as Jupyter itself does
    try:
        asked = [command, "-c", ASK]
        return subprocess.run(
            asked, capture_output=True, text=True, timeout=20, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"does not start: fix {command}, or remove {folder}"


for name, found in sorted(KernelSpecManager().get_all_specs().items()):
    spec, folder = found["spec"], found["resource_dir"]
    sockets = any(word in " ".join(spec["argv"]) for word in sys.argv[1:])
    how = what(spec, folder) + ("" if sockets else "; over TCP")
    told = {"name": name, "title": spec["display_name"], "what": how}
    print(json.dumps(told), flush=True)
