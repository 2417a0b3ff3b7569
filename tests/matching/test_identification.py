"""What a method says of the session, and which ids nobody has."""

import pytest

from matching.identification import METHODS, STRENGTHS, AuthState, Method, auth_state, is_blocked

STATES = {
    Method.LOGIN: AuthState.AUTHENTICATED,
    Method.PURCHASE: AuthState.AUTHENTICATED,
    Method.SERVER: AuthState.AUTHENTICATED,
    Method.IMPORT: AuthState.UNKNOWN,
    Method.CLICK: AuthState.UNKNOWN,
    Method.PAGE: AuthState.UNKNOWN,
    Method.FORM: AuthState.CLAIMED,
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_whether_somebody_was_signed_in(method: Method) -> None:
    """Files and clicks prove a link and no session; a claim by any method is a claim."""
    assert auth_state(method, claimed=False) is STATES[method]
    assert auth_state(method, claimed=True) is AuthState.CLAIMED


def test_a_method_of_a_newer_version_opens_nothing() -> None:
    """What this version does not know is no session."""
    assert auth_state("telepathy", claimed=False) is AuthState.UNKNOWN


def test_methods_weigh_as_decided() -> None:
    """Login and purchase, then servers and files, then clicks, then forms; a page names nobody."""
    weights = [STRENGTHS[method] for method in STATES]
    assert weights == [4, 4, 3, 3, 2, 0, 1]


@pytest.mark.parametrize("nobody", ["0", "000", "-", "--", "00000000-0000-0000-0000-000000000000"])
def test_zeros_and_dashes_are_nobody(nobody: str) -> None:
    """The empty UUID of a script would be everybody."""
    assert is_blocked(f" {nobody} ")
    assert not is_blocked(f"{nobody}7")
