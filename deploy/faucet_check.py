"""The check of a deployment's faucet: a stranger is paid, and its operator's page is behind the password that the deployment wrote."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from seeing import CheckFailedError, call, fetch, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from seeing import Report

OPERATION = b"<h1>Operation</h1>"
"""What only somebody sees who is logged in."""


def check_faucet(report: Report, case: str, url: str, rpc_url: str) -> None:
    """A claim of a stranger is paid."""
    address = "0x" + os.urandom(20).hex()
    paid = f"{url}/api/v1/faucet/claims/{_claim(url, address)['id']}"
    wait_until(lambda: json.loads(fetch(paid))["is_over"], "a payout")
    tokens = int(call(rpc_url, "eth_getBalance", address, "latest"), 16) // 10**18
    report.claim(
        case, "the faucet pays a claim of its API", f"{tokens} tokens at a new address", holds=tokens == 100
    )


def check_operator(report: Report, case: str, faucet_url: str, url: str, output: Path) -> None:
    """The operator's page opens with its password alone, and what is done there holds for the public page."""
    password = (output / "secrets" / "faucet-operator.password").read_text(encoding="utf-8").strip()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    shown = [OPERATION in _opened(browser, f"{url}/")]
    for tried in ("wrong", password):
        page = _opened(browser, f"{url}/login", password=tried)
        shown.append(OPERATION in page)
    report.claim(
        case,
        "the faucet's operator page opens with the password in `secrets/`, and with no other and none it does not",
        ", ".join("open" if is_open else "shut" for is_open in shown),
        holds=shown == [False, False, True],
    )
    token = re.search(rb'name="token" value="([^"]+)"', page)
    if token is None:
        raise CheckFailedError(f"{case}: the operator's page has no form")
    form = {"token": token[1].decode()}
    _opened(browser, f"{url}/do/pause", **form, reason="a look at deployments")
    refused = _refused(faucet_url)
    _opened(browser, f"{url}/do/resume", **form)
    report.claim(
        case,
        "while its operator pauses the faucet it takes no claim, and afterwards it does",
        f"{refused}; then claim {_claim(faucet_url, '0x' + os.urandom(20).hex())['id']}",
        holds=refused == 503,
    )


def _claim(url: str, address: str) -> dict[str, str]:
    """What the faucet answers to a claim of its own page."""
    body = json.dumps({"address": address}).encode()
    found: dict[str, str] = json.loads(fetch(f"{url}/api/v1/faucet/claims", body, {"origin": url}))
    return found


def _refused(url: str) -> int:
    """The status with which a claim is refused; 0 when it is taken."""
    try:
        _claim(url, "0x" + os.urandom(20).hex())
    except urllib.error.HTTPError as error:
        return error.code
    return 0


def _opened(browser: urllib.request.OpenerDirector, url: str, **form: str) -> bytes:
    """A page as this browser sees it, also one with an error."""
    body = urllib.parse.urlencode(form).encode() if form else None
    try:
        with browser.open(url, body, timeout=5) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        return error.read()
