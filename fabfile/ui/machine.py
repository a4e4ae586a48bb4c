"""What differs on the operator's own machine: Linux, macOS, or Linux within Windows (WSL)."""

import os
import subprocess

WINDOWS_HOSTS = r"C:\Windows\System32\drivers\etc\hosts"
WINDOWS_BROWSER = "rundll32.exe", "url.dll,FileProtocolHandler"


def within_windows() -> bool:
    """Check whether this Linux is WSL, whose browser is usually that of Windows."""
    return "microsoft" in os.uname().release.lower()


def browse(url: str) -> bool:
    """Open a URL in a browser: that of BROWSER, of Windows around WSL, or the default one."""
    import webbrowser

    return ("BROWSER" not in os.environ and browse_in_windows(url)) or webbrowser.open(url)


def browse_in_windows(url: str) -> bool:
    """Open a URL in the browser of Windows; return False where that is not possible."""
    try:
        return within_windows() and not subprocess.run([*WINDOWS_BROWSER, url]).returncode
    except OSError:  # WSL may be told to start no programs of Windows
        return False
