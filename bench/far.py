"""A far host on this machine: a network namespace whose packets take 50 ms each way.

Two TUN devices, one in the namespace and one outside, and a pump between them. A delaying TCP proxy
would acknowledge at once and so hide what Nagle and delayed acknowledgements cost; packets do not.
"""

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

NAMESPACE, INSIDE, OUTSIDE = "jupyterlab-far", "10.213.7.1", "10.213.7.2"
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001  # linux/if_tun.h


def ip(*arguments: str, check: bool = True) -> None:
    """Run iproute2's ip."""
    subprocess.run(["ip", *arguments], check=check, capture_output=not check)


def tun(name: str) -> int:
    """Make a TUN device that carries bare IP packets."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_NO_PI))
    return device


def pump(first: int, second: int, delay: float) -> None:
    """Carry packets between two devices, each `delay` seconds late, until killed."""
    late: deque[tuple[float, int, bytes]] = deque()
    other = {first: second, second: first}
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        readable, _, _ = select.select([first, second], [], [], wait)
        for device in readable:
            with contextlib.suppress(BlockingIOError):
                late.append((time.monotonic() + delay, other[device], os.read(device, 65535)))
        while late and late[0][0] <= time.monotonic():
            _, device, packet = late.popleft()
            with contextlib.suppress(OSError):
                os.write(device, packet)


@contextlib.contextmanager
def far(round_trip: float = 0.1):
    """Give a command prefix that runs a program `round_trip` seconds away from everything else."""
    allow = ["iptables", "-I", "FORWARD", "-i", "jlfar1", "-j", "ACCEPT"]
    ip("netns", "del", NAMESPACE, check=False)
    ip("netns", "add", NAMESPACE)
    devices = tun("jlfar0"), tun("jlfar1")
    ip("link", "set", "jlfar0", "netns", NAMESPACE)
    inside = ("-n", NAMESPACE)
    ip(*inside, "addr", "add", INSIDE, "peer", OUTSIDE, "dev", "jlfar0")
    ip(*inside, "link", "set", "jlfar0", "up")
    ip(*inside, "route", "add", "default", "dev", "jlfar0")
    ip("addr", "add", OUTSIDE, "peer", INSIDE, "dev", "jlfar1")
    ip("link", "set", "jlfar1", "up")
    subprocess.run(allow, check=True)
    child = os.fork()
    if not child:
        pump(*devices, round_trip / 2)
    try:
        yield ["ip", "netns", "exec", NAMESPACE]
    finally:
        os.kill(child, 15)
        os.waitpid(child, 0)
        subprocess.run([word.replace("-I", "-D") for word in allow], check=True)
        ip("netns", "del", NAMESPACE)
        for device in devices:
            os.close(device)


if __name__ == "__main__":
    with far() as prefix:
        sys.exit(subprocess.run([*prefix, *sys.argv[1:]]).returncode)
