"""What the faucet refuses, as HTTP: statuses and codes that a program can act on."""

from __future__ import annotations

from typing import Final

from metanode.errors import InvalidInput
from sdk.testnet.faucet.desk import ProofMissing, TooManyFailures, Unfit
from sdk.testnet.faucet.policy import RefusalCode, Refused
from sdk.testnet.faucet.proof_of_work import ChallengeExpired, ChallengeInvalid
from sdk.testnet.faucet.verification import RETRY_S, TooBusy
from sdk.testnet.services.web.problems import Problem, problem_of

_REFUSALS: Final = {
    RefusalCode.BLOCKED: (403, "Blocked"),
    RefusalCode.PASS: (403, "This voucher pays nothing now"),
    RefusalCode.PAUSED: (503, "The faucet is paused"),
    RefusalCode.EMPTY: (503, "The faucet is empty"),
    RefusalCode.BUDGET: (503, "Too many at once"),
    RefusalCode.DAY: (503, "Nothing left today"),
}
"""What is not here is the client's own limit: 429."""


class AlreadyRedeemed(InvalidInput):
    """A challenge was used before; `claim_id` is what it was used for."""

    def __init__(self, claim_id: str) -> None:
        super().__init__(f"challenge: it was redeemed before, by claim {claim_id}; ask for a new one")
        self.claim_id = claim_id


def problem_of_refusal(refused: Refused) -> Problem:
    """Return what to tell of a limit or an operator's word."""
    status, title = _REFUSALS.get(refused.code, (429, "Not again so soon"))
    return Problem(
        status=status,
        title=title,
        detail=refused.reason,
        code=str(refused.code),
        retry_after_s=refused.retry_after_s,
    )


def problem_of_error(error: Exception) -> Problem:
    """Return what to tell of an exception."""
    match error:
        case AlreadyRedeemed():
            return _problem(409, "Used before", error, "challenge_redeemed")
        case TooManyFailures():
            return _problem(429, "Not so fast", error, "rate_limited", retry_after_s=error.retry_after_s)
        case ChallengeExpired():
            return _problem(400, "Too late", error, "challenge_expired")
        case ChallengeInvalid():
            return _problem(400, "That does not solve it", error, "challenge_invalid")
        case ProofMissing():
            return _problem(400, "Proof of work missing", error, "proof_missing")
        case Unfit():
            return _problem(422, "This address gets nothing", error, "recipient_unfit")
        case TooBusy():
            return _problem(503, "Busy", error, "busy", retry_after_s=RETRY_S)
        case _:
            return problem_of(error)


def _problem(
    status: int, title: str, error: Exception, code: str, *, retry_after_s: int | None = None
) -> Problem:
    return Problem(
        status=status, title=title, detail=str(error)[:400], code=code, retry_after_s=retry_after_s
    )
