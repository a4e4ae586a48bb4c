"""A far host on this machine: a network namespace whose packets take 50 ms each way.

Two TUN devices, one in the namespace and one outside, and a pump between them. A delaying TCP proxy
would acknowledge at once and so hide what Nagle and delayed acknowledgements cost; packets do not.
"""

import contextlib
import fcntl
import heapq
import math
import os
import select
import struct
import subprocess
import sys
import time

NAMESPACE, INSIDE, OUTSIDE = "jupyterlab-far", "10.213.7.1", "10.213.7.2"
QUEUE = 0.25  # seconds of packets that wait where the line is narrow, as in a router at home
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001  # linux/if_tun.h


def ip(*arguments: str, check: bool = True) -> None:
    """Run iproute2's ip."""
    subprocess.run(["ip", *arguments], check=check, capture_output=not check)


def tun(name: str) -> int:
    """Make a TUN device that carries bare IP packets."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_NO_PI))
    return device


def pump(first: int, second: int, delay: float, rate: float) -> None:
    """Carry packets between two devices, each `delay` seconds late, until killed.

    :param rate: bits a second that fit through, each way; what would wait too long is dropped.
    """
    late: list[tuple[float, int, bytes]] = []
    other, free = {first: second, second: first}, {first: 0.0, second: 0.0}
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        readable, _, _ = select.select([first, second], [], [], wait)
        for device in readable:
            with contextlib.suppress(BlockingIOError):
                packet = os.read(device, 65535)
                sent = max(free[device], time.monotonic()) + len(packet) * 8 / rate
                if sent - time.monotonic() < QUEUE:
                    free[device] = sent
                    heapq.heappush(late, (sent + delay, other[device], packet))
        while late and late[0][0] <= time.monotonic():
            _, device, packet = heapq.heappop(late)
            with contextlib.suppress(OSError):
                os.write(device, packet)


@contextlib.contextmanager
def far(round_trip: float = 0.1, rate: float = math.inf):
    """Give a command prefix that runs a program `round_trip` seconds away from everything else.

    :param rate: bits a second that fit through, each way.
    """
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
        pump(*devices, round_trip / 2, rate)
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
