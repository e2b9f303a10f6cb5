"""What counts as a sentence that a test expects, and what as a part."""

from __future__ import annotations

import pytest
from messages import says, sentences

WORDS = "there is no such row"


@pytest.mark.parametrize(
    "source",
    [
        f"assert '{WORDS}' in text",
        f"assert '{WORDS}' not in text",
        f"assert text.splitlines()[0] == '{WORDS}'",
        f'assert f"{{name}}: {WORDS}" in text',
        f"assert all('{WORDS}' in LINE for LINE in lines)",
        f"assert text.startswith('{WORDS}')",
        f"assert says(text, 'row', '{WORDS}')",
        f"with pytest.raises(ValueError, match='{WORDS}'): run()",
        f"@pytest.mark.parametrize('part', ['{WORDS}'])\ndef test(part):\n    assert part in A",
        f"@pytest.mark.parametrize(('a', 'b'), [(1, '{WORDS}')])\ndef test(a, b):\n    assert says(run(a), b)",
        f"@pytest.mark.parametrize('a, b', [pytest.param(1, ('{WORDS}',))])\ndef test(a, b):\n    assert says(a, *b)",
    ],
)
def test_every_form_of_expectation_is_seen(source):
    assert sentences(source) == [WORDS if 'f"' not in source else f": {WORDS}"]


@pytest.mark.parametrize(
    "source",
    [
        f"run('{WORDS}')",
        f"@pytest.mark.parametrize('given', ['{WORDS}'])\ndef test(given):\n    run(given)",
        "assert \"'a name of five words'\" in text",
        "assert says(text, 'the 2 rows', '--metric', 'no such row', '1,440 samples')",
    ],
)
def test_what_a_test_gives_and_parts_are_nosentences(source):
    texts = sentences(source)
    assert not texts


def test_parts_stand_in_order_however_the_text_is_wrapped():
    assert says("no row 'a'\n  of 3", "'a' of", "3")
    assert not says("no row 'a' of 3", "3", "'a'")
