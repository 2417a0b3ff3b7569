"""What is wrong in a partner's file is said before any browser meets it."""

from pathlib import Path

import pytest

from matching.partners import Partner, PartnerErrors, known_keys, load_partners


def load_one(folder: Path, key: str, text: str) -> Partner:
    """Load one partner from an operator's file with this text."""
    (folder / "partners").mkdir(exist_ok=True)
    (folder / "partners" / f"{key}.toml").write_text(text, encoding="utf-8")
    (partner,) = load_partners(folder)
    return partner


def errors_of(folder: Path, key: str, text: str) -> list[str]:
    """Load a wrong file and give the errors without the path before them."""
    with pytest.raises(PartnerErrors) as caught:
        load_one(folder, key, text)
    path = folder / "partners" / f"{key}.toml"
    return [error.removeprefix(f"{path}: ") for error in caught.value.errors]


WHOLE = """
name = "Acme"
id_space = "acme"
[sync]
direction = "back"
url_template = "https://px.acme.example/s?r={redirect}"
redirect_position = "param"
token_place = "redirect"
"""

WRONG = {
    "type": (
        WHOLE.replace('name = "Acme"', "name = 3\ngvl_id = 'x'"),
        [
            "Expected `str`, got `int` - at `$.name`",
            "Expected `int | null`, got `str` - at `$.gvl_id`",
        ],
    ),
    "unknown fact": (
        WHOLE + "colour = 1",
        ["unknown fact - at `$.sync.colour`"],
    ),
    "unknown fact and wrong value": (
        WHOLE.replace('"back"', '"sideways"') + "colour = 1",
        [
            "Invalid enum value 'sideways' - at `$.sync.direction`",
            "unknown fact - at `$.sync.colour`",
        ],
    ),
    "wrong item": (
        WHOLE.replace('id_space = "acme"', 'id_space = "acme"\ncountries = ["FR", "france"]'),
        ["Expected `str` matching regex '^[A-Z]{2}$' - at `$.countries[1]`"],
    ),
    "no sync": (
        "name = 'Acme'",
        [
            "missing - at `$.id_space`",
            (
                "missing; ask the partner for its cookie sync: URL, direction and where our "
                "callback goes - at `$.sync`"
            ),
        ],
    ),
    "no url": (
        "name = 'Acme'\nid_space = 'acme'\nsync.direction = 'back'",
        [
            (
                "missing; ask the partner for the URL that its sync pixel is fired at"
                " - at `$.sync.url_template`"
            )
        ],
    ),
    "key": (
        'key = "other"' + WHOLE,
        ["the key is 'other', the file is 'acme'; make them the same - at `$.key`"],
    ),
    "example": (
        WHOLE + "[ids]\nexample = 'none'",
        ["is no id by these rules: sentinel - at `$.ids.example`"],
    ),
    "a callback that does not hear the id": (
        WHOLE + "arrives = { id = 'their_id' }",
        ["a trial brought the id '', not the partner's - at `$.sync.arrives`"],
    ),
    "a callback that does not hear the token": (
        WHOLE + "arrives = { token = 'theirs' }",
        ["a trial did not bring our token back - at `$.sync.token_place`"],
    ),
    "an id appended behind something else": (
        WHOLE.replace("r={redirect}", "r={redirect}&v=1") + "redirect_encoding_depth = 0",
        ["a trial brought the id '', not the partner's - at `$.sync.arrives`"],
    ),
    "passes without partner": (
        WHOLE + "passes = ['push']",
        [
            (
                "only a partner that starts the sync sends us something to hand on"
                " - at `$.sync.passes`"
            ),
            "url_template has no {push} - at `$.sync.passes`",
        ],
    ),
    "unknown macro": (
        WHOLE.replace("/s?", "/{site}?"),
        [
            (
                "{site} is no macro; use consent_params, our_id, redirect, token or give "
                "`account.site` - at `$.sync.url_template`"
            )
        ],
    ),
    "redirect not where said": (
        WHOLE.replace('"param"', '"query"'),
        ["`query`, but url_template has no such {redirect} - at `$.sync.redirect_position`"],
    ),
    "redirect without position": (
        WHOLE.replace('redirect_position = "param"', ""),
        [
            "url_template holds {redirect}; say where - at `$.sync.redirect_position`",
            "missing; an id that comes back needs a callback - at `$.sync.redirect_position`",
        ],
    ),
    "no token place": (
        WHOLE.replace('token_place = "redirect"', ""),
        ["missing; say where our token comes back - at `$.sync.token_place`"],
    ),
    "registered without callback": (
        WHOLE.replace('"param"', '"registered"').replace("{redirect}", "1"),
        [
            (
                "must begin with {base}/setuid? ; it is what the partner registers"
                " - at `$.sync.registered_callback`"
            ),
            (
                "`redirect`, but a registered callback carries no token of ours"
                " - at `$.sync.token_place`"
            ),
        ],
    ),
    "registered callback without macro": (
        WHOLE.replace('"param"', '"registered"')
        .replace("{redirect}", "{token}")
        .replace('"redirect"', '"echoed_param"')
        + 'user_macro = "%%ID%%"\nregistered_callback = "{base}/setuid?bidder=acme"',
        ["does not hold %%ID%% - at `$.sync.registered_callback`"],
    ),
    "token in no parameter": (
        WHOLE.replace('token_place = "redirect"', 'token_place = "our_id_param"'),
        ["missing; the token is to travel in it - at `$.sync.our_id_param`"],
    ),
    "our id not in the url": (
        WHOLE + 'our_id_param = "puid"',
        ["url_template has no such parameter with {our_id} - at `$.sync.our_id_param`"],
    ),
    "nothing to echo": (
        WHOLE.replace('token_place = "redirect"', 'token_place = "echoed_param"'),
        ["`echoed_param`, but url_template has no {token} - at `$.sync.token_place`"],
    ),
    "cookie by fetch": (
        WHOLE.replace('token_place = "redirect"', 'token_place = "cookie"')
        + 'transports = ["fetch_json"]',
        ["`fetch_json` may not carry a callback proven by cookie - at `$.sync.transports`"],
    ),
    "consent without a place": (
        WHOLE + 'consent_params = { gdpr = "g" }',
        [
            (
                "url_template does not say where: put {consent_params} in it"
                " - at `$.sync.consent_params`"
            )
        ],
    ),
    "a place without consent": (
        WHOLE.replace("{redirect}", "{redirect}{consent_params}"),
        ["url_template holds {consent_params}, but no name is given - at `$.sync.consent_params`"],
    ),
    "pattern": (
        WHOLE + "[ids]\npattern = '['\nlength_min = 9\nlength_max = 8",
        [
            (
                "not a regular expression: unterminated character set at position 0"
                " - at `$.ids.pattern`"
            ),
            "is more than length_max - at `$.ids.length_min`",
        ],
    ),
    "days": (
        "refresh_days = 31" + WHOLE,
        [
            "is more than lives_days: ids would die before their refresh - at `$.refresh_days`",
        ],
    ),
    "http": (
        WHOLE.replace("https:", "http:"),
        ["must be https, it renders as http://px.acme.example/s - at `$.sync.url_template`"],
    ),
    "no host": (
        WHOLE.replace("px.acme.example", "me@px.example"),
        ["has no usable host, it renders as https://me@px.example/s - at `$.sync.url_template`"],
    ),
    "bad port": (
        WHOLE.replace("px.acme.example", "px.example:x"),
        ["has no usable host, it renders as https://px.example:x/s - at `$.sync.url_template`"],
    ),
    "space": (
        WHOLE.replace("/s?", "/s s?"),
        ["renders with characters that no URL may hold - at `$.sync.url_template`"],
    ),
    "base": (
        'based_on = "nobody"' + WHOLE,
        [f"no known partner 'nobody'; known are {', '.join(known_keys())} - at `$.based_on`"],
    ),
    "not toml": ("name =", ["not a TOML file: Invalid value (at end of document) - at `$`"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, case: str) -> None:
    """Every fault of a file is named with the field it stands in."""
    text, errors = WRONG[case]
    assert errors == errors_of(tmp_path, "acme", text)


def test_all_files_are_reported_at_once(tmp_path: Path) -> None:
    """A fault in one file does not hide the faults of the next."""
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners" / "acme.toml").write_text("name = 3", encoding="utf-8")
    (tmp_path / "partners" / "xandr.toml").write_text("gvl_id = 0", encoding="utf-8")
    with pytest.raises(PartnerErrors) as caught:
        load_partners(tmp_path)
    assert [
        f"{tmp_path}/partners/acme.toml: Expected `str`, got `int` - at `$.name`",
        f"{tmp_path}/partners/acme.toml: missing - at `$.id_space`",
    ] == caught.value.errors[:2]
    assert (
        f"{tmp_path}/partners/xandr.toml: Expected `int` >= 1 - at `$.gvl_id`"
        == caught.value.errors[-1]
    )
    assert str(caught.value) == "\n".join(caught.value.errors)
