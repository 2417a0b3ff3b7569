"""The tag's modules that need no browser, in Node: forms of arguments, Google's words, tokens."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from required import missing

TAG_SDK = Path(__file__).parent.parent.parent / "tag_sdk"

pytestmark = pytest.mark.node


def run(script: str) -> Any:
    """Run a module's text in the tag's folder, and give what it prints last as JSON."""
    node = shutil.which("node")
    if node is None:
        missing("no node on this machine (Debian: apt-get install nodejs)")
    told = subprocess.run(
        [node, "--input-type=module", "--eval", script],
        cwd=TAG_SDK,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout.splitlines()[-1])


FORMS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "track: event": (1, '["E"]', {"texts": ["E"]}),
    "track: all": (
        1,
        '["E", {a: 1}, {timestamp: 2}, cb]',
        {"texts": ["E"], "facts": {"a": 1}, "options": {"timestamp": 2}, "callback": True},
    ),
    "track: null keeps the place of properties": (
        1,
        '["E", null, {integrations: {}}]',
        {"texts": ["E"], "options": {"integrations": {}}},
    ),
    "track: callback for properties": (1, '["E", cb]', {"texts": ["E"], "callback": True}),
    "identify: traits alone": (1, "[{plan: 1}]", {"facts": {"plan": 1}}),
    "identify: traits and options": (
        1,
        "[{plan: 1}, {token: 't'}]",
        {"facts": {"plan": 1}, "options": {"token": "t"}},
    ),
    "identify: no id, traits": (1, "[null, {plan: 1}]", {"texts": [None], "facts": {"plan": 1}}),
    "identify: a number": (1, "[7]", {"texts": ["7"]}),
    "identify: an empty id is none": (1, '["", {}]', {"texts": [None]}),
    "identify: id and options alone": (
        1,
        '["7", undefined, {token: "t"}]',
        {"texts": ["7"], "options": {"token": "t"}},
    ),
    "page: nothing": (2, "[]", {}),
    "page: name": (2, '["Home"]', {"texts": ["Home"]}),
    "page: name and properties": (2, '["Home", {a: 1}]', {"texts": ["Home"], "facts": {"a": 1}}),
    "page: category and name": (2, '["Docs", "Home"]', {"texts": ["Docs", "Home"]}),
    "page: no category": (
        2,
        '[null, "Home", {a: 1}, {b: 2}, cb]',
        {"texts": [None, "Home"], "facts": {"a": 1}, "options": {"b": 2}, "callback": True},
    ),
    "page: properties and options": (
        2,
        "[{a: 1}, {b: 2}]",
        {"facts": {"a": 1}, "options": {"b": 2}},
    ),
    "alias: both": (2, '["new", "old", {b: 2}]', {"texts": ["new", "old"], "facts": {"b": 2}}),
}


def test_arguments_stand_where_analytics_js_has_them() -> None:
    """Texts, objects and a callback are found in every form in which they may be given."""
    cases = ",".join(f"[{given}, {count}]" for count, given, _ in FORMS.values())
    found = run(
        f"""import {{ sorted }} from "./src/arguments.js";
        const cb = () => {{}};
        console.log(JSON.stringify([{cases}].map(([given, count]) => {{
          const read = sorted(given, count);
          return {{ ...read, callback: read.callback === cb }};
        }})));"""
    )
    nothing = {"texts": [], "facts": {}, "options": {}, "callback": False}
    assert dict(zip(FORMS, found, strict=True)) == {
        name: nothing | expected for name, (_, _, expected) in FORMS.items()
    }


DENIED = "{analytics_storage: 'denied', ad_storage: 'denied', ad_personalization: 'denied'}"
GRANTED = DENIED.replace("denied", "granted")
GOOGLE: dict[str, tuple[list[str], dict[str, Any]]] = {
    "nothing said": (["{event: 'gtm.js'}", "null", "['js', 1]"], {}),
    "a denial by default is open": (
        [f"['consent', 'default', {DENIED}]"],
        dict.fromkeys(("store", "audiences", "sync", "personalise"), "waiting")
        | {"ad_personalization": "waiting"},
    ),
    "a permission by default stands": (
        ["['consent', 'default', {analytics_storage: 'granted'}]"],
        {"store": True},
    ),
    "an update answers": (
        [f"['consent', 'default', {DENIED}]", f"['consent', 'update', {GRANTED}]"],
        dict.fromkeys(("store", "audiences", "sync", "personalise", "ad_personalization"), True),
    ),
    "a denial by update is a word": (
        [f"['consent', 'default', {GRANTED}]", "['consent', 'update', {ad_storage: 'denied'}]"],
        {
            **dict.fromkeys(("store", "personalise", "ad_personalization"), True),
            **dict.fromkeys(("audiences", "sync"), False),
        },
    ),
    "a default after the update changes nothing": (
        ["['consent', 'update', {ad_storage: 'denied'}]", f"['consent', 'default', {GRANTED}]"],
        {
            **dict.fromkeys(("store", "personalise", "ad_personalization"), True),
            **dict.fromkeys(("audiences", "sync"), False),
        },
    ),
    "permissions for regions count for nobody": (
        ["['consent', 'default', {analytics_storage: 'granted', region: ['US']}]"],
        {},
    ),
    "denials for regions count for all": (
        [
            "['consent', 'default', {analytics_storage: 'denied', region: ['FR']}]",
            "['consent', 'default', {analytics_storage: 'granted'}]",
        ],
        {"store": "waiting"},
    ),
    "a misspelt word permits nothing": (
        ["['consent', 'update', {analytics_storage: 'Granted'}]"],
        {"store": False},
    ),
    "half of what a use needs is not enough": (
        ["['consent', 'update', {ad_storage: 'granted'}]"],
        {"sync": True},
    ),
}


@pytest.mark.parametrize("pushed", [False, True], ids=["there before", "pushed later"])
def test_google_s_words_are_answers(pushed: bool) -> None:
    """What stands in the data layer counts as what is pushed later, for each use by its fields."""
    cases = ",".join(f"[{','.join(said)}]" for said, _ in GOOGLE.values())
    found = run(
        f"""const answers = [];
        for (const [at, said] of [{cases}].entries()) {{
          // A module of its own for each case: what it heard is kept in it.
          const {{ googleSays, hearDataLayer, USES }} =
            await import(`./src/google_consent.js?case=${{at}}`);
          const layer = {json.dumps(pushed)} ? [] : [...said];
          let changes = 0;
          hearDataLayer(layer, () => changes++);
          if ({json.dumps(pushed)}) said.forEach((each) => layer.push(each));
          const told = Object.fromEntries(USES.map((use) => [use, googleSays(use)]));
          answers.push([told, layer.length === said.length && changes === ({
            json.dumps(pushed)
        } ? said.length : 0)]);
        }}
        console.log(JSON.stringify(answers));"""
    )
    assert dict(zip(GOOGLE, found, strict=True)) == {
        name: [expected, True] for name, (_, expected) in GOOGLE.items()
    }


TOKENS: dict[str, tuple[str, str, dict[str, str]]] = {
    "first": ("/a?jml_link=T&b=1#x", "/a?b=1#x", {"link": "T"}),
    "last": ("/a?b=%20+c&jml_click=T", "/a?b=%20+c", {"click": "T"}),
    "both": ("/?jml_link=T&jml_click=U", "/", {"link": "T", "click": "U"}),
    "twice": ("/?jml_link=T&x&jml_link=U", "/?x", {"link": "U"}),
    "none": ("/?a=jml_link=T", "/?a=jml_link=T", {}),
    "in the fragment alone": ("/#?jml_link=T", "/#?jml_link=T", {}),
    "a path that begins with two": ("//evil?jml_link=T", "//evil", {"link": "T"}),
}


def test_tokens_leave_the_address_and_nothing_else_does() -> None:
    """The page's own parameters and fragment stay as they were written."""
    found = run(
        f"""import {{ takeTokens }} from "./src/arrival.js";
        const seen = [];
        for (const [given] of {json.dumps(list(TOKENS.values()))}) {{
          globalThis.location = new URL("https://shop.example" + given);
          globalThis.history = {{ state: 7, replaceState(state, _, to) {{
            if (state !== 7) throw new Error("the page's own state is lost");
            globalThis.location = new URL(to, globalThis.location);
          }} }};
          const taken = takeTokens();
          seen.push([given, globalThis.location.href.replace("https://shop.example", ""), taken]);
        }}
        console.log(JSON.stringify(seen));"""
    )
    assert [tuple(each) for each in found] == list(TOKENS.values())


def test_on_a_server_the_package_does_nothing() -> None:
    """Where there is no page, `load` gives calls that resolve to false."""
    found = run(
        """import { load } from "./dist/npm.js";
        const jumelle = load({ key: "demo" });
        console.log(JSON.stringify([await jumelle.track("X"), await jumelle.anonymousId()]));"""
    )
    assert found == [False, False]


def test_what_the_package_names_is_there() -> None:
    """Each file that `package.json` exports is built and listed among its files."""
    package = json.loads((TAG_SDK / "package.json").read_text(encoding="utf-8"))
    exported = json.dumps(package["exports"]) + json.dumps([package["main"], package["module"]])
    paths = {part for part in exported.split('"') if part.startswith("./") and "." in part[2:]}
    assert {"./dist/npm.js", "./dist/jumelle.js", "./dist/stub.js", "./jumelle.d.ts"} <= paths
    for path in paths:
        assert (TAG_SDK / path).is_file(), path
