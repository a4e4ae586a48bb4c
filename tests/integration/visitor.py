"""A person with a browser, who comes to JupyterLab through Nginx."""

from __future__ import annotations

import time

import httpx

DOMAIN = "jupyterlab.vmdomain.io"


class Visitor:
    """Keeps cookies as a browser does; reaches the server by its address, under the site's name.

    :param base: the folder of the URL under which JupyterLab is.
    """

    def __init__(self, server, domain: str = DOMAIN, base: str = ""):
        self.base = base
        self.client = httpx.Client(
            base_url=f"http://{server.host.address}{base}",
            headers={"Host": domain},
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    def log_in(self, secret: str, new_password: str | None = None) -> bool:
        """Fill in the login page, with a token or a password; say whether it lets us in.

        :param new_password: what goes into the field of that name.
        """
        page = self.client.get("/login")
        assert page.status_code == 200, page.status_code
        form = {"_xsrf": self.client.cookies["_xsrf"], "password": secret}
        if new_password is not None:
            form["new_password"] = new_password
        for _ in range(90):  # logins are counted: it waits for its turn
            answer = self.client.post("/login", params={"next": f"{self.base}/lab"}, data=form)
            if answer.status_code != 429:
                break
            time.sleep(1)
        assert answer.status_code in (302, 401), answer.status_code
        return answer.status_code == 302 and self.is_in()

    def is_in(self) -> bool:
        """Say whether /lab opens, instead of leading to the login page."""
        answer = self.client.get("/lab")
        assert answer.status_code in (200, 302), answer.status_code
        return answer.status_code == 200


def accepted(server, secret: str) -> bool:
    """Say whether the login page lets a newcomer in with this token or password."""
    return Visitor(server).log_in(secret)
