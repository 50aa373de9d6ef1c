"""The guides for those who come from elsewhere: both halves run side by side, and their numbers agree."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[1] / "docs"
PEERS = {
    "from_pytorch": "torch", "from_keras": "keras", "online": "river", "from_scikit_learn": "sklearn",
    "weights_of_others": "torch",
}  # fmt: skip


def blocks(text):
    """The Python code of a page, in order, each with whose it is: "" for this library."""
    for match in re.finditer(r"^```python ?(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield match[1], "\n" * text.count("\n", 0, match.start(2)) + match[2]


def page(name):
    return [*blocks((DOCS / f"{name}.md").read_text(encoding="utf-8"))]


@pytest.mark.filterwarnings("default")  # those of other libraries are theirs
@pytest.mark.parametrize("name", PEERS)
def test_both_halves_run_and_agree(name, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    try:
        importlib.import_module(PEERS[name])
    except ImportError:
        pytest.skip(f"{PEERS[name]} is not installed")
    namespace, compared = {"__name__": name, "print": lambda *_: None}, 0
    for _, code in page(name):
        exec(compile(code, name, "exec"), namespace)
        if "expected" in namespace:
            ours, expected = namespace.pop("ours"), namespace.pop("expected")
            np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=2e-6)
            compared += 1
    assert compared == {"online": 0, "from_scikit_learn": 1, "weights_of_others": 1}.get(name, 2)


def test_blocks_of_others_are_named():
    found = {
        path.stem: {peer for peer, _ in blocks(path.read_text(encoding="utf-8"))} - {""} for path in DOCS.glob("*.md")
    }
    assert {name: peers for name, peers in found.items() if peers} == {name: {peer} for name, peer in PEERS.items()}


def test_all_pages_are_listed():
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\* \[.*?\]\((\w+\.md)\): .+", text, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md") if path.name != "README.md")
