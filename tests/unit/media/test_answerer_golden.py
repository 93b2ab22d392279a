"""Every stored offer gets the answer that is kept beside it.

UPDATE_GOLDEN=1 in the environment writes the answers instead of comparing them.
"""

import os
from difflib import unified_diff
from itertools import pairwise
from pathlib import Path

import pytest

from media.offer import parse_offer
from tests.data.offers import stored

SCENARIOS = sorted({path.parent for path in stored.files()})


@pytest.mark.parametrize("path", stored.files(), ids=stored.name)
def test_a_stored_offer_gets_the_answer_that_is_kept_beside_it(path: Path) -> None:
    answer, _ = stored.answer(stored.read(path))
    kept = path.with_suffix(".answer")
    if os.environ.get("UPDATE_GOLDEN"):
        kept.write_text(answer.replace("\r\n", "\n"), newline="\n")
    difference = unified_diff(
        stored.read(kept).splitlines(), answer.splitlines(), "kept", "made", lineterm=""
    )
    assert not (text := "\n".join(difference)), f"{stored.name(path)}\n{text}"
    assert answer == stored.read(kept)


def test_there_are_offers_of_both_browsers_and_no_answer_without_an_offer() -> None:
    browsers = {stored.name(path).split("/")[0] for path in stored.files()}
    assert browsers == {"chromium", "firefox"}
    answers = {path.with_suffix(".offer") for path in stored.FOLDER.rglob("*.answer")}
    assert answers == set(stored.files())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=stored.name)
def test_answers_of_one_connection_keep_what_an_id_means(scenario: Path) -> None:
    plans = [stored.answer(stored.read(path))[1] for path in sorted(scenario.glob("*.offer"))]
    for before, after in pairwise(plans):
        for payload_type in before.codecs.keys() & after.codecs.keys():
            assert before.codecs[payload_type] == after.codecs[payload_type]
        for extension in before.extensions.keys() & after.extensions.keys():
            assert before.extensions[extension] == after.extensions[extension]


@pytest.mark.parametrize("browser", ["chromium/ice-restart/", "firefox/ice-restart/"])
def test_a_restart_shows_as_another_user_name_with_the_same_sections(browser: str) -> None:
    files = [path for path in stored.files() if stored.name(path).startswith(browser)]
    before, after = (parse_offer(stored.read(path)) for path in files[-2:])
    assert before.ice_ufrag != after.ice_ufrag
    assert before.fingerprints == after.fingerprints
    assert [section.mid for section in before.sections] == [
        section.mid for section in after.sections
    ]
