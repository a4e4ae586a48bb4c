"""Attacks on the login: the password guessed, refused, forgotten.

Each takes a server, however it was set up, and returns what it got: nothing when it failed.
"""

from __future__ import annotations

import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import laboratory as lab
from howto import PASSWORD
from laboratory import request, send, status

GUESSES, AT_ONCE = 200, 8
ALLOWED = 20  # of those: what a limit may let through
GUESS = "not the password"
OTHER_WAYS = (
    *("//login", "/login/", "/%6Cogin", "/lab/../login", "/./login", "/login?next=/lab", "/LOGIN"),
    *("/login;x=1", "/login%00", "/login%20", "/lab/../%6c%6f%67in", "/login#x", "\\login"),
)
PER_WAY = 6
JOURNAL = "journalctl --sync || :; journalctl -q -o cat -u jupyterlab"
STORMS: dict[str, tuple[int, float, float]] = {}


def storm(server) -> tuple[int, float, float]:
    """Guess 200 times, 8 at once, the first time it is called for this server.

    :returns: how many were checked; a visitor's median wait for a small answer before, and then.
    """
    if server.host.container in STORMS:
        return STORMS[server.host.container]
    # the how-to's own password does not work, and a token is compared without being hashed
    assert lab.log_in(server, lab.token(server), new_password=PASSWORD)[0]
    guesser, visitor = lab.client(server), lab.client(server)
    guess = lab.form(guesser, GUESS)

    def wait() -> float:
        began = time.monotonic()
        assert visitor.get(lab.STYLE).status_code == 200
        return time.monotonic() - began

    before = statistics.median(wait() for _ in range(20))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = [pool.submit(guesser.post, "/login", data=guess) for _ in range(GUESSES)]
        meanwhile = [wait()]
        while not all(one.done() for one in told) and len(meanwhile) < 50:
            meanwhile.append(wait())
    answers = [one.result().status_code for one in told]
    assert set(answers) <= {401, 429}, set(answers)
    result = answers.count(401), before, statistics.median(meanwhile)
    STORMS[server.host.container] = result
    return result


def guesses_passwords_at_speed(server) -> int:
    """How many of 200 guesses JupyterLab checked."""
    checked, _, _ = storm(server)
    return checked if checked > ALLOWED else 0


def keeps_visitors_waiting_by_guesses(server) -> str:
    """Each guess holds JupyterLab's only thread while it is hashed."""
    _, before, meanwhile = storm(server)
    slow = meanwhile > 0.1 and meanwhile > 5 * before
    return f"{before * 1000:.0f} ms -> {meanwhile * 1000:.0f} ms" if slow else ""


def guesses_by_another_way(server) -> dict[str, int]:
    """Other spellings of the path and the request; how many of each were checked."""
    exhausted(server)
    plain = lab.client(server)
    form = lab.form(plain, GUESS)
    body = str(httpx.QueryParams(form))
    named = (f"Host: {lab.DOMAIN}", f"Cookie: _xsrf={form['_xsrf']}")
    query = f"/login?{body}"
    chunk = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    ways = {path: request(path, *named, body=body) for path in OTHER_WAYS}
    ways["HTTP/1.0"] = request("/login", *named, version="1.0", body=body)
    ways["chunked"] = request("/login", *named, "Transfer-Encoding: chunked", body=chunk)
    ways["in the query"] = request(query, *named, "Content-Length: 0")
    ways["absolute"] = request(f"http://{lab.DOMAIN}/login", *named, body=body)
    ways["dot after the name"] = request("/login", f"Host: {lab.DOMAIN}.", named[1], body=body)
    ways["upgrade"] = request("/login", *named, "Upgrade: websocket", body=body)
    for method in ("post", "Post", "PUT", "GET", "PATCH"):
        ways[method] = request("/login", *named, method=method, body=body)
    for spoof in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-HTTP-Method-Override"):
        ways[spoof] = request("/login", *named, f"{spoof}: 10.0.0.N", body=body)
    checked = {
        way: [status(send(server, text.replace("0.N", f"0.{n}"))) for n in range(PER_WAY)]
        for way, text in ways.items()
    }
    counts = {way: answers.count("401") for way, answers in checked.items()}
    return {way: count for way, count in counts.items() if count > 2}


def exhausted(server) -> bool:
    """Guess until a limit refuses; false when there is none."""
    guesser = lab.client(server)
    guess = lab.form(guesser, GUESS)
    return any(guesser.post("/login", data=guess).status_code == 429 for _ in range(ALLOWED))


def hides_who_guessed(server) -> str:
    """No log of JupyterLab's has the guesser's address, or has a false one."""
    headers = {"X-Forwarded-For": "192.0.2.66", "X-Real-IP": "192.0.2.66"}
    since = server.host.exec("date +%s").strip()
    mine = server.host.exec("ip route 2>/dev/null | sed -n 's/.*via \\([^ ]*\\).*/\\1/p'").strip()
    lab.log_in(server, GUESS)
    guesser = lab.client(server, **headers)
    guesser.post("/login", data=lab.form(guesser, GUESS))
    lines = server.host.exec(f"{JOURNAL} --since=@{since} | grep 401")
    told = set(re.findall(r"\(.*?@?((?:\d+\.){3}\d+)\)", lines))
    return f"{told}" if told != {mine} else ""


# --- what the owner is left with ---------------------------------------------------------------


def refuses_the_owners_password(server) -> bool:
    """The one that was set while installing, once the service has started."""
    lab.restart(server)
    return not lab.log_in(server, PASSWORD)[0]


def forgets_the_password_of_the_login_page(server) -> bool:
    """It works; and after the next restart it does not."""
    chosen = "chosen on the login page"
    assert lab.log_in(server, lab.token(server), new_password=chosen)[0]
    assert lab.log_in(server, chosen)[0]
    lab.restart(server)
    return not lab.log_in(server, chosen)[0]


def prints_the_token_at_every_start(server) -> list[str]:
    """To the journal, which the group adm may read; and another one each time."""
    since = server.host.exec("date +%s").strip()
    lab.restart(server)
    journal = server.host.exec(f"{JOURNAL} --since=@{since}")
    return sorted(set(re.findall(r"\?token=(?!\.)\w+", journal)))
